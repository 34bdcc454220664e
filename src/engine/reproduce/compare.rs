//! Compares outs and metrics of a run with those of its repetition.

use serde::Serialize;

use crate::number::{self, Number};
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;

/// A stage whose inputs differed from those of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputChange {
    pub stage: StageName,
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutComparison {
    pub stage: StageName,
    pub path: RepoPath,
    pub result: Sameness,
    /// The first files that differ in a directory, relative to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sameness {
    Same,
    Differs,
    /// The repetition did not make it.
    Missing,
    /// The run did not have it.
    New,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricComparison {
    /// `stage.key`
    pub metric: String,
    #[serde(serialize_with = "optional")]
    pub original: Option<Number>,
    #[serde(serialize_with = "optional")]
    pub reproduced: Option<Number>,
    pub result: Sameness,
}

fn optional<S: serde::Serializer>(number: &Option<Number>, s: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => number::finite_or_null(number, s),
        None => s.serialize_none(),
    }
}

/// Tolerances for metrics. With any of them, metrics alone decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

impl Tolerance {
    /// Reports whether two values of a metric count as equal.
    pub fn allows(self, original: Number, reproduced: Number) -> bool {
        let (a, b) = (original.to_f64(), reproduced.to_f64());
        original.same(reproduced) || (a - b).abs() <= self.absolute + self.relative * a.abs()
    }
}

impl MetricComparison {
    pub fn new(
        metric: String,
        original: Option<Number>,
        reproduced: Option<Number>,
        tolerance: Option<Tolerance>,
    ) -> MetricComparison {
        let exact = Tolerance { absolute: 0.0, relative: 0.0 };
        let result = match (original, reproduced) {
            (Some(a), Some(b)) if tolerance.unwrap_or(exact).allows(a, b) => Sameness::Same,
            (Some(_), Some(_)) => Sameness::Differs,
            (_, None) => Sameness::Missing,
            (None, _) => Sameness::New,
        };
        MetricComparison { metric, original, reproduced, result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_within_tolerance() {
        let number = |value: f64| Number::from(value);
        let exact = Tolerance { absolute: 0.0, relative: 0.0 };
        for (a, b, tolerance, expected) in [
            (1.0, 1.0, exact, true),
            (1.0, 1.1, exact, false),
            (f64::NAN, f64::NAN, exact, true),
            (f64::NAN, 1.0, Tolerance { absolute: 9.0, relative: 9.0 }, false),
            (1.0, 1.1, Tolerance { absolute: 0.2, relative: 0.0 }, true),
            (100.0, 101.0, Tolerance { absolute: 0.0, relative: 0.01 }, true),
            (100.0, 101.1, Tolerance { absolute: 0.0, relative: 0.01 }, false),
        ] {
            assert_eq!(tolerance.allows(number(a), number(b)), expected, "{a} {b}");
        }
    }
}
