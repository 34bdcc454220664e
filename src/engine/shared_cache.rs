//! Chooses the folder of the cache: the project's own, or one that it shares with other projects.
//! The state of a project (index, run lock, markers of running stages) stays in its own folder.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::cache::{Cache, Member, real_path};
use crate::error::{Error, Result};
use crate::pipeline;

/// Environment variable with the folder of a shared cache; overrides `[cache] dir`.
const VARIABLE: &str = "REPRO_CACHE_DIR";

/// Opens the cache of the project at `root`. Creates nothing.
///
/// `home` is the root of the main project if this one is a worktree, else the same. `own` is the
/// folder of the own cache of that project, `setting` is `[cache] dir`.
pub(super) fn open(root: &Path, home: &Path, own: &Path, setting: Option<&str>) -> Result<Cache> {
    let member = |project: Member, worktree: fn(PathBuf) -> Member| match root == home {
        true => project,
        false => worktree(root.to_owned()),
    };
    let owner = || Cache::open_as(own, member(Member::Owner, Member::Worktree));
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let name = if variable.is_some() { VARIABLE } else { "[cache] dir" };
    let Some(written) = variable.or_else(|| setting.map(OsString::from)) else {
        return Ok(owner());
    };
    let dir = real_path(&absolute(home, &written, name)?);
    if dir == real_path(own) {
        return Ok(owner());
    }
    check(home, &dir, name)?;
    let project = Member::Project(root.to_owned());
    Ok(Cache::open_as(&dir, member(project, Member::WorktreeOfProject)))
}

fn absolute(root: &Path, written: &OsStr, name: &str) -> Result<PathBuf> {
    let written = Path::new(written);
    let Ok(below_home) = written.strip_prefix("~") else {
        return Ok(root.join(written));
    };
    match std::env::home_dir().filter(|home| home.is_absolute()) {
        Some(home) => Ok(home.join(below_home)),
        None => Err(Error::usage(format!(
            "`{name}` is `{}`, but the home directory is unknown",
            written.display()
        ))
        .hint("set `HOME`, or give an absolute path")),
    }
}

/// Refuses a folder that is not for a shared cache alone.
fn check(root: &Path, dir: &Path, name: &str) -> Result<()> {
    let is_root = |folder: &&Path| folder.join(pipeline::FILE).is_file();
    let shown = dir.display();
    let existing = dir.ancestors().find_map(|path| Some((path, path.metadata().ok()?)));
    if let Some((path, _)) = existing.filter(|(_, found)| !found.is_dir()) {
        let error = Error::usage(format!("`{name}` is `{shown}`, which is not a folder"));
        return Err(match path == dir {
            true => error,
            false => error.because(format!("`{}` is a file", path.display())),
        });
    }
    if dir.starts_with(root) {
        return Err(Error::usage(format!("`{name}` is `{shown}`, which is inside the project"))
            .hint("give a folder outside; without the setting, `cache` in the project is used"));
    }
    if let Some(other) = dir.parent().filter(is_root).filter(|_| dir.ends_with("cache")) {
        return Err(Error::usage(format!(
            "`{name}` is `{shown}`, the own cache of the project `{}`",
            other.display()
        ))
        .because("`repro gc` there would not know of this project")
        .hint("choose a folder of its own for the shared cache, and set it in both projects"));
    }
    Ok(())
}
