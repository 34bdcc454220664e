//! `repro status`: prints one line per stage that is out of date, with the first reasons.
//! `repro why` prints all of them.

use std::path::Path;

use clap::Args;

use super::common::{load, show_stages, warn_of_undeclared};
use super::select;
#[cfg(feature = "remote")]
use super::share;
#[cfg(feature = "remote")]
use crate::engine::share::status::compare;
use crate::engine::status::assess;
use crate::engine::{OnForeign, Project, undeclared};
use crate::error::{Result, exit};
use crate::pipeline::StageSet;
use crate::report;
#[cfg(feature = "remote")]
use crate::report::share::RemoteStatusReport;
use crate::report::status::StatusReport;
use crate::terminal::stdout;

/// Show which stages are out of date and why, without running anything
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Stages to check, including the stages they need [default: all stages]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Exit with code 4 if any stage is out of date
    #[arg(long)]
    check: bool,
    /// Compare the outs in pipeline.lock with a remote instead: what was not pushed or fetched
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    remote: Option<Option<String>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    /// Returns the command `repro status --check`.
    pub(super) fn check() -> StatusArgs {
        StatusArgs {
            stages: Vec::new(),
            check: true,
            json: false,
            #[cfg(feature = "remote")]
            remote: None,
        }
    }

    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        #[cfg(feature = "remote")]
        if let Some(remote) = &self.remote {
            return self.of_remote(here, root, remote.as_deref());
        }
        let stages = select::from_root(root, here, &self.stages)?;
        let project = if self.stages.is_empty() { Project::load_stale(root)? } else { load(root)? };
        let wanted = select::with_needs(&project.pipeline, &stages)?;
        let forced = StageSet::none(wanted.stage_count());
        let verdicts = assess(&project, &wanted, &forced, OnForeign::Refuse);
        let stale = verdicts.iter().filter(|(_, verdict)| !verdict.is_fresh());
        let stale = stale.map(|(ix, _)| &project.pipeline.stages[*ix]);
        warn_of_undeclared(undeclared::find(&project, stale), |_| true);
        // Errors are ignored: a read-only checkout has a status too, only the index is not kept.
        let _ = project.workspace.save_index();
        let report = StatusReport::new(&project, verdicts);
        if self.json {
            stdout::write(&report::json(&report))?;
        } else {
            show_stages(&report.stages, |stage| stage, |_| String::new())?;
        }
        let failing = report.exit_code();
        let check = self.check && !report.is_fresh();
        Ok(if failing == exit::OK && check { exit::CHECK } else { failing })
    }

    /// Compares with a remote.
    #[cfg(feature = "remote")]
    fn of_remote(&self, here: &Path, root: &Path, remote: Option<&str>) -> Result<u8> {
        let project = load(root)?;
        let remote = share::refreshed(&project, remote, None)?;
        let names = share::names(root, here, &self.stages)?;
        let found = compare(&project, &remote, &names)?;
        let report = RemoteStatusReport::new(&remote, found);
        match self.json {
            true => stdout::write(&report::json(&report))?,
            false => stdout::write(&share::differences(&report))?,
        }
        Ok(if self.check && report.is_unpushed() { exit::CHECK } else { exit::OK })
    }
}
