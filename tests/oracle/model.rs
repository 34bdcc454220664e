//! The oracle: what is true of a pipeline, from what lies on the disk at this moment and the texts of all traces there ever
//! were. It reads everything each time; it has no index, and nothing of the engine's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::choice::Choice;
use crate::declared::{Dep, Each, Pipeline, Policy, Stage, TOOL, ordered};
use crate::reasons::Reasons;
use crate::tree::Node;
use crate::work::{Work, is_at_or_below, item_work};

pub type Outs = BTreeMap<String, Node>;

/// A trace with its lines as docs/lock.md has them: those of the fingerprint, then the outs.
#[derive(Debug)]
pub struct Trace {
    pub inputs: Inputs,
    pub outs: Outs,
    pub accepted: Option<String>,
}

/// A fingerprint: facts by line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// Everything before the deps.
    pub head: Vec<String>,
    pub deps: BTreeMap<String, Node>,
    pub params: BTreeMap<String, i64>,
    pub outs: BTreeSet<String>,
}

impl Inputs {
    fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.head {
            let _ = writeln!(text, "{line}");
        }
        for (path, node) in &self.deps {
            let _ = writeln!(text, "dep {} {path}", node.content());
        }
        for (key, value) in &self.params {
            let _ = writeln!(text, "param {key} {value}");
        }
        text
    }

    pub fn key(&self) -> String {
        let outs = self.outs.iter().map(|path| format!("out {path}\n"));
        blake3::hash((self.text() + &outs.collect::<String>()).as_bytes()).to_hex().to_string()
    }
}

impl Trace {
    /// Outs that were not written.
    pub fn absent(&self) -> impl Iterator<Item = &String> {
        self.inputs.outs.iter().filter(|path| !self.outs.contains_key(*path))
    }

    pub fn text(&self) -> String {
        let mut text = self.inputs.text();
        for (path, node) in &self.outs {
            let _ = writeln!(text, "out {} {path}", node.content());
        }
        for path in self.absent() {
            let _ = writeln!(text, "absent {path}");
        }
        if let Some(reason) = &self.accepted {
            let _ = writeln!(text, "accepted {}", json!(reason));
        }
        text
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fresh,
    Restore,
    Run,
    Waits,
    Fails,
    Skipped,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Fresh => "fresh",
            Verdict::Restore => "restore",
            Verdict::Run => "run",
            Verdict::Waits => "waits",
            Verdict::Fails => "fails",
            Verdict::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Clone)]
pub enum Decision {
    Fresh(Rc<Trace>),
    Restore(Rc<Trace>),
    /// By each trace that is known, the objects for want of which its outs cannot be brought back.
    Run {
        lacks: Vec<BTreeSet<String>>,
    },
}

/// Why a stage cannot be decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(pub String);

pub type Lock = BTreeMap<String, Rc<Trace>>;

/// All that lies on the disk at one moment.
#[derive(Debug, Clone)]
pub struct Disk {
    pub world: Node,
    pub lock: Lock,
}

#[derive(Debug)]
pub struct Oracle {
    pub root: PathBuf,
    /// Every trace that there ever was, by text.
    pub known: HashMap<String, Rc<Trace>>,
    pub variables: BTreeMap<String, String>,
    /// The texts of traces whose outs nobody made of these inputs: they were accepted.
    pub vouched: HashSet<String>,
}

impl Oracle {
    pub fn learn(&mut self, trace: Trace) -> Rc<Trace> {
        Rc::clone(self.known.entry(trace.text()).or_insert_with(|| Rc::new(trace)))
    }

    pub fn is_vouched(&self, trace: &Trace) -> bool {
        self.vouched.contains(&trace.text())
    }

    /// What the tool of a stage answers, which lies beside the project.
    fn tool(&self) -> Result<String, Trouble> {
        let version = fs::read_to_string(self.root.with_file_name("version"));
        let version = version.map_err(|_| Trouble(format!("`{TOOL}` fails")))?;
        Ok(format!("version {}", version.trim_end()))
    }

    /// # Errors
    /// The lock holds what never was.
    pub fn look(&self) -> Result<Disk, String> {
        let mut world = BTreeMap::new();
        for entry in fs::read_dir(&self.root).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !["cache", "runs", "pipeline.toml", "pipeline.lock"].contains(&name.as_str()) {
                world.insert(name.clone(), Node::read(&self.root.join(&name)).unwrap());
            }
        }
        let text = fs::read_to_string(self.root.join("pipeline.lock")).unwrap_or_default();
        let mut lock = Lock::new();
        for block in text.split("\n\n").skip(1) {
            let (name, lines) = block.split_once('\n').unwrap_or((block, ""));
            let lines = format!("{}\n", lines.trim_end_matches('\n'));
            let trace =
                self.known.get(&lines).ok_or_else(|| format!("the lock has `{block}`, which never was"))?;
            lock.insert(name.strip_prefix("stage ").unwrap().to_owned(), Rc::clone(trace));
        }
        Ok(Disk { world: Node::Dir(world), lock })
    }

    fn in_cache(&self, shelf: &str, hex: &str) -> PathBuf {
        self.root.join("cache").join(shelf).join(&hex[..2]).join(&hex[2..])
    }

    /// The trace in the cache, if its text is whole.
    fn cached(&self, inputs: &Inputs) -> Option<Rc<Trace>> {
        let text = fs::read_to_string(self.in_cache("traces", &inputs.key())).ok()?;
        self.known.get(text.strip_prefix("repro.trace 1\n")?).cloned()
    }

    /// Whether the cache has all objects of `node`: trees whole, files by name.
    pub fn has(&self, node: &Node) -> bool {
        self.gone(node).is_empty()
    }

    /// The objects for want of which the cache does not have `node`.
    fn gone(&self, node: &Node) -> BTreeSet<String> {
        let mut gone = BTreeSet::new();
        node.visit("", &mut |_, node| {
            let digest = node.digest();
            let path = self.in_cache("objects", &digest);
            let had = match node {
                Node::Dir(_) => fs::read(&path).is_ok_and(|bytes| bytes == node.object()),
                _ => path.is_file(),
            };
            if !had {
                gone.insert(digest);
            }
        });
        gone
    }

    /// Whether all of `node` is in the cache, whole.
    pub fn has_whole(&self, node: &Node) -> bool {
        let object = node.object();
        let path = self.in_cache("objects", &node.digest());
        let below = match node {
            Node::Dir(entries) => entries.values().all(|node| self.has_whole(node)),
            _ => true,
        };
        below && fs::read(&path).is_ok_and(|bytes| bytes == object)
    }

    pub fn inputs(&self, stage: &Stage, pipeline: &Pipeline, deps: BTreeMap<String, Node>) -> Inputs {
        let mut head = Vec::new();
        head.extend(stage.cmd().map(|cmd| format!("cmd {}", json!(cmd))));
        head.extend(stage.wdir.iter().map(|wdir| format!("wdir {wdir}")));
        let each = stage.each.iter().flat_map(|each| [each.glob.text(), each.out_text()]);
        let each: BTreeSet<String> = each.collect();
        head.extend(each.iter().map(|text| format!("each {}", json!(text))));
        head.extend(stage.env.iter().map(|value| format!("env SHADE {}", json!(value))));
        for name in &stage.env_deps {
            head.push(format!("envdep {name} {}", json!(self.variables.get(name))));
        }
        if stage.has_tool {
            head.extend(self.tool().map(|answer| format!("tool {}", json!([TOOL, answer]))));
        }
        Inputs {
            head,
            deps,
            params: params_of(stage, pipeline),
            outs: stage.out_paths().iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    /// The contents of a stage's deps.
    pub fn deps(
        &self,
        stage: &Stage,
        world: &Node,
        made: &[String],
    ) -> Result<BTreeMap<String, Node>, Trouble> {
        let is_made = |path: &str| made.iter().any(|made| is_at_or_below(path, made));
        let own = stage.out_paths();
        let mut deps = BTreeMap::new();
        for (text, dep) in stage.all_deps() {
            // There may be no items.
            let is_of_items = stage.each.as_ref().is_some_and(|each| each.glob.text() == text);
            let nothing = || is_of_items.then(|| Node::Dir(BTreeMap::new()));
            match dep.look(world, &own, &is_made).or_else(nothing) {
                Some(node) => drop(deps.insert(text, node)),
                None if stage.policy == Policy::Frozen => {}
                None => return Err(Trouble(format!("dep `{text}` of `{}` is not there", stage.name))),
            }
        }
        if stage.has_tool {
            self.tool()?;
        }
        Ok(deps)
    }

    pub fn decide(
        &self,
        stage: &Stage,
        inputs: &Inputs,
        world: &Node,
        lock: &Lock,
        forced: bool,
    ) -> Result<Decision, Trouble> {
        let locked = lock.get(&stage.name);
        let may_miss = |path: &String| stage.outs.iter().all(|out| out.path != *path || out.optional);
        let differs = |trace: &Trace| -> Vec<(String, Option<Node>)> {
            let found = |path: &String| world.get(path).filter(|_| inputs.outs.contains(path));
            let outs = trace.outs.iter().map(|(path, node)| (path, Some(node)));
            let all = outs.chain(trace.absent().map(|path| (path, None)));
            let as_said = |path: &String, node: Option<&Node>| {
                found(path) == node && (node.is_some() || may_miss(path))
            };
            all.filter(|(path, node)| !as_said(path, *node))
                .map(|(path, node)| (path.clone(), node.cloned()))
                .collect()
        };
        // What of the outs would have to be brought back, and is not in the cache; `None` where an out is never kept there.
        let lacks = |trace: &Trace| -> Option<BTreeSet<String>> {
            let gone = differs(trace).into_iter().map(|(path, node)| {
                let Some(node) = node else { return may_miss(&path).then(BTreeSet::new) };
                let plain = stage.outs.iter().any(|out| out.path == path && out.kept);
                let kept = plain || stage.each.as_ref().is_some_and(|each| each.folder == path);
                kept.then(|| self.gone(&node))
            });
            gone.collect::<Option<Vec<_>>>().map(|gone| gone.into_iter().flatten().collect())
        };
        let restorable = |trace: &Trace| lacks(trace).is_some_and(|gone| gone.is_empty());
        if stage.tracked {
            let missing = inputs.outs.iter().any(|path| world.get(path).is_none());
            let same = locked.filter(|trace| trace.inputs == *inputs);
            let edited = |trace: &Trace| {
                trace.outs.iter().any(|(path, node)| world.get(path).is_some_and(|found| found != node))
            };
            return match (missing, same) {
                (false, Some(trace)) if differs(trace).is_empty() => Ok(Decision::Fresh(Rc::clone(trace))),
                (false, _) => Ok(Decision::Run { lacks: Vec::new() }),
                (true, Some(trace)) if !edited(trace) && restorable(trace) => {
                    Ok(Decision::Restore(Rc::clone(trace)))
                }
                (true, _) => Err(Trouble(format!("the input `{}` is gone", stage.name))),
            };
        }
        let frozen = stage.policy == Policy::Frozen;
        if !frozen && (forced || stage.policy == Policy::Always) {
            return Ok(Decision::Run { lacks: Vec::new() });
        }
        let locked = locked.filter(|trace| frozen || trace.inputs == *inputs).cloned();
        let known: Vec<Rc<Trace>> = locked.into_iter().chain(self.cached(inputs)).collect();
        for trace in &known {
            if differs(trace).is_empty() {
                return Ok(Decision::Fresh(Rc::clone(trace)));
            }
            if restorable(trace) {
                return Ok(Decision::Restore(Rc::clone(trace)));
            }
        }
        match frozen {
            true => Err(Trouble(format!("`{}` is frozen", stage.name))),
            false => Ok(Decision::Run { lacks: known.iter().filter_map(|trace| lacks(trace)).collect() }),
        }
    }

    /// The verdicts on the wanted stages, by the rule that the outs of a stage that would be restored are taken as there.
    pub fn status(
        &self,
        pipeline: &Pipeline,
        disk: &Disk,
        choice: &Choice,
    ) -> Result<BTreeMap<String, (Verdict, Option<Reasons>)>, Trouble> {
        let stages = pipeline.expanded();
        let made = made(&stages);
        loads(&stages, &disk.world)?;
        let mut world = disk.world.clone();
        let mut verdicts = BTreeMap::new();
        for (stage, needs) in ordered(&stages).unwrap().iter().filter(|(stage, _)| choice.wants(&stage.name))
        {
            let any = |among: [Verdict; 2]| {
                let is_among = |(verdict, _): &(Verdict, _)| among.contains(verdict);
                needs.iter().any(|need| verdicts.get(need).is_some_and(is_among))
            };
            let mut reasons = None;
            let verdict = if any([Verdict::Fails, Verdict::Skipped]) {
                Verdict::Skipped
            } else if any([Verdict::Run, Verdict::Waits]) && stage.policy != Policy::Frozen {
                Verdict::Waits
            } else {
                let decided = self.deps(stage, &world, &made).and_then(|deps| {
                    let inputs = self.inputs(stage, pipeline, deps);
                    let decided = self.decide(stage, &inputs, &world, &disk.lock, choice.forces(&stage.name));
                    if !stage.tracked && stage.policy == Policy::WhenStale && !choice.forces(&stage.name) {
                        reasons = Some(Reasons::of(stage, &inputs, &world, &disk.lock));
                    }
                    decided
                });
                match decided {
                    Err(_) => Verdict::Fails,
                    Ok(Decision::Fresh(_)) => Verdict::Fresh,
                    Ok(Decision::Run { .. }) => Verdict::Run,
                    Ok(Decision::Restore(trace)) => {
                        for (path, node) in &trace.outs {
                            world.lay(path, node.clone());
                        }
                        trace.absent().for_each(|path| world.remove(path));
                        Verdict::Restore
                    }
                }
            };
            reasons = reasons.filter(|_| matches!(verdict, Verdict::Run | Verdict::Restore));
            verdicts.insert(stage.name.clone(), (verdict, reasons));
        }
        Ok(verdicts)
    }

    pub fn work(&self, stage: &Stage, pipeline: &Pipeline, deps: BTreeMap<String, Node>) -> Work {
        let mut nested = json!({});
        for (key, value) in params_of(stage, pipeline) {
            match key.split_once('.') {
                None => nested[key] = json!(value),
                Some((table, key)) => nested[table][key] = json!(value),
            }
        }
        Work {
            salt: stage.salt.clone(),
            modulus: stage.modulus,
            env: stage.env.clone(),
            env_deps: stage
                .env_deps
                .iter()
                .map(|name| (name.clone(), self.variables.get(name).cloned()))
                .collect(),
            params: nested,
            deps,
        }
    }

    /// What each item of a stage would make, with its trace, in the order of the items; an out is `None` where the command fails.
    pub fn items(&mut self, stage: &Stage, inputs: &Inputs, work: &Work) -> Vec<ItemWork> {
        let each = stage.each.as_ref().unwrap();
        let tree = &inputs.deps[&each.glob.text()];
        let items = each.glob.items(tree);
        let done = items.into_iter().map(|(path, node)| {
            let work = item_work(work, each, &path, &node);
            let out = each.out_of(&path);
            let mut inputs = Inputs { deps: work.deps.clone(), outs: [out.clone()].into(), ..inputs.clone() };
            inputs.head.retain(|line| !line.starts_with("each "));
            if each.apart {
                inputs.head[0] = format!("cmd {}", json!(each.filled(&stage.cmd().unwrap(), &path)));
            }
            let made = work.result(crate::declared::Shape::File);
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
    pub fn item_known(&self, inputs: &Inputs, world: &Node) -> Option<(Rc<Trace>, BTreeSet<String>)> {
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
        Trace { inputs: self.inputs.clone(), outs: [(self.out.clone(), node)].into(), accepted: None }
    }
}

fn params_of(stage: &Stage, pipeline: &Pipeline) -> BTreeMap<String, i64> {
    let stands =
        |key: &str| stage.params.iter().any(|param| key == param || key.starts_with(&format!("{param}.")));
    pipeline.params.iter().filter(|(key, _)| stands(key)).map(|(key, value)| (key.clone(), *value)).collect()
}

pub fn made(stages: &[Stage]) -> Vec<String> {
    stages.iter().flat_map(|stage| stage.out_paths()).map(str::to_owned).collect()
}

/// A dep that no stage makes must be there when the pipeline is read.
pub fn loads(stages: &[Stage], world: &Node) -> Result<(), Trouble> {
    if stages.is_empty() {
        return Err(Trouble("no stage is declared".into()));
    }
    let order = ordered(stages).unwrap();
    for (stage, _) in &order {
        for dep in stage.all_deps().values() {
            let made = stages
                .iter()
                .any(|other| other.out_paths().iter().any(|out| crate::declared::is_near(dep, out)));
            let there = match dep {
                Dep::Path(path) => world.get(path).is_some(),
                Dep::Glob(glob) => glob.base.is_empty() || world.get(&glob.base).is_some(),
            };
            if !made && !there {
                return Err(Trouble(format!("dep `{}` is made by no stage", dep.text())));
            }
        }
    }
    Ok(())
}

pub fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
