//! Writes data to stdout, without colors where they are not wanted.

use std::io::{self, ErrorKind, Write as _};

use crate::error::{Error, Result};

/// Writes all of `text` to stdout. A reader that closes early, as `head` does, is not an error.
///
/// # Errors
/// Stdout cannot be written, for example because its disk is full.
pub fn write(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    tolerate_closed_pipe(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes all that `source` yields to stdout unchanged, byte for byte.
///
/// # Errors
/// As for [`write()`].
pub fn copy(mut source: impl io::Read) -> Result<()> {
    let mut out = io::stdout().lock();
    tolerate_closed_pipe(io::copy(&mut source, &mut out).and_then(|_| out.flush()))
}

fn tolerate_closed_pipe(written: io::Result<()>) -> Result<()> {
    match written {
        Err(err) if err.kind() != ErrorKind::BrokenPipe => {
            Err(Error::environment("cannot write to stdout").because(err))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stdout; on an error, returns it from the enclosing function.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::terminal::stdout::write(&format!("{}\n", format_args!($($part)*)))?
    };
}
pub(crate) use say;
