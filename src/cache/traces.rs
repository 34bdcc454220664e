//! The run cache: stores traces by the key of their fingerprint.

use std::fs;
use std::io::Write as _;

use super::pending_sync::OnExisting;
use super::{Cache, READABLE};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::plan::Trace;
use crate::plan::trace_text::{TraceReader, write_trace};
use crate::regular_file;

const TRACES: &str = "traces";
const HEADER: &str = "repro.trace 1\n";

/// Returns the text of a trace, as its file has it.
pub fn encode(trace: &Trace) -> String {
    let mut text = HEADER.to_owned();
    write_trace(&mut text, trace);
    text
}

/// Parses the text of a trace; `None` if the bytes are not one.
pub fn decode(bytes: &[u8]) -> Option<Trace> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = TraceReader::default();
    for line in text.strip_prefix(HEADER)?.lines() {
        reader.push_line(line).ok()?;
    }
    Some(reader.finish())
}

impl Cache {
    /// Returns the trace with this key.
    ///
    /// `None` if the file is missing or damaged, or if the key computed from its fingerprint
    /// differs. The objects of its outs may be missing.
    pub fn trace(&self, key: &Digest) -> Option<Trace> {
        let bytes = regular_file::read(&self.path_of(TRACES, key)).ok()?;
        decode(&bytes).filter(|trace| trace.fingerprint.key() == *key)
    }

    /// Returns the keys of all traces, without reading them.
    pub fn trace_keys(&self) -> Vec<Digest> {
        let shards = fs::read_dir(self.dir.join(TRACES)).into_iter().flatten().flatten();
        let files =
            shards.flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
        files.filter_map(|file| self.digest_of_object(&file.path())).collect()
    }

    /// Stores a trace under the key of its fingerprint. Every trace enters the cache here.
    ///
    /// A later execution replaces an earlier one. Objects come before traces: the objects of its
    /// outs must have been added first.
    pub fn put_trace(&self, trace: &Trace) -> Result<()> {
        let text = encode(trace);
        let name = self.path_of(TRACES, &trace.fingerprint.key());
        self.with_temporary(READABLE, |temporary, mut file| {
            let written = file
                .write_all(text.as_bytes())
                .and_then(|()| self.pending.publish(temporary, &name, OnExisting::Replace));
            written.map_err(|err| Error::io("write", &name, &err))
        })
    }
}
