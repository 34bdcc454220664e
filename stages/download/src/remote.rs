//! A file on a server, of which only those parts are fetched that somebody needs.
//!
//! Beside the local file, which has the length of the server's and holes where nothing was fetched yet, lies a
//! note: the server's validators and the ranges that are there. A later run goes on from it while the server
//! says that it still has the same file. Where a server has no ranges, or no validator that would tell two
//! files apart, the file is fetched in one go, and again from its start when the connection breaks. Knows
//! nothing about archives.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use kit::files::write_json;
use serde::{Deserialize, Serialize};
use ureq::Agent;

use crate::crew::share_out;
use crate::endpoint::Endpoint;
use crate::http::{Answer, Client, Extent, Fault, Validators};
use crate::meter::Meter;
use crate::retry::{Retry, jitter};
use crate::spans::Spans;

/// The first request, which many small files need no other after.
const PROBE: u64 = 1 << 16;
/// What is fetched at least when something is read that was not asked for before.
const BLOCK: u64 = 1 << 18;
/// A request costs more than this many bytes.
const GAP: u64 = 1 << 17;
/// The note is written after each: a crash loses no more.
const PIECE: u64 = 8 << 20;

/// How transfers are made.
#[derive(Clone, Debug)]
pub(crate) struct Transfers {
    pub(crate) agent: Agent,
    /// Where files are kept between runs.
    pub(crate) folder: PathBuf,
    /// The wait before the second attempt.
    pub(crate) retry_wait: Duration,
}

/// What is known about the bytes on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    validators: Validators,
    length: u64,
    there: Spans,
}

impl Note {
    fn is_complete(&self) -> bool {
        self.there.cover(&(0..self.length))
    }
}

/// The local half of a file on a server. Shared by reference between threads.
pub(crate) struct Remote<'a> {
    client: Client,
    retry_wait: Duration,
    meter: &'a Meter<'a>,
    file: File,
    path: PathBuf,
    note_path: PathBuf,
    note: Mutex<Note>,
    changed: AtomicBool,
}

impl<'a> Remote<'a> {
    /// Asks the server for the file. After this its length is known, and either all of it is there or the
    /// server has ranges.
    ///
    /// # Errors
    /// An answer that no new attempt will change, such as 404; too many attempts; any failure of the disk.
    pub(crate) fn open(
        endpoint: Endpoint,
        transfers: &Transfers,
        meter: &'a Meter<'a>,
    ) -> Result<Remote<'a>> {
        let folder = &transfers.folder;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        let name = format!("{:016x}", fnv1a(&endpoint.address));
        let (path, note_path) =
            (folder.join(format!("{name}.part")), folder.join(format!("{name}.json")));
        // A note that cannot be read is as good as none: the transfer starts over.
        let note = fs::read(&note_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut note: Note = note.unwrap_or_default();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
        if file.metadata()?.len() != note.length {
            note = Note::default();
        }
        let remote = Remote {
            client: Client::new(transfers.agent.clone(), endpoint),
            retry_wait: transfers.retry_wait,
            meter,
            file,
            path,
            note_path,
            note: Mutex::new(note),
            changed: AtomicBool::new(false),
        };
        remote.attempt_until_done(|| remote.probe())?;
        Ok(remote)
    }

    /// The server's address, for messages.
    pub(crate) fn shown(&self) -> String {
        self.client.shown()
    }

    /// The local file; whole after [`Remote::whole`].
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.note().length
    }

    /// Whether the server's file became another one meanwhile: a new [`Remote::open`] starts over.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Fetches what is missing of the file.
    ///
    /// # Errors
    /// As [`Remote::bring`].
    pub(crate) fn whole(&self) -> Result<()> {
        self.bring(from_ref(&(0..self.length())))
    }

    /// Fetches what is missing of some ranges, several at once.
    ///
    /// # Errors
    /// As [`Remote::open`]; a file that became another one.
    pub(crate) fn bring(&self, wanted: &[Range<u64>]) -> Result<()> {
        let length = self.length();
        let inside: Vec<_> =
            wanted.iter().map(|range| range.start..range.end.min(length)).collect();
        let pieces = self.note().there.pieces(&inside, GAP, PIECE);
        self.meter.expect(pieces.iter().map(|piece| piece.end - piece.start).sum());
        share_out(pieces, |piece| self.attempt_until_done(|| self.piece(&piece)))
    }

    /// Forgets all that was fetched: the next run starts over.
    pub(crate) fn forget(&self) -> Result<()> {
        *self.note() = Note::default();
        self.file.set_len(0).with_context(|| format!("cannot empty `{}`", self.path.display()))?;
        self.write_note()
    }

    fn attempt_until_done(&self, attempt: impl Fn() -> Result<(), Fault>) -> Result<()> {
        let explain = || format!("cannot download `{}`", self.shown());
        let mut retry = Retry::new(self.retry_wait);
        let mut most = self.note().there.total();
        loop {
            let (fault, asked) = match attempt() {
                Ok(()) => return Ok(()),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Changed) => {
                    self.changed.store(true, Ordering::Relaxed);
                    self.forget()?;
                    return Err(anyhow!("the file there was replaced during the transfer"))
                        .with_context(explain);
                }
                Err(Fault::Passing(error, asked)) => (error, asked),
            };
            let now = self.note().there.total();
            match retry.after(now > most, asked, jitter()) {
                Err(reason) => return Err(fault.context(reason)).with_context(explain),
                Ok(wait) => {
                    kit::warn!("{fault:#}; trying again");
                    std::thread::sleep(wait);
                }
            }
            most = most.max(now);
        }
    }

    /// The first request: what there is, whether it is what was there, and whether it comes in ranges.
    fn probe(&self) -> Result<(), Fault> {
        let answer = match self.client.get(Some(&(0..PROBE)), None) {
            // There is no first byte, or the range is another one: without ranges, then.
            Err(Fault::Changed) => self.client.get(None, None)?,
            answer => answer?,
        };
        let is_known = {
            let note = self.note();
            answer.validators.strong().is_some()
                && note.validators.strong() == answer.validators.strong()
        };
        match answer.extent {
            Extent::Part { total } if answer.validators.strong().is_some() => {
                if !is_known || self.length() != total {
                    self.start_over(answer.validators.clone(), total)?;
                }
                let end = PROBE.min(total);
                if self.note().there.cover(&(0..end)) {
                    return Ok(());
                }
                self.meter.expect(end);
                self.receive(answer, 0..end)
            }
            Extent::Part { .. } => {
                let whole = self.client.get(None, None)?;
                self.stream(whole)
            }
            Extent::Whole { .. } if is_known && self.note().is_complete() => Ok(()),
            Extent::Whole { .. } => self.stream(answer),
        }
    }

    /// All of the file from an answer that cannot be continued.
    fn stream(&self, answer: Answer) -> Result<(), Fault> {
        let Extent::Whole { length } = answer.extent else { return Err(Fault::Changed) };
        self.start_over(answer.validators.clone(), length.unwrap_or_default())?;
        self.meter.expect(length.unwrap_or_default());
        // Without a length the end of the connection is that of the file.
        let mut at = 0;
        self.copy(answer.body, &mut at, length.unwrap_or(u64::MAX))?;
        if length.is_some_and(|length| at < length) {
            return Err(ended_after(at));
        }
        self.note().length = at;
        self.keep(0..at).map_err(Fault::Final)
    }

    fn piece(&self, piece: &Range<u64>) -> Result<(), Fault> {
        let missing = self.note().there.missing(piece.clone());
        for range in missing {
            let validators = self.note().validators.clone();
            let answer = self.client.get(Some(&range), Some(&validators))?;
            if answer.extent != (Extent::Part { total: self.length() }) {
                return Err(Fault::Changed);
            }
            self.receive(answer, range)?;
        }
        Ok(())
    }

    /// Writes a body to a range, and notes how far it came.
    fn receive(&self, answer: Answer, range: Range<u64>) -> Result<(), Fault> {
        let mut at = range.start;
        let copied = self.copy(answer.body, &mut at, range.end);
        self.keep(range.start..at).map_err(Fault::Final)?;
        copied?;
        if at < range.end { Err(ended_after(at)) } else { Ok(()) }
    }

    /// Notes that a range is there; it reaches the disk before the note does.
    fn keep(&self, range: Range<u64>) -> Result<()> {
        self.note().there.add(range);
        self.file.sync_data().with_context(|| format!("cannot write `{}`", self.path.display()))?;
        self.write_note()
    }

    fn copy(&self, mut body: impl Read, at: &mut u64, end: u64) -> Result<(), Fault> {
        let mut buffer = vec![0; 1 << 16];
        while *at < end {
            let most = buffer.len().min(usize::try_from(end - *at).unwrap_or(usize::MAX));
            let count = match body.read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let error = anyhow!("the connection broke after {at} bytes ({error})");
                    return Err(Fault::Passing(error, None));
                }
            };
            let written = self.file.write_all_at(&buffer[..count], *at);
            written
                .with_context(|| format!("cannot write `{}`", self.path.display()))
                .map_err(Fault::Final)?;
            *at += count as u64;
            self.meter.add(count as u64);
        }
        Ok(())
    }

    fn start_over(&self, validators: Validators, length: u64) -> Result<(), Fault> {
        let empty = || -> Result<()> {
            self.forget()?;
            let explain = || format!("cannot make `{}` {length} bytes long", self.path.display());
            self.file.set_len(length).with_context(explain)
        };
        empty().map_err(Fault::Final)?;
        *self.note() = Note { validators, length, there: Spans::default() };
        Ok(())
    }

    fn write_note(&self) -> Result<()> {
        write_json(&self.note_path, &*self.note())
    }

    fn note(&self) -> MutexGuard<'_, Note> {
        self.note.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// The file from its start, as if all of it were there: what is read and missing is fetched first.
pub(crate) struct Reader<'a> {
    remote: &'a Remote<'a>,
    at: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(remote: &'a Remote<'a>) -> Reader<'a> {
        Reader { remote, at: 0 }
    }

    /// Where what is there from the present place on ends; something is, after this.
    fn bring(&self) -> Result<u64> {
        let until = || self.remote.note().there.until(self.at);
        if until() == self.at {
            let start = self.at - self.at % BLOCK;
            self.remote.bring(from_ref(&(start..start.saturating_add(BLOCK))))?;
        }
        ensure!(until() > self.at, "BUG: what was fetched is not there");
        Ok(until())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() || self.at >= self.remote.length() {
            return Ok(0);
        }
        // No further than what is there: a buffer that reads ahead fetches nothing.
        let end = self.bring().map_err(|error| std::io::Error::other(format!("{error:#}")))?;
        let most = buffer.len().min(usize::try_from(end - self.at).unwrap_or(usize::MAX));
        let count = self.remote.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.remote.length().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn ended_after(bytes: u64) -> Fault {
    Fault::Passing(anyhow!("the connection ended after {bytes} bytes"), None)
}

/// A name for an address, after Fowler, Noll and Vo.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
