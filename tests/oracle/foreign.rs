//! Files that no stage made. The oracle knows the makers from the lock, from the engine's list of
//! unfinished stages, and from the trace in the cache of the present inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::declared::Stage;
use crate::model::{Decision, Disk, Oracle};
use crate::problem::{Problem, USAGE};
use crate::traces::Inputs;
use crate::tree::Node;
use crate::work::is_at_or_below;

/// The paths and files that stages are known to have written.
#[derive(Debug, Default)]
pub struct Claims {
    /// Paths with everything in them.
    paths: BTreeSet<String>,
    /// Contents of files that failed stages left.
    left: Files,
}

impl Claims {
    pub fn of(disk: &Disk) -> Claims {
        let Unfinished { begun, left } = &disk.started;
        let locked = disk.lock.values().flat_map(|trace| trace.inputs.outs.iter().cloned());
        Claims { paths: locked.chain(begun.iter().cloned()).collect(), left: left.clone() }
    }

    /// Reports whether a failed stage left this file.
    pub fn is_left(&self, path: &str, node: &Node) -> bool {
        self.left.get(path) == Some(&node.content())
    }

    fn cover(&self, path: &str, node: &Node) -> bool {
        self.is_left(path, node) || self.paths.iter().any(|claim| is_at_or_below(path, claim))
    }
}

/// Files by path, with their contents: the kind and the digest.
pub type Files = BTreeMap<String, String>;

/// The engine's list of unfinished stages.
#[derive(Debug, Default, Clone)]
pub struct Unfinished {
    begun: BTreeSet<String>,
    left: Files,
}

impl Unfinished {
    pub fn read(text: &str) -> Unfinished {
        let path = |text: &str| serde_json::from_str::<String>(text).ok();
        let mut unfinished = Unfinished::default();
        for line in text.lines() {
            if let Some(path) = path(line) {
                unfinished.begun.insert(path);
            } else if let Some(ended) = line.strip_prefix("left ").and_then(path) {
                unfinished.begun.remove(&ended);
                unfinished.left.retain(|path, _| !is_at_or_below(path, &ended));
            } else if let Some((content, at)) = line.split_once(" \"") {
                let at = path(&format!("\"{at}")).unwrap();
                unfinished.left.insert(at, content.to_owned());
            }
        }
        unfinished
    }
}

impl Oracle {
    /// Returns the files that a result of the stage would replace and that no claim covers.
    pub fn unclaimed(
        &self,
        stage: &Stage,
        (inputs, decision): (&Inputs, &Decision),
        workspace: &Node,
        claims: &Claims,
    ) -> Files {
        let persists =
            |path: &String| stage.outs.iter().any(|out| out.path == *path && out.persist);
        let replaced: Vec<(&String, bool)> = match decision {
            Decision::Fresh(_) => Vec::new(),
            Decision::Run { .. } if stage.tracked => Vec::new(),
            Decision::Run { .. } => {
                inputs.outs.iter().map(|path| (path, !persists(path))).collect()
            }
            Decision::Restore(trace) => {
                let outs = trace.inputs.outs.iter();
                let differs = |path: &&String| workspace.get(path) != trace.outs.get(*path);
                outs.filter(differs).map(|path| (path, inputs.outs.contains(path))).collect()
            }
        };
        let mut files = Files::new();
        for (path, is_replaced) in replaced {
            let (top, node) = match obstacle(workspace, path) {
                Some(obstacle) => (obstacle, workspace.get(obstacle)),
                None => (path.as_str(), workspace.get(path).filter(|_| is_replaced)),
            };
            let Some(node) = node else { continue };
            node.visit(top, &mut |path, node| {
                if !matches!(node, Node::Dir(_)) && !claims.cover(path, node) {
                    files.insert(path.to_owned(), node.content());
                }
            });
        }
        files
    }

    /// Returns those of the files that are not what the stage made of the present inputs.
    pub fn unknown(&self, files: &Files, inputs: &Inputs, decision: &Decision) -> Files {
        let known = match decision {
            Decision::Restore(trace) => Some(Rc::clone(trace)),
            _ => self.cached(inputs),
        };
        let mut unknown = files.clone();
        for (path, node) in known.iter().flat_map(|trace| &trace.outs) {
            self.remove_known(path, node, &mut unknown);
        }
        unknown
    }

    /// Removes the files of `node`, as far as the cache has the listings of its folders.
    fn remove_known(&self, path: &str, node: &Node, unknown: &mut Files) {
        match node {
            Node::Dir(entries) if self.has_object(node) => {
                for (name, node) in entries {
                    self.remove_known(&format!("{path}/{name}"), node, unknown);
                }
            }
            Node::Dir(_) => {}
            _ if unknown.get(path) == Some(&node.content()) => drop(unknown.remove(path)),
            _ => {}
        }
    }
}

/// Returns the path above `path` at which there is something other than a folder.
pub fn obstacle<'a>(workspace: &Node, path: &'a str) -> Option<&'a str> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.into_iter().find(|above| !matches!(workspace.get(above), None | Some(Node::Dir(_))))
}

/// Returns the error of a stage that would replace these files.
pub fn refusal(foreign: &Files) -> Option<Problem> {
    foreign.keys().next().map(|path| Problem::naming(USAGE, &[path]))
}
