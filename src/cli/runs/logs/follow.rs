//! `repro runs logs --follow`: prints the output of a run as it comes, until the run ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek as _;
use std::path::Path;
use std::time::Duration;

use super::stages::{all, find, named, open};
use crate::error::Result;
use crate::pipeline::StageName;
use crate::runs::{Run, RunName, RunState, StageRecord, Store};
use crate::terminal::{stdout, style};

/// Time between two looks for new output.
const INTERVAL: Duration = Duration::from_millis(100);

/// Prints the logs of a run, or of its stages called `stage`, and what is added to them until the
/// run ends.
///
/// # Errors
/// A log or the store cannot be read.
pub(super) fn follow(root: &Path, store: &Store, run: RunName, stage: Option<&str>) -> Result<u8> {
    let mut followed = Followed::default();
    loop {
        // Read before the logs, so that the last look sees all that the run wrote.
        let now = store.run(run)?;
        let stages: Vec<&StageRecord> = match stage {
            Some(name) => named(&now, name),
            None => now.stages.iter().collect(),
        };
        followed.print_new(root, &now, &stages)?;
        if now.state != RunState::Running {
            return match (stage, followed.has_printed()) {
                // The usual errors and notes about logs that do not exist.
                (Some(name), false) => all(root, &now, &find(&now, name)?),
                (None, false) => all(root, &now, &stages),
                _ => Ok(crate::error::exit::OK),
            };
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The logs that are being followed.
#[derive(Default)]
struct Followed {
    logs: BTreeMap<StageName, File>,
    /// The stage whose output was printed last.
    last: Option<StageName>,
}

impl Followed {
    fn has_printed(&self) -> bool {
        self.last.is_some()
    }

    fn print_new(&mut self, root: &Path, run: &Run, stages: &[&StageRecord]) -> Result<()> {
        for stage in stages {
            let name = &stage.stage;
            if !self.logs.contains_key(name) {
                let Some(log) = open(root, run, stage)? else { continue };
                self.logs.insert(name.clone(), log);
            }
            let Some(log) = self.logs.get_mut(name) else { continue };
            let length = log.metadata().map_or(0, |meta| meta.len());
            let printed = log.stream_position().unwrap_or(0);
            if length < printed {
                // The stage began again.
                let _ = log.rewind();
            } else if length == printed {
                continue;
            }
            if self.last.as_ref() != Some(name) && stages.len() > 1 {
                let bold = style::BOLD;
                let gap = if self.last.is_some() { "\n" } else { "" };
                stdout::write(&format!("{gap}{bold}==> {name}{bold:#}\n"))?;
            }
            stdout::copy(&*log)?;
            self.last = Some(name.clone());
        }
        Ok(())
    }
}
