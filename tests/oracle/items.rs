//! The items of a stage: what each of them comes to, and which need no process.

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
    /// What each item of a stage would make, with its trace, in the order of the items; an out is `None` where the command fails.
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
            if each.apart {
                inputs.head[0] =
                    format!("cmd {}", json!(each.filled(&stage.cmd().unwrap(), &path)));
            }
            let made = work.result(Shape::File);
            let trace = made.map(|node| {
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

    /// Items that are in the lock as they are now, while all their outs lie there as it says: they need no trace of their own. The
    /// listing of the former items is the cache's.
    pub fn locked_items(
        &self,
        stage: &Stage,
        inputs: &Inputs,
        world: &Node,
        lock: &Lock,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let (Some(each), Some(trace)) = (&stage.each, lock.get(&stage.name)) else { return found };
        let glob = each.glob.text();
        let mut former = trace.inputs.clone();
        let Some(before) = former.deps.remove(&glob) else { return found };
        let mut now = inputs.clone();
        let Some(items) = now.deps.remove(&glob) else { return found };
        let lies_there =
            world.get(&each.folder).is_some_and(|node| trace.outs.get(&each.folder) == Some(node));
        if former == now && lies_there && self.has_listing(&before) {
            self.same_items(each, &each.glob.base, &items, Some(&before), &mut found);
        }
        found.retain(|item| world.get(&each.out_of(item)).is_some());
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

    /// Whether the cache has the tree of a directory, whatever it has of what is in it.
    fn has_listing(&self, node: &Node) -> bool {
        let object = node.object();
        let path = self.in_cache("objects", &node.digest());
        matches!(node, Node::Dir(_)) && fs::read(path).is_ok_and(|bytes| bytes == object)
    }

    /// The cache's trace of an item, with the objects for want of which its outs cannot be had.
    pub fn item_known(
        &self,
        inputs: &Inputs,
        world: &Node,
    ) -> Option<(Rc<Trace>, BTreeSet<String>)> {
        let trace = self.cached(inputs)?;
        let differing = trace.outs.iter().filter(|(path, node)| world.get(path) != Some(node));
        let gone = differing.flat_map(|(_, node)| self.gone(node)).collect();
        Some((trace, gone))
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
    /// Its trace if that were made of it.
    pub fn made(&self, node: Node) -> Trace {
        Trace {
            inputs: self.inputs.clone(),
            outs: [(self.out.clone(), node)].into(),
            accepted: None,
        }
    }
}
