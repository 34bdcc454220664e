//! A sweep as it was written: under `[sweeps.NAME]`, on the command line, or both.

use std::time::Duration;

use super::Override;

/// The texts and numbers of a sweep. What is not given has its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SweepSpec {
    pub name: Option<String>,
    /// The stages to bring up to date in each trial; all if empty.
    pub stages: Vec<String>,
    /// Params with their values, the slowest first.
    pub params: Vec<Override>,
    /// Params whose values advance together.
    pub zip: Vec<Override>,
    /// The CSV file with a trial in each row.
    pub table: Option<String>,
    /// Conditions that every trial fulfils.
    pub filters: Vec<String>,
    /// Keys of params, and the conditions under which they are swept.
    pub conditions: Vec<(String, String)>,
    /// Number of trials to draw at random.
    pub random: Option<usize>,
    /// Metric to optimize, perhaps after `max:` or `min:`.
    pub optimize: Option<String>,
    /// Number of trials of an optimization.
    pub trials: Option<usize>,
    /// Metric whose live series ends the worse half of the trials.
    pub halving: Option<String>,
    pub seed: Option<u64>,
    /// Number of runs per trial, each with another seed.
    pub repeats: Option<usize>,
    /// The param that is the seed.
    pub seed_param: Option<String>,
    pub patience: Option<usize>,
    pub target: Option<f64>,
    pub max_time: Option<Duration>,
    /// Number of trials that run at once.
    pub jobs: Option<usize>,
}

impl SweepSpec {
    /// Lays `other` over this: what it gives replaces what is given here.
    pub fn overlaid(mut self, other: SweepSpec) -> SweepSpec {
        let add = |ours: &mut Vec<Override>, theirs: Vec<Override>| {
            let declared = ours.len();
            for given in theirs {
                match ours[..declared].iter_mut().find(|one| one.key == given.key) {
                    Some(one) => *one = given,
                    None => ours.push(given),
                }
            }
        };
        add(&mut self.params, other.params);
        add(&mut self.zip, other.zip);
        if !other.stages.is_empty() {
            self.stages = other.stages;
        }
        self.filters.extend(other.filters);
        self.conditions.extend(other.conditions);
        SweepSpec {
            name: other.name.or(self.name),
            table: other.table.or(self.table),
            random: other.random.or(self.random),
            optimize: other.optimize.or(self.optimize),
            trials: other.trials.or(self.trials),
            halving: other.halving.or(self.halving),
            seed: other.seed.or(self.seed),
            repeats: other.repeats.or(self.repeats),
            seed_param: other.seed_param.or(self.seed_param),
            patience: other.patience.or(self.patience),
            target: other.target.or(self.target),
            max_time: other.max_time.or(self.max_time),
            jobs: other.jobs.or(self.jobs),
            ..self
        }
    }
}
