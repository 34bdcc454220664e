//! The tree that a merge will produce, while git merges file by file.
//!
//! Git calls a merge driver before it has written anything, so the files on the disk are still
//! those of our side. The commits that it merges are found by what git tells the driver: the labels
//! of the two sides, or the variables `GITHEAD_…`. A commit counts only if its lock is the version
//! that git passed. Git then computes the same merge again, without a driver for the lock.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::command::Git;
use crate::plan::lock_merge::Side;

/// Names of the configured drivers, which are replaced by a command that keeps our lock.
const NO_DRIVERS: [&str; 4] =
    ["-c", "merge.repro.driver=true", "-c", "merge.repro-base.driver=true"];

/// The facts that git passes to a merge driver.
#[derive(Debug)]
pub(super) struct Request<'r> {
    /// The path of the lock in the repository.
    pub path: &'r str,
    /// Ids of the versions of the lock: base, ours, theirs.
    pub blobs: [&'r str; 3],
    /// The labels of the same versions; empty or placeholders if git is older than 2.44.
    pub labels: [&'r str; 3],
    /// The commits that variables `GITHEAD_…` name.
    pub heads: &'r [String],
}

/// Files by path, with their modes and ids.
pub(super) type Files = BTreeMap<String, (String, String)>;

/// The result of a merge and the two trees that it was made of.
#[derive(Debug)]
pub(super) struct MergedTree {
    git: Git,
    id: String,
    /// Paths that are in conflict.
    conflicts: Vec<String>,
    ours: Files,
    theirs: Files,
    merged: Files,
}

impl MergedTree {
    /// Computes the tree; `None` if the commits are not known or git is older than 2.40.
    pub(super) fn compute(git: &Git, request: &Request<'_>) -> Option<MergedTree> {
        let Commits { base, theirs } = commits(git, request)?;
        let mut args: Vec<&str> = NO_DRIVERS.to_vec();
        args.extend(["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z"]);
        let base = base.map(|base| format!("--merge-base={base}"));
        args.extend(base.as_deref());
        args.extend(["HEAD", &theirs]);
        let answer = git.output(&args).ok()?;
        // 1 stands for a tree with conflicts.
        if !matches!(answer.status.code(), Some(0 | 1)) {
            return None;
        }
        let text = String::from_utf8(answer.stdout).ok()?;
        let mut names = text.split_terminator('\0').map(str::to_owned);
        let id = names.next()?;
        let files = |tree: &str| files(git, tree);
        let (merged, ours, theirs) = (files(&id)?, files("HEAD")?, files(&theirs)?);
        Some(MergedTree { git: git.clone(), id, conflicts: names.collect(), ours, theirs, merged })
    }

    /// Returns the tree of the files on the disk, where a user resolves conflicts.
    pub(super) fn of_workspace(git: &Git) -> Option<MergedTree> {
        let path = |name: &str| {
            let args = ["rev-parse", "--path-format=absolute", "--git-path", name];
            git.line(&args).map(PathBuf::from)
        };
        let index = path("repro-index")?;
        let written = fs::copy(path("index")?, &index).ok().and_then(|_| {
            let git = git.with_index(&index);
            git.bytes(&["add", "--update", "--", ":/"])?;
            git.line(&["write-tree"])
        });
        let _ = fs::remove_file(&index);
        let (merged, ours) = (files(git, &written.clone()?)?, files(git, "HEAD")?);
        let heads = ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD^", "REBASE_HEAD"];
        let theirs = heads.iter().find_map(|head| files(git, head)).unwrap_or_default();
        Some(MergedTree {
            git: git.clone(),
            id: written?,
            conflicts: Vec::new(),
            ours,
            theirs,
            merged,
        })
    }

    /// Returns the bytes of a merged file as git would write it; `None` if it is missing or in
    /// conflict.
    pub(super) fn read(&self, path: &str) -> Option<Vec<u8>> {
        if self.conflicts.iter().any(|conflict| conflict == path) {
            return None;
        }
        self.git.bytes(&["cat-file", "--filters", &format!("{}:{path}", self.id)])
    }

    pub(super) fn merged(&self) -> &Files {
        &self.merged
    }

    pub(super) fn of(&self, side: Side) -> &Files {
        match side {
            Side::Ours => &self.ours,
            Side::Theirs => &self.theirs,
        }
    }
}

fn files(git: &Git, tree: &str) -> Option<Files> {
    let listed = git.bytes(&["ls-tree", "-r", "-z", "--full-tree", tree])?;
    let entries = listed.split(|&byte| byte == 0).filter_map(|entry| {
        let (facts, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
        let mut facts = facts.split(' ').map(str::to_owned);
        let (mode, id) = (facts.next()?, facts.nth(1)?);
        Some((path.to_owned(), (mode, id)))
    });
    Some(entries.collect())
}

/// The commits that are merged into `HEAD`. Without a base, git finds it.
#[derive(Debug, PartialEq, Eq)]
struct Commits {
    base: Option<String>,
    theirs: String,
}

fn commits(git: &Git, request: &Request<'_>) -> Option<Commits> {
    let [base_blob, our_blob, their_blob] = request.blobs;
    let is = |commit: &str, blob: &str| blob_at(git, commit, request.path).as_deref() == Some(blob);
    let [base_label, _, their_label] = request.labels;
    let labelled = commit_in(base_label).zip(commit_in(their_label));
    if !is("HEAD", our_blob) {
        return None;
    }
    if let Some((base, theirs)) = labelled {
        let is_base = blob_at(git, &base, request.path).is_none_or(|found| found == base_blob);
        return (is(&theirs, their_blob) && is_base)
            .then_some(Commits { base: Some(base), theirs });
    }
    let mut heads = request.heads.iter().filter(|head| is(head, their_blob));
    let theirs = heads.next()?.clone();
    heads.next().is_none().then_some(Commits { base: None, theirs })
}

fn blob_at(git: &Git, commit: &str, path: &str) -> Option<String> {
    let name = format!("{commit}:{path}");
    git.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name])
}

/// Returns the commit that a label of `rebase`, `cherry-pick` or `revert` names: `ID (TITLE)` or
/// `parent of ID (TITLE)`.
fn commit_in(label: &str) -> Option<String> {
    let (rest, parent) = match label.strip_prefix("parent of ") {
        Some(rest) => (rest, "^"),
        None => (label, ""),
    };
    let (id, _) = rest.split_once(" (")?;
    let is_id = id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| format!("{id}{parent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_in_labels() {
        for (label, commit) in [
            ("2444a75 (train longer)", Some("2444a75")),
            ("parent of 2444a75 (train (again))", Some("2444a75^")),
            ("HEAD", None),
            ("feature (x)", None),
            ("Stash base", None),
            ("%S", None),
            ("", None),
        ] {
            assert_eq!(commit_in(label).as_deref(), commit, "{label}");
        }
    }
}
