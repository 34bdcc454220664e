//! Messages from worker threads to the dispatcher.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::outcome::StageResult;
use crate::engine::observe::Observation;
use crate::error::Result;
use crate::event::Millis;
use crate::exec::StageMessage;
use crate::pipeline::StageIx;
use crate::schedule::End;

#[derive(Debug)]
pub(super) enum Message {
    Observed(StageIx, Result<Arc<Observation>>),
    /// With what the stage's follower waits for: dropped when all of it is passed on.
    Output(StageIx, Vec<StageMessage>, Sender<()>),
    Ended(StageIx, StageResult, Millis),
    /// So many units of its work wait; the number of each goes back when it may start, and the other end is dropped after the last.
    Units(StageIx, usize, Sender<usize>),
    UnitEnded(StageIx, End),
    Signal,
}
