//! One project and a sequence of random steps on it. Each step draws from its own random numbers,
//! so that leaving some steps out does not change the others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use repro::schedule::OnFailure;

use crate::choice::Choice;
use crate::declared::Pipeline;
use crate::drive::{self, Answer, Interface};
use crate::edits;
use crate::expected_run::{ExpectedRun, Outcome};
use crate::model::{Oracle, all_outs};
use crate::mutant::Mutant;
use crate::pipelines;
use crate::problem::{ENVIRONMENT, Problem, Refusal, check_no_panic};
use crate::random::Random;
use crate::tree::{Node, remove};
use crate::work;

pub struct Sequence {
    pub root: PathBuf,
    seed: u64,
    pub pipeline: Pipeline,
    pub oracle: Oracle,
    history: Vec<Snapshot>,
    /// Older versions of the index files.
    indexes: Vec<Vec<(PathBuf, Vec<u8>)>>,
    pub counts: Counts,
    pub verbose: bool,
    pub mutant: Option<Mutant>,
    /// The last outcome depended on the order of stages, so nothing can be predicted from here on.
    is_over: bool,
}

/// The files that `git checkout` would restore.
#[derive(Clone)]
struct Snapshot {
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
    /// Commands that the engine refused as a whole, as expected.
    refusals: u64,
    /// Stages that failed, with the expected error.
    failures: u64,
    /// Steps that compared nothing, by reason.
    undecided: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub fn steps(&self) -> u64 {
        self.edits + self.statuses + self.runs
    }

    pub fn undecided(&mut self, reason: &'static str) {
        *self.undecided.entry(reason).or_default() += 1;
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.edits += more.edits;
        self.statuses += more.statuses;
        self.verdicts += more.verdicts;
        self.runs += more.runs;
        self.processes += more.processes;
        self.refusals += more.refusals;
        self.failures += more.failures;
        for (reason, count) in more.undecided {
            *self.undecided.entry(reason).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { edits, statuses, verdicts, runs, processes, refusals, failures, .. } = self;
        write!(
            f,
            "{} steps: {edits} edits, {statuses} statuses with {verdicts} verdicts, \
             {runs} runs with {processes} processes; \
             compared {refusals} refusals and {failures} failures of stages",
            self.steps()
        )?;
        let undecided: u64 = self.undecided.values().sum();
        write!(f, "; {undecided} steps decided nothing")?;
        for (reason, count) in &self.undecided {
            write!(f, ", {count} {reason}")?;
        }
        Ok(())
    }
}

const SOURCES: [&str; 6] = ["one.txt", "two.txt", "src", "alt1", "alt2", "data/mine.txt"];

pub type Step = Result<(), String>;

impl Sequence {
    /// Creates a project with a random pipeline in the directory `place`.
    pub fn begin(place: &Path, seed: u64) -> Sequence {
        let mut random = Random::new(seed);
        Sequence::create(place, seed, &mut random, pipelines::random_pipeline)
    }

    /// Creates a project with the given pipeline in the directory `place`.
    pub fn with(place: &Path, pipeline: Pipeline) -> Sequence {
        Sequence::create(place, 0, &mut Random::new(0), |_| pipeline)
    }

    fn create(
        place: &Path,
        seed: u64,
        random: &mut Random,
        pipeline: impl FnOnce(&mut Random) -> Pipeline,
    ) -> Sequence {
        let root = place.canonicalize().unwrap().join("p");
        fs::create_dir_all(&root).unwrap();
        symlink(std::env::current_exe().unwrap(), place.join("tool")).unwrap();
        edits::sources(&root, random);
        fs::write(place.join("version"), "0\n").unwrap();
        let pipeline = pipeline(random);
        let variables = [("ORACLE_SET".to_owned(), "set".to_owned())].into();
        let (known, accepted) = (HashMap::new(), HashSet::new());
        let oracle = Oracle { root: root.clone(), known, variables, accepted };
        let sequence = Sequence {
            root,
            seed,
            pipeline,
            oracle,
            history: Vec::new(),
            indexes: Vec::new(),
            counts: Counts::default(),
            verbose: false,
            mutant: None,
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
            fs::write(notes.join(&stage.name), work::note(stage, &all_outs(&stages))).unwrap();
        }
    }

    /// # Errors
    /// The engine differs from the oracle.
    pub fn step(&mut self, at: usize) -> Step {
        if self.is_over {
            self.counts.undecided("after an outcome that depends on the order of stages");
            return Ok(());
        }
        let mut random =
            Random::new(self.seed ^ (at as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let interface = if random.percent(3) { Interface::Program } else { Interface::Library };
        match random.below(100) {
            0..=17 => self.run(interface, &mut random)?,
            18..=19 => self.crash(&mut random)?,
            20..=22 => {
                self.log("time passes");
                std::thread::sleep(Duration::from_millis(25));
            }
            23..=25 => self.command(Sequence::checkout, &mut random)?,
            26 => self.command(Sequence::gc, &mut random)?,
            27..=31 => self.command(Sequence::accept, &mut random)?,
            _ => self.edit(&mut random),
        }
        if self.is_over { Ok(()) } else { self.status(interface, &mut random) }
    }

    fn command(
        &mut self,
        command: fn(&mut Sequence, &mut Random) -> Step,
        random: &mut Random,
    ) -> Step {
        self.counts.edits += 1;
        command(self, random)
    }

    pub(super) fn log(&self, what: &str) {
        if self.verbose {
            println!("{what}");
        }
    }

    fn edit(&mut self, random: &mut Random) {
        let times = if random.percent(75) { 1 } else { 2 + random.below(3) };
        for _ in 0..times {
            let what = match random.below(100) {
                0..=49 => edits::edit_source(&self.root, random),
                50..=64 => {
                    let stages = self
                        .pipeline
                        .expanded()
                        .into_iter()
                        .filter(|stage| !stage.tracked)
                        .collect::<Vec<_>>();
                    edits::edit_out(&self.root, &all_outs(&stages), random)
                }
                65..=82 => {
                    let what =
                        pipelines::change(&mut self.pipeline, random).unwrap_or("no change".into());
                    self.write_pipeline();
                    what
                }
                83..=89 => edits::edit_cache(&self.root, random),
                90..=93 => self.edit_lock(random),
                94 => self.change_tool(random),
                95..=96 => self.restore_snapshot(random),
                _ => self.older_index(random),
            };
            self.log(&what);
            self.counts.edits += 1;
        }
    }

    fn edit_lock(&mut self, random: &mut Random) -> String {
        let lock = self.root.join("pipeline.lock");
        let older = random.any(&self.history).and_then(|snapshot| snapshot.lock);
        match older {
            Some(older) if random.percent(60) => {
                fs::write(lock, older).unwrap();
                "an older lock".into()
            }
            _ => {
                remove(&lock);
                "rm pipeline.lock".into()
            }
        }
    }

    /// Restores an earlier state like `git checkout`: ignored files stay.
    fn restore_snapshot(&mut self, random: &mut Random) -> String {
        let Some(Snapshot { pipeline, sources, lock }) = random.any(&self.history) else {
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
        "git checkout of an earlier state".into()
    }

    /// Changes the version of the tool that some stages depend on, or removes the tool.
    fn change_tool(&self, random: &mut Random) -> String {
        let path = self.root.with_file_name("version");
        if random.percent(20) {
            remove(&path);
            return "rm the tool".into();
        }
        let version = random.below(3);
        fs::write(path, format!("{version}\n")).unwrap();
        format!("version {version} of the tool")
    }

    fn remember(&mut self) {
        let sources =
            SOURCES.iter().map(|path| ((*path).to_owned(), Node::read(&self.root.join(path))));
        let lock = fs::read(self.root.join("pipeline.lock")).ok();
        self.history.push(Snapshot {
            pipeline: self.pipeline.clone(),
            sources: sources.collect(),
            lock,
        });
        let files = edits::state_files(&self.root.join("cache"));
        self.indexes
            .push(files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect());
    }

    fn older_index(&mut self, random: &mut Random) -> String {
        for (path, bytes) in random.any(&self.indexes).unwrap_or_default() {
            if self.root.join("cache").exists() {
                fs::write(path, bytes).unwrap();
            }
        }
        "an older index".into()
    }

    fn status(&mut self, interface: Interface, random: &mut Random) -> Step {
        let choice = Choice::for_status(&self.pipeline.expanded(), random);
        let disk = self.oracle.read_disk()?;
        let expected = self.oracle.status(&self.pipeline, &disk, &choice);
        let found = self.received(drive::status(&self.root, interface, &choice)?)?;
        self.counts.statuses += 1;
        let (expected, found) = match (expected, found) {
            (Ok(expected), Ok(found)) => (expected, found),
            (Err(problems), Err(refusal)) => return self.check_refusal(&problems, &refusal),
            (expected, found) => {
                return Err(format!(
                    "status ({interface:?}): should be {expected:?}, is {found:?}"
                ));
            }
        };
        self.counts.verdicts += expected.len() as u64;
        let is_so = |(name, expected): (&String, &crate::model::Assessment)| {
            found.word(name) == expected.verdict.word()
        };
        if !expected.iter().all(is_so)
            || found.stages.keys().any(|name| !expected.contains_key(name))
        {
            let words: BTreeMap<&str, &str> = expected
                .iter()
                .map(|(name, expected)| (name.as_str(), expected.verdict.word()))
                .filter(|(_, word)| *word != "fresh")
                .collect();
            return Err(format!(
                "status ({interface:?})\n should be {words:?}\n is        {:?}",
                found.words()
            ));
        }
        for (name, reported) in &found.stages {
            if let Some(reasons) = &expected[name].reasons {
                let check = reasons.check(&reported.changes);
                check.map_err(|what| format!("why `{name}` ({interface:?}): {what}"))?;
            }
        }
        let problems = expected
            .iter()
            .filter_map(|(name, expected)| Some((name.as_str(), expected.problem.as_ref()?)));
        self.check_failures("status", problems, &found)
    }

    /// Applies the mutant to an answer, and checks the answer for panics.
    fn received(
        &self,
        mut found: Result<Answer, Refusal>,
    ) -> Result<Result<Answer, Refusal>, String> {
        if let Some(mutant) = self.mutant {
            mutant.change(&mut found);
        }
        if let Ok(answer) = &found {
            answer.check_no_panic()?;
        }
        Ok(found)
    }

    fn check_refusal(&mut self, expected: &[Problem], found: &Refusal) -> Step {
        self.counts.refusals += 1;
        found.check(expected)
    }

    /// Checks the exit code, and that the message of each failed stage names the expected subject.
    fn check_failures<'a>(
        &mut self,
        command: &str,
        problems: impl Iterator<Item = (&'a str, &'a Problem)>,
        found: &Answer,
    ) -> Step {
        let mut exit = 0;
        for (name, problem) in problems {
            self.counts.failures += 1;
            exit = exit.max(problem.exit);
            let failure = found.stages.get(name).and_then(|reported| reported.failure.as_ref());
            if !failure.is_some_and(|failure| problem.is_about(failure)) {
                return Err(format!(
                    "{command}: the failure of `{name}` should be {problem:?}, is {failure:?}"
                ));
            }
        }
        if found.exit != exit {
            let failures = found.stages.iter().filter(|(_, reported)| reported.failure.is_some());
            return Err(format!(
                "{command}: exit code {}, should be {exit}: {:?}",
                found.exit,
                failures.collect::<Vec<_>>()
            ));
        }
        Ok(())
    }

    fn run(&mut self, interface: Interface, random: &mut Random) -> Step {
        let choice = Choice::for_run(&self.pipeline.expanded(), random);
        // Only the program parses command-line arguments.
        let interface =
            if !choice.is_all() && random.percent(40) { Interface::Program } else { interface };
        let cpus = 1 + random.below(4);
        self.run_choice(interface, &choice, cpus).map(drop)
    }

    /// Runs stages. Returns the answer, or `None` if the engine refused the run as expected.
    ///
    /// # Errors
    /// The run differs from what the oracle expects.
    pub fn run_choice(
        &mut self,
        interface: Interface,
        choice: &Choice,
        cpus: usize,
    ) -> Result<Option<Answer>, String> {
        self.log(&format!(
            "run {:?}, {:?}, by {interface:?}, -j{cpus}",
            choice.args, choice.on_failure
        ));
        edits::tidy(&self.root);
        let before = self.oracle.read_disk()?;
        let expected = self.oracle.expect_run(&self.pipeline, &before, choice);
        let found = self.received(drive::run_stages(&self.root, interface, cpus, choice)?)?;
        self.counts.runs += 1;
        let ran = self.ran();
        self.counts.processes += ran.len() as u64;
        let (mut expected, found) = match (expected, found) {
            (Ok(expected), Ok(found)) => (expected, found),
            (Err(problems), Err(refusal)) => {
                self.check_refusal(&problems, &refusal)?;
                return Ok(None);
            }
            (expected, found) => return Err(unlike(expected, &found)),
        };
        if self.verbose {
            println!("  {:?}", expected.outcomes);
        }
        if expected.order_dependent {
            self.end_undecided(&found, &|name| choice.selects(name))?;
            return Ok(Some(found));
        }
        let stages = self.pipeline.expanded();
        let with_word = |word: &str| -> Vec<String> {
            let all = found.stages.iter().filter(|(_, reported)| reported.word == word);
            all.map(|(name, _)| name.clone()).collect()
        };
        let failed = with_word("failed");
        if !failed.is_empty() && choice.on_failure == OnFailure::Stop {
            if failed.len() > 1 && cpus == 1 {
                return Err(format!("run: went on after a failure: {:?}", found.words()));
            }
            expected.cut(&with_word("skipped").into_iter().collect(), &before, &stages);
        }
        self.check_run(&expected, &found, &ran)?;
        self.check_failures("run", expected.failures(), &found)?;
        let after = self.oracle.read_disk()?;
        self.check_disk(&expected, &after)?;
        self.check_work(&after, &|name| {
            matches!(
                expected.outcomes.get(name),
                Some(Outcome::Fresh | Outcome::Ran | Outcome::Restored | Outcome::RanOrRestored)
            )
        })?;
        self.remember();
        Ok(Some(found))
    }

    /// Ends the sequence after a run whose outcomes depend on the order of stages. Checks only that
    /// the outs are those the commands make from the deps.
    fn end_undecided(&mut self, found: &Answer, selects: &dyn Fn(&str) -> bool) -> Step {
        self.counts.undecided("with an outcome that depends on the order of stages");
        self.is_over = true;
        // In another order, stages may have left traces that the oracle has not computed.
        let Ok(after) = self.oracle.read_disk() else { return Ok(()) };
        self.check_work(&after, &|name| selects(name) && is_done(found.word(name)))
    }

    /// Reads and removes the lines that processes appended to `ran`.
    fn ran(&self) -> Vec<String> {
        let path = self.root.with_file_name("ran");
        let text = fs::read_to_string(&path).unwrap_or_default();
        remove(&path);
        text.lines().map(str::to_owned).collect()
    }

    /// Kills a run at a random moment, then runs to the end.
    fn crash(&mut self, random: &mut Random) -> Step {
        self.log("run, killed");
        edits::tidy(&self.root);
        let before = self.oracle.read_disk()?;
        // The oracle learns the traces that the killed run may leave behind.
        let expected = self.oracle.expect_run(&self.pipeline, &before, &Choice::all());
        let slow = self.root.with_file_name("slow");
        if random.percent(50) {
            fs::write(&slow, "").unwrap();
        }
        let stderr = self.root.with_file_name("stderr");
        let mut run = drive::command(&self.root, &["run", "-k", "--json"]);
        let mut child = run
            .stdout(std::process::Stdio::null())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(60_000) as u64));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        check_no_panic(ended.code().unwrap_or(-1), &fs::read_to_string(&stderr).unwrap())?;
        remove(&stderr);
        remove(&slow);
        self.counts.edits += 1;
        let run = || drive::run_stages(&self.root, Interface::Library, 2, &Choice::all());
        let mut found = run()?;
        // A process that is being spawned holds the lock of the killed run until it calls `exec`.
        let since = Instant::now();
        while matches!(&found, Err(refusal) if refusal.exit == ENVIRONMENT)
            && since.elapsed() < deadline::LIMIT
        {
            std::thread::sleep(Duration::from_millis(1));
            found = run()?;
        }
        let found = self.received(found)?;
        self.counts.runs += 1;
        let ran = self.ran();
        self.counts.processes += ran.len() as u64;
        match (expected, found) {
            (Ok(expected), Ok(found)) if expected.order_dependent => {
                self.end_undecided(&found, &|_| true)
            }
            (Ok(expected), Ok(found)) => {
                // The killed run may have done any of the work, but it changes no failure.
                let is_so = |(name, outcome): (&String, &Outcome)| match outcome {
                    Outcome::Failed => found.word(name) == "failed",
                    Outcome::Skipped => found.word(name) == "skipped",
                    _ => is_done(found.word(name)),
                };
                if !expected.outcomes.iter().all(is_so) {
                    return Err(format!(
                        "run after a killed one: should be {:?}, is {:?}",
                        expected.outcomes,
                        found.words()
                    ));
                }
                self.check_failures("run after a killed one", expected.failures(), &found)?;
                let after = self.oracle.read_disk()?;
                self.check_work(&after, &|name| is_done(found.word(name)))
            }
            (Err(problems), Err(refusal)) => self.check_refusal(&problems, &refusal),
            (expected, found) => Err(unlike(expected, &found)),
        }
    }
}

/// Reports whether a stage with this outcome has its outs.
fn is_done(word: &str) -> bool {
    matches!(word, "fresh" | "ran" | "restored")
}

fn unlike(expected: Result<ExpectedRun, Vec<Problem>>, found: &Result<Answer, Refusal>) -> String {
    format!("run: should be {:?}, is {found:?}", expected.map(|run| run.outcomes))
}
