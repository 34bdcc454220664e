//! Generated histories: random edits and runs on branches that merge each other, against a model
//! that computes the outs from the files alone.
//!
//! After each merge the lock has no conflict, every stage that is up to date has the outs of the
//! model, every verdict is the expected one, and a run makes the outs of the model.
//!
//! `LOCK_MERGES=N` tries N histories instead of a few, and prints what was counted.
//! `LOCK_MERGES_SEED` is the seed of the first one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::git_merge::git;
use crate::sandbox::Sandbox;

/// Histories of the ordinary test.
const HISTORIES: u64 = 3;
/// Steps of a history: an edit with or without a run, or a merge.
const STEPS: usize = 24;
const BRANCHES: [&str; 3] = ["main", "one", "two"];

/// Pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % count as u64).unwrap()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

#[derive(Debug, Default)]
struct Counts {
    merges: u64,
    /// Merges after which git had the lock in conflict.
    conflicts: u64,
    /// The same merges with git's own driver for text.
    text_conflicts: u64,
    /// Blocks in text merges without conflict that neither side has.
    text_mixtures: u64,
    verdicts: u64,
    fresh: u64,
    restored: u64,
    executed: u64,
}

/// The outs and the inputs of each stage, computed from the files.
struct Model {
    outs: BTreeMap<String, String>,
    /// The rendered command and the contents of the deps.
    inputs: BTreeMap<String, String>,
    needs: BTreeMap<String, Vec<String>>,
}

impl Model {
    /// Reads `pipeline.toml`, whose stages are sorted by need. The out of stage `sN` is `oN`.
    fn of(sandbox: &Sandbox) -> Model {
        let text = sandbox.read("pipeline.toml");
        let parsed: toml::Value =
            toml::from_str(&text).unwrap_or_else(|err| panic!("{err}\n{text}"));
        let mut model =
            Model { outs: BTreeMap::new(), inputs: BTreeMap::new(), needs: BTreeMap::new() };
        let stages = parsed["stages"].as_table().unwrap();
        for (name, stage) in stages {
            let (mut content, mut needs) = (String::new(), Vec::new());
            for dep in stage["deps"].as_array().unwrap() {
                let dep = dep.as_str().unwrap();
                match dep.strip_prefix('o') {
                    Some(number) => {
                        let need = format!("s{number}");
                        content += &model.outs[&need];
                        needs.push(need);
                    }
                    None => content += &sandbox.read(dep),
                }
            }
            let cmd = stage["cmd"].as_str().unwrap();
            let word = cmd.rsplit_once("echo ").unwrap().1.split(' ').next().unwrap();
            let param = cmd.split("{{ params.").nth(1).unwrap().split(' ').next().unwrap();
            let value = parsed["params"][param].as_integer().unwrap();
            model.inputs.insert(name.clone(), format!("{cmd} {value}\n{content}"));
            model.outs.insert(name.clone(), format!("{content}{word} {value}\n"));
            model.needs.insert(name.clone(), needs);
        }
        model
    }
}

struct History {
    sandbox: Sandbox,
    random: Random,
    counts: Counts,
    /// Inputs of all executions that the cache knows.
    known: BTreeSet<String>,
    /// The cache was lost once, so the lock may know executions that `known` lacks.
    lost: bool,
    stages: usize,
    log: Vec<String>,
}

impl History {
    fn begin(seed: u64) -> History {
        let mut random = Random(seed);
        let stages = 2 + random.below(4);
        let mut text = String::from("[params]\n");
        for stage in 0..stages {
            text += &format!("p{stage} = 0\n\n");
        }
        for stage in 0..stages {
            let mut deps = vec![format!("f{stage}")];
            deps.extend((0..stage).filter(|_| random.percent(50)).map(|dep| format!("o{dep}")));
            text += &declaration(stage, &deps);
        }
        let sandbox = Sandbox::with(&text);
        for stage in 0..stages {
            sandbox.write(&format!("f{stage}"), "1\n2\n3\n4\n5\n6\n7\n");
        }
        sandbox.write(".gitignore", "/cache/\n/runs/\n/ran\n/o*\n");
        sandbox.git(&["init", "-q"]);
        let hooks: &[&str] = if random.percent(50) { &[] } else { &["--no-hooks"] };
        sandbox.ok(&[&["git", "install"], hooks].concat());
        let known = BTreeSet::new();
        let mut history = History {
            sandbox,
            random,
            counts: Counts::default(),
            known,
            lost: false,
            stages,
            log: Vec::new(),
        };
        history.run();
        history.commit("base");
        for branch in &BRANCHES[1..] {
            history.sandbox.git(&["branch", branch]);
        }
        history
    }

    fn step(&mut self) {
        let branch = BRANCHES[self.random.below(BRANCHES.len())];
        self.log.push(format!("on {branch}"));
        self.git(&["switch", "-q", branch]);
        if self.random.percent(60) {
            for _ in 0..=self.random.below(2) {
                self.edit();
            }
            if self.random.percent(75) {
                self.run();
            }
            self.commit("edit");
        } else {
            self.merge(branch);
        }
    }

    /// Edits a file, a param or a command, or adds or removes the last stage.
    fn edit(&mut self) {
        let stage = self.random.below(self.stages);
        let number = self.random.below(1000);
        let (path, line, new) = match self.random.below(10) {
            0..4 => (format!("f{stage}"), self.random.below(7), format!("{number}")),
            kind => {
                let text = self.sandbox.read("pipeline.toml");
                let start = if kind < 7 {
                    format!("p{stage} = ")
                } else {
                    format!("cmd = \"cat f{stage} ")
                };
                let Some(line) = text.lines().position(|line| line.starts_with(&start)) else {
                    return;
                };
                let old = text.lines().nth(line).unwrap();
                let new = match kind < 7 {
                    true => format!("p{stage} = {}", number % 5),
                    false => {
                        let (before, after) = old.split_once("echo k").unwrap();
                        let rest = after.split_once(' ').unwrap().1;
                        format!("{before}echo k{} {rest}", number % 5)
                    }
                };
                ("pipeline.toml".to_owned(), line, new)
            }
        };
        let text = self.sandbox.read(&path);
        let lines = text.lines().enumerate().map(|(at, old)| if at == line { &new } else { old });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        self.log.push(format!("edit {path}:{}: {new}", line + 1));
        self.sandbox.write(&path, text);
    }

    fn run(&mut self) {
        self.log.push("run".to_owned());
        let model = Model::of(&self.sandbox);
        self.sandbox.ok(&["run"]);
        for (stage, out) in &model.outs {
            let path = stage.replace('s', "o");
            assert_eq!(self.sandbox.read(&path), *out, "{path} after a run");
        }
        self.known.extend(model.inputs.into_values());
    }

    fn commit(&mut self, title: &str) {
        self.sandbox.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", title]);
    }

    fn git(&mut self, args: &[&str]) {
        let done = git(&self.sandbox, args);
        assert_eq!(done.code, 0, "git {args:?}\n{done}");
    }

    /// Merges another branch, rebases on it, or picks its last commit.
    fn merge(&mut self, branch: &str) {
        let other = BRANCHES[self.random.below(BRANCHES.len())];
        if other == branch {
            return;
        }
        self.count_text_merge(other);
        let command: &[&str] = match self.random.below(6) {
            0 => &["rebase", "-q", other],
            1 => &["cherry-pick", other],
            _ => &["merge", "-q", "-m", "merge", other],
        };
        self.log.push(command.join(" "));
        let mut done = git(&self.sandbox, command);
        self.counts.merges += 1;
        // Conflicts in other files are ours to resolve; a rebase can stop more than once.
        for _ in 0..50 {
            if done.code == 0 {
                break;
            }
            let unmerged = git(&self.sandbox, &["diff", "--name-only", "--diff-filter=U"]).stdout;
            if unmerged.lines().any(|path| path == "pipeline.lock") {
                self.counts.conflicts += 1;
                self.git(&["checkout", "-q", "--ours", "pipeline.lock"]);
            }
            for path in unmerged.lines().filter(|path| *path != "pipeline.lock") {
                self.git(&["checkout", "-q", "--ours", "--", path]);
            }
            self.sandbox.git(&["add", "-A"]);
            done = match command[0] {
                "merge" => git(&self.sandbox, &["commit", "-q", "--allow-empty", "-m", "merge"]),
                "rebase" if unmerged.is_empty() => git(&self.sandbox, &["rebase", "--skip"]),
                "rebase" => git(&self.sandbox, &["rebase", "--continue"]),
                _ => git(&self.sandbox, &["commit", "-q", "--allow-empty", "-m", "picked"]),
            };
        }
        assert_eq!(done.code, 0, "{done}");
        self.check();
    }

    /// Counts what git's own driver for text does with the lock.
    fn count_text_merge(&mut self, other: &str) {
        let driver = "git merge-file -q %A %O %B";
        let merge = format!("merge.repro.driver={driver}");
        let base = format!("merge.repro-base.driver={driver}");
        let options = ["merge-tree", "--write-tree", "--no-messages", "--name-only"];
        let done = git(
            &self.sandbox,
            &[&["-c", &merge, "-c", &base], &options[..], &["HEAD", other]].concat(),
        );
        let mut lines = done.stdout.lines();
        let tree = lines.next().unwrap();
        if lines.any(|path| path == "pipeline.lock") {
            self.counts.text_conflicts += 1;
            return;
        }
        let blocks = |revision: &str| {
            let text = git(&self.sandbox, &["show", &format!("{revision}:pipeline.lock")]).stdout;
            text.split("\n\n").map(|block| block.trim().to_owned()).collect::<BTreeSet<_>>()
        };
        let sides = &blocks("HEAD") | &blocks(other);
        self.counts.text_mixtures += (&blocks(tree) - &sides).len() as u64;
    }

    /// Compares the verdicts with the model, and then what a run does.
    fn check(&mut self) {
        assert!(!self.sandbox.read("pipeline.lock").contains("<<<<<<<"));
        if self.random.percent(10) {
            self.log.push("without the cache".to_owned());
            self.lost = true;
            self.sandbox.remove("cache");
            self.known.clear();
        }
        let model = Model::of(&self.sandbox);
        let status = self.sandbox.ok(&["status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&status).unwrap();
        let verdicts: BTreeMap<&str, &str> = status["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| (stage["stage"].as_str().unwrap(), stage["verdict"].as_str().unwrap()))
            .collect();
        let mut waits = BTreeSet::new();
        for (stage, out) in &model.outs {
            let path = stage.replace('s', "o");
            let verdict = verdicts.get(stage.as_str()).copied().unwrap_or("fresh");
            self.counts.verdicts += 1;
            let in_place = self.sandbox.exists(&path) && self.sandbox.read(&path) == *out;
            if verdict == "fresh" {
                self.counts.fresh += 1;
                assert!(
                    in_place,
                    "{stage} is not up to date: {:?} {out:?}",
                    self.sandbox.read(&path)
                );
            }
            let is_known = self.known.contains(&model.inputs[stage]);
            let expected = match () {
                () if model.needs[stage].iter().any(|need| waits.contains(need)) => "waits",
                () if is_known && in_place => "fresh",
                () if is_known => "restore",
                () => "run",
            };
            if matches!(expected, "waits" | "run") {
                waits.insert(stage.clone());
            }
            assert!(self.lost || verdict == expected, "{stage}: {verdict}, expected {expected}");
            self.counts.restored += u64::from(verdict == "restore");
            self.counts.executed += u64::from(matches!(verdict, "waits" | "run"));
        }
        if self.random.percent(70) {
            self.run();
            self.commit("run after the merge");
        }
    }
}

fn declaration(stage: usize, deps: &[String]) -> String {
    format!(
        "[stages.s{stage}]\n\
         cmd = \"cat {} > o{stage}; echo k0 {{{{ params.p{stage} }}}} >> o{stage}\"\n\
         deps = {deps:?}\nouts = [\"o{stage}\"]\n\n",
        deps.join(" ")
    )
}

#[test]
fn generated_histories_merge() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let wanted = number("LOCK_MERGES");
    let first = number("LOCK_MERGES_SEED").unwrap_or(1);
    let mut total = Counts::default();
    for seed in first..first + wanted.unwrap_or(HISTORIES) {
        let mut history = History::begin(seed);
        for _ in 0..STEPS {
            let step = std::panic::AssertUnwindSafe(|| history.step());
            if std::panic::catch_unwind(step).is_err() {
                panic!("seed {seed}:\n{}", history.log.join("\n"));
            }
        }
        let counts = history.counts;
        total.merges += counts.merges;
        total.conflicts += counts.conflicts;
        total.text_conflicts += counts.text_conflicts;
        total.text_mixtures += counts.text_mixtures;
        total.verdicts += counts.verdicts;
        total.fresh += counts.fresh;
        total.restored += counts.restored;
        total.executed += counts.executed;
    }
    if wanted.is_some() {
        println!("{total:?}");
    }
    assert_eq!(total.conflicts, 0);
    assert!(total.merges > 0 && total.text_conflicts > 0 && total.restored > 0, "{total:?}");
}
