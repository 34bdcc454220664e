//! Finds what a path of another project means: an out in the lock of a project on the way to it, a
//! file of git, or a folder with both. Fetches no content.

use std::collections::BTreeSet;

use super::wanted::Wanted;
use crate::digest::Content;
use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::StageName;
use crate::plan::{Lock, lock};
use crate::remote::repository::{Entry, EntryKind};
use crate::repo_path::RepoPath;

/// Maximum number of names in a hint.
const MOST_LISTED: usize = 10;

/// An out in a lock of the other project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundOut {
    /// The folder of its project in the repository, empty or with `/` at the end.
    pub(super) folder: String,
    pub(super) stage: StageName,
    pub(super) out: RepoPath,
    pub(super) content: Content,
}

/// The meaning of a path at a commit. Equal values are equal contents.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// An out that is the path or contains it, with the names on the way from it to the path.
    Out { out: FoundOut, below: Vec<String>, in_git: Option<Entry> },
    /// A file, or something that is neither a file nor a folder.
    File(Entry),
    /// Files of git, and outs that git does not track, each with its path in the folder.
    Folder { files: Vec<Entry>, outs: Vec<(String, FoundOut)> },
}

impl Wanted<'_> {
    pub(super) fn meant(&self) -> Result<Meant> {
        let path = &self.origin.path;
        let in_git = self.repository.entry(self.commit, path.as_str())?;
        let mut known = Vec::new();
        let above = path.ancestors().map(|above| format!("{above}/"));
        for folder in above.chain([String::new()]) {
            let at = format!("{folder}{}", lock::FILE);
            let Some(entry) = self.repository.entry(self.commit, &at)? else { continue };
            for found in self.outs(&folder, &entry)? {
                let Some(out) = found.full_path() else { continue };
                if out.contains(path) {
                    let below = path.strip_prefix(&out).unwrap_or_default().split('/');
                    let below = below.filter(|name| !name.is_empty()).map(str::to_owned).collect();
                    return Ok(Meant::Out { out: found, below, in_git });
                }
                known.push((out, found));
            }
        }
        let files = match in_git {
            Some(entry) if entry.kind != EntryKind::Folder => return Ok(Meant::File(entry)),
            Some(entry) => self.files(&entry.id)?,
            None => Vec::new(),
        };
        // Projects inside of the folder.
        for entry in files.iter().filter(|file| file.path.rsplit('/').next() == Some(lock::FILE)) {
            let folder = entry.path.trim_end_matches(lock::FILE);
            let found = self.outs(&format!("{path}/{folder}"), entry)?;
            known.extend(found.into_iter().filter_map(|found| Some((found.full_path()?, found))));
        }
        let outs = untracked(path, &known, &files);
        if files.is_empty() && outs.is_empty() {
            return Err(self.not_found(&known));
        }
        Ok(Meant::Folder { files, outs })
    }

    /// Returns the outs in the lock of the project in a folder.
    fn outs(&self, folder: &str, entry: &Entry) -> Result<Vec<FoundOut>> {
        let text = self.repository.read(&entry.id)?;
        let lock = Lock::decode(&String::from_utf8_lossy(&text)).map_err(|bad| {
            let at = format!("{folder}{}", lock::FILE);
            Error::usage(format!("{at}:{} of {self}: {}", bad.line, bad.what))
        })?;
        let outs = lock.stages.into_iter().flat_map(|(stage, trace)| {
            trace.outs.into_iter().map(move |(out, content)| (stage.clone(), out, content))
        });
        let found =
            |(stage, out, content)| FoundOut { folder: folder.to_owned(), stage, out, content };
        Ok(outs.map(found).collect())
    }

    fn not_found(&self, known: &[(RepoPath, FoundOut)]) -> Error {
        let path = &self.origin.path;
        let error = Error::missing(format!("{self} has neither an out nor a file `{path}`"));
        let names = known.iter().map(|(out, _)| out.as_str());
        match did_you_mean(path.as_str(), names.clone()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None if known.is_empty() => error.hint("paths start at the top of the repository"),
            None => {
                let more = if known.len() > MOST_LISTED { ", …" } else { "" };
                let names: Vec<&str> = names.take(MOST_LISTED).collect();
                error.hint(format!("its outs are {}{more}", names.join(", ")))
            }
        }
    }
}

impl FoundOut {
    /// Returns the path in the repository.
    fn full_path(&self) -> Option<RepoPath> {
        RepoPath::parse_canonical(&format!("{}{}", self.folder, self.out))
    }
}

/// Returns the outs in a folder of which git tracks nothing, each with its path in the folder.
fn untracked(
    folder: &RepoPath,
    known: &[(RepoPath, FoundOut)],
    files: &[Entry],
) -> Vec<(String, FoundOut)> {
    let tracked: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let is_tracked = |path: &str| {
        let below = format!("{path}/");
        let next = tracked.range(&*below..).next();
        tracked.contains(path) || next.is_some_and(|next| next.starts_with(&below))
    };
    let inside = known.iter().filter_map(|(out, found)| {
        Some((out.strip_prefix(folder).filter(|path| !path.is_empty())?.to_owned(), found.clone()))
    });
    inside.filter(|(path, _)| !is_tracked(path)).collect()
}
