//! `repro get`: copies an out of an old run or of a git revision to any place.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::amount;
use crate::engine::Project;
use crate::engine::export::{Existing, export, target};
use crate::engine::get::{self, Found};
use crate::engine::size::Tally;
use crate::error::{Error, Result, exit};
use crate::repo_path::RepoPath;
use crate::report;
use crate::report::get::GetReport;
use crate::terminal::{self, stdout};
use crate::workspace::root;

/// Copy an out of an old run or of a git revision to any place
///
/// PATH is an out, or a file or directory in one; it counts from the project root, `./PATH` from
/// the current directory. The workspace, pipeline.lock and git stay as they are.
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Run (`run-3`, `3` or `last`) or git revision, a colon, and the path: `run-3:model.bin`,
    /// `HEAD~2:reports/roc.png`
    #[arg(value_name = "REV:PATH")]
    what: String,
    /// File to write, directory to write into, or `-` for stdout [default: the name of PATH in the
    /// current directory]
    #[arg(long, short, value_name = "DEST")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, short)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl GetArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (revision, path) = split(&self.what)?;
        let path = to_path(root, here, path)?;
        let (project, held) = match self.force {
            true => Project::load_with_locked(root).map(|(project, held)| (project, Some(held)))?,
            false => (Project::load(root, &[])?, None),
        };
        let found = get::find(&project, revision, &path)?;
        if self.output.as_deref() == Some(Path::new("-")) {
            let shown = format!("`{path}` of {}", found.revision);
            stdout::copy(get::open(&project, &found.content, &shown)?)?;
            return Ok(exit::OK);
        }
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        let to = target(here, self.output.as_deref(), name);
        let existing = held.as_ref().map_or(Existing::Stays, Existing::Replaced);
        let (written, warnings) = export(&project, &found.content, (here, &to), existing)?;
        warnings.iter().for_each(|warning| terminal::warn(warning));
        say(&found, &to, written, self.json)?;
        Ok(exit::OK)
    }
}

fn say(found: &Found, to: &Path, written: Tally, json: bool) -> Result<()> {
    let to = shown(to);
    if json {
        return stdout::write(&report::json(&GetReport::new(found, to, written)));
    }
    let Found { revision, path, .. } = found;
    stdout::say!("wrote {to} ({path} of {revision}): {}", amount(written));
    Ok(())
}

/// Returns a path as a user would type it.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Splits `REV:PATH` at the first colon.
fn split(what: &str) -> Result<(&str, &str)> {
    let example = "`run-3:model.bin` and `HEAD~2:model.bin` are examples";
    match what.split_once(':') {
        Some((revision, path)) if !revision.is_empty() && !path.is_empty() => Ok((revision, path)),
        Some((revision, "")) if !revision.is_empty() => {
            Err(Error::usage(format!("`{what}` has no path after the colon")).hint(example))
        }
        _ => Err(Error::usage(format!("`{what}` does not name a run or a git revision"))
            .hint(format!("{example}; `repro checkout PATH` restores the current version"))),
    }
}

/// Converts a typed path: it counts from the root unless it begins with `./` or `../`.
fn to_path(root: &Path, here: &Path, typed: &str) -> Result<RepoPath> {
    if typed.starts_with("./") || typed.starts_with("../") {
        return root::to_repo_path(root, here, Path::new(typed));
    }
    RepoPath::parse(typed).map_err(|bad| Error::usage(format!("path `{typed}` {bad}")))
}
