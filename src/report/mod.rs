//! Results of commands as plain data. The `Serialize` of a report is the only definition of its
//! JSON; the terminal renders the same value.
//!
//! Reports are built from values of the engine and the run store. They do not know about terminals
//! or arguments.

pub mod dag;
pub mod fsck;
pub mod gc;
pub mod get;
pub mod metrics;
pub mod plan;
pub mod runs;
pub mod status;
pub mod trash;

use serde::{Serialize, Serializer};

use crate::escape;

/// Returns a report as indented JSON with sorted keys and a newline at the end.
pub fn json(report: &impl Serialize) -> String {
    match serde_json::to_value(report) {
        Ok(value) => escape::json(&format!("{value:#}\n")).into_owned(),
        Err(err) => panic!("BUG: a report is not valid JSON: {err}"),
    }
}

/// A number in JSON, which has no NaN and no infinities: these become the strings `NaN`, `Infinity`
/// and `-Infinity`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => s.serialize_str("NaN"),
            f64::INFINITY => s.serialize_str("Infinity"),
            f64::NEG_INFINITY => s.serialize_str("-Infinity"),
            value => s.serialize_f64(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_json() {
        let values = [0.5, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Number);
        let json = serde_json::to_string(&values).unwrap();
        assert_eq!(json, r#"[0.5,2.0,"NaN","Infinity","-Infinity"]"#);
    }
}
