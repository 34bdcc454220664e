//! The report of a lineage: the graph of executions and contents for a page, with what the history
//! lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::digest::Digest;
use crate::engine::lineage::{self, Execution, Lineage, Node, Subject};
use crate::error::{Error, Result};
use crate::event::{RunName, Timestamp};
use crate::pipeline::{ParamKey, ParamValue, StageName};
use crate::runs::Store;

/// Least number of digits of a digest.
const LEAST_DIGITS: usize = 8;
/// Number of contents of one reader from which they share a node.
const MANY: usize = 3;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineageReport {
    pub nodes: Vec<LineageNode>,
    /// Pairs of positions in `nodes`, in the direction of the data.
    pub edges: Vec<(usize, usize)>,
    /// Sentences about what the history lacks.
    pub missing: Vec<String>,
    /// The drawn graph.
    pub svg: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineageNode {
    pub place: Place,
    #[serde(flatten)]
    pub of: NodeOf,
}

/// The place of a node, seen from what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Subject,
    /// Led to the subject.
    Origin,
    /// The subject led to it.
    Use,
    /// Has the same origins or uses.
    Beside,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NodeOf {
    Execution {
        /// Empty if a client logged what it made.
        stage: StageName,
        /// `None` if only the workspace has it.
        run: Option<RunName>,
        started: Option<Timestamp>,
        commit: Option<String>,
        is_dirty: bool,
        cmd: Option<String>,
        params: BTreeMap<ParamKey, ParamValue>,
        outs: usize,
    },
    Data {
        /// One, or the contents that only one execution reads and no stage made.
        files: Vec<File>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct File {
    pub path: String,
    /// `file`, `exec`, `tree` or `link`.
    pub kind: Option<&'static str>,
    pub digest: Digest,
}

impl LineageReport {
    /// Reads the lineage, without a drawing.
    ///
    /// # Errors
    /// The history does not have the subject, or cannot be read.
    pub fn read(
        root: &Path,
        history: &Path,
        store: &Store,
        subject: &Subject,
    ) -> Result<LineageReport> {
        Ok(LineageReport::new(lineage::lineage(root, history, store, subject)?))
    }

    fn new(lineage: Lineage) -> LineageReport {
        let places = places(&lineage);
        let groups = groups(&lineage);
        let mut at = BTreeMap::new();
        let mut nodes: Vec<LineageNode> = Vec::new();
        for (old, node) in lineage.nodes.into_iter().enumerate() {
            let place = places[old];
            match (node, groups.get(&old)) {
                (Node::Data { path, content, digest }, first) => {
                    let kind = content.map(|content| content.kind());
                    let file = File { path, kind, digest };
                    let shared =
                        first.filter(|first| **first != old).and_then(|first| at.get(first));
                    if let Some(&shared) = shared
                        && let Some(NodeOf::Data { files }) =
                            nodes.get_mut(shared).map(|node: &mut LineageNode| &mut node.of)
                    {
                        files.push(file);
                        at.insert(old, shared);
                        continue;
                    }
                    at.insert(old, nodes.len());
                    nodes.push(LineageNode { place, of: NodeOf::Data { files: vec![file] } });
                }
                (Node::Execution(execution), _) => {
                    at.insert(old, nodes.len());
                    nodes.push(LineageNode { place, of: of_execution(*execution) });
                }
            }
        }
        let edges: BTreeSet<(usize, usize)> = lineage
            .edges
            .iter()
            .filter_map(|(from, to)| Some((*at.get(from)?, *at.get(to)?)))
            .collect();
        LineageReport {
            nodes,
            edges: edges.into_iter().collect(),
            missing: lineage.missing.into_iter().collect(),
            svg: String::new(),
        }
    }
}

/// Parses the subject of a page: a digest or its first digits.
///
/// # Errors
/// The text is not a digest, or the beginning of none or several.
pub fn subject(store: &Store, text: &str) -> Result<Subject> {
    if let Ok(digest) = text.parse() {
        return Ok(Subject::Content(digest));
    }
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex || !(LEAST_DIGITS..64).contains(&text.len()) {
        return Err(Error::missing(format!("`{text}` is not a digest")).hint(format!(
            "a digest has 64 hexadecimal digits; the first {LEAST_DIGITS} suffice"
        )));
    }
    match &store.digests_from(text)?[..] {
        [] => Err(Error::missing(format!("no run has made a content `{text}…`"))),
        [one] => match one.parse() {
            Ok(digest) => Ok(Subject::Content(digest)),
            Err(_) => Err(Error::missing(format!("`{one}` is not a digest"))),
        },
        _ => Err(Error::missing(format!("several contents begin with `{text}`"))
            .hint("give more digits")),
    }
}

fn of_execution(execution: Execution) -> NodeOf {
    let Execution { stage, run, code, trace } = execution;
    let outs = trace.as_ref().map_or(0, |trace| trace.outs.len());
    let fingerprint = trace.map(|trace| trace.fingerprint);
    NodeOf::Execution {
        stage,
        run,
        started: code.as_ref().map(|code| code.started),
        is_dirty: code.as_ref().is_some_and(|code| code.is_dirty),
        commit: code.and_then(|code| code.commit),
        cmd: fingerprint.as_ref().and_then(|one| one.cmd.clone()),
        params: fingerprint.map(|one| one.params).unwrap_or_default(),
        outs,
    }
}

/// An edge in the direction in which it is followed.
type Step = fn(&(usize, usize)) -> (usize, usize);

fn places(lineage: &Lineage) -> Vec<Place> {
    let mut places = vec![Place::Beside; lineage.nodes.len()];
    let mut reach = |place: Place, step: Step| {
        let mut open: Vec<usize> = lineage.subjects.iter().copied().collect();
        let mut seen: BTreeSet<usize> = lineage.subjects.clone();
        while let Some(node) = open.pop() {
            for (from, to) in lineage.edges.iter().map(step) {
                if from == node && seen.insert(to) {
                    places[to] = place;
                    open.push(to);
                }
            }
        }
    };
    reach(Place::Use, |edge| *edge);
    reach(Place::Origin, |&(from, to)| (to, from));
    for &subject in &lineage.subjects {
        places[subject] = Place::Subject;
    }
    places
}

/// Returns the contents that share a node, each with the first of its node: those that no stage
/// made, that one and the same execution reads, and that nobody asked for.
fn groups(lineage: &Lineage) -> BTreeMap<usize, usize> {
    let made: BTreeSet<usize> = lineage.edges.iter().map(|(_, to)| *to).collect();
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in &lineage.edges {
        readers.entry(*from).or_default().push(*to);
    }
    let mut by_readers: BTreeMap<&[usize], Vec<usize>> = BTreeMap::new();
    for (at, node) in lineage.nodes.iter().enumerate() {
        let is_input = matches!(node, Node::Data { .. }) && !made.contains(&at);
        if let Some(readers) = readers.get(&at).filter(|_| is_input)
            && !lineage.subjects.contains(&at)
        {
            by_readers.entry(readers).or_default().push(at);
        }
    }
    let groups = by_readers.into_values().filter(|group| group.len() >= MANY);
    groups.flat_map(|group| group.clone().into_iter().map(move |at| (at, group[0]))).collect()
}
