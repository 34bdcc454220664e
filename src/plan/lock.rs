//! `pipeline.lock`: what is in the workspace now, as stage → trace. It goes into git, so it has no times in it, is sorted,
//! and keeps a blank line between blocks: edits of different stages merge.

use std::collections::BTreeMap;

use crate::pipeline::StageName;
use crate::plan::Trace;
use crate::plan::record::{self, TraceReader};

pub const FILE: &str = "pipeline.lock";
const HEADER: &str = "repro.lock 1";

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lock {
    pub stages: BTreeMap<StageName, Trace>,
}

/// Where and why a text is not a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLock {
    /// Counted from 1.
    pub line: usize,
    pub what: &'static str,
}

impl Lock {
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (name, trace) in &self.stages {
            text.push_str("\nstage ");
            text.push_str(name.as_str());
            text.push('\n');
            record::write_trace(&mut text, trace);
        }
        text
    }

    pub fn decode(text: &str) -> Result<Lock, BadLock> {
        let bad = |line, what| BadLock { line, what };
        let mut lines = text.lines().zip(1..);
        match lines.next() {
            Some((HEADER, _)) => {}
            Some((other, _)) if other.starts_with("repro.lock ") => {
                return Err(bad(1, "was written by a newer version"));
            }
            _ => return Err(bad(1, "does not begin with `repro.lock 1`")),
        }
        let mut lock = Lock::default();
        let mut block: Option<(StageName, usize, TraceReader)> = None;
        for (line, number) in lines {
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix("stage ") {
                let name = StageName::parse(name).ok_or(bad(number, "has a bad stage name"))?;
                lock.close(block.replace((name, number, TraceReader::default())))?;
            } else {
                let (_, _, reader) = block.as_mut().ok_or(bad(number, "has a line outside of a stage"))?;
                reader.line(line).map_err(|_| bad(number, "has a line that is not understood"))?;
            }
        }
        lock.close(block)?;
        Ok(lock)
    }

    fn close(&mut self, block: Option<(StageName, usize, TraceReader)>) -> Result<(), BadLock> {
        let Some((name, line, reader)) = block else {
            return Ok(());
        };
        match self.stages.insert(name, reader.finish()) {
            None => Ok(()),
            Some(_) => Err(BadLock { line, what: "has a stage twice" }),
        }
    }
}
