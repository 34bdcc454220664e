//! The commands besides `run` and `status`: what they must do, and what they must not change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use crate::declared::{Glob, Pipeline, Policy, Stage};
use crate::drive::{self, Done};
use crate::edits;
use crate::foreign::Claims;
use crate::model::{Decision, Disk, Oracle, all_outs, loads};
use crate::problem::{ENVIRONMENT, Problem, Refusal, USAGE};
use crate::random::Random;
use crate::sequence::{Sequence, Step};
use crate::traces::Trace;
use crate::tree::{Node, without_empty};
use crate::work::is_at_or_below;

impl Sequence {
    /// Collects garbage. The workspace, and everything the lock could restore, must stay.
    pub(super) fn gc(&mut self, random: &mut Random) -> Step {
        self.log("repro gc");
        let before = self.oracle.read_disk()?;
        let outs = before.lock.values().flat_map(|trace| &trace.outs);
        let had: Vec<_> = outs.filter(|(_, node)| self.oracle.has_whole(node)).collect();
        let runs = random.pick(&["0", "1", "all"]);
        let Done { exit, stderr, .. } =
            drive::program(&self.root, &["gc", "--yes", "--runs", runs])?;
        match loads(&self.pipeline.expanded(), &before.workspace) {
            _ if exit == 0 => {}
            Err(problems) => {
                let check = Refusal::parse(exit, &stderr).check(&problems);
                check.map_err(|what| format!("gc: {what}"))?;
            }
            // It deletes nothing if a tree object is damaged.
            Ok(()) if exit == ENVIRONMENT && edits::has_damaged_object(&self.root) => {}
            Ok(()) => return Err(format!("gc: exit code {exit}\n{stderr}")),
        }
        let after = self.oracle.read_disk()?;
        if after.workspace != before.workspace || after.lock.keys().ne(before.lock.keys()) {
            return Err(format!("gc: changed files outside the cache\n{stderr}"));
        }
        match had.iter().find(|(_, node)| !self.oracle.has_whole(node)) {
            Some((path, _)) => Err(format!("gc: the cache lacks `{path}` now\n{stderr}")),
            None => Ok(()),
        }
    }

    /// Accepts the present state of one stage.
    pub(super) fn accept(&mut self, random: &mut Random) -> Step {
        let stages = self.pipeline.expanded();
        let Some(stage) = random.any(&stages) else {
            self.counts.undecided("without a stage to accept");
            return Ok(());
        };
        let (name, reason) = (&stage.name, random.pick(&["a comment", "another"]));
        self.log(&format!("repro accept {name} --reason {reason:?}"));
        let mut expected = self.oracle.read_disk()?;
        let trace = self.oracle.acceptable(&stage, &self.pipeline.clone(), &expected, reason);
        if let Ok(trace) = &trace {
            self.oracle.accepted.insert(trace.text());
            expected.lock.insert(name.clone(), Rc::clone(trace));
        }
        let Done { exit, stderr, .. } =
            drive::program(&self.root, &["accept", name, "--reason", reason])?;
        match &trace {
            Ok(_) if exit == 0 => {}
            Err(problems) if exit != 0 => {
                let check = Refusal::parse(exit, &stderr).check(problems);
                check.map_err(|what| format!("accept `{name}`: {what}"))?;
            }
            _ => {
                return Err(format!(
                    "accept `{name}`: should be {trace:?}, exit code {exit}: {stderr}"
                ));
            }
        }
        let after = self.oracle.read_disk()?;
        let texts = |disk: &Disk| -> BTreeMap<String, String> {
            disk.lock.iter().map(|(name, trace)| (name.clone(), trace.text())).collect()
        };
        if after.workspace != expected.workspace || texts(&after) != texts(&expected) {
            return Err(format!("accept `{name}`: changed more or less than the lock\n{stderr}"));
        }
        Ok(())
    }

    /// Checks out everything, a path, or the matches of a glob.
    pub(super) fn checkout(&mut self, random: &mut Random) -> Step {
        edits::tidy(&self.root);
        let before = self.oracle.read_disk()?;
        let place = if random.percent(30) { None } else { random_place(&before, random) };
        self.checkout_place(place, before)
    }

    /// Checks out everything.
    pub(super) fn checkout_all(&mut self) -> Step {
        let before = self.oracle.read_disk()?;
        self.checkout_place(None, before)
    }

    fn checkout_place(&mut self, place: Option<Place>, mut before: Disk) -> Step {
        let text = place.as_ref().map(Place::text);
        self.log(&format!("repro checkout {}", text.as_deref().unwrap_or_default()));
        let stages = self.pipeline.expanded();
        let wanted = wanted(&before, place.as_ref(), &stages);
        let mut links = aliases(&self.root);
        let args = [&["checkout"], text.as_deref().as_slice()].concat();
        // What is replaced is stored first, so a missing object may exist afterwards.
        let outs = || before.lock.values().flat_map(|trace| &trace.outs);
        let has_all = outs().all(|(_, node)| self.oracle.has_whole(node));
        let Done { exit, stdout, stderr } = drive::program(&self.root, &args)?;
        if ![0, USAGE, ENVIRONMENT].contains(&exit) || (exit == 0) == stderr.contains("error: ") {
            return Err(format!("checkout: exit code {exit}\n{stdout}{stderr}"));
        }
        let said = stdout + &stderr;
        let mut after = self.oracle.read_disk()?;
        if overlaps(&before) {
            self.counts.undecided("of a checkout with overlapping outs");
            return Ok(());
        }
        links.extend(aliases(&self.root));
        let mut expected = before.workspace.clone();
        for (path, node) in &wanted {
            match node {
                Some(node) => expected.place(path, node.clone()),
                None => expected.remove(path),
            }
        }
        for path in &links {
            before.workspace.remove(path);
            expected.remove(path);
            after.workspace.remove(path);
        }
        let whole = has_all && loads(&stages, &before.workspace).is_ok();
        let is_way = |path: &str| matches!(before.workspace.get(path), None | Some(Node::Dir(_)));
        let ways =
            outs().all(|(path, _)| path.match_indices('/').all(|(at, _)| is_way(&path[..at])));
        if whole
            && ways
            && !wanted.is_empty()
            && (exit != 0 || without_empty(after.workspace.clone()) != without_empty(expected))
        {
            return Err(format!(
                "checkout: {wanted:?} was not restored, or more than that \
                 (exit code {exit})\n{said}"
            ));
        }
        let is_there = |(path, node): &(String, Option<Node>)| {
            links.contains(path) || after.workspace.get(path) == node.as_ref()
        };
        if exit == 0 && links.is_empty() && !wanted.iter().all(is_there) {
            return Err(format!("checkout: succeeded without restoring {wanted:?}\n{said}"));
        }
        let is_wanted = |path: &str| {
            wanted
                .iter()
                .any(|(wanted, _)| is_at_or_below(path, wanted) || is_at_or_below(wanted, path))
        };
        let claims = Claims::of(&before);
        let mut fault = None;
        before.workspace.visit("", &mut |path, node| {
            // What a failed stage left is not kept.
            let stays = || {
                after.workspace.get(path) == Some(node)
                    || self.oracle.has_whole(node)
                    || claims.is_left(path, node)
            };
            if !path.is_empty()
                && !matches!(node, Node::Dir(_))
                && !is_wanted(path)
                && after.workspace.get(path) != Some(node)
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
    /// Returns the trace that accepting a stage leads to.
    ///
    /// # Errors
    /// Accepting is refused.
    fn acceptable(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        disk: &Disk,
        reason: &str,
    ) -> Result<Rc<Trace>, Vec<Problem>> {
        let stages = pipeline.expanded();
        loads(&stages, &disk.workspace)?;
        let refused = || vec![Problem::naming(USAGE, &[&stage.name])];
        if stage.tracked || stage.policy == Policy::Always {
            return Err(refused());
        }
        let deps = self
            .deps(stage, &disk.workspace, &all_outs(&stages))
            .map_err(|problem| vec![problem])?;
        let inputs = self.inputs(stage, pipeline, deps);
        let decision = self.decide(stage, &inputs, &disk.workspace, &disk.lock, false);
        if matches!(decision, Ok(Decision::Fresh(_))) {
            return Err(refused());
        }
        let found = |path: &String| Some((path.clone(), disk.workspace.get(path)?.clone()));
        let outs: BTreeMap<String, Node> = inputs.outs.iter().filter_map(found).collect();
        let may_miss =
            |path: &String| stage.outs.iter().any(|out| out.path == *path && out.optional);
        if !inputs.outs.iter().all(|path| outs.contains_key(path) || may_miss(path)) {
            return Err(refused());
        }
        let locked = disk.lock.get(&stage.name);
        let as_locked = |locked: &Rc<Trace>| {
            inputs.outs.iter().all(|path| locked.outs.get(path) == outs.get(path))
        };
        let is_known = matches!(decision, Ok(Decision::Restore(_)));
        match (locked.is_some_and(as_locked), &stage.each) {
            (true, _) if is_known => return Err(refused()),
            (false, Some(each)) => {
                let items = each.glob.items(&inputs.deps[&each.glob.text()]);
                let mut made = items.iter().map(|(item, _)| each.out_of(item));
                if !made.all(|out| disk.workspace.get(&out).is_some()) {
                    return Err(refused());
                }
            }
            _ => {}
        }
        if outs.values().any(Node::is_unrestorable) {
            return Err(vec![Problem::naming(USAGE, &[])]);
        }
        Ok(self.learn(Trace { inputs, outs, accepted: Some(reason.to_owned()) }))
    }
}

/// The argument of a checkout.
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

    /// Collects the parts of an out that this selects.
    fn of(&self, out: &str, node: &Node, found: &mut Vec<(String, Node)>) {
        match self {
            Place::Path(path) if is_at_or_below(out, path) => {
                found.push((out.to_owned(), node.clone()));
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

/// Returns a path or glob for an out of the lock, for something in it, or for its parent folder.
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

/// Returns the links to other files of the project. Their content changes with their target.
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

/// Returns the paths that a checkout must restore, with `None` for absence; uncached outs are left
/// out.
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
