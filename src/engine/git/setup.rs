//! Installs, removes and reports what makes git handle `pipeline.lock`.

use std::path::{Path, PathBuf};

use super::command::Git;
use super::hook_files::{self, Fate, Hook, Unpushed};
use super::{attributes, driver_config, program};
use crate::engine::project;
use crate::error::{Error, Result};

/// The changes that were made, and what remains to be done by hand.
#[derive(Debug, Default)]
pub struct Changes {
    pub made: Vec<String>,
    pub left: Vec<Error>,
}

/// The state of the parts.
#[derive(Debug)]
pub struct State {
    /// `.gitattributes` names our driver.
    pub attribute: bool,
    pub driver: Driver,
    /// The hooks that are installed.
    pub hooks: Vec<Hook>,
    pub folder: PathBuf,
}

/// The state of the driver in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Missing,
    /// Calls another program than this one, or an older form of the command.
    Outdated,
    Current,
}

/// The repository of a project.
struct Repository {
    git: Git,
    root: PathBuf,
    hooks: PathBuf,
    /// The working tree and the folder of git that all worktrees share.
    inside: [PathBuf; 2],
}

impl Repository {
    fn find(root: &Path) -> Result<Repository> {
        let git = Git::at(root);
        let answer = git.output(&["rev-parse", "--show-toplevel"])?;
        if !answer.status.success() {
            let message = String::from_utf8_lossy(&answer.stderr).into_owned();
            let message = message.lines().next().unwrap_or_default();
            return Err(Error::usage(format!("`{}` is not in a git repository", root.display()))
                .because(message.trim_start_matches("fatal: "))
                .hint("`git init` creates one"));
        }
        let lost = || Error::environment("git does not say where its folders are");
        let folder = |args: &[&str]| git.line(args).map(|path| root.join(path)).ok_or_else(lost);
        let top = folder(&["rev-parse", "--show-toplevel"])?;
        let common = folder(&["rev-parse", "--git-common-dir"])?;
        let hooks = folder(&["rev-parse", "--git-path", "hooks"])?;
        Ok(Repository { root: root.to_owned(), hooks, inside: [top, common], git })
    }

    /// Reports whether the folder of hooks belongs to this repository alone.
    fn owns_hooks(&self) -> bool {
        let real = |path: &Path| {
            let existing = path.ancestors().find(|path| path.exists())?;
            existing.canonicalize().ok()
        };
        let hooks = real(&self.hooks);
        self.inside.iter().any(|inside| {
            real(inside)
                .zip(hooks.as_ref())
                .is_some_and(|(inside, hooks)| hooks.starts_with(inside))
        })
    }

    /// Returns a path as a user of the project would write it.
    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        let path: PathBuf = path.components().collect();
        path.display().to_string()
    }
}

/// Sets up the driver and some hooks for the project at `root`.
///
/// # Errors
/// The folder is not in a repository, or a file cannot be written. A hook that cannot be installed
/// is not an error; it is in [`Changes::left`].
pub fn install(root: &Path, hooks: &[Hook]) -> Result<Changes> {
    let repository = Repository::find(root)?;
    let program = program::path()?;
    let mut changes = Changes::default();
    let mut made = |text: String| changes.made.push(text);
    if attributes::install(&repository.git, root, &project::staging(root))? {
        made(format!("added `{}` to {}; commit that file", attributes::LINE, attributes::FILE));
    }
    if driver_config::install(&repository.git, &program)? {
        made("set the merge driver `repro` in the configuration of this repository".to_owned());
    }
    let folder = repository.shown(&repository.hooks);
    if !hooks.is_empty() && !repository.owns_hooks() {
        let names: Vec<&str> = hooks.iter().map(|hook| hook.name()).collect();
        changes.left.push(
            Error::usage(format!(
                "no hooks were installed: `core.hooksPath` is `{folder}`, outside this repository"
            ))
            .hint(format!(
                "call `repro git hook NAME \"$@\"` from the hooks there, NAME being {}",
                names.join(", ")
            )),
        );
        return Ok(changes);
    }
    for &hook in hooks {
        let script = hook_files::script(hook, &program);
        let name = hook.name();
        match hook_files::install(&repository.hooks, hook, &script) {
            Ok(Fate::Created) => changes.made.push(format!("created the hook {folder}/{name}")),
            Ok(Fate::Updated) => changes.made.push(format!("updated the hook {folder}/{name}")),
            Ok(Fate::Chained) => changes.made.push(format!(
                "created the hook {folder}/{name}; it first runs the hook that was there, now \
                 {name}.before-repro"
            )),
            Ok(Fate::Unchanged | Fate::Removed | Fate::Restored | Fate::Absent) => {}
            Err(error) => changes.left.push(error),
        }
    }
    Ok(changes)
}

/// Removes what [`install`] has set up, and gives other hooks their names back.
pub fn uninstall(root: &Path) -> Result<Changes> {
    let repository = Repository::find(root)?;
    let mut changes = Changes::default();
    if attributes::uninstall(root, &project::staging(root))? {
        changes.made.push(format!("removed `{}` from {}", attributes::LINE, attributes::FILE));
    }
    if driver_config::uninstall(&repository.git) {
        changes.made.push("removed the merge driver `repro`".to_owned());
    }
    let folder = repository.shown(&repository.hooks);
    for hook in Hook::all(Unpushed::Named).into_iter().filter(|_| repository.owns_hooks()) {
        let name = hook.name();
        match hook_files::uninstall(&repository.hooks, hook) {
            Ok(Fate::Removed) => changes.made.push(format!("removed the hook {folder}/{name}")),
            Ok(Fate::Restored) => changes
                .made
                .push(format!("removed the hook {folder}/{name}; the one before it is back")),
            Ok(_) => {}
            Err(error) => changes.left.push(error),
        }
    }
    Ok(changes)
}

/// Returns the state of what [`install`] sets up.
pub fn state(root: &Path) -> Result<State> {
    let repository = Repository::find(root)?;
    let driver = match driver_config::command(&repository.git) {
        None => Driver::Missing,
        Some(_) if driver_config::is_current(&repository.git, &program::path()?) => Driver::Current,
        Some(_) => Driver::Outdated,
    };
    let installed = |hook| hook_files::installed(&repository.hooks, hook);
    Ok(State {
        attribute: attributes::driver(&repository.git).as_deref() == Some("repro"),
        driver,
        hooks: Hook::all(Unpushed::Named).into_iter().filter_map(installed).collect(),
        folder: repository.shown(&repository.hooks).into(),
    })
}
