//! A file on a server that is fetched in parts, on demand.
//!
//! The local copy is a sparse file of the full length. A state file next to it records the server's
//! validators and the byte ranges that are present. A later run resumes from it as long as the
//! server still has the same file. If the server does not support ranges, or sends no validator
//! that distinguishes versions, the file is fetched in one request, and again from the start if
//! the connection breaks. Does not know about archives.

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

use crate::byte_ranges::ByteRanges;
use crate::endpoint::Endpoint;
use crate::http::{Client, Content, Extent, TransferError, Validators};
use crate::parallel::try_for_each;
use crate::progress::Progress;
use crate::retry::{Retry, jitter};

/// Size of the first request; enough for many small files.
const PROBE_SIZE: u64 = 1 << 16;
/// Minimum size of a fetch on demand.
const BLOCK_SIZE: u64 = 1 << 18;
/// Largest gap that is fetched along; a separate request costs more than this many bytes.
const MAX_GAP: u64 = 1 << 17;
/// Maximum size of a request. The state is written after each, so a crash loses at most this.
const MAX_PIECE: u64 = 8 << 20;

/// Settings for transfers.
#[derive(Clone, Debug)]
pub(crate) struct Transfers {
    pub(crate) agent: Agent,
    /// Folder that keeps downloads between runs.
    pub(crate) folder: PathBuf,
    /// The wait before the second attempt.
    pub(crate) retry_wait: Duration,
}

/// Persistent state of a download: the validators and the ranges on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct TransferState {
    validators: Validators,
    length: u64,
    #[serde(rename = "there")]
    present: ByteRanges,
}

impl TransferState {
    fn is_complete(&self) -> bool {
        self.present.contains(&(0..self.length))
    }
}

/// Local copy of a file on a server, shared by reference between threads.
pub(crate) struct Remote<'a> {
    client: Client,
    retry_wait: Duration,
    progress: &'a Progress<'a>,
    file: File,
    path: PathBuf,
    state_path: PathBuf,
    state: Mutex<TransferState>,
    changed: AtomicBool,
}

impl<'a> Remote<'a> {
    /// Sends the first request.
    ///
    /// Afterwards the length is known, and either the whole file is present or the server supports
    /// ranges.
    ///
    /// # Errors
    /// If the server's response is final, such as 404, if there were too many attempts, or if the
    /// disk fails.
    pub(crate) fn open(
        endpoint: Endpoint,
        transfers: &Transfers,
        progress: &'a Progress<'a>,
    ) -> Result<Remote<'a>> {
        let folder = &transfers.folder;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
        let name = format!("{:016x}", fnv1a(&endpoint.address));
        let (path, state_path) =
            (folder.join(format!("{name}.part")), folder.join(format!("{name}.json")));
        // If the state cannot be read, the transfer starts over.
        let state =
            fs::read(&state_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut state: TransferState = state.unwrap_or_default();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
        if file.metadata()?.len() != state.length {
            state = TransferState::default();
        }
        let remote = Remote {
            client: Client::new(transfers.agent.clone(), endpoint),
            retry_wait: transfers.retry_wait,
            progress,
            file,
            path,
            state_path,
            state: Mutex::new(state),
            changed: AtomicBool::new(false),
        };
        remote.attempt_until_done(|| remote.probe())?;
        Ok(remote)
    }

    /// Returns the server's address without secrets, for messages.
    pub(crate) fn shown(&self) -> String {
        self.client.shown()
    }

    /// Returns the path of the local copy; it is complete after [`Remote::fetch_all`].
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.state().length
    }

    /// Reports whether the server's file was replaced. A new [`Remote::open`] starts over.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Fetches the missing parts of the file.
    ///
    /// # Errors
    /// As [`Remote::fetch`].
    pub(crate) fn fetch_all(&self) -> Result<()> {
        self.fetch(from_ref(&(0..self.length())))
    }

    /// Fetches the missing parts of `wanted`, several at once.
    ///
    /// # Errors
    /// As [`Remote::open`]; if the server's file was replaced.
    pub(crate) fn fetch(&self, wanted: &[Range<u64>]) -> Result<()> {
        let length = self.length();
        let inside: Vec<_> =
            wanted.iter().map(|range| range.start..range.end.min(length)).collect();
        let pieces = self.state().present.pieces(&inside, MAX_GAP, MAX_PIECE);
        self.progress.expect(pieces.iter().map(|piece| piece.end - piece.start).sum());
        try_for_each(pieces, |piece| self.attempt_until_done(|| self.fetch_piece(&piece)))
    }

    /// Discards all fetched bytes, so that the next run starts over.
    pub(crate) fn reset(&self) -> Result<()> {
        *self.state() = TransferState::default();
        self.file.set_len(0).with_context(|| format!("cannot empty `{}`", self.path.display()))?;
        self.write_state()
    }

    fn attempt_until_done(&self, attempt: impl Fn() -> Result<(), TransferError>) -> Result<()> {
        let explain = || format!("cannot download `{}`", self.shown());
        let mut retry = Retry::new(self.retry_wait);
        let mut best = self.state().present.total();
        loop {
            let (error, retry_after) = match attempt() {
                Ok(()) => return Ok(()),
                Err(TransferError::Permanent(error)) => return Err(error),
                Err(TransferError::Changed) => {
                    self.changed.store(true, Ordering::Relaxed);
                    self.reset()?;
                    return Err(anyhow!("the file was replaced during the transfer"))
                        .with_context(explain);
                }
                Err(TransferError::Transient(error, retry_after)) => (error, retry_after),
            };
            let received = self.state().present.total();
            match retry.after(received > best, retry_after, jitter()) {
                Err(reason) => return Err(error.context(reason)).with_context(explain),
                Ok(wait) => {
                    kit::warn!("{error:#}; retrying");
                    std::thread::sleep(wait);
                }
            }
            best = best.max(received);
        }
    }

    /// Sends the first request, which shows the version of the file and whether ranges work.
    fn probe(&self) -> Result<(), TransferError> {
        let content = match self.client.get(Some(&(0..PROBE_SIZE)), None) {
            // The file is empty, or the server sent another range: request without a range.
            Err(TransferError::Changed) => self.client.get(None, None)?,
            content => content?,
        };
        let is_known = {
            let state = self.state();
            content.validators.strong().is_some()
                && state.validators.strong() == content.validators.strong()
        };
        match content.extent {
            Extent::Part { total } if content.validators.strong().is_some() => {
                if !is_known || self.length() != total {
                    self.start_over(content.validators.clone(), total)?;
                }
                let end = PROBE_SIZE.min(total);
                if self.state().present.contains(&(0..end)) {
                    return Ok(());
                }
                self.progress.expect(end);
                self.receive(content, 0..end)
            }
            Extent::Part { .. } => {
                let content = self.client.get(None, None)?;
                self.stream(content)
            }
            Extent::Whole { .. } if is_known && self.state().is_complete() => Ok(()),
            Extent::Whole { .. } => self.stream(content),
        }
    }

    /// Receives the whole file from a response that cannot be resumed.
    fn stream(&self, content: Content) -> Result<(), TransferError> {
        let Extent::Whole { length } = content.extent else { return Err(TransferError::Changed) };
        self.start_over(content.validators.clone(), length.unwrap_or_default())?;
        self.progress.expect(length.unwrap_or_default());
        // Without a length, the file ends with the connection.
        let mut at = 0;
        self.copy(content.body, &mut at, length.unwrap_or(u64::MAX))?;
        if length.is_some_and(|length| at < length) {
            return Err(ended_after(at));
        }
        self.state().length = at;
        self.record(0..at).map_err(TransferError::Permanent)
    }

    fn fetch_piece(&self, piece: &Range<u64>) -> Result<(), TransferError> {
        let missing = self.state().present.missing(piece.clone());
        for range in missing {
            let validators = self.state().validators.clone();
            let content = self.client.get(Some(&range), Some(&validators))?;
            if content.extent != (Extent::Part { total: self.length() }) {
                return Err(TransferError::Changed);
            }
            self.receive(content, range)?;
        }
        Ok(())
    }

    /// Writes a body to a range and records how much of it arrived.
    fn receive(&self, content: Content, range: Range<u64>) -> Result<(), TransferError> {
        let mut at = range.start;
        let copied = self.copy(content.body, &mut at, range.end);
        self.record(range.start..at).map_err(TransferError::Permanent)?;
        copied?;
        if at < range.end { Err(ended_after(at)) } else { Ok(()) }
    }

    /// Records a range as present, after its bytes are synced to disk.
    fn record(&self, range: Range<u64>) -> Result<()> {
        self.state().present.add(range);
        self.file.sync_data().with_context(|| format!("cannot write `{}`", self.path.display()))?;
        self.write_state()
    }

    fn copy(&self, mut body: impl Read, at: &mut u64, end: u64) -> Result<(), TransferError> {
        let mut buffer = vec![0; 1 << 16];
        while *at < end {
            let max_len = buffer.len().min(usize::try_from(end - *at).unwrap_or(usize::MAX));
            let count = match body.read(&mut buffer[..max_len]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let error = anyhow!("the connection broke after {at} bytes ({error})");
                    return Err(TransferError::Transient(error, None));
                }
            };
            let written = self.file.write_all_at(&buffer[..count], *at);
            written
                .with_context(|| format!("cannot write `{}`", self.path.display()))
                .map_err(TransferError::Permanent)?;
            *at += count as u64;
            self.progress.add(count as u64);
        }
        Ok(())
    }

    fn start_over(&self, validators: Validators, length: u64) -> Result<(), TransferError> {
        let empty = || -> Result<()> {
            self.reset()?;
            let explain = || format!("cannot make `{}` {length} bytes long", self.path.display());
            self.file.set_len(length).with_context(explain)
        };
        empty().map_err(TransferError::Permanent)?;
        *self.state() = TransferState { validators, length, present: ByteRanges::default() };
        Ok(())
    }

    fn write_state(&self) -> Result<()> {
        write_json(&self.state_path, &*self.state())
    }

    fn state(&self) -> MutexGuard<'_, TransferState> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// Reads a remote file from its start and fetches missing parts on demand.
pub(crate) struct Reader<'a> {
    remote: &'a Remote<'a>,
    at: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(remote: &'a Remote<'a>) -> Reader<'a> {
        Reader { remote, at: 0 }
    }

    /// Makes sure that the byte at the position is present, and returns the end of its range.
    fn fetch(&self) -> Result<u64> {
        let end = || self.remote.state().present.contiguous_end(self.at);
        if end() == self.at {
            let start = self.at - self.at % BLOCK_SIZE;
            self.remote.fetch(from_ref(&(start..start.saturating_add(BLOCK_SIZE))))?;
        }
        ensure!(end() > self.at, "BUG: the fetched range is missing");
        Ok(end())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() || self.at >= self.remote.length() {
            return Ok(0);
        }
        // Stop at the end of the range, so that a buffer's read-ahead does not fetch more.
        let end = self.fetch().map_err(|error| std::io::Error::other(format!("{error:#}")))?;
        let max_len = buffer.len().min(usize::try_from(end - self.at).unwrap_or(usize::MAX));
        let count = self.remote.file.read_at(&mut buffer[..max_len], self.at)?;
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

fn ended_after(bytes: u64) -> TransferError {
    TransferError::Transient(anyhow!("the connection ended after {bytes} bytes"), None)
}

/// Returns the FNV-1a hash of a text, used as a file name.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
