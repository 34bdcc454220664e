//! One project, and what happens to it step by step. Each step draws from a number of its own, so that leaving some out leaves
//! the others what they are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use repro::schedule::OnFailure;

use crate::choice::Choice;
use crate::declared::Pipeline;
use crate::drive::{self, Face};
use crate::edits;
use crate::foresee::Outcome;
use crate::model::{Oracle, Verdict, made};
use crate::pipelines;
use crate::random::Random;
use crate::tree::{Node, remove};
use crate::work;

pub struct Sequence {
    pub root: PathBuf,
    seed: u64,
    pub pipeline: Pipeline,
    pub oracle: Oracle,
    history: Vec<Former>,
    /// Former indexes.
    indexes: Vec<Vec<(PathBuf, Vec<u8>)>>,
    pub counts: Counts,
    pub tells: bool,
    /// What happened hangs on the order of stages that nobody promises: there is nothing more to foresee.
    is_over: bool,
}

/// What git would bring back.
#[derive(Clone)]
struct Former {
    pipeline: Pipeline,
    sources: BTreeMap<String, Option<Node>>,
    lock: Option<Vec<u8>>,
}

#[derive(Default)]
pub struct Counts {
    edits: u64,
    statuses: u64,
    verdicts: u64,
    runs: u64,
    processes: u64,
}

impl Counts {
    pub fn steps(&self) -> u64 {
        self.edits + self.statuses + self.runs
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.edits += more.edits;
        self.statuses += more.statuses;
        self.verdicts += more.verdicts;
        self.runs += more.runs;
        self.processes += more.processes;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { edits, statuses, verdicts, runs, processes } = self;
        write!(
            f,
            "{} steps: {edits} edits, {statuses} looks with {verdicts} verdicts, {runs} runs with {processes} processes",
            self.steps()
        )
    }
}

const SOURCES: [&str; 6] = ["one.txt", "two.txt", "src", "alt1", "alt2", "data/mine.txt"];

pub type Step = Result<(), String>;

impl Sequence {
    pub fn begin(place: &Path, seed: u64) -> Sequence {
        let root = place.canonicalize().unwrap().join("p");
        fs::create_dir_all(&root).unwrap();
        symlink(std::env::current_exe().unwrap(), place.join("tool")).unwrap();
        let mut random = Random::new(seed);
        edits::sources(&root, &mut random);
        fs::write(place.join("version"), "0\n").unwrap();
        let pipeline = pipelines::random_pipeline(&mut random);
        let variables = [("ORACLE_SET".to_owned(), "set".to_owned())].into();
        let (known, vouched) = (HashMap::new(), HashSet::new());
        let oracle = Oracle { root: root.clone(), known, variables, vouched };
        let sequence = Sequence {
            root,
            seed,
            pipeline,
            oracle,
            history: Vec::new(),
            indexes: Vec::new(),
            counts: Counts::default(),
            tells: false,
            is_over: false,
        };
        sequence.write_pipeline();
        sequence
    }

    fn write_pipeline(&self) {
        fs::write(self.root.join("pipeline.toml"), self.pipeline.text()).unwrap();
        let stages = self.pipeline.expanded();
        let notes = self.root.with_file_name("notes");
        fs::create_dir_all(&notes).unwrap();
        for stage in &stages {
            fs::write(notes.join(&stage.name), work::note(stage, &made(&stages))).unwrap();
        }
    }

    pub fn step(&mut self, at: usize) -> Step {
        if self.is_over {
            return Ok(());
        }
        let mut random =
            Random::new(self.seed ^ (at as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let face = if random.percent(3) { Face::Program } else { Face::Library };
        match random.below(100) {
            0..=17 => self.run(face, &mut random)?,
            18..=19 => self.crash(&mut random)?,
            20..=22 => {
                self.tell("time passes");
                std::thread::sleep(Duration::from_millis(25));
            }
            23..=25 => self.command(Sequence::checkout, &mut random)?,
            26 => self.command(Sequence::gc, &mut random)?,
            27..=31 => self.command(Sequence::accept, &mut random)?,
            _ => self.edit(&mut random),
        }
        if self.is_over { Ok(()) } else { self.status(face, &mut random) }
    }

    fn command(
        &mut self,
        command: fn(&mut Sequence, &mut Random) -> Step,
        random: &mut Random,
    ) -> Step {
        self.counts.edits += 1;
        command(self, random)
    }

    pub(super) fn tell(&self, what: &str) {
        if self.tells {
            println!("{what}");
        }
    }

    fn edit(&mut self, random: &mut Random) {
        let times = if random.percent(75) { 1 } else { 2 + random.below(3) };
        for _ in 0..times {
            let what = match random.below(100) {
                0..=49 => edits::edit_source(&self.root, random),
                50..=64 => {
                    let tracked = self
                        .pipeline
                        .expanded()
                        .into_iter()
                        .filter(|stage| !stage.tracked)
                        .collect::<Vec<_>>();
                    edits::edit_out(&self.root, &made(&tracked), random)
                }
                65..=82 => {
                    let what =
                        pipelines::change(&mut self.pipeline, random).unwrap_or("no change".into());
                    self.write_pipeline();
                    what
                }
                83..=89 => edits::edit_cache(&self.root, random),
                90..=93 => self.edit_lock(random),
                94 => self.other_version(random),
                95..=96 => self.travel(random),
                _ => self.former_index(random),
            };
            self.tell(&what);
            self.counts.edits += 1;
        }
    }

    fn edit_lock(&mut self, random: &mut Random) -> String {
        let lock = self.root.join("pipeline.lock");
        let former = random.any(&self.history).and_then(|former| former.lock);
        match former {
            Some(former) if random.percent(60) => {
                fs::write(lock, former).unwrap();
                "an older lock".into()
            }
            _ => {
                remove(&lock);
                "rm pipeline.lock".into()
            }
        }
    }

    /// As `git checkout` of a former state does it: what is ignored stays.
    fn travel(&mut self, random: &mut Random) -> String {
        let Some(Former { pipeline, sources, lock }) = random.any(&self.history) else {
            return "no history".into();
        };
        self.pipeline = pipeline;
        self.write_pipeline();
        for (path, node) in sources {
            let full = self.root.join(&path);
            if Node::read(&full) != node {
                remove(&full);
                if let Some(node) = node {
                    node.write(&full);
                }
            }
        }
        let place = self.root.join("pipeline.lock");
        match lock {
            Some(lock) => fs::write(place, lock).unwrap(),
            None => remove(&place),
        }
        "checkout of a former state".into()
    }

    /// Of the tool that some stages depend on.
    fn other_version(&self, random: &mut Random) -> String {
        let path = self.root.with_file_name("version");
        if random.percent(20) {
            remove(&path);
            return "the tool is gone".into();
        }
        let version = random.below(3);
        fs::write(path, format!("{version}\n")).unwrap();
        format!("version {version} of the tool")
    }

    fn remember(&mut self) {
        let sources =
            SOURCES.iter().map(|path| ((*path).to_owned(), Node::read(&self.root.join(path))));
        let lock = fs::read(self.root.join("pipeline.lock")).ok();
        self.history.push(Former {
            pipeline: self.pipeline.clone(),
            sources: sources.collect(),
            lock,
        });
        let files = edits::state_files(&self.root.join("cache"));
        self.indexes
            .push(files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect());
    }

    fn former_index(&mut self, random: &mut Random) -> String {
        for (path, bytes) in random.any(&self.indexes).unwrap_or_default() {
            if self.root.join("cache").exists() {
                fs::write(path, bytes).unwrap();
            }
        }
        "an older index".into()
    }

    fn status(&mut self, face: Face, random: &mut Random) -> Step {
        let choice = Choice::to_look(&self.pipeline.expanded(), random);
        let disk = self.oracle.look()?;
        let expected = self.oracle.status(&self.pipeline, &disk, &choice);
        let found = drive::status(&self.root, face, &choice);
        self.counts.statuses += 1;
        let differ = || {
            let should = expected
                .as_ref()
                .map(|all| words(all.iter().map(|(name, (word, _))| (name, word.word()))));
            let is = found
                .as_ref()
                .map(|all| words(all.iter().map(|(name, told)| (name, &*told.verdict))));
            format!("status ({face:?})\n should be {should:?}\n is        {is:?}")
        };
        match (&expected, &found) {
            (Err(_), Err(_)) => Ok(()),
            (Ok(expected), Ok(found)) => {
                self.counts.verdicts += expected.len() as u64;
                let word =
                    |name: &String| found.get(name).map_or("fresh", |told| told.verdict.as_str());
                let is_so =
                    |(name, (verdict, _)): (&String, &(Verdict, _))| word(name) == verdict.word();
                if !expected.iter().all(is_so)
                    || found.keys().any(|name| !expected.contains_key(name))
                {
                    return Err(differ());
                }
                for (name, told) in found {
                    if let (_, Some(reasons)) = &expected[name] {
                        let check = reasons.check(&told.changes);
                        check.map_err(|what| format!("why `{name}` ({face:?}): {what}"))?;
                    }
                }
                Ok(())
            }
            _ => Err(differ()),
        }
    }

    fn run(&mut self, face: Face, random: &mut Random) -> Step {
        let stages = self.pipeline.expanded();
        let choice = Choice::to_run(&stages, random);
        // What is typed is read by the program alone.
        let face = if !choice.is_all() && random.percent(40) { Face::Program } else { face };
        let cpus = 1 + random.below(4);
        self.tell(&format!(
            "run {:?}, {:?}, by {face:?}, -j{cpus}",
            choice.words, choice.on_failure
        ));
        edits::tidy(&self.root);
        let before = self.oracle.look()?;
        let expected = self.oracle.foresee(&self.pipeline, &before, &choice);
        let found = drive::go(&self.root, face, cpus, &choice);
        self.counts.runs += 1;
        let ran = self.ran();
        self.counts.processes += ran.len() as u64;
        let (mut foreseen, found) = match (expected, found) {
            (Ok(foreseen), Ok(found)) => (foreseen, found),
            (Err(_), Err(_)) => return Ok(()),
            (expected, found) => {
                return Err(format!(
                    "run: should be {:?}, is {found:?}",
                    expected.map(|run| run.outcomes)
                ));
            }
        };
        if self.tells {
            println!("  {:?}", foreseen.outcomes);
        }
        if foreseen.unsure {
            self.is_over = true;
            return Ok(());
        }
        let failed = found.values().filter(|outcome| outcome.starts_with("failed")).count();
        if failed > 0 && choice.on_failure == OnFailure::Stop {
            if failed > 1 && cpus == 1 {
                return Err(format!("run: went on after a failure: {found:?}"));
            }
            let skipped = found.iter().filter(|(_, outcome)| *outcome == "skipped");
            foreseen.cut(&skipped.map(|(name, _)| name.clone()).collect(), &before, &stages);
        }
        self.check_run(&foreseen, &found, &ran)?;
        let after = self.oracle.look()?;
        self.check_disk(&foreseen, &after)?;
        self.check_work(&after, &|name| {
            matches!(
                foreseen.outcomes.get(name),
                Some(Outcome::Fresh | Outcome::Ran | Outcome::Restored | Outcome::RanOrRestored)
            )
        })?;
        self.remember();
        Ok(())
    }

    /// The lines that processes have left.
    fn ran(&self) -> Vec<String> {
        let path = self.root.with_file_name("ran");
        let text = fs::read_to_string(&path).unwrap_or_default();
        remove(&path);
        text.lines().map(str::to_owned).collect()
    }

    /// A run that is killed at any moment, and one after it that goes through.
    fn crash(&mut self, random: &mut Random) -> Step {
        self.tell("run, killed");
        edits::tidy(&self.root);
        let before = self.oracle.look()?;
        // What it will leave behind has to be known.
        let foreseen = self.oracle.foresee(&self.pipeline, &before, &Choice::all());
        let slow = self.root.with_file_name("slow");
        if random.percent(50) {
            fs::write(&slow, "").unwrap();
        }
        let mut run = drive::command(&self.root, &["run", "-k", "--json"]);
        let mut child = run
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(60_000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        remove(&slow);
        self.counts.edits += 1;
        let mut found = drive::go(&self.root, Face::Library, 2, &Choice::all());
        // A process that was just being born has the lock of the killed one until it is another program.
        while matches!(&found, Err(error) if error.contains("is at work in this project")) {
            std::thread::sleep(Duration::from_millis(1));
            found = drive::go(&self.root, Face::Library, 2, &Choice::all());
        }
        self.counts.runs += 1;
        let ran = self.ran();
        self.counts.processes += ran.len() as u64;
        match (foreseen, found) {
            (Ok(foreseen), Ok(_)) if foreseen.unsure => {
                self.is_over = true;
                Ok(())
            }
            (Ok(_), Ok(found)) => {
                let after = self.oracle.look()?;
                self.check_work(&after, &|name| {
                    matches!(
                        found.get(name).map(String::as_str),
                        None | Some("fresh" | "ran" | "restored")
                    )
                })
            }
            (Err(_), Err(_)) => Ok(()),
            (expected, found) => {
                Err(format!("run: should be {:?}, is {found:?}", expected.map(|run| run.outcomes)))
            }
        }
    }
}

fn words<'a>(all: impl Iterator<Item = (&'a String, &'a str)>) -> BTreeMap<&'a String, &'a str> {
    all.filter(|(_, word)| *word != "fresh").collect()
}
