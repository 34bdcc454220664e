//! Results of commands as plain data. The `Serialize` of a report is the only definition of its
//! JSON; the terminal renders the same value.
//!
//! Reports are built from values of the engine and the run store. They do not know about terminals
//! or arguments.

mod base64;
pub mod compare;
pub mod compared;
pub mod contents;
pub mod curve;
pub mod dag;
mod decimate;
pub mod diff;
pub mod fold;
pub mod fsck;
pub mod gc;
pub mod get;
pub mod home;
pub mod import;
pub mod lineage;
pub mod log;
pub mod metrics;
pub mod models;
pub mod pipeline;
pub mod plan;
pub mod plots;
pub mod preview;
#[cfg(feature = "remote")]
pub mod remote_fsck;
#[cfg(feature = "remote")]
pub mod remotes;
pub mod reproduce;
pub mod run_columns;
pub mod run_grid;
pub mod run_page;
pub mod run_table;
pub mod run_tree;
pub mod runs;
#[cfg(feature = "remote")]
pub mod share;
pub mod stage;
pub mod status;
pub mod streamed;
pub mod sweep;
pub mod trash;
pub mod uses;
mod values;

use serde::{Serialize, Serializer};

use crate::escape;
use crate::number::Number;

/// Returns a report as indented JSON with sorted keys and a newline at the end.
pub fn json(report: &impl Serialize) -> String {
    match serde_json::to_value(report) {
        Ok(value) => escape::json(&format!("{value:#}\n")).into_owned(),
        Err(err) => panic!("BUG: a report is not valid JSON: {err}"),
    }
}

/// Serializes whole numbers without a fraction, since there may be many.
fn short_numbers<S: Serializer>(numbers: &[Number], s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Short {
        Whole(i64),
        Other(Number),
    }
    s.collect_seq(numbers.iter().map(|number| {
        match number.integer().and_then(|integer| i64::try_from(integer).ok()) {
            Some(integer) => Short::Whole(integer),
            None => Short::Other(*number),
        }
    }))
}
