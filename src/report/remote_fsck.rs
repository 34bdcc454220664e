//! The report of `repro fsck --remote`.

use serde::Serialize;

use super::share::PackTally;
use crate::remote::{FileState, Inspection, Remote};

/// The state of the files of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteFsckReport {
    pub remote: String,
    /// The place of the remote.
    pub place: String,
    pub clean: bool,
    pub packs: PackTally,
    pub faults: Vec<FileFault>,
    /// Number of objects, segments of objects, traces and runs that are lost.
    pub lost: usize,
    /// The index no longer names what is lost.
    pub repaired: bool,
    /// Not all files were read.
    pub interrupted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFault {
    pub path: String,
    pub state: &'static str,
    pub lost: usize,
}

/// The end of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    Done,
    NotAsked,
}

impl RemoteFsckReport {
    pub fn new(
        remote: &Remote,
        found: &Inspection,
        (repair, interrupted): (Repair, bool),
    ) -> RemoteFsckReport {
        let faults = found.faults.iter().map(|fault| FileFault {
            path: fault.path.clone(),
            state: match fault.state {
                FileState::Missing => "missing",
                FileState::Damaged => "damaged",
                FileState::Copied => "copied",
            },
            lost: fault.lost,
        });
        RemoteFsckReport {
            remote: remote.name.clone(),
            place: remote.place(),
            clean: found.faults.is_empty(),
            packs: PackTally { count: found.packs.objects, bytes: found.packs.bytes },
            faults: faults.collect(),
            lost: found.lost(),
            repaired: repair == Repair::Done,
            interrupted,
        }
    }
}
