//! Artifacts of a run as one tree of files: those that clients uploaded, and the outs and reported
//! files that the cache holds. An uploaded file hides an out of the same path. Writes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::revision::Revision;
use crate::cache::Cache;
use crate::cache::inventory::Integrity;
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs::Store;
use crate::runs::files::{self, Listed, Owner};

/// The artifacts of a run or of a logged model.
#[derive(Debug)]
pub struct Artifacts<'a> {
    history: &'a Path,
    cache: &'a Cache,
    owner: Owner,
    /// The outs of a pipeline's run and the files that its stages reported.
    kept: BTreeMap<RepoPath, Content>,
}

/// A file to be served.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    pub bytes: u64,
    /// The content of a file in the cache.
    pub content: Option<Content>,
}

impl<'a> Artifacts<'a> {
    /// Finds the artifacts of `owner` in the history at `history`.
    ///
    /// # Errors
    /// The run store cannot be read.
    pub fn of(
        history: &'a Path,
        store: &Store,
        cache: &'a Cache,
        owner: Owner,
    ) -> Result<Artifacts<'a>> {
        let kept = match &owner {
            Owner::Run(run) => {
                let revision = Revision::Run(Box::new(store.run(*run)?));
                let outs = revision.outs(history)?.into_iter();
                outs.map(|(_, path, content)| (path, content)).collect()
            }
            Owner::Model(_) => BTreeMap::new(),
        };
        Ok(Artifacts { history, cache, owner, kept })
    }

    /// Lists a folder, by name; `None` stands for the root. A file has no entries.
    ///
    /// # Errors
    /// An uploaded folder cannot be read.
    pub fn list(&self, path: Option<&RepoPath>) -> Result<Vec<Listed>> {
        let uploaded = files::list(self.history, &self.owner, path)?;
        let mut entries = self.kept_in(path);
        entries.extend(uploaded.into_iter().map(|one| (one.name, one.bytes)));
        Ok(entries.into_iter().map(|(name, bytes)| Listed { name, bytes }).collect())
    }

    /// Returns the names and sizes of what the cache holds of a folder.
    fn kept_in(&self, path: Option<&RepoPath>) -> BTreeMap<String, Option<u64>> {
        let mut entries = BTreeMap::new();
        for (kept, content) in &self.kept {
            let below = match path {
                None => Some(kept.as_str()),
                Some(path) => kept.strip_prefix(path),
            };
            let Some(below) = below else { continue };
            match below.split_once('/') {
                Some((folder, _)) => entries.insert(folder.to_owned(), None),
                None => entries.insert(below.to_owned(), self.bytes(content)),
            };
        }
        let tree = path.and_then(|path| self.content(path));
        if let Some(Content::Tree(digest)) = tree
            && let Ok(tree) = self.cache.tree(&digest)
        {
            let inside = tree.entries.iter();
            entries.extend(inside.map(|(name, one)| (name.to_string(), self.bytes(one))));
        }
        entries
    }

    /// Returns the size of a file; `None` for a folder. A file that the cache lacks has no bytes.
    fn bytes(&self, content: &Content) -> Option<u64> {
        let object = self.cache.object_path(&content.digest());
        let size = || object.metadata().map_or(0, |meta| meta.len());
        (!matches!(content, Content::Tree(_))).then(size)
    }

    /// Returns the content that the cache should hold at a path.
    pub fn content(&self, path: &RepoPath) -> Option<Content> {
        if let Some(content) = self.kept.get(path) {
            return Some(*content);
        }
        let (out, tree) = self.kept.iter().find(|(out, _)| out.contains(path))?;
        path.strip_prefix(out)?.split('/').try_fold(*tree, |tree, name| match tree {
            Content::Tree(digest) => self.cache.tree(&digest).ok()?.entries.get(name).copied(),
            _ => None,
        })
    }

    /// Reports whether the path is an out, or a file that a stage reported.
    pub fn is_kept(&self, path: &RepoPath) -> bool {
        self.content(path).is_some() || self.kept.keys().any(|kept| path.contains(kept))
    }

    /// Opens a file; `None` if nothing exists at the path.
    ///
    /// # Errors
    /// The path is a folder, or the cache lacks the file.
    pub fn open(&self, path: &RepoPath) -> Result<Option<Opened>> {
        if let Some(file) = files::open(self.history, &self.owner, path)? {
            let bytes = file
                .metadata()
                .map_err(|err| Error::io("read", Path::new(path.as_str()), &err))?
                .len();
            return Ok(Some(Opened { file, bytes, content: None }));
        }
        let Some(content) = self.content(path) else {
            return match self.is_kept(path) {
                true => Err(is_a_folder(path)),
                false => Ok(None),
            };
        };
        if let Content::Tree(_) = content {
            return Err(is_a_folder(path));
        }
        let object = self.cache.object_path(&content.digest());
        match regular_file::open(&object) {
            Ok(file) => {
                let bytes = file.metadata().map_or(0, |meta| meta.len());
                Ok(Some(Opened { file, bytes, content: Some(content) }))
            }
            Err(_) => Ok(None),
        }
    }

    /// Reads a file of the cache whole and compares it with its digest.
    ///
    /// # Errors
    /// They differ.
    pub fn verify(&self, path: &RepoPath, opened: &Opened) -> Result<()> {
        let Some(content) = &opened.content else { return Ok(()) };
        match self.cache.check(&content.digest(), &|_| {}) {
            Integrity::Intact => Ok(()),
            _ => Err(Error::damaged(format!("the object of `{path}` is damaged"))
                .hint("`repro fsck --repair` repairs the cache")),
        }
    }
}

fn is_a_folder(path: &RepoPath) -> Error {
    Error::usage(format!("cannot read artifact `{path}`: it is a folder"))
}
