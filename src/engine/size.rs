//! How much a content is: files and bytes, as the cache has them.

use super::Project;
use super::upkeep::gc::Tally;
use crate::digest::Content;

/// What of it is in the cache; what is not counts nothing.
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
