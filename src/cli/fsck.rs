//! `repro fsck`: lists damaged, missing and stray cache entries, and repairs them on request.

#[cfg(feature = "remote")]
mod remote;

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;

use super::common::load;
use crate::engine::Project;
use crate::engine::upkeep::fsck::{Progress, Report, check};
use crate::engine::upkeep::repair::repair;
use crate::error::{Result, exit};
use crate::plan::lock;
use crate::plural::count;
use crate::report;
use crate::report::fsck::{Fault, FaultKind, FsckReport, Referrer, RepairReport};
use crate::terminal::read_progress::ReadProgress;
use crate::terminal::size::size;
use crate::terminal::text::{Pad, pad};
use crate::terminal::{self, stdout};

/// Verify every object and every reference in the cache, or all files of a remote
///
/// Exits with code 4 if anything is wrong.
#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// Move damaged objects aside, rebuild them from the workspace, and delete unusable traces;
    /// with `--remote`, stop naming what is lost there, so that `repro push` sends it again
    #[arg(long)]
    repair: bool,
    /// Read all files of a remote instead
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    remote: Option<Option<String>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl FsckArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        #[cfg(feature = "remote")]
        if let Some(remote) = &self.remote {
            return self.of_remote(root, remote.as_deref());
        }
        if self.repair { self.check_and_repair(root) } else { self.check(root) }
    }

    fn check(&self, root: &Path) -> Result<u8> {
        let project = load(root)?;
        let report = FsckReport::new(&project, &read(&project)?, None);
        if self.json {
            stdout::write(&report::json(&report))?;
        } else {
            let mut text = findings(&report);
            if !report.clean {
                text.push_str(
                    "`repro fsck --repair` rebuilds what it can and moves damaged objects to \
                     cache/damaged\n",
                );
            }
            stdout::write(&text)?;
        }
        Ok(if report.clean { exit::OK } else { exit::CHECK })
    }

    fn check_and_repair(&self, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        let found = read(&project)?;
        let done = repair(&project, &held, &found)?;
        for trouble in &done.troubles {
            terminal::warn_of(trouble);
        }
        let report = FsckReport::new(&project, &found, Some(&done));
        if self.json {
            stdout::write(&report::json(&report))?;
        } else {
            stdout::write(&findings(&report))?;
            if let Some(repair) = report.repair.filter(|_| !report.clean) {
                stdout::write(&repairs(&repair))?;
            }
        }
        Ok(if done.left.is_clean() { exit::OK } else { exit::CHECK })
    }
}

fn read(project: &Project) -> Result<Report> {
    let progress = ReadProgress::start();
    check(project, &|Progress { bytes, of }| progress.update(bytes, of))
}

/// Maximum number of referrers shown for an object; others are only counted.
const MOST_REFERRERS: usize = 3;

fn findings(report: &FsckReport) -> String {
    let mut text = faults(&report.faults);
    for trace in &report.unreadable_traces {
        let _ = writeln!(text, "unreadable  trace {}", trace.short());
    }
    if let Some(line) = report.damaged_trash {
        let _ = writeln!(text, "damaged     cache/trash:{line}");
    }
    for stray in &report.strays {
        let _ = writeln!(text, "stray       {stray}");
    }
    if report.newer_traces > 0 {
        let traces = count(report.newer_traces, "trace");
        let _ = writeln!(text, "{traces} in a newer format: not checked");
    }
    let checked = format!(
        "{} ({}), {}",
        count(report.objects.count, "object"),
        size(report.objects.bytes),
        count(report.traces, "trace")
    );
    let _ = match report.clean {
        true => writeln!(text, "the cache is intact: {checked}"),
        false => writeln!(text, "the cache is not intact: {}; checked {checked}", tallies(report)),
    };
    text
}

fn faults(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults {
        let word = pad(word(fault.fault), 11, Pad::Right);
        let cause = fault.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let _ = writeln!(text, "{word} object {}{cause}", fault.object.short());
        // References of traces come last: the user does not know their names.
        let (traces, stages): (Vec<&Referrer>, Vec<&Referrer>) =
            fault.referrers.iter().partition(|referrer| matches!(referrer, Referrer::Trace { .. }));
        let all: Vec<&Referrer> = stages.into_iter().chain(traces).collect();
        for referrer in all.iter().take(MOST_REFERRERS) {
            let _ = match referrer {
                Referrer::Stage { stage, path } => {
                    writeln!(text, "  `{path}` of stage `{stage}` in {}", lock::FILE)
                }
                Referrer::Trash { trash, path } => {
                    writeln!(text, "  `{path}` of entry {trash} in the trash")
                }
                Referrer::Trace { trace, path } => {
                    writeln!(text, "  `{path}` of trace {}", trace.short())
                }
            };
        }
        if all.len() > MOST_REFERRERS {
            let _ = writeln!(text, "  and {} more", all.len() - MOST_REFERRERS);
        }
        if all.is_empty() {
            text.push_str("  nothing refers to it\n");
        }
    }
    text
}

fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Damaged => "damaged",
        FaultKind::Unreadable => "unreadable",
        FaultKind::Missing => "missing",
        FaultKind::NotATree => "not a tree",
    }
}

/// `1 damaged object, 2 strays`
fn tallies(report: &FsckReport) -> String {
    use FaultKind::{Damaged, Missing, NotATree, Unreadable};
    let mut parts = Vec::new();
    for kind in [Damaged, Unreadable, Missing, NotATree] {
        let number = report.faults.iter().filter(|fault| fault.fault == kind).count();
        if number > 0 {
            parts.push(match kind {
                NotATree => format!("{} that should be a tree", count(number, "object")),
                kind => count(number, &format!("{} object", word(kind))),
            });
        }
    }
    for (number, noun) in
        [(report.unreadable_traces.len(), "unreadable trace"), (report.strays.len(), "stray file")]
    {
        if number > 0 {
            parts.push(count(number, noun));
        }
    }
    if report.damaged_trash.is_some() {
        parts.push("a damaged line of the trash".to_owned());
    }
    parts.join(", ")
}

fn repairs(repair: &RepairReport) -> String {
    let mut text = String::new();
    for moved in &repair.moved {
        let _ = writeln!(text, "moved {} to {}", moved.from, moved.to);
    }
    for digest in &repair.rebuilt {
        let _ = writeln!(text, "rebuilt object {} from the workspace", digest.short());
    }
    for key in &repair.removed_traces {
        let _ = writeln!(text, "deleted trace {}", key.short());
    }
    for id in &repair.forgotten {
        let _ = writeln!(text, "removed entry {id} from the trash: its content is lost");
    }
    if repair.clean {
        text.push_str("the cache is intact again\n");
        return text;
    }
    text.push_str("remaining faults:\n");
    text.push_str(&faults(&repair.left));
    for stage in &repair.stages_to_run {
        let _ = match repair.undeclared.contains(stage) {
            false => writeln!(text, "`repro run {stage}` makes its outs again"),
            true => writeln!(
                text,
                "stage `{stage}` is no longer in pipeline.toml: `repro run` drops it from {}",
                lock::FILE
            ),
        };
    }
    text
}
