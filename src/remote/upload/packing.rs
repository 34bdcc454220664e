//! The packs of an upload: filled with blobs by several workers, written when they are full.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Outgoing, Record, RecordKey, Sent, Shape, Source};
use crate::clock::now_millis;
use crate::digest::Digest;
use crate::error::Error;
use crate::remote::codec;
use crate::remote::index::{Blob, Kind, Large, MAX_PACK, Pack, Segment, Slice};
use crate::remote::meter::Meter;
use crate::remote::store::{Remote, pack_path};
use crate::unique::unique;

/// Length at which a pack is written.
const FULL_PACK: usize = 16 << 20;
/// Blobs of at least this length get a pack of their own.
const OWN_PACK: usize = FULL_PACK / 2;

/// An upload in progress, shared by its workers.
pub(super) struct Upload<'a> {
    pub(super) remote: &'a Remote,
    pub(super) source: &'a dyn Source,
    pub(super) meter: &'a Meter,
    /// Digests of all blobs that need not be sent.
    pub(super) noted: HashSet<Digest>,
    pub(super) files: Mutex<Open>,
    pub(super) trees: Mutex<Open>,
    pub(super) records: Mutex<Open>,
    pub(super) sent: Mutex<Sent>,
    pub(super) larges: Mutex<HashMap<Digest, LargeState>>,
    /// Segments that a worker sends; a file of zeros has one of them many times.
    pub(super) claimed: Mutex<HashSet<Digest>>,
}

/// The segments of a large content, by region, and whether it was verified.
pub(super) struct LargeState {
    pub(super) shape: Shape,
    pub(super) regions: Vec<Option<Vec<Segment>>>,
    pub(super) is_verified: bool,
    /// The reason that a region lacks.
    pub(super) fault: Option<Error>,
}

/// A pack that is being filled.
#[derive(Default)]
pub(super) struct Open {
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

impl<'a> Upload<'a> {
    pub(super) fn new(
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

    pub(super) fn is_known(&self, digest: &Digest) -> bool {
        self.noted.contains(digest) || self.remote.catalog.has(digest)
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.meter.is_stopped() && lock(&self.sent).failed.is_none()
    }
}

impl Upload<'_> {
    pub(super) fn add_content(&self, content: &Outgoing, bytes: &[u8]) {
        let (open, kind) = match content.shape {
            Shape::File => (&self.files, Kind::Content),
            Shape::Tree => (&self.trees, Kind::Tree),
        };
        self.add(open, content.digest, kind, bytes);
    }

    pub(super) fn add_record(&self, record: &Record) {
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
    pub(super) fn add(&self, open: &Mutex<Open>, digest: Digest, kind: Kind, raw: &[u8]) {
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
    pub(super) fn finish(self) -> Sent {
        for open in [&self.files, &self.trees, &self.records] {
            let open = std::mem::take(&mut *lock(open));
            self.write(open);
        }
        let larges = std::mem::take(&mut *lock(&self.larges));
        let mut sent = std::mem::take(&mut *lock(&self.sent));
        for (digest, LargeState { shape, regions, is_verified, fault }) in larges {
            if is_verified && let Some(fault) = fault {
                sent.unreadable.push(fault);
                continue;
            }
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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| panic!("BUG: a blob of {length} bytes"))
}
