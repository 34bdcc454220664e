//! The content of a folder that the lock names, as the base of an update: files that have not
//! changed at the source are copied from the cache.

use std::collections::HashMap;
use std::path::Path;

use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::error::{Kind, Result};
use crate::pipeline::{Link, Stage};

pub(super) struct Former<'a> {
    project: &'a Project,
    /// The list of the files, with their versions at the source.
    pub(super) listing: Vec<u8>,
    files: HashMap<String, Digest>,
}

impl<'a> Former<'a> {
    /// Returns the content in the lock; `None` if it is not a folder, comes from another origin, or
    /// the cache has not kept its list.
    pub(super) fn of(project: &'a Project, stage: &Stage) -> Option<Former<'a>> {
        let locked = project.lock.stages.get(&stage.name)?;
        let listing = locked.version.as_ref()?.listing?;
        if locked.fingerprint.origin != stage.origin {
            return None;
        }
        let Some(Content::Tree(tree)) = locked.outs.values().next() else { return None };
        let listing = project.cache.bytes(&listing).ok()?;
        Some(Former { project, listing, files: files(&project.cache, *tree) })
    }

    /// Copies a file to the new path `to`; returns `false` if the cache does not have it.
    pub(super) fn copy(&self, name: &str, to: &Path) -> Result<bool> {
        let Some(digest) = self.files.get(name) else { return Ok(false) };
        let links = [Link::Reflink, Link::Copy];
        // The target is new, so it needs no temporary name.
        match self.project.cache.restore_file(digest, to, to, 0o666, &links) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::Damaged => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns the files of a tree by their paths, as far as the cache has the trees.
fn files(cache: &Cache, tree: Digest) -> HashMap<String, Digest> {
    let mut files = HashMap::new();
    let mut pending = vec![(String::new(), tree)];
    while let Some((above, tree)) = pending.pop() {
        let Ok(tree) = cache.tree(&tree) else { continue };
        for (name, content) in tree.entries {
            match content {
                Content::Tree(below) => pending.push((format!("{above}{name}/"), below)),
                Content::File(digest) => drop(files.insert(format!("{above}{name}"), digest)),
                Content::Executable(_) | Content::Link(_) => {}
            }
        }
    }
    files
}
