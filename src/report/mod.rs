//! Results of commands as plain data. The `Serialize` of a report is the only definition of its
//! JSON; the terminal renders the same value.
//!
//! Reports are built from values of the engine and the run store. They do not know about terminals
//! or arguments.

pub mod compare;
pub mod compared;
pub mod dag;
pub mod diff;
pub mod fold;
pub mod fsck;
pub mod gc;
pub mod get;
pub mod home;
pub mod metrics;
pub mod models;
pub mod pipeline;
pub mod plan;
pub mod plots;
pub mod reproduce;
pub mod run_columns;
pub mod run_grid;
pub mod run_table;
pub mod run_tree;
pub mod runs;
pub mod stage;
pub mod status;
pub mod streamed;
pub mod sweep;
pub mod trash;

use serde::Serialize;

use crate::escape;

/// Returns a report as indented JSON with sorted keys and a newline at the end.
pub fn json(report: &impl Serialize) -> String {
    match serde_json::to_value(report) {
        Ok(value) => escape::json(&format!("{value:#}\n")).into_owned(),
        Err(err) => panic!("BUG: a report is not valid JSON: {err}"),
    }
}
