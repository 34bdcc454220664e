//! The items of a stage: the out of each item, and which items need no process.

use std::collections::BTreeSet;
use std::fs;
use std::rc::Rc;

use serde_json::json;

use crate::declared::{Each, Shape, Stage};
use crate::model::{Lock, Oracle};
use crate::traces::{Inputs, Trace};
use crate::tree::Node;
use crate::work::{Work, item_work};

impl Oracle {
    /// Returns what each item of a stage would make, in the order of the items.
    pub fn items(&mut self, stage: &Stage, inputs: &Inputs, work: &Work) -> Vec<ItemWork> {
        let each = stage.each.as_ref().unwrap();
        let tree = &inputs.deps[&each.glob.text()];
        let items = each.glob.items(tree);
        let done = items.into_iter().map(|(path, node)| {
            let work = item_work(work, each, &path, &node);
            let out = each.out_of(&path);
            let mut inputs =
                Inputs { deps: work.deps.clone(), outs: [out.clone()].into(), ..inputs.clone() };
            inputs.head.retain(|line| !line.starts_with("each "));
            if each.per_item {
                inputs.head[0] =
                    format!("cmd {}", json!(each.filled(&stage.cmd().unwrap(), &path)));
            }
            let out_node = work.result(Shape::File);
            let trace = out_node.map(|node| {
                self.learn(Trace {
                    inputs: inputs.clone(),
                    outs: [(out.clone(), node)].into(),
                    accepted: None,
                })
            });
            ItemWork { path, out, inputs, trace }
        });
        done.collect()
    }

    /// Returns the items that are unchanged since the lock was written. They need no trace of their
    /// own, provided that all item outs are as in the lock. The old list of items comes from the
    /// cache.
    pub fn locked_items(
        &self,
        stage: &Stage,
        inputs: &Inputs,
        workspace: &Node,
        lock: &Lock,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let (Some(each), Some(trace)) = (&stage.each, lock.get(&stage.name)) else { return found };
        let glob = each.glob.text();
        let mut former = trace.inputs.clone();
        let Some(before) = former.deps.remove(&glob) else { return found };
        let mut now = inputs.clone();
        let Some(items) = now.deps.remove(&glob) else { return found };
        let is_as_locked = workspace
            .get(&each.folder)
            .is_some_and(|node| trace.outs.get(&each.folder) == Some(node));
        if former == now && is_as_locked && self.has_listing(&before) {
            self.same_items(each, &each.glob.base, &items, Some(&before), &mut found);
        }
        found.retain(|item| workspace.get(&each.out_of(item)).is_some());
        found
    }

    fn same_items(
        &self,
        each: &Each,
        path: &str,
        node: &Node,
        before: Option<&Node>,
        found: &mut BTreeSet<String>,
    ) {
        let Node::Dir(entries) = node else { return };
        for (name, node) in entries {
            let path = format!("{path}/{name}");
            let earlier = before.and_then(|before| before.get(name));
            if each.glob.matches(&path) {
                if earlier == Some(node) {
                    found.insert(path);
                }
            } else {
                let known = earlier.filter(|earlier| *earlier == node || self.has_listing(earlier));
                self.same_items(each, &path, node, known, found);
            }
        }
    }

    /// Reports whether the cache has the tree object of a directory; the entries do not matter.
    fn has_listing(&self, node: &Node) -> bool {
        let object = node.object();
        let path = self.in_cache("objects", &node.digest());
        matches!(node, Node::Dir(_)) && fs::read(path).is_ok_and(|bytes| bytes == object)
    }

    /// Returns the cached trace of an item, with the missing objects that prevent a restore.
    pub fn item_known(
        &self,
        inputs: &Inputs,
        workspace: &Node,
    ) -> Option<(Rc<Trace>, BTreeSet<String>)> {
        let trace = self.cached(inputs)?;
        let differing = trace.outs.iter().filter(|(path, node)| workspace.get(path) != Some(node));
        let missing = differing.flat_map(|(_, node)| self.missing_objects(node)).collect();
        Some((trace, missing))
    }
}

#[derive(Debug)]
pub struct ItemWork {
    pub path: String,
    pub out: String,
    pub inputs: Inputs,
    /// `None` if its command fails.
    pub trace: Option<Rc<Trace>>,
}

impl ItemWork {
    /// Returns the trace of this item with `node` as its out.
    pub fn trace_with(&self, node: Node) -> Trace {
        Trace {
            inputs: self.inputs.clone(),
            outs: [(self.out.clone(), node)].into(),
            accepted: None,
        }
    }
}
