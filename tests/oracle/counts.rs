//! Counts of what a sequence did and compared.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub struct Counts {
    pub edits: u64,
    pub statuses: u64,
    pub verdicts: u64,
    pub runs: u64,
    pub processes: u64,
    /// Commands that the engine refused as a whole, as expected.
    pub refusals: u64,
    /// Stages that failed, with the expected error.
    pub failures: u64,
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
