//! A file that is read forwards through a window of its bytes.
//!
//! Never holds more than the bytes asked for and one block, and never more than the file has.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// Bytes read at a time.
const BLOCK: usize = 64 * 1024;

/// An open file with a position.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    length: u64,
    /// Bytes from `start` on.
    window: Vec<u8>,
    start: u64,
    /// Index of the position in `window`.
    at: usize,
}

impl Source {
    /// Wraps a file; the position is its first byte.
    pub(crate) fn new(mut file: File) -> io::Result<Source> {
        let length = file.metadata()?.len();
        file.rewind()?;
        Ok(Source { file, length, window: Vec::new(), start: 0, at: 0 })
    }

    /// Returns the length of the file in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Returns the number of bytes from the position to the end.
    pub(crate) fn left(&self) -> u64 {
        self.length.saturating_sub(self.position())
    }

    /// Moves to a position; one behind the end is the end.
    pub(crate) fn seek(&mut self, position: u64) -> io::Result<()> {
        let position = position.min(self.length);
        let inside = position.checked_sub(self.start).filter(|at| *at <= self.window.len() as u64);
        match inside {
            Some(at) => self.at = at as usize,
            None => {
                self.file.seek(SeekFrom::Start(position))?;
                self.window.clear();
                (self.start, self.at) = (position, 0);
            }
        }
        Ok(())
    }

    pub(crate) fn skip(&mut self, count: u64) -> io::Result<()> {
        self.seek(self.position().saturating_add(count))
    }

    /// Returns the next `count` bytes without moving; fewer only at the end of the file.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        let ready = self.window.len() - self.at;
        if ready < count && (ready as u64) < self.left() {
            self.window.drain(..self.at);
            self.start += self.at as u64;
            self.at = 0;
            let more = (count - ready).max(BLOCK) as u64;
            (&mut self.file).take(more).read_to_end(&mut self.window)?;
        }
        let end = self.window.len().min(self.at.saturating_add(count));
        Ok(&self.window[self.at..end])
    }

    /// Returns the next `count` bytes and moves behind them; fewer only at the end of the file.
    pub(crate) fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let got = self.peek(count)?.len();
        self.at += got;
        Ok(&self.window[self.at - got..self.at])
    }

    /// Returns the next `N` bytes and moves behind them; `None` if the file ends before.
    pub(crate) fn array<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        Ok(self.take(N)?.first_chunk().copied())
    }

    /// Returns the file, for a reader that seeks by itself.
    pub(crate) fn into_file(mut self) -> io::Result<File> {
        self.file.rewind()?;
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn window_over_a_file() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut source = Source::new(file).unwrap();
        assert_eq!(source.peek(10).unwrap(), &bytes[..10]);
        assert_eq!(source.take(150_000).unwrap(), &bytes[..150_000]);
        assert_eq!((source.position(), source.left()), (150_000, 50_000));
        source.seek(149_990).unwrap();
        assert_eq!(source.array::<4>().unwrap().unwrap(), bytes[149_990..149_994]);
        source.seek(7).unwrap();
        assert_eq!(source.take(3).unwrap(), &bytes[7..10]);
        source.seek(199_999).unwrap();
        assert_eq!(source.peek(9).unwrap(), &bytes[199_999..]);
        assert_eq!(source.array::<2>().unwrap(), None);
        source.skip(u64::MAX).unwrap();
        assert_eq!((source.left(), source.take(5).unwrap().len()), (0, 0));
    }
}
