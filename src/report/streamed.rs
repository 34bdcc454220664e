//! Reports that are read from the run store while they are written, in bounded memory.

use std::cell::RefCell;
use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::escape;

/// Holds the error with which reading failed while the report was serialized: a serializer can
/// pass on only texts.
#[derive(Debug, Default)]
pub struct ReadFailure(RefCell<Option<Error>>);

impl ReadFailure {
    /// Keeps the first error, and returns the serializer's.
    pub(super) fn keep<E: serde::ser::Error>(&self, error: Error) -> E {
        self.0.borrow_mut().get_or_insert(error);
        E::custom("the report cannot be read")
    }
}

/// Writes a report as [`json`](super::json) renders it, while it is read. Its fields must be
/// sorted.
///
/// # Errors
/// Returns the error in `failure`. An error of `out` is the value.
pub fn write_json(
    report: &impl Serialize,
    failure: &ReadFailure,
    out: &mut dyn Write,
) -> Result<io::Result<()>> {
    let mut out = Escaping(out);
    let written = serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from);
    match failure.0.take() {
        Some(error) => Err(error),
        None => Ok(written.and_then(|()| out.write_all(b"\n"))),
    }
}

/// Escapes what terminals obey. The serializer writes each string, or part of one, at once.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(escape::json(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
