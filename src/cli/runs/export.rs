//! `repro runs export`: writes runs to one file.

use std::path::Path;

use clap::Args;

use crate::cli::common::{amount, store};
use crate::engine::{Project, transfer};
use crate::error::{Error, Result, exit};
use crate::pipeline::Goals;
use crate::plural::count;
use crate::runs::RunName;
use crate::terminal::{self, stdout};

/// Write runs to one file, which `repro runs import` reads
///
/// The file has their params, metrics, series, tags, stages, locks and logs. A sweep comes with its
/// trials.
#[derive(Debug, Args)]
#[command(override_usage = "repro runs export [OPTIONS] <RUN>... <FILE>")]
pub(super) struct ExportArgs {
    /// Runs to write, and the file to create, a tar archive
    // One argument, since clap allows no option between the last run and the file.
    #[arg(value_name = "RUN|FILE", required = true)]
    names: Vec<String>,
    /// Include the outs that the cache holds
    #[arg(long)]
    with_objects: bool,
}

impl ExportArgs {
    pub(super) fn execute(&self, here: &Path, root: &Path, goals: &Goals) -> Result<u8> {
        let [runs @ .., file] = &self.names[..] else { return Err(no_file()) };
        if runs.is_empty() {
            return Err(no_file());
        }
        let store = store(root)?;
        let resolve = |run: &String| store.resolve(run, || goals.clone());
        let runs: Vec<RunName> = runs.iter().map(resolve).collect::<Result<_>>()?;
        let project = self.with_objects.then(|| Project::load_with_locked(root)).transpose()?;
        let cache = project.as_ref().map(|(project, _)| &project.cache);
        let exported = transfer::export(root, &store, &runs, cache, &here.join(file))?;
        if exported.missing > 0 {
            let missing = count(exported.missing, "object");
            terminal::warn(&format!("the cache does not hold {missing} of these runs"));
        }
        let what = match &exported.runs[..] {
            [run] => run.to_string(),
            runs => count(runs.len(), "run"),
        };
        stdout::say!("wrote {what} to `{file}`: {}", amount(exported.written));
        Ok(exit::OK)
    }
}

fn no_file() -> Error {
    Error::usage("no file is given")
        .hint("name it after the runs: `repro runs export run-12 x.tar`")
}
