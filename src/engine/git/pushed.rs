//! The locks in the commits that a `git push` sends. Unaware of remotes of outs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::command::Git;
use super::lock_driver;
use crate::engine::upkeep::revisions;
use crate::pipeline;
use crate::plan::{Lock, lock};

/// A ref that is pushed: a line of what git passes to a pre-push hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The local ref as a user would type it, such as `main`.
    pub name: String,
    pub commit: String,
    /// The commit that the ref has on the other side.
    pub old: Option<String>,
}

impl Update {
    /// Reads a line `LOCAL-REF COMMIT REMOTE-REF COMMIT`; `None` for a deletion.
    pub fn parse(line: &str) -> Option<Update> {
        // A ref given as `HEAD@{1 day ago}` has spaces.
        let mut words = line.trim_end().rsplitn(4, ' ');
        let (old, _, commit, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Update::new(name, commit, Some(old))
    }

    /// Returns the update of a ref to `commit`; `None` for a deletion.
    pub fn new(name: &str, commit: &str, old: Option<&str>) -> Option<Update> {
        let exists = |commit: &&str| commit.bytes().any(|byte| byte != b'0');
        let plain = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
        let commit = Some(commit).filter(exists)?.to_owned();
        let old = old.filter(exists).map(str::to_owned);
        Some(Update { name: plain.unwrap_or(name).to_owned(), commit, old })
    }
}

/// The locks of one project in the pushed commits.
#[derive(Debug)]
pub struct PushedLocks {
    pub root: PathBuf,
    /// The path of the project in the repository, empty at its top.
    pub folder: PathBuf,
    /// The different locks that the other side does not have yet.
    pub locks: Vec<Lock>,
    /// The locks at the pushed refs that are among them, by name of the ref.
    pub tips: Vec<(String, Lock)>,
    /// The locks of the commits that the other side has, from which the pushed ones start.
    pub before: Vec<Lock>,
    /// Revisions that contain all pushed commits, as `repro push --rev` takes them; `None` if they
    /// start from no commit of the other side.
    pub range: Option<Vec<String>>,
}

/// Finds the locks that a push to `remote` sends, by project. `top` is the working tree. A project
/// counts if it is in the working tree, too, which declares its remotes.
pub fn pushed_locks(top: &Path, updates: &[Update], remote: &str) -> Vec<PushedLocks> {
    if updates.is_empty() {
        return Vec::new();
    }
    let git = Git::at(top);
    let commits = Commits { git: &git, range: range(top, updates, remote) };
    let mut projects = Vec::new();
    for (folder, blobs) in commits.locks() {
        let root: PathBuf = top.join(&folder).components().collect();
        if !root.join(pipeline::FILE).is_file() {
            continue;
        }
        let tips = updates.iter().filter_map(|update| {
            let path = format!("{}:{folder}{}", update.commit, lock::FILE);
            let blob =
                git.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &path])?;
            blobs.contains(&blob).then_some(())?;
            Some((update.name.clone(), read(&git, &blob)?))
        });
        let boundary = commits.boundary();
        let before =
            boundary.iter().filter_map(|commit| revisions::lock_at(&root, commit).ok().flatten());
        let base = boundary.first().map(|commit| commit.get(..10).unwrap_or(commit));
        let revisions =
            |base: &str| updates.iter().map(|update| format!("{base}..{}", update.name)).collect();
        projects.push(PushedLocks {
            tips: tips.collect(),
            before: before.collect(),
            range: base.map(revisions),
            locks: blobs.iter().filter_map(|blob| read(&git, blob)).collect(),
            folder: PathBuf::from(folder.trim_end_matches('/')),
            root,
        });
    }
    projects
}

/// Returns the arguments of git that mean the pushed commits.
fn range(top: &Path, updates: &[Update], remote: &str) -> Vec<String> {
    let mut range: Vec<String> = updates.iter().map(|update| update.commit.clone()).collect();
    range.push("--not".to_owned());
    let old = updates.iter().filter_map(|update| update.old.as_deref());
    range.extend(old.filter_map(|old| revisions::commit(top, old)));
    if !remote.is_empty() {
        range.push(format!("--remotes={remote}"));
    }
    range
}

/// The pushed commits.
struct Commits<'g> {
    git: &'g Git,
    range: Vec<String>,
}

impl Commits<'_> {
    fn list(&self, command: &[&str], paths: &[&str]) -> String {
        let range = self.range.iter().map(String::as_str);
        let args = command.iter().copied().chain(range);
        let args: Vec<&str> = args.chain(["--"]).chain(paths.iter().copied()).collect();
        let listed = self.git.bytes(&args).unwrap_or_default();
        String::from_utf8_lossy(&listed).into_owned()
    }

    /// Returns the ids of locks by the folder of their project, which is empty or ends in `/`.
    fn locks(&self) -> BTreeMap<String, BTreeSet<String>> {
        // A merge that took one side as it was must not hide the commits of the other side.
        let mut log = vec!["-c", "log.showRoot=true", "log", "--format=", "--full-history", "-m"];
        log.extend(["--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--diff-filter=d"]);
        log.push("-z");
        let listed = self.list(&log, &[&format!(":(top,glob)**/{}", lock::FILE)]);
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut lines = listed.split('\0');
        while let (Some(change), Some(path)) = (lines.next(), lines.next()) {
            // :OLD-MODE NEW-MODE OLD-ID NEW-ID STATUS
            let (id, folder) = (change.split(' ').nth(3), path.strip_suffix(lock::FILE));
            if let (Some(id), Some(folder)) = (id, folder) {
                found.entry(folder.to_owned()).or_default().insert(id.to_owned());
            }
        }
        found
    }

    /// Returns the commits of the other side at which the pushed ones start.
    fn boundary(&self) -> Vec<String> {
        let listed = self.list(&["rev-list", "--boundary"], &[]);
        listed.lines().filter_map(|line| line.strip_prefix('-')).map(str::to_owned).collect()
    }
}

/// Reads a version of a lock; `None` if it is not valid, as one with a conflict may be.
fn read(git: &Git, blob: &str) -> Option<Lock> {
    let bytes = git.bytes(&["cat-file", "blob", blob])?;
    let blocks = lock_driver::read(&String::from_utf8_lossy(&bytes)).ok()?;
    Lock::of(&blocks).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_pre_push() {
        let (one, none) = ("1".repeat(40), "0".repeat(40));
        let parse = |name: &str, commit: &str, old: &str| {
            Update::parse(&format!("{name} {commit} refs/heads/x {old}\n"))
        };
        for (name, shown) in [
            ("refs/heads/main", "main"),
            ("refs/heads/a/b", "a/b"),
            ("refs/tags/v1", "v1"),
            ("HEAD", "HEAD"),
            ("HEAD@{1 day ago}", "HEAD@{1 day ago}"),
        ] {
            let new = Update { name: shown.to_owned(), commit: one.clone(), old: None };
            assert_eq!(parse(name, &one, &none), Some(new.clone()));
            let moved = Update { old: Some(one.clone()), ..new };
            assert_eq!(parse(name, &one, &one), Some(moved));
        }
        assert_eq!(parse("(delete)", &none, &one), None);
        assert_eq!(Update::parse(""), None);
        assert_eq!(Update::parse("a b c"), None);
    }
}
