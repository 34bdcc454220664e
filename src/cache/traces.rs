//! Traces by the key of their fingerprint: the run cache.

use std::fs;

use super::Cache;
use super::pending_sync::OnExisting;
use crate::digest::Digest;
use crate::error::Result;
use crate::plan::Trace;
use crate::plan::record::{TraceReader, write_trace};

const TRACES: &str = "traces";
const HEADER: &str = "repro.trace 1\n";

impl Cache {
    /// The trace of a fingerprint; a file that is missing, damaged or of another fingerprint is none.
    pub fn trace(&self, key: &Digest) -> Option<Trace> {
        let text = fs::read_to_string(self.path_of(TRACES, key)).ok()?;
        let mut reader = TraceReader::default();
        for line in text.strip_prefix(HEADER)?.lines() {
            reader.line(line).ok()?;
        }
        Some(reader.finish()).filter(|trace| trace.fingerprint.key() == *key)
    }

    /// Remembers what a fingerprint produced. A later execution replaces an earlier one.
    pub fn put_trace(&self, trace: &Trace) -> Result<()> {
        let mut text = HEADER.to_owned();
        write_trace(&mut text, trace);
        let name = self.path_of(TRACES, &trace.fingerprint.key());
        self.write_small(text.as_bytes(), &name, OnExisting::Replace)
    }
}
