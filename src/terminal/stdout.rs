//! Data on its way to stdout. Colours are taken away where they are not wanted.

use std::io::{ErrorKind, Write as _};

use crate::error::{Error, Result};

/// Writes text whole. A reader that has seen enough and hung up, as `head` does, is no error.
///
/// # Errors
/// The disk that stdout leads to is full, and the like.
pub fn write(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(err) if err.kind() != ErrorKind::BrokenPipe => {
            Err(Error::environment("cannot write to stdout").because(err))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stdout, or returns the error from the function that it stands in.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::terminal::stdout::write(&format!("{}\n", format_args!($($part)*)))?
    };
}
pub(crate) use say;
