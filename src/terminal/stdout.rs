//! Writes data to stdout, without colors where they are not wanted.

use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Read, Write as _};

use super::wording;
use crate::error::{Error, Result};
use crate::escape::for_terminal;

/// Writes all of `text` to stdout. A reader that closes early, as `head` does, is not an error.
///
/// # Errors
/// Stdout cannot be written, for example because its disk is full.
pub fn write(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    tolerate_closed_pipe(out.write_all(for_terminal(text).as_bytes()).and_then(|()| out.flush()))
}

/// Lets `produce` write data to stdout. It need not be in memory at once.
///
/// # Errors
/// Fails as `produce` does, and as [`write()`] does.
pub fn stream(produce: impl FnOnce(&mut dyn io::Write) -> Result<io::Result<()>>) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    tolerate_closed_pipe(produce(&mut out)?.and_then(|()| out.flush()))
}

/// Writes all that `source` yields to stdout: byte for byte into files and pipes, line by line
/// without control codes on a terminal.
///
/// # Errors
/// As for [`write()`].
pub fn copy(mut source: impl Read) -> Result<()> {
    if io::stdout().is_terminal() {
        return show(source);
    }
    let mut out = io::stdout().lock();
    tolerate_closed_pipe(io::copy(&mut source, &mut out).and_then(|_| out.flush()))
}

/// Longest piece of a line without a line feed that is kept in memory.
const LONGEST_PIECE: u64 = 1 << 16;

fn show(source: impl Read) -> Result<()> {
    let mut source = io::BufReader::new(source);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let read = source.by_ref().take(LONGEST_PIECE).read_until(b'\n', &mut piece);
        let read = read.map_err(|err| Error::environment("cannot read the log").because(err))?;
        if read == 0 {
            return Ok(());
        }
        let end = if piece.ends_with(b"\n") { "\n" } else { "" };
        write(&format!("{}{end}", wording::visible(&String::from_utf8_lossy(&piece))))?;
    }
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
