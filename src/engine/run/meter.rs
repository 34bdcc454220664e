//! Adds up what the processes of a stage use.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::processes::Ended;
use crate::event::Usage;
use crate::exec::Exit;

/// The meter of one stage. Units add to it from their threads.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Option<Reading>>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    exit_code: i32,
    cpu: Duration,
    memory: Option<u64>,
}

impl Meter {
    /// Adds a process that has ended.
    pub(super) fn add(&self, ended: &Ended) {
        let exit_code = match ended.exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        };
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reading.map_or((Duration::ZERO, None), |before| (before.cpu, before.memory));
        *reading = Some(Reading {
            exit_code,
            cpu: before.0 + ended.usage.cpu,
            memory: before.1.max(ended.usage.memory),
        });
    }

    /// Returns what all processes have used; `None` if there was none.
    pub(super) fn usage(&self) -> Option<Usage> {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.map(|Reading { exit_code, cpu, memory }| Usage {
            exit_code,
            cpu: cpu.into(),
            memory,
        })
    }
}
