//! Reads parts of the log of a stage: lines by number, what follows a byte, and lines that contain
//! a text. The log may be large and may be growing. Does not know who writes it.
//!
//! Lines are numbered from 1. A line is kept up to [`LONGEST_LINE`] bytes. A last line without a
//! line feed counts as a line, since a process may have ended in the middle of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::folders::{LOG, stage_dir};
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::regular_file;

/// Number of bytes of a line that are kept and searched.
const LONGEST_LINE: u64 = 1 << 13;
/// Number of bytes after which a part ends, even if more lines were requested.
const LARGEST_PART: usize = 1 << 20;
/// Distance of the places in a log whose line numbers are known.
const CHUNK: usize = 1 << 16;

/// A log that is open for reading.
#[derive(Debug)]
pub struct Log<F> {
    file: F,
    /// Size when it was opened. What is added later is not read.
    size: u64,
}

/// Consecutive lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Number of the first line.
    pub first: u64,
    pub lines: Vec<Line>,
    /// Byte after the last of these lines that has a line feed. [`Log::after`] continues there.
    pub end: u64,
    /// The last line has no line feed, so it may grow.
    pub ends_open: bool,
}

/// A line without its line feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pub bytes: Vec<u8>,
    /// Number of its bytes that were not kept.
    pub cut: u64,
}

/// The lines that contain a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// Number of all matching lines.
    pub total: u64,
    /// The first of them, with their numbers.
    pub lines: Vec<(u64, Line)>,
}

impl Log<File> {
    /// Opens the log of a stage in a run; `None` if it does not exist.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn open(history: &Path, run: RunName, stage: &StageName) -> Result<Option<Log<File>>> {
        let path = stage_dir(history, run, stage).join(LOG);
        let opened = regular_file::open(&path).and_then(Log::new);
        match opened {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(|err| {
                Error::io("open", path.strip_prefix(history).unwrap_or(&path), &err)
            }),
        }
    }
}

impl<F: Read + Seek> Log<F> {
    fn new(mut file: F) -> io::Result<Log<F>> {
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Log { file, size })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Finds the line numbers of the log. Reads all of it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn index(&mut self) -> Result<Index> {
        self.scan().map_err(unreadable)
    }

    /// Returns at most `count` lines from number `first` on.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn lines(&mut self, index: &Index, first: u64, count: usize) -> Result<Lines> {
        let first = first.max(1);
        let (chunk, before) = index.chunk_of(first);
        let start = chunk as u64 * CHUNK as u64;
        let lines = self.skipping(start, first - 1 - before, count).map_err(unreadable)?;
        Ok(Lines { first, ..lines })
    }

    /// Returns at most `count` lines after byte `start`, which is the end of a line. The number of
    /// the first is not known. `None` if no line ends there: the log is another one than before.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn after(&mut self, start: u64, count: usize) -> Result<Option<Lines>> {
        let follows_a_line = self.follows_a_line(start).map_err(unreadable)?;
        let read = follows_a_line.then(|| self.skipping(start, 0, count).map_err(unreadable));
        read.transpose()
    }

    /// Finds the lines that contain `text`, and keeps the first `most`. If `text` has no capital
    /// letters, those of the lines do not count.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn find(&mut self, text: &str, most: usize) -> Result<Matches> {
        self.search(text, most).map_err(unreadable)
    }

    fn scan(&mut self) -> io::Result<Index> {
        let mut log = self.from(0)?;
        let mut index = Index { total: 0, feeds_before: vec![0], ends_open: false };
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = fill(&mut log, &mut chunk)?;
            index.total += chunk[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
            index.feeds_before.push(index.total);
            if read > 0 {
                index.ends_open = chunk[read - 1] != b'\n';
            }
            if read < CHUNK {
                return Ok(index);
            }
        }
    }

    fn skipping(&mut self, start: u64, skipped: u64, count: usize) -> io::Result<Lines> {
        let mut log = BufReader::new(self.from(start)?);
        let mut end = start;
        for _ in 0..skipped {
            match next_line(&mut log)? {
                Some(line) => end += line.size,
                None => break,
            }
        }
        let (mut lines, mut kept, mut ends_open) = (Vec::new(), 0, false);
        while lines.len() < count && kept < LARGEST_PART {
            let Some(found) = next_line(&mut log)? else { break };
            kept += found.line.bytes.len() + 1;
            ends_open = !found.has_feed;
            end += if ends_open { 0 } else { found.size };
            lines.push(found.line);
        }
        Ok(Lines { first: 0, lines, end, ends_open })
    }

    fn follows_a_line(&mut self, start: u64) -> io::Result<bool> {
        if start == 0 || start > self.size {
            return Ok(start == 0);
        }
        let mut byte = [0];
        self.from(start - 1)?.read_exact(&mut byte)?;
        Ok(byte == *b"\n")
    }

    fn search(&mut self, text: &str, most: usize) -> io::Result<Matches> {
        let ignores_case = !text.chars().any(char::is_uppercase);
        let wanted = if ignores_case { text.to_lowercase() } else { text.to_owned() };
        let mut log = BufReader::new(self.from(0)?);
        let mut matches = Matches::default();
        let mut number = 0;
        while let Some(Found { line, .. }) = next_line(&mut log)? {
            number += 1;
            let shown = String::from_utf8_lossy(&line.bytes);
            let is_match = match ignores_case {
                true => shown.to_lowercase().contains(&wanted),
                false => shown.contains(&wanted),
            };
            if is_match {
                matches.total += 1;
                if matches.lines.len() < most {
                    matches.lines.push((number, line));
                }
            }
        }
        Ok(matches)
    }

    /// Reads from a byte up to the size at which the log was opened.
    fn from(&mut self, start: u64) -> io::Result<io::Take<&mut F>> {
        self.file.seek(SeekFrom::Start(start))?;
        Ok(self.file.by_ref().take(self.size.saturating_sub(start)))
    }
}

/// The number of lines of a log, and those before each chunk of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Number of line feeds.
    total: u64,
    feeds_before: Vec<u64>,
    /// The last line has no line feed.
    ends_open: bool,
}

impl Index {
    /// Returns the number of lines.
    pub fn total(&self) -> u64 {
        self.total + u64::from(self.ends_open)
    }

    /// Returns the chunk in which the line before `line` ends, and the number of lines that end
    /// before that chunk.
    fn chunk_of(&self, line: u64) -> (usize, u64) {
        let after = self.feeds_before.partition_point(|feeds| *feeds < line - 1);
        let chunk = after.saturating_sub(1);
        (chunk, self.feeds_before[chunk])
    }
}

struct Found {
    line: Line,
    /// With its line feed.
    size: u64,
    has_feed: bool,
}

fn next_line(log: &mut impl BufRead) -> io::Result<Option<Found>> {
    let mut bytes = Vec::new();
    let mut size = log.take(LONGEST_LINE).read_until(b'\n', &mut bytes)? as u64;
    if size == 0 {
        return Ok(None);
    }
    let mut has_feed = bytes.last() == Some(&b'\n');
    if has_feed {
        bytes.pop();
    } else if size == LONGEST_LINE {
        let (rest, is_ended) = skip_line(log)?;
        (size, has_feed) = (size + rest, is_ended);
    }
    let cut = size - bytes.len() as u64 - u64::from(has_feed);
    Ok(Some(Found { line: Line { bytes, cut }, size, has_feed }))
}

/// Skips the rest of a line. Returns its size, and `true` if it has a line feed.
fn skip_line(log: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut size = 0;
    loop {
        let buffer = log.fill_buf()?;
        let feed = buffer.iter().position(|byte| *byte == b'\n');
        let used = feed.map_or(buffer.len(), |at| at + 1);
        log.consume(used);
        size += used as u64;
        if feed.is_some() || used == 0 {
            return Ok((size, feed.is_some()));
        }
    }
}

/// Fills the buffer unless the end is reached, and returns the number of bytes read.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

fn unreadable(err: io::Error) -> Error {
    Error::environment("cannot read the log").because(err)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use proptest::prelude::*;

    fn log(text: &[u8]) -> Log<Cursor<Vec<u8>>> {
        Log::new(Cursor::new(text.to_vec())).unwrap()
    }

    fn texts(lines: &Lines) -> Vec<String> {
        lines.lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("{}\nshort\n{}", "x".repeat(100_000), "y".repeat(9000));
        let mut log = log(text.as_bytes());
        let index = log.index().unwrap();
        let lines = log.lines(&index, 1, 9).unwrap();
        let sizes: Vec<(usize, u64)> =
            lines.lines.iter().map(|line| (line.bytes.len(), line.cut)).collect();
        let kept = LONGEST_LINE as usize;
        assert_eq!(sizes, [(kept, 100_000 - kept as u64), (5, 0), (kept, 9000 - kept as u64)]);
        assert_eq!((index.total(), lines.end, lines.ends_open), (3, 100_007, true));
    }

    #[test]
    fn following_by_byte() {
        let mut log = log(b"one\ntwo\nthr");
        let more = log.after(4, 9).unwrap().unwrap();
        assert_eq!(texts(&more), ["two", "thr"]);
        assert_eq!((more.end, more.ends_open), (8, true));
        assert_eq!(texts(&log.after(8, 9).unwrap().unwrap()), ["thr"]);
        assert_eq!(log.after(0, 1).unwrap().unwrap().end, 4);
        // These are no ends of lines.
        assert_eq!([5, 11, 12, u64::MAX].map(|at| log.after(at, 9).unwrap()), [const { None }; 4]);
    }

    #[test]
    fn matches_of_a_text() {
        let mut log = log("Loss 1\nloss é 2\nLOSS\n\nend".as_bytes());
        let mut numbers = |text: &str, most| {
            let matches = log.find(text, most).unwrap();
            let numbers = matches.lines.iter().map(|(number, _)| *number).collect::<Vec<_>>();
            (matches.total, numbers)
        };
        assert_eq!(numbers("loss", 2), (3, vec![1, 2]));
        assert_eq!(numbers("Loss", 9), (1, vec![1]));
        assert_eq!(numbers("é", 9), (1, vec![2]));
        assert_eq!(numbers("none", 9), (0, vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lines_by_number(
            lengths in prop::collection::vec(0usize..5000, 0..90),
            first in 0u64..100,
            count in 0usize..20,
            ends in any::<bool>(),
        ) {
            let line = |(n, len): (usize, &usize)| format!("{n}{}", "z".repeat(*len));
            let all: Vec<String> = lengths.iter().enumerate().map(line).collect();
            let mut text = all.join("\n");
            if ends && !all.is_empty() {
                text.push('\n');
            }
            let mut log = log(text.as_bytes());
            let index = log.index().unwrap();
            prop_assert_eq!(index.total(), all.len() as u64);
            let lines = log.lines(&index, first, count).unwrap();
            let skipped = first.max(1) as usize - 1;
            let expected: Vec<String> = all.iter().skip(skipped).take(count).cloned().collect();
            prop_assert_eq!(texts(&lines), expected);
        }
    }
}
