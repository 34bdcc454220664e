//! Predicts a run: the outcome of each stage, and the state of the disk afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use repro::engine::OnForeign;

use crate::choice::Choice;
use crate::declared::{Pipeline, Policy, Stage, ordered};
use crate::foreign::{Claims, obstacle, refusal};
use crate::model::{Decision, Disk, Lock, Oracle, all_outs, loads};
use crate::problem::{ENVIRONMENT, Problem, STAGE_FAILED, USAGE};
use crate::traces::{Inputs, Outs, Trace};
use crate::tree::Node;
use crate::work::is_at_or_below;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Fresh,
    Restored,
    Ran,
    /// Depends on the order of stages: another one may store a missing object first, or an object
    /// may be found damaged.
    RanOrRestored,
    Failed,
    Skipped,
}

#[derive(Debug)]
pub struct ExpectedRun {
    pub outcomes: BTreeMap<String, Outcome>,
    /// The errors of the stages that fail.
    pub problems: BTreeMap<String, Problem>,
    /// The lines that the processes of each stage append to the file `ran`.
    pub ran: BTreeMap<String, Vec<String>>,
    /// Stages that may run more or fewer processes than `ran` lists.
    pub loose: BTreeSet<String>,
    /// Digests of the objects that each stage stores in the cache at some time of the run.
    stores: BTreeMap<String, BTreeSet<String>>,
    /// For stages that run although outs were made before: the objects that prevent a restore.
    blockers: BTreeMap<String, Blockers>,
    /// Stages that would replace files that no stage made.
    foreign: BTreeSet<String>,
    claims: Claims,
    on_foreign: OnForeign,
    pub workspace: Node,
    pub lock: Lock,
    /// The outcome of a stage that may not run depends on the order of stages: another stage may
    /// store its outs first.
    pub order_dependent: bool,
    /// Paths where something half done may be.
    pub unchecked: BTreeSet<String>,
    /// Stages that keep item outs from an accepted trace.
    accepted: BTreeSet<String>,
}

/// The objects that a stage would have to find in the cache to run less.
#[derive(Debug, Default)]
struct Blockers {
    /// For all of its outs, one set per known trace.
    whole: Vec<BTreeSet<String>>,
    /// For the outs of one item each.
    items: Vec<BTreeSet<String>>,
    /// A process runs, whatever the cache holds for the items.
    runs_anyway: bool,
    /// The trace that could be restored was accepted, so its outs may differ from what a process
    /// makes.
    accepted: bool,
}

impl ExpectedRun {
    fn store(&mut self, stage: &str, node: Option<&Node>) {
        let digests = self.stores.entry(stage.to_owned()).or_default();
        digests.extend(node.into_iter().flat_map(Node::digests));
    }

    /// Records that a stage stores the listings of its deps: all directories in them, but no files.
    fn store_listings(&mut self, stage: &str, deps: &BTreeMap<String, Node>) {
        let digests = self.stores.entry(stage.to_owned()).or_default();
        for dep in deps.values() {
            dep.visit("", &mut |_, node| {
                if let Node::Dir(_) = node {
                    digests.insert(node.digest());
                }
            });
        }
    }

    /// Returns the stages that fail, each with its error.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &Problem)> {
        let fails = |name: &str| self.outcomes.get(name) == Some(&Outcome::Failed);
        let problems = self.problems.iter().map(|(name, problem)| (name.as_str(), problem));
        problems.filter(move |(name, _)| fails(name))
    }

    /// Resets the stages that were skipped because nothing starts after the first failure.
    pub fn cut(&mut self, skipped: &BTreeSet<String>, before: &Disk, stages: &[Stage]) {
        for stage in stages.iter().filter(|stage| skipped.contains(&stage.name)) {
            let name = &stage.name;
            self.outcomes.insert(name.clone(), Outcome::Skipped);
            self.ran.remove(name);
            for path in stage.out_paths() {
                match before.workspace.get(path) {
                    Some(node) => self.workspace.place(path, node.clone()),
                    None => self.workspace.remove(path),
                }
            }
            match before.lock.get(name) {
                Some(trace) => drop(self.lock.insert(name.clone(), Rc::clone(trace))),
                None => drop(self.lock.remove(name)),
            }
            // Some of its items may have been processed before the failure.
            if stage.each.is_some() {
                self.loose.insert(name.clone());
                self.unchecked.extend(stage.out_paths().iter().map(|path| (*path).to_owned()));
            }
        }
    }

    /// Loosens the outcome of stages that run less if another stage stores the missing objects
    /// first.
    fn settle_order(&mut self, order: &[(Stage, BTreeSet<String>)]) {
        for (name, blockers) in &self.blockers {
            let later = with_later(name, order);
            let others = self.stores.iter().filter(|(other, _)| !later.contains(other));
            let others: BTreeSet<&String> = others.flat_map(|(_, digests)| digests).collect();
            let may_be_stored =
                |digests: &BTreeSet<String>| digests.iter().all(|digest| others.contains(digest));
            let whole = blockers.whole.iter().any(may_be_stored);
            let all_items = !blockers.runs_anyway && blockers.items.iter().all(may_be_stored);
            self.order_dependent |= whole && blockers.accepted;
            if whole || blockers.items.iter().any(may_be_stored) {
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

/// Returns a stage and all stages that come after it in every order.
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
    /// Predicts a run of the selected stages.
    ///
    /// # Errors
    /// The pipeline does not load.
    pub fn expect_run(
        &mut self,
        pipeline: &Pipeline,
        disk: &Disk,
        choice: &Choice,
    ) -> Result<ExpectedRun, Vec<Problem>> {
        let stages = pipeline.expanded();
        loads(&stages, &disk.workspace)?;
        let outs = all_outs(&stages);
        let mut run = ExpectedRun {
            outcomes: BTreeMap::new(),
            problems: BTreeMap::new(),
            ran: BTreeMap::new(),
            loose: BTreeSet::new(),
            stores: BTreeMap::new(),
            blockers: BTreeMap::new(),
            foreign: BTreeSet::new(),
            claims: Claims::of(disk),
            on_foreign: choice.on_foreign,
            workspace: disk.workspace.clone(),
            lock: disk.lock.clone(),
            order_dependent: false,
            unchecked: BTreeSet::new(),
            accepted: BTreeSet::new(),
        };
        let order = ordered(&stages).unwrap();
        for (stage, needs) in order.iter().filter(|(stage, _)| choice.selects(&stage.name)) {
            let is_bad = |need: &String| {
                matches!(run.outcomes.get(need), Some(Outcome::Failed | Outcome::Skipped))
            };
            let outcome = if needs.iter().any(is_bad) {
                Outcome::Skipped
            } else {
                match self.perform(stage, pipeline, &outs, choice.forces(&stage.name), &mut run) {
                    Ok((outcome, trace)) => {
                        run.lock.insert(stage.name.clone(), trace);
                        outcome
                    }
                    Err(problem) => {
                        run.problems.insert(stage.name.clone(), problem);
                        if !run.foreign.contains(&stage.name) {
                            let outs = stage.out_paths();
                            run.unchecked.extend(outs.iter().map(|path| (*path).to_owned()));
                        }
                        Outcome::Failed
                    }
                }
            };
            run.outcomes.insert(stage.name.clone(), outcome);
        }
        run.settle_order(&order);
        run.lock.retain(|name, _| stages.iter().any(|stage| stage.name == *name));
        Ok(run)
    }

    fn perform(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        outs: &[String],
        forced: bool,
        run: &mut ExpectedRun,
    ) -> Result<(Outcome, Rc<Trace>), Problem> {
        let deps = self.deps(stage, &run.workspace, outs)?;
        let inputs = self.inputs(stage, pipeline, deps);
        let may_run = !stage.tracked && stage.policy != Policy::Frozen;
        let decision = self.decide(stage, &inputs, &run.workspace, &run.lock, forced);
        run.order_dependent |= decision.is_err() && !may_run && run.lock.contains_key(&stage.name);
        let decision = decision?;
        self.refuse_foreign(stage, (&inputs, &decision), run)?;
        if !matches!(decision, Decision::Fresh(_)) {
            for path in &inputs.outs {
                if let Some(obstacle) = obstacle(&run.workspace, path) {
                    let node = run.workspace.get(obstacle).cloned();
                    run.store(&stage.name, node.as_ref());
                    run.workspace.remove(obstacle);
                }
            }
            // Whatever is at the paths of the outs is stored before it is replaced.
            for path in &inputs.outs {
                let node = run.workspace.get(path).cloned();
                run.store(&stage.name, node.as_ref());
            }
        }
        let (trace, outcome) = match decision {
            Decision::Fresh(trace) => return Ok((Outcome::Fresh, trace)),
            Decision::Restore(trace) => {
                let differs =
                    |(path, node): &(&String, &Node)| run.workspace.get(path) != Some(*node);
                let whole = trace.outs.iter().filter(differs).all(|(_, node)| self.has_whole(node));
                if whole {
                    (trace, Outcome::Restored)
                } else if !may_run || self.is_accepted(&trace) {
                    run.order_dependent = true;
                    return Err(Problem::naming(ENVIRONMENT, &[]));
                } else {
                    self.execute(stage, pipeline, &inputs, true, run)?;
                    run.loose.insert(stage.name.clone());
                    (trace, Outcome::RanOrRestored)
                }
            }
            Decision::Run { missing } => {
                let known =
                    run.lock.get(&stage.name).cloned().into_iter().chain(self.cached(&inputs));
                let accepted = known.into_iter().any(|trace| self.is_accepted(&trace));
                let blockers = run.blockers.entry(stage.name.clone()).or_default();
                blockers.accepted = accepted;
                blockers.whole = missing;
                // A stage with `always` processes all its items.
                let forced = forced || stage.policy == Policy::Always;
                let (outs, outcome) = self.execute(stage, pipeline, &inputs, forced, run)?;
                run.store_listings(&stage.name, &inputs.deps);
                let trace = self.learn(Trace { inputs, outs, accepted: None });
                if run.accepted.contains(&stage.name) {
                    self.accepted.insert(trace.text());
                }
                let loose = run.loose.contains(&stage.name);
                (trace, if loose { Outcome::RanOrRestored } else { outcome })
            }
        };
        for path in trace.absent() {
            run.workspace.remove(path);
        }
        for (path, node) in &trace.outs {
            run.store(&stage.name, Some(node));
            if !run.workspace.put(path, node.clone()) {
                return Err(Problem::in_folder_of(path));
            }
        }
        Ok((outcome, trace))
    }

    /// Fails if the stage would replace files that no stage made.
    fn refuse_foreign(
        &self,
        stage: &Stage,
        found: (&Inputs, &Decision),
        run: &mut ExpectedRun,
    ) -> Result<(), Problem> {
        if run.on_foreign == OnForeign::Replace {
            return Ok(());
        }
        let files = self.unclaimed(stage, found, &run.workspace, &run.claims);
        let foreign = self.unknown(&files, found.0, found.1);
        // A damaged object is removed when another stage tries to restore it.
        let is_damaged = |path: &String| {
            let node = run.workspace.get(path);
            !foreign.contains_key(path) && !node.is_some_and(|node| self.has_whole(node))
        };
        run.order_dependent |= files.keys().any(is_damaged);
        let Some(problem) = refusal(&foreign) else { return Ok(()) };
        run.foreign.insert(stage.name.clone());
        Err(problem)
    }

    /// Returns the outs that a stage will make.
    ///
    /// # Errors
    /// The stage will fail.
    fn execute(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        inputs: &Inputs,
        forced: bool,
        run: &mut ExpectedRun,
    ) -> Result<(Outs, Outcome), Problem> {
        let workspace = run.workspace.clone();
        if stage.tracked {
            let outs =
                inputs.outs.iter().map(|path| (path.clone(), workspace.get(path).unwrap().clone()));
            let outs: Outs = outs.collect();
            return match outs.values().any(Node::is_unrestorable) {
                true => Err(Problem::naming(STAGE_FAILED, &[])),
                false => Ok((outs, Outcome::Ran)),
            };
        }
        let is_folder = |path: &str| matches!(workspace.get(path), Some(Node::Dir(_)));
        let holds_outs = |wdir: &String| {
            let mut outs = stage.out_paths().into_iter();
            outs.any(|out| is_at_or_below(out, wdir) || is_at_or_below(wdir, out))
        };
        if let Some(wdir) = stage.wdir.as_ref().filter(|wdir| !is_folder(wdir) && !holds_outs(wdir))
        {
            return Err(Problem::naming(USAGE, &[wdir]));
        }
        let work = self.work(stage, pipeline, inputs.deps.clone());
        let mut outs = Outs::new();
        let mut process = true;
        let ran = run.ran.entry(stage.name.clone()).or_default();
        let blockers = run.blockers.entry(stage.name.clone()).or_default();
        let stores = run.stores.entry(stage.name.clone()).or_default();
        if let Some(each) = &stage.each {
            let items = self.items(stage, inputs, &work);
            let locked = self.locked_items(stage, inputs, &workspace, &run.lock);
            let accepted = run.lock.get(&stage.name).is_some_and(|trace| self.is_accepted(trace));
            let mut folder = Node::Dir(BTreeMap::new());
            let mut failed = false;
            let mut stale = 0;
            for item in &items {
                // The command made it, or it was accepted.
                let present = workspace.get(&item.out).filter(|_| locked.contains(&item.path));
                let as_locked = present.map(|node| Rc::new(item.trace_with(node.clone())));
                let cached = self.item_known(&item.inputs, &workspace).filter(|_| !forced);
                let had = cached
                    .as_ref()
                    .filter(|(_, missing)| missing.is_empty())
                    .map(|(trace, _)| Rc::clone(trace));
                let as_locked_counts = as_locked.is_some() && !forced;
                let known = as_locked.filter(|_| !forced).or(had);
                if as_locked_counts {
                    run.accepted.extend(accepted.then(|| stage.name.clone()));
                }
                if let Some(known) = &known {
                    let differs = |(path, node): (&String, &Node)| {
                        workspace.get(path) != Some(node) && !self.has_whole(node)
                    };
                    if known.outs.iter().any(differs) {
                        run.loose.insert(stage.name.clone());
                    }
                } else {
                    stale += 1;
                    if !failed {
                        ran.push(format!("{} {}", stage.name, item.path));
                    }
                    failed |= item.trace.is_none();
                    match cached {
                        Some((_, missing)) => blockers.items.push(missing),
                        None => blockers.runs_anyway = true,
                    }
                }
                if let Some(trace) = known.as_ref().or(item.trace.as_ref()) {
                    stores.extend(trace.outs.values().flat_map(Node::digests));
                    let below = item.out.strip_prefix(&each.folder).unwrap();
                    folder.put(&below[1..], trace.outs[&item.out].clone());
                }
            }
            if failed {
                if each.per_item {
                    run.loose.insert(stage.name.clone());
                }
                return Err(Problem::exited());
            }
            process = stale > 0 || (!stage.outs.is_empty() && !each.per_item);
            blockers.runs_anyway |= !stage.outs.is_empty() && !each.per_item;
            outs.insert(each.folder.clone(), folder);
        } else {
            blockers.runs_anyway = true;
        }
        if process && !stage.each.as_ref().is_some_and(|each| each.per_item) {
            ran.push(stage.name.clone());
        }
        for out in &stage.outs {
            match work.out(out.shape, out.flaky).ok_or_else(Problem::exited)? {
                Some(node) => drop(outs.insert(out.path.clone(), node)),
                None if out.optional => {}
                None => return Err(Problem::naming(STAGE_FAILED, &[&out.path])),
            }
        }
        Ok((outs, if process { Outcome::Ran } else { Outcome::Restored }))
    }
}
