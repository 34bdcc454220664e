//! The merge driver for `pipeline.lock`: merges three versions for git, without conflict markers.
//!
//! Mechanism: [`Merge`] takes each block that only one side changed. A block that both sides
//! changed is settled by the merged tree, in the order of the graph: the record whose inputs are
//! the merged ones is taken. If neither is, or the merged tree is not known, our record stays, and
//! the stage is out of date. The lock then still names the outs in the workspace as the stage's, so
//! that the next run may replace them.
//!
//! A tracked input has no inputs to compare: its record is the content itself. If both sides
//! changed it, only a person can decide, so the merge stops with our record in place.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::merged_inputs::MergedInputs;
use super::merged_tree::{MergedTree, Request};
use crate::engine::project::bad_lock;
use crate::error::{Error, Result};
use crate::pipeline::StageIx;
use crate::plan::lock::{self, BadLock, Blocks};
use crate::plan::lock_conflict;
use crate::plan::lock_merge::{Contest, Merge, Side};
use crate::plan::{Lock, Trace};

/// The files that git passes to a merge driver, and what they are.
#[derive(Debug)]
pub struct Versions {
    pub base: PathBuf,
    /// Receives the result.
    pub ours: PathBuf,
    pub theirs: PathBuf,
    /// The path of the lock in the repository.
    pub path: String,
    /// Git's names of the versions: base, ours, theirs.
    pub labels: [String; 3],
    /// The commits that are merged, as far as git names them in the environment.
    pub heads: Vec<String>,
}

/// The use of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Result,
    /// An ancestor for another merge, of branches that have merged each other.
    Ancestor,
}

/// The stages that both sides changed, by how they were settled.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The inputs in the record of one side are the merged ones.
    pub taken: Vec<(String, Side)>,
    /// Neither record has the merged inputs.
    pub stale: Vec<String>,
    /// The merged inputs are not known.
    pub unknown: Vec<String>,
    /// Tracked inputs with our record.
    pub undecided: Vec<String>,
}

/// Merges the versions and writes the result in place of ours. Git runs it at `top`.
///
/// # Errors
/// A version is not a lock that this program can read, or a file cannot be read or written.
pub fn merge(top: &Path, versions: &Versions, purpose: Purpose) -> Result<Settled> {
    let [base, ours, theirs] = [&versions.base, &versions.ours, &versions.theirs]
        .map(|path| fs::read(path).map(lossy).map_err(|err| Error::io("read", path, &err)));
    // An ancestor that cannot be read only means that more stages count as changed.
    let base = read(&base?).unwrap_or_default();
    let unreadable = |bad: BadLock, side: &str| bad_lock(bad).because(format!("on {side} side"));
    let ours = read(&ours?).map_err(|bad| unreadable(bad, "our"))?;
    let theirs = read(&theirs?).map_err(|bad| unreadable(bad, "their"))?;
    let mut merge = Merge::new(&base, &ours, &theirs);
    let settled = match purpose {
        Purpose::Ancestor => {
            for contest in merge.contests.clone() {
                merge.settle(contest, None);
            }
            Settled::default()
        }
        Purpose::Result if merge.contests.is_empty() => Settled::default(),
        Purpose::Result => {
            let tree = merged_tree(&Git::at(top), versions);
            settle(&mut merge, tree.as_ref(), &versions.path, [&ours, &theirs])
        }
    };
    fs::write(&versions.ours, merge.encode())
        .map_err(|err| Error::io("write", &versions.ours, &err))?;
    Ok(settled)
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned())
}

/// Splits a version, which may be empty or may have been committed with conflict markers.
pub(super) fn read(text: &str) -> Result<Blocks, BadLock> {
    let Some(conflict) = lock_conflict::separate(text) else {
        return match text.trim().is_empty() {
            true => Ok(Blocks::default()),
            false => Blocks::split(String::from(text)),
        };
    };
    let base = Blocks::split(conflict.base).unwrap_or_default();
    let (ours, theirs) = (Blocks::split(conflict.ours)?, Blocks::split(conflict.theirs)?);
    Blocks::split(Merge::new(&base, &ours, &theirs).encode())
}

fn merged_tree(git: &Git, versions: &Versions) -> Option<MergedTree> {
    let id = |path: &PathBuf| {
        let args: [&OsStr; 4] =
            ["hash-object".as_ref(), "--no-filters".as_ref(), "--".as_ref(), path.as_ref()];
        git.line(&args)
    };
    let blobs = [id(&versions.base)?, id(&versions.ours)?, id(&versions.theirs)?];
    let request = Request {
        path: &versions.path,
        blobs: blobs.each_ref().map(String::as_str),
        labels: versions.labels.each_ref().map(String::as_str),
        heads: &versions.heads,
    };
    MergedTree::compute(git, &request)
}

/// Settles the contests of a merge. `path` is that of the lock in the repository.
pub(super) fn settle(
    merge: &mut Merge<'_>,
    tree: Option<&MergedTree>,
    path: &str,
    [ours, theirs]: [&Blocks; 2],
) -> Settled {
    let prefix = path.strip_suffix(lock::FILE).unwrap_or_default();
    let inputs = tree.and_then(|tree| MergedInputs::read(tree, prefix));
    let whole = |blocks| Lock::of(blocks).unwrap_or_default();
    let locks = [whole(ours), whole(theirs)];
    let mut contests = std::mem::take(&mut merge.contests);
    let Some(inputs) = inputs else {
        let mut settled = Settled::default();
        for contest in contests {
            match is_input(contest) {
                IsInput::Yes => settled.leave(contest, IsInput::Yes),
                IsInput::No => settled.unknown.push(contest.stage.to_owned()),
            }
        }
        return settled;
    };
    let order = inputs.pipeline.graph.order();
    let places: BTreeMap<StageIx, usize> =
        order.iter().enumerate().map(|(place, &ix)| (ix, place)).collect();
    contests.sort_by_key(|contest| inputs.pipeline.find(contest.stage).map(|ix| places[&ix]));
    let mut settled = Settled::default();
    for contest in contests {
        let Some(ix) = inputs.pipeline.find(contest.stage) else {
            merge.settle(contest, None);
            continue;
        };
        if inputs.pipeline.stages[ix].cmd.is_none() {
            settled.leave(contest, IsInput::Yes);
            continue;
        }
        let sides =
            [(Side::Ours, contest.ours, &locks[0]), (Side::Theirs, contest.theirs, &locks[1])];
        let agrees = |(side, block, lock): &(Side, Option<&str>, &Lock)| {
            let trace: Option<Trace> = block.and_then(lock::trace);
            trace.is_some_and(|trace| inputs.agree(ix, (*side, &trace), merge, lock))
        };
        match sides.into_iter().find(agrees) {
            Some((side, ..)) => {
                merge.settle(contest, Some(side));
                settled.taken.push((contest.stage.to_owned(), side));
            }
            None => settled.leave(contest, IsInput::No),
        }
    }
    settled
}

/// The kind of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsInput {
    Yes,
    No,
}

/// Reports whether both records are of a tracked input.
fn is_input(contest: Contest<'_>) -> IsInput {
    let mut records = [contest.ours, contest.theirs].into_iter().flatten().filter_map(lock::trace);
    match records.all(|trace| trace.fingerprint.cmd.is_none()) {
        true => IsInput::Yes,
        false => IsInput::No,
    }
}

impl Settled {
    /// Keeps our record, or the only one.
    fn leave(&mut self, contest: Contest<'_>, is_input: IsInput) {
        let is_alone = contest.ours.is_none() || contest.theirs.is_none();
        match is_input {
            IsInput::Yes if is_alone => {}
            IsInput::Yes => self.undecided.push(contest.stage.to_owned()),
            IsInput::No => self.stale.push(contest.stage.to_owned()),
        }
    }
}
