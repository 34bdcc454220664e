//! `repro checkout`: restores outs as they are in the lock. A name is tried as a stage first, then
//! as a path.

use std::path::Path;

use clap::Args;

use super::common::amount;
use crate::engine::Project;
use crate::engine::checkout::{self, Part, Present, Report, checkout};
use crate::error::{Error, Result, exit};
use crate::plan::lock;
use crate::terminal::{self, stdout};
use crate::workspace::root;

/// Restore the outs recorded in pipeline.lock from the cache
///
/// Files that differ are stored in the cache before they are replaced.
#[derive(Debug, Args)]
pub(super) struct CheckoutArgs {
    /// Stages, outs, files or directories in outs, or globs; `./NAME` is always a path [default:
    /// everything]
    #[arg(value_name = "STAGE|PATH")]
    names: Vec<String>,
    /// Relink existing files according to the current `[cache] link`
    #[arg(long)]
    relink: bool,
}

impl CheckoutArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        if project.lock.stages.is_empty() {
            return Err(Error::usage(format!("`{}` records no outs yet", lock::FILE))
                .hint("`repro run` makes the outs"));
        }
        let parts = match &self.names[..] {
            [] => checkout::everything(&project),
            names => parts(&project, here, names)?,
        };
        let present = if self.relink { Present::Relinked } else { Present::Stays };
        let report = checkout(&project, &held, &parts, present)?;
        report.warnings.iter().for_each(|warning| terminal::warn(warning));
        stdout::say!("{}", summary(&report, &self.names, present));
        Ok(exit::OK)
    }
}

fn parts(project: &Project, here: &Path, names: &[String]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for name in names {
        let found = match checkout::of_stage(project, name) {
            found if found.is_empty() => {
                let path = root::to_repo_path(&project.root, here, Path::new(name))?;
                checkout::at_path(project, &path)?
            }
            found => found,
        };
        parts.extend(found);
    }
    Ok(parts)
}

/// Maximum number of names in the summary.
const MOST_NAMED: usize = 8;

pub(super) fn summary(report: &Report, names: &[String], present: Present) -> String {
    if report.brought.is_empty() {
        return match names {
            [] => format!("the workspace already matches `{}`", lock::FILE),
            [name] => format!("{name} already matches `{}`", lock::FILE),
            names => format!("{} already match `{}`", names.join(", "), lock::FILE),
        };
    }
    let mut what: Vec<String> = match names.is_empty() {
        true => report.brought.iter().map(|(stage, _)| stage.to_string()).collect(),
        false => {
            report.brought.iter().flat_map(|(_, paths)| paths).map(ToString::to_string).collect()
        }
    };
    if what.len() > MOST_NAMED {
        let more = what.split_off(MOST_NAMED).len();
        what.push(format!("{more} more"));
    }
    let of = if names.is_empty() { "the outs of " } else { "" };
    let done = match present {
        Present::Stays => "restored",
        Present::Relinked => "restored or relinked",
    };
    format!("{done} {of}{}: {}", what.join(", "), amount(report.written))
}
