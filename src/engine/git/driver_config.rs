//! The merge driver in the configuration of a repository.

use super::command::Git;
use super::program;
use crate::error::{Error, Result};

/// The settings of the driver for results, and of the one for ancestors of branches that have
/// merged each other.
const SETTINGS: [&str; 4] =
    ["merge.repro.name", "merge.repro.driver", "merge.repro.recursive", "merge.repro-base.driver"];
const SECTIONS: [&str; 2] = ["merge.repro", "merge.repro-base"];

/// Sets up the driver for the program at `path`. Reports whether anything changed.
pub(super) fn install(git: &Git, path: &str) -> Result<bool> {
    let mut changed = false;
    for (name, value) in SETTINGS.into_iter().zip(values(path)) {
        if get(git, name).as_deref() != Some(&value) {
            let answer = git.output(&["config", "--local", "--replace-all", name, &value])?;
            if !answer.status.success() {
                let message = String::from_utf8_lossy(&answer.stderr);
                return Err(Error::environment(format!("git cannot set `{name}`"))
                    .because(message.trim_end()));
            }
            changed = true;
        }
    }
    Ok(changed)
}

/// Removes the driver. Reports whether there was one.
pub(super) fn uninstall(git: &Git) -> bool {
    let remove =
        |section: &&str| git.bytes(&["config", "--local", "--remove-section", section]).is_some();
    SECTIONS.iter().filter(|section| remove(section)).count() > 0
}

/// Returns the command of the driver.
pub(super) fn command(git: &Git) -> Option<String> {
    get(git, SETTINGS[1])
}

/// Reports whether the driver is set up as [`install`] does it for the program at `path`.
pub(super) fn is_current(git: &Git, path: &str) -> bool {
    let mut settings = SETTINGS.into_iter().zip(values(path));
    settings.all(|(name, value)| get(git, name) == Some(value))
}

fn values(path: &str) -> [String; 4] {
    let program = program::shell_lines(path).replace('\n', "; ").replace('%', "%%");
    let driver = |option: &str| {
        format!("{program}\"$program\" git merge-lock {option}-- %O %A %B %P %S %X %Y")
    };
    let name = "pipeline.lock, stage by stage".to_owned();
    [name, driver(""), "repro-base".to_owned(), driver("--ancestor ")]
}

fn get(git: &Git, name: &str) -> Option<String> {
    git.line(&["config", "--local", "--get", name])
}
