//! Random pipelines, and random changes that keep them valid.

use std::collections::BTreeSet;

use crate::declared::{Dep, Each, Glob, MATRIX, Out, Pipeline, Policy, Shape, Stage, ordered};
use crate::random::Random;

pub fn random_pipeline(random: &mut Random) -> Pipeline {
    let mut pipeline = Pipeline::default();
    for (key, value) in [("p0", 0), ("p1", 1), ("t.a", 2), ("t.b", 3)] {
        pipeline.params.insert(key.into(), value);
    }
    pipeline.link = random.any(&[None, None, None, Some("hardlink"), Some("symlink")]).unwrap();
    for _ in 0..2 + random.below(5) {
        add(&mut pipeline, random);
    }
    pipeline
}

/// Applies a random change. Returns a description, or `None` if the result would be invalid.
pub fn change(pipeline: &mut Pipeline, random: &mut Random) -> Option<String> {
    let before = pipeline.clone();
    let what = alter(pipeline, random);
    let names: BTreeSet<&String> = pipeline.stages.iter().map(|stage| &stage.name).collect();
    let twice = names.len() < pipeline.stages.len();
    let nested = nested_outs(&pipeline.expanded());
    // A stage must not name the glob of its items as a dep, too.
    let both = |stage: &Stage| {
        stage.each.iter().any(|each| stage.deps.contains(&Dep::Glob(each.glob.clone())))
    };
    let both = pipeline.stages.iter().any(both);
    if pipeline.stages.is_empty()
        || twice
        || nested
        || both
        || ordered(&pipeline.expanded()).is_none()
    {
        *pipeline = before;
        return None;
    }
    Some(what)
}

fn nested_outs(stages: &[Stage]) -> bool {
    let outs: Vec<&str> = stages.iter().flat_map(|stage| stage.out_paths()).collect();
    let clash = |a: usize, b: usize| a != b && crate::work::is_at_or_below(outs[a], outs[b]);
    (0..outs.len()).any(|a| (0..outs.len()).any(|b| clash(a, b)))
}

fn alter(pipeline: &mut Pipeline, random: &mut Random) -> String {
    if pipeline.stages.is_empty() || random.percent(12) {
        add(pipeline, random);
        return "add a stage".into();
    }
    if random.percent(25) {
        let keys: Vec<String> = pipeline.params.keys().cloned().collect();
        let key = random.any(&keys).unwrap();
        let value = random.below(3) as i64;
        pipeline.params.insert(key.clone(), value);
        return format!("{key} = {value}");
    }
    let at = random.below(pipeline.stages.len());
    let deps = candidates(pipeline, pipeline.stages[at].id);
    let stage = &mut pipeline.stages[at];
    let name = stage.name.clone();
    // Only the name of a tracked input can change.
    let what = if stage.tracked { random.below(2) } else { random.below(15) };
    match what {
        0 => {
            pipeline.stages.remove(at);
            return format!("remove stage {name}");
        }
        1 => stage.name = format!("r{}", random.below(8)),
        2 => stage.salt = format!("s{}{}", stage.id, random.below(3)),
        3 => stage.modulus = [0, 1, 2, 3][random.below(4)],
        4 => {
            let dep = random.any(&deps).unwrap();
            if !stage.deps.remove(&dep) {
                stage.deps.insert(dep);
            }
        }
        5 => {
            if stage.each.as_ref().is_some_and(|each| each.per_item) {
                return "nothing".into();
            }
            if stage.outs.len() > 1 || (stage.each.is_some() && !stage.outs.is_empty()) {
                stage.outs.pop();
            } else {
                let out = random_out(stage, random);
                stage.outs.push(out);
            }
        }
        6 => {
            if let Some(out) = stage.outs.first_mut() {
                out.kept = !out.kept || random.percent(50);
                out.persist = random.percent(20);
            }
        }
        7 => {
            stage.policy = [Policy::WhenStale, Policy::WhenStale, Policy::Frozen, Policy::Always]
                [random.below(4)];
        }
        8 => stage.params = random_params(random),
        9 => stage.cpus = 1 + random.below(3),
        10 => {
            stage.env =
                random.any(&[None, Some("dark".to_owned()), Some("light".to_owned())]).unwrap();
        }
        11 => {
            stage.wdir =
                random.any(&[None, None, Some("src".to_owned()), Some("data".to_owned())]).unwrap();
        }
        12 => {
            if let Some(out) = stage.outs.last_mut() {
                out.optional = !out.optional;
            }
        }
        13 => stage.has_tool = !stage.has_tool,
        _ => {
            stage.env_deps = ["ORACLE_SET", "ORACLE_UNSET"]
                .into_iter()
                .filter(|_| random.percent(40))
                .map(str::to_owned)
                .collect();
        }
    }
    format!("change stage {name}")
}

fn random_params(random: &mut Random) -> BTreeSet<String> {
    ["p0", "p1", "t", "t.a"].into_iter().filter(|_| random.percent(35)).map(str::to_owned).collect()
}

fn glob(base: &str, deep: bool, ext: &str) -> Dep {
    Dep::Glob(Glob { base: base.into(), deep, ext: ext.into() })
}

/// Returns the deps that a stage could have.
fn candidates(pipeline: &Pipeline, id: usize) -> Vec<Dep> {
    let paths = ["one.txt", "two.txt", "src", "src/sub", "src/a.x", "ln", "data", "alt2", "ln/a.x"];
    let mut deps: Vec<Dep> = paths.into_iter().map(|path| Dep::Path(path.into())).collect();
    deps.extend([
        glob("src", false, "x"),
        glob("src", true, "x"),
        glob("data", false, "txt"),
        glob("", false, "txt"),
    ]);
    for stage in pipeline.expanded().iter().filter(|stage| stage.id != id) {
        for path in stage.out_paths() {
            // Three times, so that pipelines get deep.
            deps.extend([Dep::Path(path.into()), Dep::Path(path.into()), Dep::Path(path.into())]);
            if !path.contains('.') {
                deps.extend([
                    glob(path, false, "x"),
                    glob(path, true, "x"),
                    Dep::Path(format!("{path}/a.x")),
                ]);
            }
        }
    }
    deps
}

fn random_out(stage: &Stage, random: &mut Random) -> Out {
    let id = stage.id;
    let matrix = if stage.matrix.is_empty() { String::new() } else { format!("-{MATRIX}") };
    let (path, shape) = match random.below(4) {
        0 => (format!("o{id}{matrix}.txt"), Shape::File),
        1 => (format!("data/o{id}{matrix}.txt"), Shape::File),
        2 => (format!("bin/o{id}{matrix}.run"), Shape::Executable),
        _ => (format!("gen{id}{matrix}"), Shape::Dir),
    };
    let flaky = random.percent(20);
    let optional = random.percent(if flaky { 85 } else { 5 });
    Out { path, shape, kept: !random.percent(10), persist: random.percent(10), optional, flaky }
}

fn add(pipeline: &mut Pipeline, random: &mut Random) {
    let id = 1 + pipeline.stages.iter().map(|stage| stage.id).max().unwrap_or(0);
    let deps = candidates(pipeline, id);
    let tracked = random.percent(10);
    let matrix = !tracked && random.percent(12);
    let mut stage = Stage {
        id,
        name: format!("s{id}"),
        matrix: if matrix { vec!["u".into(), "v".into()] } else { Vec::new() },
        tracked,
        salt: format!("s{id}"),
        modulus: [0, 0, 1, 2, 3][random.below(5)],
        deps: BTreeSet::new(),
        each: None,
        outs: Vec::new(),
        params: if tracked { BTreeSet::new() } else { random_params(random) },
        env: None,
        env_deps: BTreeSet::new(),
        has_tool: !tracked && random.percent(10),
        wdir: None,
        policy: if !tracked && random.percent(4) { Policy::Always } else { Policy::WhenStale },
        cpus: 1,
    };
    if tracked {
        // Links lead to none of them: a link to an out adds a need, which the model does not have.
        let path = random.pick(&["two.txt", "src/sub", "data/mine.txt", "src/c.y"]);
        stage.outs.push(Out {
            path: path.into(),
            shape: Shape::File,
            kept: true,
            persist: false,
            optional: false,
            flaky: false,
        });
    } else {
        stage.deps = (0..random.below(4)).filter_map(|_| random.any(&deps)).collect();
        let globs: Vec<Glob> = deps
            .iter()
            .filter_map(|dep| match dep {
                Dep::Glob(glob) if glob.ext == "x" => Some(glob.clone()),
                _ => None,
            })
            .collect();
        if !matrix && random.percent(25) {
            let glob = random.any(&globs).unwrap();
            stage.deps.remove(&Dep::Glob(glob.clone()));
            stage.each =
                Some(Each { glob, per_item: random.percent(50), folder: format!("it{id}") });
            if !stage.each.as_ref().unwrap().per_item && random.percent(40) {
                stage.outs.push(random_out(&stage, random));
            }
        } else {
            stage.outs.push(random_out(&stage, random));
            if random.percent(25) {
                let out = random_out(&stage, random);
                stage.outs.push(out);
            }
        }
    }
    let fits = |pipeline: &Pipeline| {
        ordered(&pipeline.expanded()).is_some()
            && !nested_outs(&pipeline.expanded())
            && pipeline.stages.iter().all(|other| other.id == stage.id || other.name != stage.name)
    };
    pipeline.stages.push(stage.clone());
    if !fits(pipeline) {
        pipeline.stages.pop();
    }
}
