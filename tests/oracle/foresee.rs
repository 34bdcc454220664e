//! What a run will do, stage by stage, and what will lie on the disk then.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::choice::Choice;
use crate::declared::{Pipeline, Policy, Stage, ordered};
use crate::model::{Decision, Disk, Lock, Oracle, Trouble, loads, made};
use crate::traces::{Inputs, Outs, Trace};
use crate::tree::Node;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Fresh,
    Restored,
    Ran,
    /// Whether an object is found damaged or was put back by another stage hangs on their order.
    RanOrRestored,
    Failed,
    Skipped,
}

#[derive(Debug)]
pub struct Foreseen {
    pub outcomes: BTreeMap<String, Outcome>,
    /// The lines that processes leave, by stage.
    pub ran: BTreeMap<String, Vec<String>>,
    /// Stages of which more or fewer processes may run than that.
    pub loose: BTreeSet<String>,
    /// What each stage puts into the cache at some time of the run, if it does anything: digests of objects.
    puts: BTreeMap<String, BTreeSet<String>>,
    /// Of stages that run though all or a part of their outs was made before: what keeps those from being brought back.
    lacking: BTreeMap<String, Lacking>,
    pub world: Node,
    pub lock: Lock,
    /// Whether a stage that may not run gets its outs back hangs on whether another stage has made them before.
    pub unsure: bool,
    /// Where something half done may lie.
    pub blurred: BTreeSet<String>,
    /// Stages that keep outs of items which were accepted.
    vouched: BTreeSet<String>,
}

/// The objects that a stage would have to find in the cache in order to run less.
#[derive(Debug, Default)]
struct Lacking {
    /// For all of its outs at once, by one trace or another.
    whole: Vec<BTreeSet<String>>,
    /// For those of an item each.
    items: Vec<BTreeSet<String>>,
    /// A process runs whatever is found for the items.
    runs_anyway: bool,
    /// What would be brought back was accepted: it may be something else than what a process makes.
    vouched: bool,
}

impl Foreseen {
    fn put(&mut self, stage: &str, node: Option<&Node>) {
        let digests = self.puts.entry(stage.to_owned()).or_default();
        digests.extend(node.into_iter().flat_map(Node::digests));
    }

    /// After the first failure nothing more was started: what was skipped is as it was before.
    pub fn cut(&mut self, skipped: &BTreeSet<String>, before: &Disk, stages: &[Stage]) {
        for stage in stages.iter().filter(|stage| skipped.contains(&stage.name)) {
            let name = &stage.name;
            self.outcomes.insert(name.clone(), Outcome::Skipped);
            self.ran.remove(name);
            for path in stage.out_paths() {
                match before.world.get(path) {
                    Some(node) => self.world.lay(path, node.clone()),
                    None => self.world.remove(path),
                }
            }
            match before.lock.get(name) {
                Some(trace) => drop(self.lock.insert(name.clone(), Rc::clone(trace))),
                None => drop(self.lock.remove(name)),
            }
            // Some of its items may have been processed.
            if stage.each.is_some() {
                self.loose.insert(name.clone());
                self.blurred.extend(stage.out_paths().iter().map(|path| (*path).to_owned()));
            }
        }
    }

    /// A stage that lacks objects runs less if another one puts them there first.
    fn settle_order(&mut self, order: &[(Stage, BTreeSet<String>)]) {
        for (name, lacking) in &self.lacking {
            let later = with_later(name, order);
            let others = self.puts.iter().filter(|(other, _)| !later.contains(other));
            let others: BTreeSet<&String> = others.flat_map(|(_, digests)| digests).collect();
            let may_be_had =
                |digests: &BTreeSet<String>| digests.iter().all(|digest| others.contains(digest));
            let whole = lacking.whole.iter().any(may_be_had);
            let all_items = !lacking.runs_anyway && lacking.items.iter().all(may_be_had);
            self.unsure |= whole && lacking.vouched;
            if whole || lacking.items.iter().any(may_be_had) {
                self.loose.insert(name.clone());
            }
            if let Some(outcome @ Outcome::Ran) = self.outcomes.get_mut(name)
                && (whole || all_items)
            {
                *outcome = Outcome::RanOrRestored;
            }
        }
    }
}

/// A stage, and those that come after it whatever the order.
fn with_later<'a>(
    name: &'a String,
    order: &'a [(Stage, BTreeSet<String>)],
) -> BTreeSet<&'a String> {
    let mut later = BTreeSet::from([name]);
    for (stage, needs) in order {
        if needs.iter().any(|need| later.contains(need)) {
            later.insert(&stage.name);
        }
    }
    later
}

impl Oracle {
    pub fn foresee(
        &mut self,
        pipeline: &Pipeline,
        disk: &Disk,
        choice: &Choice,
    ) -> Result<Foreseen, Trouble> {
        let stages = pipeline.expanded();
        loads(&stages, &disk.world)?;
        let made = made(&stages);
        let mut foreseen = Foreseen {
            outcomes: BTreeMap::new(),
            ran: BTreeMap::new(),
            loose: BTreeSet::new(),
            puts: BTreeMap::new(),
            lacking: BTreeMap::new(),
            world: disk.world.clone(),
            lock: disk.lock.clone(),
            unsure: false,
            blurred: BTreeSet::new(),
            vouched: BTreeSet::new(),
        };
        let order = ordered(&stages).unwrap();
        for (stage, needs) in order.iter().filter(|(stage, _)| choice.wants(&stage.name)) {
            let is_bad = |need: &String| {
                matches!(foreseen.outcomes.get(need), Some(Outcome::Failed | Outcome::Skipped))
            };
            let outcome = if needs.iter().any(is_bad) {
                Outcome::Skipped
            } else {
                match self.perform(
                    stage,
                    pipeline,
                    &made,
                    choice.forces(&stage.name),
                    &mut foreseen,
                ) {
                    Some((outcome, trace)) => {
                        foreseen.lock.insert(stage.name.clone(), trace);
                        outcome
                    }
                    None => {
                        foreseen
                            .blurred
                            .extend(stage.out_paths().iter().map(|path| (*path).to_owned()));
                        Outcome::Failed
                    }
                }
            };
            foreseen.outcomes.insert(stage.name.clone(), outcome);
        }
        foreseen.settle_order(&order);
        foreseen.lock.retain(|name, _| stages.iter().any(|stage| stage.name == *name));
        Ok(foreseen)
    }

    fn perform(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        made: &[String],
        forced: bool,
        foreseen: &mut Foreseen,
    ) -> Option<(Outcome, Rc<Trace>)> {
        let deps = self.deps(stage, &foreseen.world, made).ok()?;
        let inputs = self.inputs(stage, pipeline, deps);
        let may_run = !stage.tracked && stage.policy != Policy::Frozen;
        let decision = self.decide(stage, &inputs, &foreseen.world, &foreseen.lock, forced);
        foreseen.unsure |= decision.is_err() && !may_run && foreseen.lock.contains_key(&stage.name);
        let decision = decision.ok()?;
        if !matches!(decision, Decision::Fresh(_)) {
            // What lies in the way is kept.
            for path in &inputs.outs {
                let node = foreseen.world.get(path).cloned();
                foreseen.put(&stage.name, node.as_ref());
            }
        }
        let (trace, outcome) = match decision {
            Decision::Fresh(trace) => return Some((Outcome::Fresh, trace)),
            Decision::Restore(trace) => {
                let differs =
                    |(path, node): &(&String, &Node)| foreseen.world.get(path) != Some(*node);
                let whole = trace.outs.iter().filter(differs).all(|(_, node)| self.has_whole(node));
                if whole {
                    (trace, Outcome::Restored)
                } else if !may_run || self.is_vouched(&trace) {
                    foreseen.unsure = true;
                    return None;
                } else {
                    self.execute(stage, pipeline, &inputs, true, foreseen)?;
                    foreseen.loose.insert(stage.name.clone());
                    (trace, Outcome::RanOrRestored)
                }
            }
            Decision::Run { lacks } => {
                let known =
                    foreseen.lock.get(&stage.name).cloned().into_iter().chain(self.cached(&inputs));
                let vouched = known.into_iter().any(|trace| self.is_vouched(&trace));
                let lacking = foreseen.lacking.entry(stage.name.clone()).or_default();
                lacking.vouched = vouched;
                lacking.whole = lacks;
                // A stage that runs each time processes all its items.
                let forced = forced || stage.policy == Policy::Always;
                let (outs, outcome) = self.execute(stage, pipeline, &inputs, forced, foreseen)?;
                let trace = self.learn(Trace { inputs, outs, accepted: None });
                if foreseen.vouched.contains(&stage.name) {
                    self.vouched.insert(trace.text());
                }
                let loose = foreseen.loose.contains(&stage.name);
                (trace, if loose { Outcome::RanOrRestored } else { outcome })
            }
        };
        for path in trace.absent() {
            foreseen.world.remove(path);
        }
        let lay = |(path, node): (&String, &Node)| {
            foreseen.put(&stage.name, Some(node));
            foreseen.world.put(path, node.clone())
        };
        trace.outs.iter().all(lay).then_some((outcome, trace))
    }

    /// The outs that a stage will make; `None` if it will fail.
    fn execute(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        inputs: &Inputs,
        forced: bool,
        foreseen: &mut Foreseen,
    ) -> Option<(Outs, Outcome)> {
        let world = foreseen.world.clone();
        if stage.tracked {
            let outs =
                inputs.outs.iter().map(|path| (path.clone(), world.get(path).unwrap().clone()));
            let outs: Outs = outs.collect();
            return (!outs.values().any(Node::is_unplantable)).then_some((outs, Outcome::Ran));
        }
        let is_folder = |path: &str| matches!(world.get(path), Some(Node::Dir(_)));
        if stage.wdir.as_ref().is_some_and(|wdir| !is_folder(wdir)) {
            return None;
        }
        let blocked = stage.out_paths().into_iter().any(|path| {
            let above = path.rsplit_once('/').map(|(above, _)| above);
            above.is_some_and(|above| world.get(above).is_some() && !is_folder(above))
        });
        if blocked {
            return None;
        }
        let work = self.work(stage, pipeline, inputs.deps.clone());
        let mut outs = Outs::new();
        let mut process = true;
        let ran = foreseen.ran.entry(stage.name.clone()).or_default();
        let lacking = foreseen.lacking.entry(stage.name.clone()).or_default();
        let puts = foreseen.puts.entry(stage.name.clone()).or_default();
        if let Some(each) = &stage.each {
            let items = self.items(stage, inputs, &work);
            let locked = self.locked_items(stage, inputs, &world, &foreseen.lock);
            let vouched =
                foreseen.lock.get(&stage.name).is_some_and(|trace| self.is_vouched(trace));
            let mut folder = Node::Dir(BTreeMap::new());
            let mut failed = false;
            let mut stale = 0;
            for item in &items {
                // The command has made it, or it was accepted.
                let lies_there = world.get(&item.out).filter(|_| locked.contains(&item.path));
                let as_locked = lies_there.map(|node| Rc::new(item.made(node.clone())));
                let cached = self.item_known(&item.inputs, &world).filter(|_| !forced);
                let had = cached
                    .as_ref()
                    .filter(|(_, gone)| gone.is_empty())
                    .map(|(trace, _)| Rc::clone(trace));
                let as_locked_counts = as_locked.is_some() && !forced;
                let known = as_locked.filter(|_| !forced).or(had);
                if as_locked_counts {
                    foreseen.vouched.extend(vouched.then(|| stage.name.clone()));
                }
                if let Some(known) = &known {
                    let differs = |(path, node): (&String, &Node)| {
                        world.get(path) != Some(node) && !self.has_whole(node)
                    };
                    if known.outs.iter().any(differs) {
                        foreseen.loose.insert(stage.name.clone());
                    }
                } else {
                    stale += 1;
                    if !failed {
                        ran.push(format!("{} {}", stage.name, item.path));
                    }
                    failed |= item.trace.is_none();
                    match cached {
                        Some((_, gone)) => lacking.items.push(gone),
                        None => lacking.runs_anyway = true,
                    }
                }
                if let Some(trace) = known.as_ref().or(item.trace.as_ref()) {
                    puts.extend(trace.outs.values().flat_map(Node::digests));
                    let below = item.out.strip_prefix(&each.folder).unwrap();
                    folder.put(&below[1..], trace.outs[&item.out].clone());
                }
            }
            if failed {
                if each.apart {
                    foreseen.loose.insert(stage.name.clone());
                }
                return None;
            }
            process = stale > 0 || (!stage.outs.is_empty() && !each.apart);
            lacking.runs_anyway |= !stage.outs.is_empty() && !each.apart;
            outs.insert(each.folder.clone(), folder);
        } else {
            lacking.runs_anyway = true;
        }
        if process && !stage.each.as_ref().is_some_and(|each| each.apart) {
            ran.push(stage.name.clone());
        }
        for out in &stage.outs {
            match work.out(out.shape, out.shy)? {
                Some(node) => drop(outs.insert(out.path.clone(), node)),
                None if out.optional => {}
                None => return None,
            }
        }
        Some((outs, if process { Outcome::Ran } else { Outcome::Restored }))
    }
}
