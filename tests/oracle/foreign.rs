//! Files that no stage made. The oracle knows the makers from the lock, from the engine's list of
//! unfinished stages, and from the objects in the cache.

use std::collections::{BTreeMap, BTreeSet};

use crate::declared::Stage;
use crate::model::{Decision, Disk, Oracle};
use crate::problem::{Problem, USAGE};
use crate::traces::Inputs;
use crate::tree::Node;
use crate::work::is_at_or_below;

/// Paths that stages are known to have written, with everything in them.
#[derive(Debug, Default)]
pub struct Claims(BTreeSet<String>);

impl Claims {
    pub fn of(disk: &Disk) -> Claims {
        let locked = disk.lock.values().flat_map(|trace| trace.inputs.outs.iter().cloned());
        Claims(locked.chain(disk.started.iter().cloned()).collect())
    }

    fn cover(&self, path: &str) -> bool {
        self.0.iter().any(|claim| is_at_or_below(path, claim))
    }
}

/// Files by path, with their digests.
pub type Files = BTreeMap<String, String>;

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
                if !matches!(node, Node::Dir(_)) && !claims.cover(path) {
                    files.insert(path.to_owned(), node.digest());
                }
            });
        }
        files
    }

    /// Returns those of the files that are not in the cache.
    pub fn uncached(&self, files: &Files) -> Files {
        let is_absent = |digest: &String| !self.in_cache("objects", digest).is_file();
        let absent = files.iter().filter(|(_, digest)| is_absent(digest));
        absent.map(|(path, digest)| (path.clone(), digest.clone())).collect()
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
