//! The commands beside `run` and `status`: what they must do, and what they must leave alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use crate::declared::{Glob, Pipeline, Policy, Stage};
use crate::drive;
use crate::edits;
use crate::model::{Decision, Disk, Oracle, loads, made};
use crate::random::Random;
use crate::sequence::{Sequence, Step};
use crate::traces::Trace;
use crate::tree::{Node, without_empty};
use crate::work::is_at_or_below;

impl Sequence {
    /// What goes is nothing that lies there, or that the lock could bring back.
    pub(super) fn gc(&mut self, random: &mut Random) -> Step {
        self.tell("repro gc");
        let before = self.oracle.look()?;
        let outs = before.lock.values().flat_map(|trace| &trace.outs);
        let had: Vec<_> = outs.filter(|(_, node)| self.oracle.has_whole(node)).collect();
        let runs = random.pick(&["0", "1", "all"]);
        let (code, _, said) = drive::program(&self.root, &["gc", "--yes", "--runs", runs]);
        let after = self.oracle.look()?;
        if after.world != before.world || after.lock.keys().ne(before.lock.keys()) {
            return Err(format!("gc: changed what is no cache\n{said}"));
        }
        match had.iter().find(|(_, node)| !self.oracle.has_whole(node)) {
            Some((path, _)) => {
                Err(format!("gc: the cache lacks `{path}` now (code {code})\n{said}"))
            }
            None => Ok(()),
        }
    }

    /// The state of one stage is declared to be up to date.
    pub(super) fn accept(&mut self, random: &mut Random) -> Step {
        let stages = self.pipeline.expanded();
        let Some(stage) = random.any(&stages) else { return Ok(()) };
        let (name, reason) = (&stage.name, random.pick(&["a comment", "another"]));
        self.tell(&format!("repro accept {name} --reason {reason:?}"));
        let mut expected = self.oracle.look()?;
        let trace = self.oracle.acceptable(&stage, &self.pipeline.clone(), &expected, reason);
        if let Some(trace) = &trace {
            self.oracle.vouched.insert(trace.text());
            expected.lock.insert(name.clone(), Rc::clone(trace));
        }
        let (code, _, said) = drive::program(&self.root, &["accept", name, "--reason", reason]);
        if (code == 0) != trace.is_some() {
            return Err(format!(
                "accept: `{name}` should be accepted: {}, and {said}",
                trace.is_some()
            ));
        }
        let after = self.oracle.look()?;
        let texts = |disk: &Disk| -> BTreeMap<String, String> {
            disk.lock.iter().map(|(name, trace)| (name.clone(), trace.text())).collect()
        };
        if after.world != expected.world || texts(&after) != texts(&expected) {
            return Err(format!("accept: of `{name}` changed more or less than the lock\n{said}"));
        }
        Ok(())
    }

    /// All outs, or those at a path or in it, or what matches.
    pub(super) fn checkout(&mut self, random: &mut Random) -> Step {
        edits::tidy(&self.root);
        let mut before = self.oracle.look()?;
        let place = if random.percent(30) { None } else { random_place(&before, random) };
        let text = place.as_ref().map(Place::text);
        self.tell(&format!("repro checkout {}", text.as_deref().unwrap_or_default()));
        let stages = self.pipeline.expanded();
        let wanted = wanted(&before, place.as_ref(), &stages);
        let mut links = aliases(&self.root);
        let args = [&["checkout"], text.as_deref().as_slice()].concat();
        // What lies there now is kept before it is replaced: objects that are missing may be there afterwards.
        let outs = || before.lock.values().flat_map(|trace| &trace.outs);
        let has_all = outs().all(|(_, node)| self.oracle.has_whole(node));
        let (code, _, said) = drive::program(&self.root, &args);
        let mut after = self.oracle.look()?;
        if overlaps(&before) {
            return Ok(());
        }
        links.extend(aliases(&self.root));
        let mut expected = before.world.clone();
        for (path, node) in &wanted {
            match node {
                Some(node) => expected.lay(path, node.clone()),
                None => expected.remove(path),
            }
        }
        for path in &links {
            before.world.remove(path);
            expected.remove(path);
            after.world.remove(path);
        }
        let whole = has_all && loads(&stages, &before.world).is_ok();
        let is_way = |path: &str| matches!(before.world.get(path), None | Some(Node::Dir(_)));
        let ways =
            outs().all(|(path, _)| path.match_indices('/').all(|(at, _)| is_way(&path[..at])));
        if whole
            && ways
            && !wanted.is_empty()
            && (code != 0 || without_empty(after.world.clone()) != without_empty(expected))
        {
            return Err(format!(
                "checkout: {wanted:?} was not brought back, or more than that (code {code})\n{said}"
            ));
        }
        let is_wanted = |path: &str| {
            wanted
                .iter()
                .any(|(wanted, _)| is_at_or_below(path, wanted) || is_at_or_below(wanted, path))
        };
        let mut fault = None;
        before.world.visit("", &mut |path, node| {
            let stays = || after.world.get(path) == Some(node) || self.oracle.has(node);
            if !path.is_empty()
                && !matches!(node, Node::Dir(_))
                && !is_wanted(path)
                && after.world.get(path) != Some(node)
            {
                fault.get_or_insert(format!("checkout: changed `{path}` as well\n{said}"));
            } else if !path.is_empty() && !stays() && !matches!(node, Node::Dir(_)) {
                fault.get_or_insert(format!("checkout: `{path}` is lost\n{said}"));
            }
        });
        fault.map_or(Ok(()), Err)
    }
}

impl Oracle {
    /// The trace that accepting a stage comes to; `None` if it is refused.
    fn acceptable(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        disk: &Disk,
        reason: &str,
    ) -> Option<Rc<Trace>> {
        let stages = pipeline.expanded();
        loads(&stages, &disk.world).ok()?;
        let always = stage.policy == Policy::Always;
        let locked = disk.lock.get(&stage.name).filter(|_| !stage.tracked && !always)?;
        let deps = self.deps(stage, &disk.world, &made(&stages)).ok()?;
        let inputs = self.inputs(stage, pipeline, deps);
        let decision = self.decide(stage, &inputs, &disk.world, &disk.lock, false).ok()?;
        if inputs == locked.inputs || !matches!(decision, Decision::Run { .. }) {
            return None;
        }
        let mut outs = locked.outs.clone();
        outs.retain(|path, _| inputs.outs.contains(path));
        let as_locked = |path: &String| disk.world.get(path) == outs.get(path);
        if !inputs.outs.iter().all(|path| locked.inputs.outs.contains(path) && as_locked(path)) {
            return None;
        }
        Some(self.learn(Trace { inputs, outs, accepted: Some(reason.to_owned()) }))
    }
}

/// Where something is to be brought back.
#[derive(Debug)]
enum Place {
    Path(String),
    Glob(Glob),
}

impl Place {
    fn text(&self) -> String {
        match self {
            Place::Path(path) => path.clone(),
            Place::Glob(glob) => glob.text(),
        }
    }

    /// What of an out is meant.
    fn of(&self, out: &str, node: &Node, found: &mut Vec<(String, Node)>) {
        match self {
            Place::Path(path) if is_at_or_below(out, path) => {
                found.push((out.to_owned(), node.clone()))
            }
            Place::Path(path) => {
                let below = path.strip_prefix(out).and_then(|below| below.strip_prefix('/'));
                let inner = below.and_then(|below| node.get(below));
                found.extend(inner.map(|inner| (path.clone(), inner.clone())));
            }
            Place::Glob(glob) if glob.matches(out) => found.push((out.to_owned(), node.clone())),
            Place::Glob(_) => {
                let Node::Dir(entries) = node else { return };
                entries
                    .iter()
                    .for_each(|(name, node)| self.of(&format!("{out}/{name}"), node, found));
            }
        }
    }
}

/// One of what the lock names, something in it, or a folder that it lies in.
fn random_place(disk: &Disk, random: &mut Random) -> Option<Place> {
    let mut paths = Vec::new();
    let mut globs = Vec::new();
    for (out, node) in disk.lock.values().flat_map(|trace| &trace.outs) {
        paths.extend(out.rsplit_once('/').map(|(above, _)| above.to_owned()));
        node.visit(out, &mut |path, _| paths.push(path.to_owned()));
        let base = if out.contains('.') {
            out.rsplit_once('/').map_or("", |(above, _)| above)
        } else {
            out
        };
        for ext in ["x", "txt", "o"] {
            globs.extend([false, true].map(|deep| Glob {
                base: base.to_owned(),
                deep,
                ext: ext.to_owned(),
            }));
        }
    }
    if random.percent(60) {
        random.any(&paths).map(Place::Path)
    } else {
        random.any(&globs).map(Place::Glob)
    }
}

/// Links to what has a name of its own in the project: it changes with that.
fn aliases(root: &Path) -> Vec<String> {
    let (mut aliases, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match fs::read_link(&path) {
                Ok(target)
                    if path.exists() && !target.to_str().unwrap().contains("cache/objects/") =>
                {
                    aliases.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
                Ok(_) => {}
                Err(_) if path.is_dir() => open.push(path),
                Err(_) => {}
            }
        }
    }
    aliases
}

/// What is to lie where of what the lock names: nothing is said of what is not kept in the cache.
fn wanted(disk: &Disk, place: Option<&Place>, stages: &[Stage]) -> Vec<(String, Option<Node>)> {
    let mut wanted = Vec::new();
    for (name, trace) in &disk.lock {
        let stage = stages.iter().find(|stage| stage.name == *name);
        let outs = stage.iter().flat_map(|stage| &stage.outs);
        let loose: Vec<&String> = outs.filter(|out| !out.kept).map(|out| &out.path).collect();
        let mut parts = Vec::new();
        for (out, node) in &trace.outs {
            match place {
                Some(place) => place.of(out, node, &mut parts),
                None => parts.push((out.clone(), node.clone())),
            }
        }
        let mut found: Vec<_> = parts.into_iter().map(|(path, node)| (path, Some(node))).collect();
        if place.is_none() {
            found.extend(trace.absent().map(|path| (path.clone(), None)));
        }
        found.retain(|(path, _)| !loose.iter().any(|out| is_at_or_below(path, out)));
        wanted.extend(found);
    }
    wanted
}

fn overlaps(disk: &Disk) -> bool {
    let outs: Vec<&String> = disk.lock.values().flat_map(|trace| trace.outs.keys()).collect();
    outs.iter().enumerate().any(|(a, path)| {
        outs.iter().enumerate().any(|(b, other)| a != b && is_at_or_below(path, other))
    })
}
