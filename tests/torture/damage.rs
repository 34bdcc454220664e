//! Damage to every file of the state: flipped bytes, cuts, zeros, other contents, no file.
//!
//! A damaged lock may be refused, with its name and line; everything else must be survived. A
//! result must never be wrong: the outs are compared after each round.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::project::{Contents, Project};
use crate::random::Random;
use crate::{Effort, Tally};

/// Rounds per file by default.
const FEW: usize = 2;

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(usize),
    Cut(usize),
    Zeros(usize),
    Removed,
    Folder,
}

pub fn part(effort: Effort, random: &mut Random) -> Tally {
    let origin = Project::with_history("contents\n");
    let expected = origin.contents();
    let mut tally = Tally::default();
    let mut files = state_files(origin.root());
    if effort == Effort::Rounds(0) {
        // Objects, traces and logs are many of a kind.
        let mut kinds = BTreeSet::new();
        files.retain(|file| kinds.insert(kind(file)));
    }
    for file in &files {
        let length = fs::metadata(origin.path(file)).unwrap().len() as usize;
        for damage in damages(effort, random, length) {
            let result = round(&origin, &expected, file, damage);
            tally.round(|| format!("{file}: {damage:?} of {length} bytes"), result);
        }
    }
    tally.remark = format!("{} files of state", files.len());
    tally
}

fn state_files(root: &Path) -> Vec<String> {
    let walk =
        ["pipeline.lock", "cache", "runs"].map(|name| walkdir::WalkDir::new(root.join(name)));
    let mut files: Vec<String> = walk
        .into_iter()
        .flat_map(|walk| walk.into_iter().flatten())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(root).unwrap().display().to_string())
        .collect();
    files.sort();
    files
}

/// Returns the part of a path that is the same for files of one kind.
fn kind(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').collect();
    match parts[..] {
        ["cache", kind, ..] => kind.to_owned(),
        ["runs", _, _, name] => name.to_owned(),
        _ => file.to_owned(),
    }
}

fn damages(effort: Effort, random: &mut Random, length: usize) -> Vec<Damage> {
    let at = |place: usize, kind: usize| match kind % 3 {
        0 => Damage::Flip(place),
        1 => Damage::Cut(place),
        _ => Damage::Zeros(place),
    };
    let mut all = vec![Damage::Removed, Damage::Folder];
    match effort {
        // Every byte of small files, evenly spread ones of large files.
        Effort::All => {
            let step = (length / 400).max(1);
            all.extend((0..length).step_by(step).flat_map(|place| [at(place, 0), at(place, 1)]));
            all.extend((0..length).step_by(step * 8).map(|place| at(place, 2)));
        }
        Effort::Rounds(rounds) => {
            let count = if rounds == 0 { FEW } else { rounds as usize };
            all.extend((0..count).map(|kind| at(random.below(length), kind + random.below(3))));
        }
    }
    all
}

fn round(origin: &Project, expected: &Contents, file: &str, damage: Damage) -> Result<(), String> {
    let project = origin.copied();
    inflict(&project.path(file), damage);
    for args in [&["status"][..], &["runs", "list"], &["metrics", "show"], &["fsck"]] {
        project.run(args)?;
    }
    let (code, text) = project.run(&["run"])?;
    // A lock that cannot be read is the user's to mend: it is in git.
    if code == 2 && file == "pipeline.lock" && text.contains("pipeline.lock") {
        fs::remove_file(project.path(file))
            .or_else(|_| fs::remove_dir(project.path(file)))
            .unwrap();
        // Without the lock and with other inputs, nobody would know who made the outs.
        project.recovers(expected)?;
    } else if code != 0 && !matches!(damage, Damage::Folder) {
        return Err(format!("run exits with {code}: {text}"));
    } else if matches!(damage, Damage::Folder) && project.path(file).is_dir() {
        fs::remove_dir(project.path(file)).unwrap();
        project.recovers(expected)?;
    }
    // Other inputs and back: what is restored from the cache must be right as well.
    project.write("in.txt", "before\n");
    let (code, text) = project.run(&["run"])?;
    if code != 0 {
        return Err(format!("the run with the former input exits with {code}: {text}"));
    }
    project.write("in.txt", "contents\n");
    project.recovers(expected)
}

fn inflict(path: &Path, damage: Damage) {
    let Ok(mut bytes) = fs::read(path) else { return };
    let place = |at: usize| at.min(bytes.len());
    match damage {
        Damage::Flip(at) if at < bytes.len() => bytes[at] ^= 0x15,
        Damage::Flip(_) => {}
        Damage::Cut(at) => bytes.truncate(place(at)),
        Damage::Zeros(at) => {
            let end = (at + 512).min(bytes.len());
            bytes[at.min(end)..end].fill(0);
        }
        Damage::Removed | Damage::Folder => {
            fs::remove_file(path).unwrap();
            if let Damage::Folder = damage {
                fs::create_dir(path).unwrap();
            }
            return;
        }
    }
    let mode = fs::metadata(path).unwrap().permissions();
    let aside: PathBuf = path.with_extension("aside");
    fs::write(&aside, bytes).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(mode.mode())).unwrap();
    fs::rename(aside, path).unwrap();
}
