//! Sizes: number of files and bytes, as stored in the cache.

use serde::Serialize;

use super::Project;
use crate::digest::Content;

/// A number of files and their total size in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub count: usize,
    pub bytes: u64,
}

impl Tally {
    pub fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }

    pub fn of(sizes: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        sizes.into_iter().for_each(|bytes| tally.add(bytes));
        tally
    }
}

/// Measures the part of `content` that is in the cache.
pub fn measure(project: &Project, content: &Content) -> Tally {
    let mut tally = Tally::default();
    add(project, content, &mut tally);
    tally
}

fn add(project: &Project, content: &Content, tally: &mut Tally) {
    let digest = content.digest();
    match content {
        Content::Tree(_) => {
            let tree = project.cache.tree(&digest).unwrap_or_default();
            tree.entries.values().for_each(|entry| add(project, entry, tally));
        }
        _ => {
            let size = project.cache.object_path(&digest).metadata().map(|meta| meta.len());
            size.into_iter().for_each(|bytes| tally.add(bytes));
        }
    }
}
