//! Runs of a sequence, and runs that are killed.

use std::fs;
use std::time::{Duration, Instant};

use repro::schedule::OnFailure;

use crate::choice::Choice;
use crate::drive::{self, Answer, Interface};
use crate::edits;
use crate::expected_run::{ExpectedRun, Outcome};
use crate::problem::{ENVIRONMENT, Problem, Refusal, check_no_panic};
use crate::random::Random;
use crate::sequence::{Sequence, Step};
use crate::tree::remove;

impl Sequence {
    pub fn run(&mut self, interface: Interface, random: &mut Random) -> Step {
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
    pub fn crash(&mut self, random: &mut Random) -> Step {
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
