//! What a run was asked to do.

use crate::pipeline::StageSet;
use crate::schedule::OnFailure;

#[derive(Debug)]
pub struct Options {
    /// The stages to bring up to date.
    pub wanted: StageSet,
    /// The stages to run whatever is known of them.
    pub forced: StageSet,
    /// How many processors stages may keep busy together.
    pub cpus: usize,
    pub on_failure: OnFailure,
    /// For the record: the command line, and the `key=value` overrides in it.
    pub command: Vec<String>,
    pub overrides: Vec<String>,
}
