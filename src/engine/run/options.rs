//! What a run was asked to do.

use crate::schedule::OnFailure;

#[derive(Debug)]
pub struct Options {
    /// Membership list: the stages to bring up to date.
    pub wanted: Vec<bool>,
    /// Membership list: the stages to run whatever is known of them.
    pub forced: Vec<bool>,
    /// How many processors stages may keep busy together.
    pub cpus: usize,
    pub on_failure: OnFailure,
    /// For the record: the command line, and the `key=value` overrides in it.
    pub command: Vec<String>,
    pub overrides: Vec<String>,
}
