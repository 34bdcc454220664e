//! Predicts deps: the present contents, overlaid with outs of stages that will be restored.

use std::collections::BTreeMap;

use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::error::Result;
use crate::pipeline::{Dep, Glob};
use crate::plan::{OutContents, Tree};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// Contents of outs that will be restored.
pub type Predicted = OutContents;

/// The content of a dep once the predicted outs are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prediction {
    /// The dep overlaps none of them and keeps its present content.
    Unaffected,
    /// The dep will not exist, or its glob will match nothing.
    Absent,
    Content(Content),
}

impl From<Option<Content>> for Prediction {
    fn from(content: Option<Content>) -> Prediction {
        content.map_or(Prediction::Absent, Prediction::Content)
    }
}

/// Predicts the content of a dep. `seen` observes the present content.
pub(super) fn content(
    project: &Project,
    predicted: &Predicted,
    dep: &Dep,
    seen: impl FnOnce() -> Result<Option<Observed>>,
) -> Result<Prediction> {
    let (path, glob) = dep.source();
    let top = match glob {
        None => Some(path),
        Some(glob) => glob.base(),
    };
    if let Some(top) = top {
        match (inside(project, predicted, top), glob) {
            (Prediction::Unaffected, _) => {}
            (Prediction::Content(whole), Some(glob)) => {
                return Ok(matching(project, top.as_str(), whole, glob).into());
            }
            (whole, _) => return Ok(whole),
        }
    }
    let mut puts: Vec<Put<'_>> = Vec::new();
    for (out, content) in predicted {
        let below = match top {
            Some(top) => out.strip_prefix(top),
            None => Some(out.as_str()),
        };
        let (Some(below), true) = (below, glob.is_none_or(|glob| glob.may_overlap(out))) else {
            continue;
        };
        let content = match glob {
            None => *content,
            Some(glob) => {
                content.and_then(|content| matching(project, out.as_str(), content, glob))
            }
        };
        puts.push((below.split('/').collect(), content));
    }
    if puts.is_empty() {
        return Ok(Prediction::Unaffected);
    }
    let seen = seen()?;
    let empty = if glob.is_some() { Empty::MatchesNothing } else { Empty::Stays };
    Ok(overlaid(seen.as_ref(), &puts, empty).into())
}

/// The names on the way to a path, and its future content.
type Put<'a> = (Vec<&'a str>, Option<Content>);

/// Returns the future content of `path` if it is a predicted out or inside one.
fn inside(project: &Project, predicted: &Predicted, path: &RepoPath) -> Prediction {
    if let Some(content) = predicted.get(path) {
        return (*content).into();
    }
    let above = path.ancestors().find_map(|above| predicted.get_key_value(above));
    let Some((above, content)) = above else { return Prediction::Unaffected };
    let Some(top) = *content else { return Prediction::Absent };
    let mut content = top;
    for name in path.strip_prefix(above).unwrap_or_default().split('/') {
        let Content::Tree(digest) = content else { return Prediction::Absent };
        // A tree that the cache lacks predicts nothing.
        let Ok(tree) = project.cache.tree(&digest) else { return Prediction::Unaffected };
        match tree.entries.get(name) {
            Some(inside) => content = *inside,
            None => return Prediction::Absent,
        }
    }
    Prediction::Content(content)
}

/// Returns the part of `content`, at `path`, that a glob matches.
fn matching(project: &Project, path: &str, content: Content, glob: &Glob) -> Option<Content> {
    if glob.matches(path) {
        return Some(content);
    }
    let Content::Tree(digest) = content else {
        return None;
    };
    let tree = project.cache.tree(&digest).ok()?;
    let entries: BTreeMap<Box<str>, Content> = tree
        .entries
        .into_iter()
        .filter_map(|(name, content)| {
            matching(project, &format!("{path}/{name}"), content, glob)
                .map(|content| (name, content))
        })
        .collect();
    (!entries.is_empty()).then(|| Content::Tree(Digest::of(&Tree { entries }.encode())))
}

/// Treatment of a directory that becomes empty.
#[derive(Debug, Clone, Copy)]
enum Empty {
    Stays,
    MatchesNothing,
}

/// Returns a directory with some paths replaced, or removed for `None`; `None` if nothing is left.
fn overlaid(seen: Option<&Observed>, puts: &[Put<'_>], empty: Empty) -> Option<Content> {
    if let Some((_, content)) = puts.iter().find(|(names, _)| names.is_empty()) {
        return *content;
    }
    let none = BTreeMap::new();
    let (mut entries, dirs) = match seen {
        Some(Observed::Dir { tree, dirs, .. }) => (tree.entries.clone(), dirs),
        Some(Observed::Leaf(_)) | None => (BTreeMap::new(), &none),
    };
    let mut by_name: BTreeMap<&str, Vec<Put<'_>>> = BTreeMap::new();
    for (names, content) in puts {
        by_name.entry(names[0]).or_default().push((names[1..].to_vec(), *content));
    }
    for (name, puts) in by_name {
        let leaf = entries.get(name).map(|content| Observed::Leaf(*content));
        match overlaid(dirs.get(name).or(leaf.as_ref()), &puts, empty) {
            Some(content) => drop(entries.insert(name.into(), content)),
            None => drop(entries.remove(name)),
        }
    }
    match (entries.is_empty(), empty, seen) {
        // Removing a path does not create a folder where there is none.
        (true, Empty::Stays, None) => None,
        (true, Empty::Stays, Some(Observed::Leaf(content))) => Some(*content),
        (true, Empty::MatchesNothing, _) => None,
        _ => Some(Content::Tree(Digest::of(&Tree { entries }.encode()))),
    }
}
