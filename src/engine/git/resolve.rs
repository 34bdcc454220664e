//! `repro git resolve`: resolves a conflict in `pipeline.lock` that git has left, because the merge
//! driver was not installed or because both sides changed a tracked input.

use std::fs;
use std::path::Path;

use super::command::Git;
use super::lock_driver::{self, Settled};
use super::merged_tree::MergedTree;
use crate::engine::project;
use crate::error::{Error, Result, did_you_mean};
use crate::plan::lock;
use crate::plan::lock_conflict::{self, Conflict};
use crate::plan::lock_merge::{Merge, Side};
use crate::workspace::write::Durability;

/// Resolves the conflict in the lock at `root`. `chosen` are stages whose side the user names.
///
/// # Errors
/// The lock is not in conflict, a side is not a lock, or a chosen stage is not among those that
/// both sides changed.
pub fn resolve(root: &Path, chosen: &[(String, Side)]) -> Result<Settled> {
    let path = root.join(lock::FILE);
    let git = Git::at(root);
    let versions = match in_index(&git) {
        Some(versions) => versions,
        None => {
            let text = fs::read(&path).map_err(|err| Error::io("read", &path, &err))?;
            lock_conflict::separate(&String::from_utf8_lossy(&text))
                .ok_or_else(|| Error::usage(format!("`{}` is not in conflict", lock::FILE)))?
        }
    };
    let base = lock_driver::read(&versions.base).unwrap_or_default();
    let read = |text: &str, side: &str| {
        lock_driver::read(text).map_err(|bad| {
            project::bad_lock(bad).because(format!("on {side} side of the conflict"))
        })
    };
    let (ours, theirs) = (read(&versions.ours, "our")?, read(&versions.theirs, "their")?);
    let mut merge = Merge::new(&base, &ours, &theirs);
    choose(&mut merge, chosen)?;
    let prefix = git.line(&["rev-parse", "--show-prefix"]).unwrap_or_default();
    let tree = MergedTree::of_workspace(&git);
    let place = format!("{prefix}{}", lock::FILE);
    let settled = lock_driver::settle(&mut merge, tree.as_ref(), &place, [&ours, &theirs]);
    project::staging(root).write(&path, merge.encode().as_bytes(), Durability::Synced)?;
    Ok(settled)
}

/// Returns the versions in git's index, if it has a conflict there.
fn in_index(git: &Git) -> Option<Conflict> {
    let listed = git.bytes(&["ls-files", "--unmerged", "-z", "--", lock::FILE])?;
    let listed = String::from_utf8(listed).ok()?;
    let mut versions = [const { String::new() }; 3];
    for entry in listed.split_terminator('\0') {
        // MODE ID STAGE TAB PATH; the stages are 1 to 3.
        let mut facts = entry.split_once('\t')?.0.split(' ').skip(1);
        let (id, stage) = (facts.next()?, facts.next()?.parse::<usize>().ok()?);
        let bytes = git.bytes(&["cat-file", "blob", id])?;
        *versions.get_mut(stage.checked_sub(1)?)? = String::from_utf8(bytes).ok()?;
    }
    let [base, ours, theirs] = versions;
    (!listed.is_empty()).then_some(Conflict { base, ours, theirs })
}

/// Settles the stages for which the user has named a side.
fn choose(merge: &mut Merge<'_>, chosen: &[(String, Side)]) -> Result<()> {
    for (stage, side) in chosen {
        let place = merge.contests.iter().position(|contest| contest.stage == stage);
        let Some(place) = place else {
            let error = Error::usage(format!("stage `{stage}` was not changed by both sides"));
            let stages = merge.contests.iter().map(|contest| contest.stage);
            return Err(match did_you_mean(stage, stages.clone()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(match stages.collect::<Vec<_>>().join(", ") {
                    stages if stages.is_empty() => "no stage was".to_owned(),
                    stages => format!("those that were: {stages}"),
                }),
            });
        };
        let contest = merge.contests.remove(place);
        merge.settle(contest, Some(*side));
    }
    Ok(())
}
