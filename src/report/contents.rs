//! The artifacts of a run and the entries of a folder, with the places where their bytes are.

use std::path::Path;

use serde::Serialize;

use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::error::Result;
use crate::event::RunName;
use crate::percent::encode;
use crate::pipeline::StageName;
use crate::runs::{ARTIFACTS, Artifact, Origin, Store, run_dir};

/// Greatest number of entries of a folder that are listed.
const MOST_ENTRIES: usize = 2000;

/// The artifacts of a run, in the order of its stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArtifactsReport {
    pub artifacts: Vec<Stored>,
}

/// The entries of a folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FolderReport {
    pub entries: Vec<Entry>,
    /// Number of all entries.
    pub total: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stored {
    pub stage: StageName,
    pub origin: &'static str,
    #[serde(flatten)]
    pub entry: Entry,
}

/// A file, a folder or a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub path: String,
    pub kind: Option<String>,
    pub digest: Option<String>,
    /// Size of a file.
    pub bytes: Option<u64>,
    /// Address of the content; `None` if this project does not have it.
    pub url: Option<String>,
}

impl ArtifactsReport {
    /// # Errors
    /// The store cannot be read.
    pub fn read(
        store: &Store,
        cache: &Cache,
        history: &Path,
        run: RunName,
    ) -> Result<ArtifactsReport> {
        let stages: Vec<StageName> =
            store.run(run)?.stages.into_iter().map(|record| record.stage).collect();
        let place = |stage: &StageName| stages.iter().position(|one| one == stage);
        let mut artifacts = store.artifacts(run)?;
        artifacts.sort_by(|a, b| (place(&a.stage), &a.path).cmp(&(place(&b.stage), &b.path)));
        let stored = artifacts.into_iter().map(|artifact| stored(cache, history, run, artifact));
        Ok(ArtifactsReport { artifacts: stored.collect() })
    }
}

fn stored(cache: &Cache, history: &Path, run: RunName, artifact: Artifact) -> Stored {
    let Artifact { stage, path, content, origin } = artifact;
    let (kind, digest) = content.unzip();
    let content = kind
        .as_deref()
        .zip(digest.as_deref())
        .and_then(|(kind, digest)| Content::from_kind(kind, digest.parse().ok()?));
    let (bytes, url) = match content.and_then(|content| in_cache(cache, content)) {
        Some((bytes, url)) => (bytes, Some(url)),
        None => {
            in_folder(history, run, &path).map_or((None, None), |(bytes, url)| (bytes, Some(url)))
        }
    };
    let origin = if origin == Origin::Out { "out" } else { "reported" };
    Stored { stage, origin, entry: Entry { path, kind, digest, bytes, url } }
}

/// Returns size and address of an object.
fn in_cache(cache: &Cache, content: Content) -> Option<(Option<u64>, String)> {
    let digest = content.digest();
    let meta = cache.object_path(&digest).symlink_metadata().ok()?;
    let is_file = matches!(content, Content::File(_) | Content::Executable(_));
    Some((is_file.then_some(meta.len()), address(&digest)))
}

fn address(digest: &Digest) -> String {
    format!("/api/objects/{digest}")
}

/// Returns size and address of a file that a client uploaded.
fn in_folder(history: &Path, run: RunName, path: &str) -> Option<(Option<u64>, String)> {
    let is_inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let file = run_dir(history, run).join(ARTIFACTS).join(path);
    let meta = file.symlink_metadata().ok().filter(|meta| is_inside && meta.is_file())?;
    let encoded = encode(path, b"/");
    Some((Some(meta.len()), format!("/api/runs/{run}/files/{ARTIFACTS}/{encoded}")))
}

impl FolderReport {
    /// # Errors
    /// The cache does not have the tree, or it is damaged.
    pub fn read(cache: &Cache, digest: &Digest) -> Result<FolderReport> {
        let tree = cache.tree(digest)?;
        let shown = tree.entries.iter().take(MOST_ENTRIES);
        let entries = shown.map(|(name, content)| {
            let found = in_cache(cache, *content);
            Entry {
                path: name.to_string(),
                kind: Some(content.kind().to_owned()),
                digest: Some(content.digest().to_string()),
                bytes: found.as_ref().and_then(|(bytes, _)| *bytes),
                url: found.map(|(_, url)| url),
            }
        });
        Ok(FolderReport { entries: entries.collect(), total: tree.entries.len() })
    }
}
