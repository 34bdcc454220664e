//! The oracle: computes the verdicts on a pipeline from the files on the disk and the texts of all
//! traces there ever were.
//!
//! It reads everything each time, has no index, and shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::choice::Choice;
use crate::declared::{Dep, Pipeline, Policy, Stage, TOOL, ordered};
use crate::foreign::{self, Claims, Unfinished};
use crate::problem::{Problem, USAGE};
use crate::reasons::Reasons;
use crate::traces::{Inputs, Trace, checksum};
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

/// A verdict, with the expected reasons (`None` where they are not compared) and the expected
/// error.
#[derive(Debug)]
pub struct Assessment {
    pub verdict: Verdict,
    pub reasons: Option<Reasons>,
    pub problem: Option<Problem>,
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
    /// For each known trace, the missing objects that prevent a restore.
    Run {
        missing: Vec<BTreeSet<String>>,
    },
}

pub type Lock = BTreeMap<String, Rc<Trace>>;

/// The state of the disk at one moment: the user's files and outs, and the lock.
#[derive(Debug, Clone)]
pub struct Disk {
    pub workspace: Node,
    pub lock: Lock,
    /// The outs of unfinished stages.
    pub started: Unfinished,
}

#[derive(Debug)]
pub struct Oracle {
    pub root: PathBuf,
    /// Every trace there ever was, by text.
    pub known: HashMap<String, Rc<Trace>>,
    pub variables: BTreeMap<String, String>,
    /// Texts of the traces that come from `repro accept`: no command made these outs from these
    /// inputs.
    pub accepted: HashSet<String>,
}

impl Oracle {
    pub fn learn(&mut self, trace: Trace) -> Rc<Trace> {
        Rc::clone(self.known.entry(trace.text()).or_insert_with(|| Rc::new(trace)))
    }

    pub fn is_accepted(&self, trace: &Trace) -> bool {
        self.accepted.contains(&trace.text())
    }

    /// Returns the answer of the tool, which prints the file `version` beside the project.
    fn tool(&self) -> Result<String, Problem> {
        let version = fs::read_to_string(self.root.with_file_name("version"));
        let version = version.map_err(|_| Problem::naming(USAGE, &[TOOL]))?;
        Ok(format!("version {}", version.trim_end()))
    }

    /// # Errors
    /// The lock holds a trace that never existed.
    pub fn read_disk(&self) -> Result<Disk, String> {
        let mut workspace = BTreeMap::new();
        for entry in fs::read_dir(&self.root).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !["cache", "runs", "pipeline.toml", "pipeline.lock"].contains(&name.as_str()) {
                workspace.insert(name.clone(), Node::read(&self.root.join(&name)).unwrap());
            }
        }
        let text = fs::read_to_string(self.root.join("pipeline.lock")).unwrap_or_default();
        let mut lock = Lock::new();
        for block in text.split("\n\n").skip(1) {
            let (name, lines) = block.split_once('\n').unwrap_or((block, ""));
            let (lines, sum) = lines.trim_end_matches('\n').rsplit_once('\n').unwrap();
            let lines = format!("{lines}\n");
            if sum != checksum(&lines) {
                return Err(format!("the checksum of a block in the lock is wrong: `{block}`"));
            }
            let trace = self
                .known
                .get(&lines)
                .ok_or_else(|| format!("the lock has a trace that never existed: `{block}`"))?;
            lock.insert(name.strip_prefix("stage ").unwrap().to_owned(), Rc::clone(trace));
        }
        let started = fs::read_to_string(self.root.join("cache/started")).unwrap_or_default();
        let started = Unfinished::read(&started);
        Ok(Disk { workspace: Node::Dir(workspace), lock, started })
    }

    pub fn in_cache(&self, shelf: &str, hex: &str) -> PathBuf {
        self.root.join("cache").join(shelf).join(&hex[..2]).join(&hex[2..])
    }

    /// Returns the trace in the cache, if its text is intact.
    pub fn cached(&self, inputs: &Inputs) -> Option<Rc<Trace>> {
        let text = fs::read_to_string(self.in_cache("traces", &inputs.key())).ok()?;
        self.known.get(text.strip_prefix("repro.trace 1\n")?).cloned()
    }

    /// Reports whether the cache has all objects of `node`. Trees are compared, files only have to
    /// exist.
    pub fn has(&self, node: &Node) -> bool {
        self.missing_objects(node).is_empty()
    }

    /// Returns the objects of `node` that the cache lacks, by the rule of [`Oracle::has`].
    pub fn missing_objects(&self, node: &Node) -> BTreeSet<String> {
        let mut missing = BTreeSet::new();
        node.visit("", &mut |_, node| {
            let digest = node.digest();
            let path = self.in_cache("objects", &digest);
            let had = match node {
                Node::Dir(_) => fs::read(&path).is_ok_and(|bytes| bytes == node.object()),
                _ => path.is_file(),
            };
            if !had {
                missing.insert(digest);
            }
        });
        missing
    }

    /// Reports whether all objects of `node` are in the cache, with the right bytes.
    pub fn has_whole(&self, node: &Node) -> bool {
        let below = match node {
            Node::Dir(entries) => entries.values().all(|node| self.has_whole(node)),
            _ => true,
        };
        below && self.has_object(node)
    }

    /// Reports whether the object of `node` is in the cache, with the right bytes.
    pub fn has_object(&self, node: &Node) -> bool {
        let path = self.in_cache("objects", &node.digest());
        fs::read(&path).is_ok_and(|bytes| bytes == node.object())
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

    /// Returns the contents of a stage's deps.
    ///
    /// # Errors
    /// A dep is missing, or the tool fails.
    pub fn deps(
        &self,
        stage: &Stage,
        workspace: &Node,
        outs: &[String],
    ) -> Result<BTreeMap<String, Node>, Problem> {
        let is_out = |path: &str| outs.iter().any(|out| is_at_or_below(path, out));
        let own = stage.out_paths();
        let mut deps = BTreeMap::new();
        for (text, dep) in stage.all_deps() {
            // A stage may have no items.
            let is_of_items = stage.each.as_ref().is_some_and(|each| each.glob.text() == text);
            let nothing = || is_of_items.then(|| Node::Dir(BTreeMap::new()));
            match dep.resolve(workspace, &own, &is_out).or_else(nothing) {
                Some(node) => drop(deps.insert(text, node)),
                None if stage.policy == Policy::Frozen => {}
                None => return Err(Problem::naming(USAGE, &[&text, &stage.name])),
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
        workspace: &Node,
        lock: &Lock,
        forced: bool,
    ) -> Result<Decision, Problem> {
        let locked = lock.get(&stage.name);
        let may_miss =
            |path: &String| stage.outs.iter().all(|out| out.path != *path || out.optional);
        let differs = |trace: &Trace| -> Vec<(String, Option<Node>)> {
            let found = |path: &String| workspace.get(path).filter(|_| inputs.outs.contains(path));
            let outs = trace.outs.iter().map(|(path, node)| (path, Some(node)));
            let all = outs.chain(trace.absent().map(|path| (path, None)));
            let is_as_traced = |path: &String, node: Option<&Node>| {
                found(path) == node && (node.is_some() || may_miss(path))
            };
            all.filter(|(path, node)| !is_as_traced(path, *node))
                .map(|(path, node)| (path.clone(), node.cloned()))
                .collect()
        };
        // The objects that a restore needs and the cache lacks; `None` if an out is never cached.
        let missing = |trace: &Trace| -> Option<BTreeSet<String>> {
            let lacked = differs(trace).into_iter().map(|(path, node)| {
                let Some(node) = node else { return may_miss(&path).then(BTreeSet::new) };
                let plain = stage.outs.iter().any(|out| out.path == path && out.kept);
                let kept = plain || stage.each.as_ref().is_some_and(|each| each.folder == path);
                kept.then(|| self.missing_objects(&node))
            });
            let lacked = lacked.collect::<Option<Vec<_>>>();
            lacked.map(|lacked| lacked.into_iter().flatten().collect())
        };
        let restorable = |trace: &Trace| missing(trace).is_some_and(|objects| objects.is_empty());
        if stage.tracked {
            let absent = inputs.outs.iter().any(|path| workspace.get(path).is_none());
            let same = locked.filter(|trace| trace.inputs == *inputs);
            let edited = |trace: &Trace| {
                trace
                    .outs
                    .iter()
                    .any(|(path, node)| workspace.get(path).is_some_and(|found| found != node))
            };
            return match (absent, same) {
                (false, Some(trace)) if differs(trace).is_empty() => {
                    Ok(Decision::Fresh(Rc::clone(trace)))
                }
                (false, _) => Ok(Decision::Run { missing: Vec::new() }),
                (true, Some(trace)) if !edited(trace) && restorable(trace) => {
                    Ok(Decision::Restore(Rc::clone(trace)))
                }
                (true, _) => Err(Problem::naming(USAGE, &[&stage.name])),
            };
        }
        let frozen = stage.policy == Policy::Frozen;
        if !frozen && (forced || stage.policy == Policy::Always) {
            return Ok(Decision::Run { missing: Vec::new() });
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
            true => Err(Problem::naming(USAGE, &[&stage.name])),
            false => Ok(Decision::Run {
                missing: known.iter().filter_map(|trace| missing(trace)).collect(),
            }),
        }
    }

    /// Returns the verdicts on the selected stages. Outs of a stage that would be restored count as
    /// present.
    ///
    /// # Errors
    /// The pipeline does not load.
    pub fn status(
        &self,
        pipeline: &Pipeline,
        disk: &Disk,
        choice: &Choice,
    ) -> Result<BTreeMap<String, Assessment>, Vec<Problem>> {
        let stages = pipeline.expanded();
        let outs = all_outs(&stages);
        loads(&stages, &disk.workspace)?;
        let claims = Claims::of(disk);
        let mut workspace = disk.workspace.clone();
        let mut assessments: BTreeMap<String, Assessment> = BTreeMap::new();
        for (stage, needs) in
            ordered(&stages).unwrap().iter().filter(|(stage, _)| choice.selects(&stage.name))
        {
            let any = |among: [Verdict; 2]| {
                let is_among = |other: &Assessment| among.contains(&other.verdict);
                needs.iter().any(|need| assessments.get(need).is_some_and(is_among))
            };
            let (mut reasons, mut problem) = (None, None);
            let verdict = if any([Verdict::Fails, Verdict::Skipped]) {
                Verdict::Skipped
            } else if any([Verdict::Run, Verdict::Waits]) && stage.policy != Policy::Frozen {
                Verdict::Waits
            } else {
                let decided = self.deps(stage, &workspace, &outs).and_then(|deps| {
                    let inputs = self.inputs(stage, pipeline, deps);
                    let decided = self.decide(
                        stage,
                        &inputs,
                        &workspace,
                        &disk.lock,
                        choice.forces(&stage.name),
                    );
                    if !stage.tracked
                        && stage.policy == Policy::WhenStale
                        && !choice.forces(&stage.name)
                    {
                        reasons = Some(Reasons::of(stage, &inputs, &workspace, &disk.lock));
                    }
                    let decided = decided?;
                    let found = (&inputs, &decided);
                    let files = self.unclaimed(stage, found, &workspace, &claims);
                    match foreign::refusal(&self.unknown(&files, &inputs, &decided)) {
                        Some(problem) => Err(problem),
                        None => Ok(decided),
                    }
                });
                match decided {
                    Err(expected) => {
                        problem = Some(expected);
                        Verdict::Fails
                    }
                    Ok(Decision::Fresh(_)) => Verdict::Fresh,
                    Ok(Decision::Run { .. }) => Verdict::Run,
                    Ok(Decision::Restore(trace)) => {
                        for (path, node) in &trace.outs {
                            workspace.place(path, node.clone());
                        }
                        trace.absent().for_each(|path| workspace.remove(path));
                        Verdict::Restore
                    }
                }
            };
            reasons = reasons.filter(|_| matches!(verdict, Verdict::Run | Verdict::Restore));
            assessments.insert(stage.name.clone(), Assessment { verdict, reasons, problem });
        }
        Ok(assessments)
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

pub fn all_outs(stages: &[Stage]) -> Vec<String> {
    stages.iter().flat_map(|stage| stage.out_paths()).map(str::to_owned).collect()
}

/// Checks that every dep that no stage makes exists when the pipeline is loaded.
///
/// # Errors
/// All that is wrong with the pipeline.
pub fn loads(stages: &[Stage], workspace: &Node) -> Result<(), Vec<Problem>> {
    if stages.is_empty() {
        return Err(vec![Problem::naming(USAGE, &[])]);
    }
    let mut problems = Vec::new();
    let order = ordered(stages).unwrap();
    for (stage, _) in &order {
        for dep in stage.all_deps().values() {
            let is_made = stages.iter().any(|other| {
                other.out_paths().iter().any(|out| crate::declared::is_near(dep, out))
            });
            let exists = match dep {
                Dep::Path(path) => workspace.get(path).is_some(),
                Dep::Glob(glob) => glob.base.is_empty() || workspace.get(&glob.base).is_some(),
            };
            if !is_made && !exists {
                problems.push(Problem::naming(USAGE, &[&dep.text(), &stage.name]));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

pub fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
