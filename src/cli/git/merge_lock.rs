//! `repro git merge-lock`: the merge driver, which git calls.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::engine::git::lock_driver::{self, Purpose, Settled, Versions};
use crate::error::{Error, Result, exit};
use crate::plan::lock;
use crate::plan::lock_merge::Side;
use crate::plural::count;
use crate::terminal;

/// Merge three versions of pipeline.lock for git and write the result to OURS
#[derive(Debug, Args)]
pub(super) struct MergeLockArgs {
    /// The common ancestor
    base: PathBuf,
    /// Our version, which is replaced
    ours: PathBuf,
    /// Their version
    theirs: PathBuf,
    /// The path of the lock in the repository
    #[arg(default_value = lock::FILE)]
    path: String,
    /// Git's names of the three versions
    #[arg(allow_hyphen_values = true)]
    labels: Vec<String>,
    /// Merge for a common ancestor, which nobody sees
    #[arg(long)]
    ancestor: bool,
}

impl MergeLockArgs {
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        let mut labels = self.labels.into_iter();
        let mut label = || labels.next().unwrap_or_default();
        let heads = std::env::vars_os()
            .filter_map(|(name, _)| Some(name.to_str()?.strip_prefix("GITHEAD_")?.to_owned()));
        let versions = Versions {
            base: here.join(self.base),
            ours: here.join(self.ours),
            theirs: here.join(self.theirs),
            path: self.path,
            labels: [label(), label(), label()],
            heads: heads.collect(),
        };
        let purpose = if self.ancestor { Purpose::Ancestor } else { Purpose::Result };
        let settled = lock_driver::merge(here, &versions, purpose)?;
        report(&versions.path, &settled);
        Ok(if settled.undecided.is_empty() { exit::OK } else { exit::STAGE_FAILED })
    }
}

/// Maximum number of stages that a line names.
const MOST_NAMED: usize = 5;

/// Describes how stages were settled that both sides had changed.
pub(super) fn report(path: &str, settled: &Settled) {
    let of = |wanted: Side| {
        let taken = settled.taken.iter().filter(move |(_, side)| *side == wanted);
        taken.map(|(stage, _)| stage.as_str()).collect::<Vec<_>>()
    };
    let (stale, unknown) = (&settled.stale, &settled.unknown);
    for (stages, what) in [
        (of(Side::Ours), "recorded as on our side"),
        (of(Side::Theirs), "recorded as on their side"),
        (
            stale.iter().map(String::as_str).collect(),
            "out of date: neither side ran the merged inputs",
        ),
        (
            unknown.iter().map(String::as_str).collect(),
            "recorded as on our side: the merged files are not known",
        ),
    ] {
        if !stages.is_empty() {
            terminal::note(&format!("{path}: {} {what}", names(&stages)));
        }
    }
    for stage in &settled.undecided {
        let what = format!("{path}: both sides changed the tracked input `{stage}`; ours is kept");
        let hint = format!(
            "`git add` the lock to keep it, or first take the other version by `repro git resolve \
             --theirs {stage}`"
        );
        terminal::warn_of(&Error::usage(what).hint(hint));
    }
}

fn names(stages: &[&str]) -> String {
    let mut named: Vec<String> =
        stages.iter().take(MOST_NAMED).map(|stage| format!("`{stage}`")).collect();
    if let Some(more) = stages.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        named.push(count(more, "more stage"));
    }
    named.join(", ")
}
