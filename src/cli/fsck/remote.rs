//! `repro fsck --remote`: reads all files of a remote.

use std::fmt::Write as _;
use std::path::Path;

use super::FsckArgs;
use crate::cli::share::{End, Watched, outcome, refreshed};
use crate::engine::Project;
use crate::error::{Result, exit};
use crate::plural::count;
use crate::report;
use crate::report::remote_fsck::{RemoteFsckReport, Repair};
use crate::terminal::size::size;
use crate::terminal::stdout;
use crate::terminal::text::{Pad, pad};

/// Maximum number of files that are listed.
const MOST_LISTED: usize = 20;

impl FsckArgs {
    /// Verifies a remote.
    pub(super) fn of_remote(&self, root: &Path, name: Option<&str>) -> Result<u8> {
        let project = Project::load(root, &[])?;
        let mut remote = refreshed(&project, name, None)?;
        let watched = Watched::start("reading")?;
        let found = remote.inspect(&watched.meter);
        let end = End::of(watched.meter.is_stopped());
        drop(watched);
        let found = found?;
        let repair = match self.repair && end == End::Reached {
            true => Repair::Done,
            false => Repair::NotAsked,
        };
        if repair == Repair::Done {
            project.cache.join()?;
            remote.mend(&found)?;
        }
        let report = RemoteFsckReport::new(&remote, &found, (repair, end == End::Interrupted));
        match self.json {
            true => stdout::write(&report::json(&report))?,
            false => stdout::write(&text(&report))?,
        }
        match end {
            End::Reached if !report.clean && !report.repaired => Ok(exit::CHECK),
            end => outcome(Vec::new(), end),
        }
    }
}

fn text(report: &RemoteFsckReport) -> String {
    let RemoteFsckReport { remote, faults, lost, packs, .. } = report;
    let mut text = String::new();
    for fault in faults.iter().take(MOST_LISTED) {
        let _ = match fault.state {
            "copied" => writeln!(text, "damaged  {}, of which this clone has a copy", fault.path),
            state => writeln!(text, "{}  {}", pad(state, 7, Pad::Right), fault.path),
        };
    }
    if faults.len() > MOST_LISTED {
        let _ = writeln!(text, "and {} more", faults.len() - MOST_LISTED);
    }
    let number = usize::try_from(packs.count).unwrap_or(usize::MAX);
    let read = format!("{} ({})", count(number, "pack"), size(packs.bytes));
    if report.interrupted {
        return text;
    }
    if report.clean {
        let _ = writeln!(text, "`{remote}` is intact: {read}");
        return text;
    }
    let objects = match lost {
        0 => String::new(),
        lost => format!(", {} lost with them", count(*lost, "object or record")),
    };
    let files = count(faults.len(), "damaged or missing file");
    let _ = writeln!(text, "`{remote}` is not intact: {files}{objects}; read {read}");
    let is_copied = faults.iter().all(|fault| fault.state == "copied");
    let _ = match report.repaired {
        _ if is_copied && report.repaired => writeln!(text, "the copies were written"),
        _ if is_copied => {
            writeln!(text, "`repro fsck --remote={remote} --repair` writes the copies")
        }
        true => writeln!(
            text,
            "the index names the rest: `repro push` in a clone that has the outs sends what is lost"
        ),
        false => writeln!(
            text,
            "`repro fsck --remote={remote} --repair` takes what is lost out of the index, and \
             `repro push` then sends it again"
        ),
    };
    text
}
