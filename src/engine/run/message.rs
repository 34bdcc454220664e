//! Messages from worker threads to the dispatcher.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::outcome::StageResult;
use super::supply::Supplied;
use crate::digest::Content;
use crate::engine::observe::Observation;
use crate::error::Result;
use crate::event::{Millis, StageInputs, Usage};
use crate::exec::StageMessage;
use crate::pipeline::StageIx;
use crate::plan::Change;
use crate::repo_path::RepoPath;
use crate::schedule::End;

/// The time and resources that went into a stage, and the artifacts that it reported.
#[derive(Debug, Default)]
pub(super) struct Spent {
    pub took: Millis,
    pub usage: Option<Usage>,
    pub artifacts: BTreeMap<RepoPath, Content>,
}

#[derive(Debug)]
pub(super) enum Message {
    Observed(StageIx, Result<Arc<Observation>>, Supplied),
    /// The supply is bringing the outs of a stage: the number of objects that have arrived, and of
    /// all. The reasons and inputs are those of the stage.
    Supplying(StageIx, (u64, u64), Box<(Vec<Change>, StageInputs)>),
    /// Output of a stage. The dispatcher drops the sender once it has reported all of it.
    Output(StageIx, Vec<StageMessage>, Sender<()>),
    Ended(StageIx, StageResult, Box<Spent>),
    /// The stage splits into `usize` units. The dispatcher sends a unit's index when the unit may
    /// start, and drops the sender after the last one.
    Units(StageIx, usize, Sender<usize>),
    UnitEnded(StageIx, End),
    /// Another run has freed resources.
    Freed,
    /// The stage that another run was computing from the same inputs has ended.
    Computed(StageIx),
    Signal,
}
