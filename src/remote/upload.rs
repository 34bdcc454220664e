//! Sends contents, traces and runs to a remote.
//!
//! # Mechanism
//!
//! Workers take small contents in groups, and large ones by regions, which they cut into segments.
//! They encode contents and segments and append them to an open pack, of which there is one for
//! each kind. The worker that fills a pack writes it to
//! the store and notes it in the journal. What was sent is then named by one index file
//! ([`Remote::publish`]), so an interrupted upload changes nothing that others see.
//!
//! # Invariants
//!
//! - A content is sent once: what the remote, or the journal of an interrupted push has, is left
//!   out.
//! - A pack is noted only after the store has it.
//! - A large content is complete only if its source was verified as a whole.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::backend::FaultKind;
use super::codec;
use super::cut::{MAX_SEGMENT, first_segment};
use super::index::{Blob, Index, Kind, Large, MAX_PACK, Pack, Segment, Slice};
use super::meter::{Amount, Meter};
use super::store::{Remote, pack_path};
use super::trouble;
use crate::clock::now_millis;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::unique::unique;

/// Length at which a pack is written.
const FULL_PACK: usize = 16 << 20;
/// Blobs of at least this length get a pack of their own.
const OWN_PACK: usize = FULL_PACK / 2;
/// Length of the part of a large content that one worker cuts. Its end is a cut that does not
/// depend on the content, so shorter regions would save less where bytes are inserted.
const REGION: u64 = 64 << 20;
/// Number of bytes of a region that are read at once.
const READ: usize = 2 * MAX_SEGMENT;
/// Maximum bytes and number of contents that a worker takes at once.
const GROUP_BYTES: u64 = 1 << 20;
const GROUP_COUNT: usize = 64;

/// The place that the bytes of contents come from.
pub trait Source: Sync {
    /// Returns all bytes of a content of at most [`MAX_SEGMENT`], verified.
    ///
    /// # Errors
    /// The content is missing or damaged.
    fn read(&self, digest: &Digest) -> Result<Vec<u8>>;

    /// Opens a longer content.
    ///
    /// # Errors
    /// The content is missing.
    fn open(&self, digest: &Digest) -> Result<Box<dyn Pieces + '_>>;
}

/// A content that is read piece by piece, from several threads.
pub trait Pieces: Send + Sync {
    /// Returns the bytes from `offset` on.
    ///
    /// # Errors
    /// The content has changed its length, or cannot be read.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>>;

    /// Reads everything and compares the digest.
    ///
    /// # Errors
    /// The content is damaged.
    fn verify(&self) -> Result<()>;
}

/// A content to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    pub digest: Digest,
    pub bytes: u64,
    pub shape: Shape,
}

/// The contents that share packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    File,
    Tree,
}

/// A trace or run to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: RecordKey,
    pub bytes: Vec<u8>,
    /// The outs of the trace, or the contents that the run refers to. They must be on the remote or
    /// sent with it.
    pub refers: Vec<Content>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKey {
    /// The key of the fingerprint.
    Trace(Digest),
    /// The uid of the run.
    Run([u8; 16]),
}

/// Everything that an upload has sent and no index file names yet.
#[derive(Debug, Default)]
pub struct Sent {
    packs: Vec<Pack>,
    larges: Vec<Large>,
    contents: HashSet<Digest>,
    /// Number and bytes of the packs that this upload has written.
    pub written: Amount,
    /// Contents that could not be read.
    pub unreadable: Vec<Error>,
    /// The error that ended the upload early.
    pub failed: Option<Error>,
}

impl Sent {
    /// Reports whether a content was sent completely.
    pub fn has(&self, digest: &Digest) -> bool {
        self.contents.contains(digest) || self.larges.iter().any(|large| large.digest == *digest)
    }

    pub fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.larges.is_empty()
    }
}

impl Remote {
    /// Sends what the remote lacks. Nothing refers to it before [`Remote::publish`].
    ///
    /// An error or [`Meter::stop`] ends it early; the result has what was sent until then.
    pub fn upload(
        &mut self,
        contents: &[Outgoing],
        records: &[Record],
        source: &dyn Source,
        meter: &Meter,
    ) -> Sent {
        if let Err(error) = self.mark() {
            return Sent { failed: Some(error), ..Sent::default() };
        }
        let noted = match self.noted() {
            Ok(noted) => noted,
            Err(error) => return Sent { failed: Some(error), ..Sent::default() },
        };
        let upload = Upload::new(self, noted, source, meter);
        let jobs = upload.jobs(contents);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !upload.goes_on() {
                        break;
                    }
                    upload.perform(job);
                }
            };
            let more = (1..self.jobs().min(jobs.len()))
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok());
            let more: Vec<_> = more.collect();
            work();
            drop(more);
        });
        records.iter().for_each(|record| upload.add_record(record));
        upload.finish()
    }

    /// Returns the packs of an interrupted push that the store still has.
    fn noted(&self) -> Result<Vec<Pack>> {
        let mut noted = self.local.noted();
        if noted.is_empty() {
            return Ok(noted);
        }
        let listed = match self.backend.list("packs") {
            Ok(listed) => listed,
            Err(fault) if fault.kind == FaultKind::Unsupported => Vec::new(),
            Err(fault) => return Err(trouble::error(&*self.backend, "list", "packs", &fault)),
        };
        let listed: HashMap<&str, u64> =
            listed.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        let (kept, gone): (Vec<Pack>, Vec<Pack>) = noted.drain(..).partition(|pack| {
            listed.get(pack_path(&pack.digest).as_str()) == Some(&pack.bytes.into())
        });
        self.local.forget(&gone.iter().map(|pack| pack.digest).collect::<Vec<_>>());
        Ok(kept)
    }

    /// Names what was sent in one index file; from then on, others see it.
    ///
    /// `is_complete` reports whether a content, with everything inside of it, is on the remote or
    /// was sent; it is true for anything but trees and what records refer to. What is not complete
    /// stays unnamed, and in the journal.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn publish(&mut self, sent: Sent, is_complete: &dyn Fn(&Digest) -> bool) -> Result<()> {
        let mut index = Index { larges: sent.larges, ..Index::default() };
        index.larges.retain(|large| is_complete(&large.digest));
        let mut done = Vec::new();
        for mut pack in sent.packs {
            let count = pack.blobs.len();
            pack.blobs.retain(|blob| match &blob.kind {
                Kind::Content | Kind::Tree => is_complete(&blob.digest),
                Kind::Trace { outs: refers, .. } | Kind::Run { refers, .. } => {
                    refers.iter().all(|content| is_complete(&content.digest()))
                }
            });
            if pack.blobs.len() == count {
                done.push(pack.digest);
            }
            if !pack.blobs.is_empty() {
                index.packs.push(pack);
            }
        }
        if !index.packs.is_empty() || !index.larges.is_empty() {
            self.commit(&index)?;
        }
        self.local.forget(&done);
        Ok(())
    }
}

/// An upload in progress, shared by its workers.
struct Upload<'a> {
    remote: &'a Remote,
    source: &'a dyn Source,
    meter: &'a Meter,
    /// Digests of all blobs that need not be sent.
    noted: HashSet<Digest>,
    files: Mutex<Open>,
    trees: Mutex<Open>,
    records: Mutex<Open>,
    sent: Mutex<Sent>,
    larges: Mutex<HashMap<Digest, LargeState>>,
    /// Segments that a worker sends; a file of zeros has one of them many times.
    claimed: Mutex<HashSet<Digest>>,
}

/// A pack that is being filled.
#[derive(Default)]
struct Open {
    /// Empty, or [`salt`] and the blobs.
    bytes: Vec<u8>,
    blobs: Vec<Blob>,
}

/// Returns the start of a pack, which no other pack has.
///
/// So a new pack never has the name of one that a command is about to delete as unused.
fn salt() -> Vec<u8> {
    Digest::of(unique().as_bytes()).as_bytes()[..16].to_vec()
}

/// The segments of a large content, by region, and whether it was verified.
struct LargeState {
    shape: Shape,
    regions: Vec<Option<Vec<Segment>>>,
    is_verified: bool,
}

#[derive(Debug)]
enum Job {
    Small(Vec<Outgoing>),
    Verify(Outgoing),
    Region(Outgoing, usize),
}

impl<'a> Upload<'a> {
    fn new(
        remote: &'a Remote,
        noted: Vec<Pack>,
        source: &'a dyn Source,
        meter: &'a Meter,
    ) -> Upload<'a> {
        let digests = noted.iter().flat_map(|pack| &pack.blobs).map(|blob| blob.digest);
        let digests: HashSet<Digest> = digests.collect();
        let sent = Sent { packs: noted, contents: digests.clone(), ..Sent::default() };
        Upload {
            remote,
            source,
            meter,
            noted: digests,
            files: Mutex::default(),
            trees: Mutex::default(),
            records: Mutex::default(),
            sent: Mutex::new(sent),
            larges: Mutex::default(),
            claimed: Mutex::default(),
        }
    }

    fn is_known(&self, digest: &Digest) -> bool {
        self.noted.contains(digest) || self.remote.catalog.has(digest)
    }

    /// Divides the work: large contents first, since they take longest.
    fn jobs(&self, contents: &[Outgoing]) -> Vec<Job> {
        let mut jobs = Vec::new();
        let (small, large): (Vec<&Outgoing>, Vec<&Outgoing>) =
            contents.iter().partition(|content| content.bytes <= MAX_SEGMENT as u64);
        for &&content in large.iter().filter(|content| !self.remote.catalog.has(&content.digest)) {
            let count = usize::try_from(content.bytes.div_ceil(REGION)).unwrap_or(usize::MAX);
            let shape = content.shape;
            let state = LargeState { shape, regions: vec![None; count], is_verified: false };
            lock(&self.larges).insert(content.digest, state);
            self.meter.expect(Amount { objects: 1, bytes: content.bytes });
            jobs.push(Job::Verify(content));
            jobs.extend((0..count).map(|number| Job::Region(content, number)));
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        for &content in small.into_iter().filter(|content| !self.is_known(&content.digest)) {
            self.meter.expect(Amount { objects: 1, bytes: content.bytes });
            if bytes + content.bytes > GROUP_BYTES || group.len() == GROUP_COUNT {
                jobs.push(Job::Small(std::mem::take(&mut group)));
                bytes = 0;
            }
            bytes += content.bytes;
            group.push(content);
        }
        if !group.is_empty() {
            jobs.push(Job::Small(group));
        }
        jobs
    }

    fn goes_on(&self) -> bool {
        !self.meter.is_stopped() && lock(&self.sent).failed.is_none()
    }

    fn perform(&self, job: &Job) {
        match job {
            Job::Small(contents) => {
                for content in contents {
                    match self.source.read(&content.digest) {
                        Ok(bytes) => self.add_content(content, &bytes),
                        Err(error) => lock(&self.sent).unreadable.push(error),
                    }
                    self.meter.advance(Amount { objects: 1, bytes: content.bytes });
                }
            }
            Job::Verify(content) => {
                match self.source.open(&content.digest).and_then(|pieces| pieces.verify()) {
                    Ok(()) => self.note_large(&content.digest, |state| state.is_verified = true),
                    Err(error) => lock(&self.sent).unreadable.push(error),
                }
                self.meter.advance(Amount { objects: 1, bytes: 0 });
            }
            Job::Region(content, number) => {
                // A fault of the content is reported by the job that verifies it.
                if let Ok(segments) = self.region(content, *number as u64 * REGION) {
                    self.note_large(&content.digest, |state| state.regions[*number] = segments);
                }
            }
        }
    }

    /// Cuts a region and sends its segments; returns `None` if the upload ends meanwhile.
    fn region(&self, content: &Outgoing, start: u64) -> Result<Option<Vec<Segment>>> {
        let pieces = self.source.open(&content.digest)?;
        let (mut at, end) = (start, content.bytes.min(start + REGION));
        let mut segments = Vec::new();
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let bytes = pieces.read(at, left.min(READ))?;
            let mut rest = &bytes[..];
            while !rest.is_empty() && (rest.len() >= MAX_SEGMENT || bytes.len() == left) {
                if !self.goes_on() {
                    return Ok(None);
                }
                let (segment, others) = rest.split_at(first_segment(rest));
                segments.push(self.segment(segment));
                self.meter.advance(Amount { objects: 0, bytes: segment.len() as u64 });
                rest = others;
            }
            at += (bytes.len() - rest.len()) as u64;
        }
        Ok(Some(segments))
    }

    fn segment(&self, bytes: &[u8]) -> Segment {
        let digest = Digest::of(bytes);
        if !self.is_known(&digest) && lock(&self.claimed).insert(digest) {
            // A segment of a tree is not a tree.
            self.add(&self.files, digest, Kind::Content, bytes);
        }
        Segment { digest, bytes: to_u32(bytes.len()) }
    }

    fn note_large(&self, digest: &Digest, note: impl FnOnce(&mut LargeState)) {
        if let Some(state) = lock(&self.larges).get_mut(digest) {
            note(state);
        }
    }

    fn add_content(&self, content: &Outgoing, bytes: &[u8]) {
        let (open, kind) = match content.shape {
            Shape::File => (&self.files, Kind::Content),
            Shape::Tree => (&self.trees, Kind::Tree),
        };
        self.add(open, content.digest, kind, bytes);
    }

    fn add_record(&self, record: &Record) {
        let refers = record.refers.clone();
        let kind = match record.key {
            RecordKey::Trace(key) => Kind::Trace { key, outs: refers },
            RecordKey::Run(uid) => Kind::Run { uid, refers },
        };
        let digest = Digest::of(&record.bytes);
        if self.noted.contains(&digest) {
            return;
        }
        if record.bytes.len() as u64 > MAX_PACK {
            let what = format!("a record of {} bytes is too long for a remote", record.bytes.len());
            lock(&self.sent).unreadable.push(Error::environment(what));
        } else if self.goes_on() {
            self.add(&self.records, digest, kind, &record.bytes);
        }
    }

    /// Adds a blob to an open pack, and writes what becomes full.
    fn add(&self, open: &Mutex<Open>, digest: Digest, kind: Kind, raw: &[u8]) {
        let (codec, bytes) = codec::encode(raw);
        let blob = |offset| {
            let (stored, raw) = (to_u32(bytes.len()), to_u32(raw.len()));
            let slice = Slice { offset: to_u32(offset), stored, raw, codec };
            Blob { digest, kind, slice }
        };
        let full = if bytes.len() >= OWN_PACK {
            let mut own = salt();
            let blobs = vec![blob(own.len())];
            own.extend_from_slice(&bytes);
            Some(Open { bytes: own, blobs })
        } else {
            let mut open = lock(open);
            let is_full = open.bytes.len() + bytes.len() > FULL_PACK;
            let full = is_full.then(|| std::mem::take(&mut *open));
            if open.bytes.is_empty() {
                open.bytes = salt();
            }
            let blob = blob(open.bytes.len());
            open.blobs.push(blob);
            open.bytes.extend_from_slice(&bytes);
            full
        };
        full.into_iter().for_each(|pack| self.write(pack));
    }

    /// Writes a pack and notes it.
    fn write(&self, Open { bytes, blobs }: Open) {
        if blobs.is_empty() || lock(&self.sent).failed.is_some() {
            return;
        }
        let digest = Digest::of(&bytes);
        let since = u64::try_from(now_millis() / 1000).unwrap_or_default();
        let pack = Pack { digest, bytes: to_u32(bytes.len()), since, blobs };
        let written = self
            .remote
            .put(&pack_path(&digest), &bytes)
            .and_then(|()| self.remote.local.note(&pack));
        let mut sent = lock(&self.sent);
        match written {
            Ok(()) => {
                sent.written.objects += 1;
                sent.written.bytes += bytes.len() as u64;
                sent.contents.extend(pack.blobs.iter().map(|blob| blob.digest));
                sent.packs.push(pack);
            }
            Err(error) => drop(sent.failed.get_or_insert(error)),
        }
    }

    /// Writes the last packs, and returns what was sent.
    fn finish(self) -> Sent {
        for open in [&self.files, &self.trees, &self.records] {
            let open = std::mem::take(&mut *lock(open));
            self.write(open);
        }
        let larges = std::mem::take(&mut *lock(&self.larges));
        let mut sent = std::mem::take(&mut *lock(&self.sent));
        for (digest, LargeState { shape, regions, is_verified }) in larges {
            let regions: Option<Vec<Vec<Segment>>> = regions.into_iter().collect();
            let segments = regions.map(|regions| regions.concat());
            let is_sent = |segment: &Segment| {
                sent.contents.contains(&segment.digest) || self.remote.catalog.has(&segment.digest)
            };
            if let Some(segments) = segments.filter(|list| is_verified && list.iter().all(is_sent))
            {
                sent.larges.push(Large { digest, is_tree: shape == Shape::Tree, segments });
            }
        }
        sent
    }
}

// Poisoning is ignored: each value is changed in one step, so a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| panic!("BUG: a blob of {length} bytes"))
}
