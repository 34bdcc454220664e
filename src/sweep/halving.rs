//! Successive halving: which trials a live series ends early.
//!
//! Asynchronous, after Li et al. 2020 (arXiv:1810.05934): nothing waits for other trials. A trial
//! is judged when it has reported 2, 4, 8, … values. It goes on if its value is in the better half
//! of all values that trials have reported at the same point so far, its own included.

/// The values that trials have reported at each rung.
#[derive(Debug, Clone, Default)]
pub struct Halving {
    rungs: Vec<Vec<f64>>,
}

/// The decision about a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    GoOn,
    Stop,
}

impl Halving {
    /// Judges a trial after its `count`th value; a lower `score` is better.
    pub fn report(&mut self, count: usize, score: f64) -> Fate {
        if count < 2 || !count.is_power_of_two() {
            return Fate::GoOn;
        }
        let rung = count.trailing_zeros() as usize - 1;
        if self.rungs.len() <= rung {
            self.rungs.resize(rung + 1, Vec::new());
        }
        let others = &mut self.rungs[rung];
        let better = others.iter().filter(|other| other.total_cmp(&score).is_lt()).count();
        others.push(score);
        if better < others.len().div_ceil(2) { Fate::GoOn } else { Fate::Stop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_half_stops() {
        let mut halving = Halving::default();
        let mut fates = Vec::new();
        for score in [3.0, 1.0, 2.0, 4.0, 0.5, f64::NAN] {
            assert_eq!(halving.report(1, score), Fate::GoOn);
            fates.push(halving.report(2, score));
            assert_eq!(halving.report(3, score), Fate::GoOn);
        }
        use Fate::{GoOn, Stop};
        assert_eq!(fates, [GoOn, GoOn, GoOn, Stop, GoOn, Stop]);
    }

    #[test]
    fn rungs_are_independent() {
        let mut halving = Halving::default();
        assert_eq!(halving.report(4, 9.0), Fate::GoOn);
        assert_eq!(halving.report(2, 1.0), Fate::GoOn);
        assert_eq!(halving.report(2, 9.0), Fate::Stop);
        assert_eq!(halving.report(8, 9.0), Fate::GoOn);
    }
}
