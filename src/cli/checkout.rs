//! `repro checkout`.

use std::path::Path;

use clap::Args;

use super::gc::count;
use crate::engine::Project;
use crate::engine::checkout::{self, Part, Present, Report, checkout};
use crate::engine::size::Tally;
use crate::error::{Error, Result, exit};
use crate::plan::lock;
use crate::terminal::size::size;
use crate::terminal::stdout;
use crate::workspace::root;

/// Make the workspace hold what pipeline.lock names, from the cache
///
/// What differs is put into the cache before it is replaced.
#[derive(Debug, Args)]
pub(super) struct CheckoutArgs {
    /// Stages, outs, files or folders in outs, or globs; `./NAME` is a path even if a stage has that name
    /// [default: everything]
    #[arg(value_name = "STAGE|PATH")]
    names: Vec<String>,
    /// Give files that are there the kind of link that `[cache] link` wishes for now
    #[arg(long)]
    relink: bool,
}

impl CheckoutArgs {
    /// `here` is where a relative path starts from.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        if project.lock.stages.is_empty() {
            return Err(Error::usage(format!("`{}` names no outs yet", lock::FILE))
                .hint("`repro run` makes them"));
        }
        let parts = match &self.names[..] {
            [] => checkout::everything(&project),
            names => parts(&project, here, names)?,
        };
        let present = if self.relink { Present::Relinked } else { Present::Stays };
        let report = checkout(&project, &held, &parts, present)?;
        report.warnings.iter().for_each(|warning| crate::terminal::warn(warning));
        stdout::say!("{}", told(&report, &self.names, present));
        Ok(exit::OK)
    }
}

fn parts(project: &Project, here: &Path, names: &[String]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for name in names {
        let found = match checkout::of_stage(project, name) {
            found if found.is_empty() => {
                checkout::at_path(project, &root::to_repo_path(&project.root, here, Path::new(name))?)?
            }
            found => found,
        };
        parts.extend(found);
    }
    Ok(parts)
}

/// More names than this are left out.
const MOST_NAMED: usize = 8;

fn told(report: &Report, names: &[String], present: Present) -> String {
    if report.brought.is_empty() {
        return match names {
            [] => format!("the workspace already holds what `{}` names", lock::FILE),
            names => {
                format!(
                    "the workspace already holds what `{}` names of {}",
                    lock::FILE,
                    names.join(", ")
                )
            }
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
        Present::Stays => "brought back",
        Present::Relinked => "brought back or linked anew",
    };
    format!("{done} {of}{}: {}", what.join(", "), amount(report.written))
}

/// `3 files, 1.2 MB`
pub(super) fn amount(tally: Tally) -> String {
    format!("{}, {}", count(tally.count, "file"), size(tally.bytes))
}
