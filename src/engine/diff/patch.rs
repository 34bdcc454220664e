//! Differences of text files, line by line.
//!
//! The bytes of a file come from the cache, from the commit of a side, or from the workspace,
//! wherever they have the digest that the lock names.

use std::path::Path;

use serde::Serialize;
use similar::TextDiff;

use super::Inputs;
use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::project;
use crate::engine::revision::Revision;
use crate::engine::side::Side;
use crate::engine::upkeep::revisions;
use crate::error::Result;
use crate::regular_file;
use crate::repo_path::RepoPath;

/// Maximum size of a file that is compared line by line.
const MAX_SIZE: u64 = 1 << 20;
/// Number of equal lines around a change.
const CONTEXT: usize = 3;

/// The difference of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    pub path: RepoPath,
    /// A unified diff without the head; `None` if it cannot be made.
    pub text: Option<String>,
    /// The reason that there is no text.
    pub because: Option<String>,
}

/// Compares the files line by line.
///
/// # Errors
/// The cache cannot be opened.
pub fn patches(root: &Path, sides: [&Side; 2], inputs: &Inputs) -> Result<Vec<Patch>> {
    let cache = project::open_cache(root)?;
    let patch = |(path, contents): (&RepoPath, &[Option<Content>; 2])| {
        let text = |at: usize| text(root, &cache, sides[at], path, contents[at]);
        let (text, because) = match text(0).and_then(|old| Ok((old, text(1)?))) {
            Ok((old, new)) => (Some(unified(&old, &new)), None),
            Err(because) => (None, Some(because)),
        };
        Patch { path: path.clone(), text, because }
    };
    Ok(inputs.iter().map(patch).collect())
}

fn unified(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff().context_radius(CONTEXT).to_string()
}

/// Returns the text of a file; an empty one if it is absent.
fn text(
    root: &Path,
    cache: &Cache,
    side: &Side,
    path: &RepoPath,
    content: Option<Content>,
) -> Result<String, String> {
    let digest = match content {
        None => return Ok(String::new()),
        Some(Content::File(digest) | Content::Executable(digest)) => digest,
        Some(Content::Tree(_)) => return Err("it is a folder".to_owned()),
        Some(Content::Link(_)) => return Err("it is a link".to_owned()),
    };
    let size = cache.object_path(&digest).metadata().map_or(0, |meta| meta.len());
    let bytes = match size <= MAX_SIZE {
        true => bytes(root, cache, side, path, &digest).ok_or_else(|| missing(side))?,
        false => return Err("it is larger than 1 MiB".to_owned()),
    };
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("it is not a text".to_owned()),
    }
}

fn bytes(
    root: &Path,
    cache: &Cache,
    side: &Side,
    path: &RepoPath,
    digest: &Digest,
) -> Option<Vec<u8>> {
    let is_small = |path: &Path| path.metadata().is_ok_and(|meta| meta.len() <= MAX_SIZE);
    let is_it = |bytes: &Vec<u8>| Digest::of(bytes) == *digest;
    let in_git = || {
        let commit = match side {
            Side::Revision(Revision::Run(run)) => run.info.git.as_ref()?.commit.as_deref()?,
            Side::Revision(Revision::Commit { commit, .. }) => commit,
            Side::Workspace => return None,
        };
        revisions::file_at(root, commit, path.as_str()).ok().flatten()
    };
    let here = || {
        let path = path.to_path(root);
        is_small(&path).then(|| regular_file::read_following(&path).ok()).flatten()
    };
    let cached = cache.bytes(digest).ok();
    cached.or_else(|| in_git().filter(is_it)).or_else(|| here().filter(is_it))
}

fn missing(side: &Side) -> String {
    let what = format!("its bytes in {side} are neither in the cache nor in git");
    match side.run() {
        Some(run) if run.info.git.is_some() => {
            format!("{what}; if it was changed there, runs/{}/git.diff may have it", run.name)
        }
        _ => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unified_diff() {
        insta::assert_snapshot!(unified("a\nb\nc\n", "a\nx\nc\nd"), @r"
        @@ -1,3 +1,4 @@
         a
        -b
        +x
         c
        +d
        \ No newline at end of file
        ");
        assert_eq!(unified("a\n", "a\n"), "");
    }
}
