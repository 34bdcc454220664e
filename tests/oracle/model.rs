//! The oracle: what is true of a pipeline, from what lies on the disk at this moment and the texts of all traces there ever
//! were. It reads everything each time; it has no index, and nothing of the engine's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::choice::Choice;
use crate::declared::{Dep, Pipeline, Policy, Stage, TOOL, ordered};
use crate::reasons::Reasons;
use crate::traces::{Inputs, Trace};
use crate::tree::Node;
use crate::work::{Work, is_at_or_below};

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
            let trace = self
                .known
                .get(&lines)
                .ok_or_else(|| format!("the lock has `{block}`, which never was"))?;
            lock.insert(name.strip_prefix("stage ").unwrap().to_owned(), Rc::clone(trace));
        }
        Ok(Disk { world: Node::Dir(world), lock })
    }

    pub fn in_cache(&self, shelf: &str, hex: &str) -> PathBuf {
        self.root.join("cache").join(shelf).join(&hex[..2]).join(&hex[2..])
    }

    /// The trace in the cache, if its text is whole.
    pub fn cached(&self, inputs: &Inputs) -> Option<Rc<Trace>> {
        let text = fs::read_to_string(self.in_cache("traces", &inputs.key())).ok()?;
        self.known.get(text.strip_prefix("repro.trace 1\n")?).cloned()
    }

    /// Whether the cache has all objects of `node`: trees whole, files by name.
    pub fn has(&self, node: &Node) -> bool {
        self.gone(node).is_empty()
    }

    /// The objects for want of which the cache does not have `node`.
    pub fn gone(&self, node: &Node) -> BTreeSet<String> {
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

    pub fn inputs(
        &self,
        stage: &Stage,
        pipeline: &Pipeline,
        deps: BTreeMap<String, Node>,
    ) -> Inputs {
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
                None => {
                    return Err(Trouble(format!("dep `{text}` of `{}` is not there", stage.name)));
                }
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
        let may_miss =
            |path: &String| stage.outs.iter().all(|out| out.path != *path || out.optional);
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
                trace
                    .outs
                    .iter()
                    .any(|(path, node)| world.get(path).is_some_and(|found| found != node))
            };
            return match (missing, same) {
                (false, Some(trace)) if differs(trace).is_empty() => {
                    Ok(Decision::Fresh(Rc::clone(trace)))
                }
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
            false => {
                Ok(Decision::Run { lacks: known.iter().filter_map(|trace| lacks(trace)).collect() })
            }
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
        for (stage, needs) in
            ordered(&stages).unwrap().iter().filter(|(stage, _)| choice.wants(&stage.name))
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
                    let decided =
                        self.decide(stage, &inputs, &world, &disk.lock, choice.forces(&stage.name));
                    if !stage.tracked
                        && stage.policy == Policy::WhenStale
                        && !choice.forces(&stage.name)
                    {
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
}

fn params_of(stage: &Stage, pipeline: &Pipeline) -> BTreeMap<String, i64> {
    let stands = |key: &str| {
        stage.params.iter().any(|param| key == param || key.starts_with(&format!("{param}.")))
    };
    pipeline
        .params
        .iter()
        .filter(|(key, _)| stands(key))
        .map(|(key, value)| (key.clone(), *value))
        .collect()
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
            let made = stages.iter().any(|other| {
                other.out_paths().iter().any(|out| crate::declared::is_near(dep, out))
            });
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
