//! The folders of runs, `runs/run-12`: their paths, and the numbers of new runs.
//!
//! # Invariants
//!
//! - Two runs never get the same number: a number is taken by creating its folder, which fails if
//!   the folder exists.
//! - Run numbers increase. One is never reused while a row or a folder with the same or a higher
//!   number exists.
//! - Taking a number never fails: the history must not stop the work. If `runs` cannot be written,
//!   the number may be taken twice, and nothing is recorded under it.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::store::{FOLDER, Store};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::plan::{Lock, lock};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::state_folder;

/// Time that finding the number of a new run may take, before any work starts.
const TIMEOUT: Duration = Duration::from_secs(1);

/// File in a [`run_dir`] with the difference to the git commit.
pub const GIT_DIFF: &str = "git.diff";
/// File in a [`stage_dir`] with the output of the stage's process.
pub const LOG: &str = "log";
/// File in a [`stage_dir`] with the events that the process reported, as JSON lines.
pub const EVENTS: &str = "events.jsonl";
/// File in a [`stage_dir`] with the params that the process received.
pub const PARAMS: &str = "params.json";

/// Folder in a [`run_dir`] with the files that clients uploaded.
pub const ARTIFACTS: &str = "artifacts";

/// Returns the folder of a run: `runs/run-12`.
pub fn run_dir(history: &Path, run: RunName) -> PathBuf {
    history.join(FOLDER).join(run.to_string())
}

/// Returns the folder of a stage in a run: `runs/run-12/train`.
pub fn stage_dir(history: &Path, run: RunName, stage: &StageName) -> PathBuf {
    run_dir(history, run).join(stage.as_str())
}

/// Keeps a copy of the lock file at `lock` in the folder of a run, as the record of the outs of all
/// stages. Without it, `artifacts_before` is used.
pub fn keep_lock(history: &Path, run: RunName, lock: &Path) {
    let folder = run_dir(history, run);
    let (new, named) = (folder.join("lock.new"), folder.join(lock::FILE));
    // A stage may have put anything there.
    let _ = fs::create_dir_all(&folder)
        .and_then(|()| fs::read(lock))
        .and_then(|text| regular_file::create(&new)?.write_all(&text))
        .and_then(|()| fs::rename(&new, &named));
}

/// Returns the lock at the end of a run; `None` if it was not kept.
///
/// # Errors
/// The file cannot be read, or is not a lock.
pub fn lock_after(history: &Path, run: RunName) -> Result<Option<Lock>> {
    let Some(text) = lock_text(history, run)? else { return Ok(None) };
    decode_lock(history, run, &text).map(Some)
}

/// Returns the stages whose deps had a content when a run ended, with the paths of these deps;
/// `None` if the lock was not kept.
///
/// # Errors
/// The file cannot be read, or is not a lock.
pub fn lock_naming(
    history: &Path,
    run: RunName,
    digest: &Digest,
) -> Result<Option<Vec<(StageName, RepoPath)>>> {
    let Some(text) = lock_text(history, run)? else { return Ok(None) };
    // Most locks do not name it, and need not be decoded.
    if !text.contains(&*digest.to_hex()) {
        return Ok(Some(Vec::new()));
    }
    let lock = decode_lock(history, run, &text)?;
    let found = lock.stages.into_iter().flat_map(|(stage, trace)| {
        let deps = trace.fingerprint.deps.into_iter();
        deps.filter(|(_, content)| content.digest() == *digest)
            .map(move |(path, _)| (stage.clone(), path))
    });
    Ok(Some(found.collect()))
}

fn lock_text(history: &Path, run: RunName) -> Result<Option<String>> {
    let path = run_dir(history, run).join(lock::FILE);
    match regular_file::read(&path) {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
        read => {
            let bytes = read.map_err(|err| Error::io("read", &path, &err))?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
    }
}

fn decode_lock(history: &Path, run: RunName, text: &str) -> Result<Lock> {
    Lock::decode(text).map_err(|bad| {
        let path = run_dir(history, run).join(lock::FILE);
        let shown = path.strip_prefix(history).unwrap_or(&path).display();
        Error::damaged(format!("{shown}:{}: {}", bad.line, bad.what))
    })
}

/// Takes the number of a new run, one above the highest number of the database and the folders, and
/// creates its folder.
pub fn take_number(history: &Path) -> RunName {
    // If the database cannot be read, only the folders count; the recorder will report the error.
    let recorded = match Store::open_existing_within(history, TIMEOUT) {
        Ok(Some(store)) => store.highest().unwrap_or(0),
        Ok(None) | Err(_) => 0,
    };
    let _ = state_folder::create(&history.join(FOLDER));
    take_first(history, RunName(1 + recorded.max(highest_folder(history))))
}

/// Takes the number of a new run for a writer of the database, whose highest number is `recorded`.
///
/// The folders are listed only if the next one exists, since a history can have many.
pub(super) fn take_number_above(history: &Path, recorded: u64) -> RunName {
    let next = RunName(recorded + 1);
    match fs::create_dir(run_dir(history, next)) {
        Ok(()) => next,
        Err(_) => take_first(history, RunName(1 + recorded.max(highest_folder(history)))),
    }
}

/// Takes `run`, or the first number after it that nobody has.
fn take_first(history: &Path, mut run: RunName) -> RunName {
    // Other processes take numbers, too.
    while let Err(err) = fs::create_dir(run_dir(history, run))
        && err.kind() == ErrorKind::AlreadyExists
    {
        run.0 += 1;
    }
    run
}

/// Returns the highest number of a folder `runs/run-N`, or 0.
fn highest_folder(history: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(history.join(FOLDER)) else { return 0 };
    // This program never assigns a number of more than 32 bits.
    let number = |name: &str| name.strip_prefix("run-")?.parse::<u32>().ok();
    let numbers = entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?));
    numbers.max().map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn number_exceeds_all_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(take_number(root), RunName(1));
        let store = Store::open(root, TIMEOUT).unwrap();
        for name in ["run-7", "run-x", "run-18446744073709551615", "notes"] {
            fs::create_dir(root.join(FOLDER).join(name)).unwrap();
        }
        assert_eq!(take_number(root), RunName(8));
        let insert = "INSERT INTO runs (number, status, started, command, overrides, host)
                      VALUES (9, 'ok', 0, '[]', '[]', '')";
        store.conn.execute(insert, []).unwrap();
        assert_eq!(take_number(root), RunName(10));
        fs::write(root.join("runs/runs.db"), "not a database".repeat(99)).unwrap();
        assert_eq!(take_number(root), RunName(11));
    }

    #[test]
    fn threads_take_different_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let taken: BTreeSet<RunName> = std::thread::scope(|scope| {
            let take = || (0..20).map(|_| take_number(dir.path())).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 160);
    }

    #[test]
    fn unwritable_folder_has_number() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FOLDER), "a file in place of the folder").unwrap();
        assert_eq!(take_number(dir.path()), RunName(1));
    }
}
