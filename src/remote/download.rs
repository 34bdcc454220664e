//! Fetches contents, traces and runs from a remote.
//!
//! # Mechanism
//!
//! The wanted blobs are grouped by pack, and near ones of a pack become one request. Workers make
//! the requests, decode the blobs and hand them to a [`Sink`], which verifies them. The segments of
//! a large content go to a [`Partial`], which survives an interruption. As each of these is an open
//! file, large contents are fetched in groups.
//!
//! # Invariants
//!
//! - Nothing that a remote says is trusted: a range is checked against its pack, a length against
//!   what was decoded, and a content against its digest before it gets a name.
//! - A fault of one blob does not keep others from being fetched.

mod assembly;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::backend::{Fault, FaultKind};
use super::catalog::{Place, Stored};
use super::codec;
use super::index::Segment;
use super::meter::{Amount, Meter};
use super::sink::{Partial, Sink};
use super::store::{Remote, pack_path};
use super::trouble;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Blobs with a smaller gap between them are fetched by one request.
const GAP: u64 = 128 << 10;
/// Limits of the length of a request, unless a single blob is longer.
const LONGEST: u64 = 16 << 20;
const SHORTEST: u64 = 2 << 20;
/// Number of large contents that are put together at once. Each is an open file.
const OPEN: usize = 32;

/// The result of a download.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Number and bytes of the contents that were added.
    pub added: Amount,
    /// Bytes that came from the store.
    pub received: u64,
    /// Contents that the remote has but that are damaged there.
    pub faults: Vec<(Digest, Error)>,
    /// The error that ended the download early.
    pub failed: Option<Error>,
}

impl Remote {
    /// Fetches contents. Those that the catalog lacks are ignored.
    ///
    /// An error or [`Meter::stop`] ends it early; what has arrived by then stays.
    pub fn download(&self, wanted: &[Digest], sink: &dyn Sink, meter: &Meter) -> Fetched {
        let download = Download::new(self, sink, meter);
        let (items, larges) = download.plan(wanted);
        download.work(&download.requests(items));
        for group in larges.chunks(OPEN) {
            if !download.goes_on() {
                break;
            }
            download.assemble(group);
        }
        download.fetched.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the verified bytes of blobs that are no contents, such as traces and runs, each with
    /// its position in `places`. Faults are as in [`Fetched`].
    pub fn records(
        &self,
        places: &[(Digest, Place)],
        meter: &Meter,
    ) -> (Vec<(usize, Vec<u8>)>, Fetched) {
        let sink = Memory;
        let download = Download::new(self, &sink, meter);
        let items = places.iter().enumerate();
        let items = items.map(|(position, (digest, place))| Item {
            digest: *digest,
            place: *place,
            target: Target::Memory(position),
        });
        let requests = download.requests(items.collect());
        download.work(&requests);
        let found = std::mem::take(&mut *lock(&download.found));
        (found, download.fetched.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A sink for downloads without contents.
struct Memory;

impl Sink for Memory {
    fn put(&self, _: &Digest, _: &[u8]) -> Result<bool> {
        Ok(false)
    }

    fn partial(&self, _: &Digest, _: u64) -> Result<Box<dyn Partial + '_>> {
        Err(Error::environment("a record is not a content"))
    }
}

/// A download in progress, shared by its workers.
struct Download<'a> {
    remote: &'a Remote,
    sink: &'a dyn Sink,
    meter: &'a Meter,
    partials: Mutex<HashMap<Digest, Assembly<'a>>>,
    fetched: Mutex<Fetched>,
    found: Mutex<Vec<(usize, Vec<u8>)>>,
}

/// A large content with the number of segments that are still to come.
struct Assembly<'a> {
    partial: std::sync::Arc<dyn Partial + 'a>,
    bytes: u64,
    left: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    digest: Digest,
    place: Place,
    target: Target,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Content,
    /// The segment at an offset of a content.
    Segment {
        of: Digest,
        offset: u64,
    },
    /// A position in the result.
    Memory(usize),
}

#[derive(Debug)]
struct Request {
    pack: Digest,
    range: Range<u64>,
    items: Vec<Item>,
}

impl<'a> Download<'a> {
    fn new(remote: &'a Remote, sink: &'a dyn Sink, meter: &'a Meter) -> Download<'a> {
        Download {
            remote,
            sink,
            meter,
            partials: Mutex::default(),
            fetched: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// Returns the contents that are one blob, and the others with their segments.
    fn plan(&self, wanted: &[Digest]) -> (Vec<Item>, Vec<(Digest, &'a [Segment])>) {
        let catalog = &self.remote.catalog;
        let mut items = Vec::with_capacity(wanted.len());
        let mut larges = Vec::new();
        for &digest in wanted {
            let bytes = match catalog.stored(&digest) {
                None => continue,
                Some(Stored::Whole(place)) => {
                    items.push(Item { digest, place, target: Target::Content });
                    place.slice.raw.into()
                }
                Some(Stored::InSegments(segments)) => {
                    larges.push((digest, segments));
                    length(segments)
                }
            };
            self.meter.expect(Amount { objects: 1, bytes });
        }
        (items, larges)
    }

    fn goes_on(&self) -> bool {
        !self.meter.is_stopped() && lock(&self.fetched).failed.is_none()
    }

    /// Groups items into requests.
    fn requests(&self, mut items: Vec<Item>) -> Vec<Request> {
        let end = |item: &Item| u64::from(item.place.slice.offset + item.place.slice.stored);
        let start = |item: &Item| u64::from(item.place.slice.offset);
        items
            .sort_by_key(|item| (self.remote.catalog.pack(&item.place).0, item.place.slice.offset));
        let total: u64 = items.iter().map(|item| u64::from(item.place.slice.stored)).sum();
        let longest = (total / (2 * self.remote.jobs() as u64)).clamp(SHORTEST, LONGEST);
        let mut requests: Vec<Request> = Vec::new();
        for item in items {
            let (pack, _) = self.remote.catalog.pack(&item.place);
            match requests.last_mut() {
                Some(last)
                    if last.pack == pack
                        && start(&item) <= last.range.end + GAP
                        && end(&item) - last.range.start <= longest =>
                {
                    last.range.end = last.range.end.max(end(&item));
                    last.items.push(item);
                }
                _ => requests.push(Request {
                    pack,
                    range: start(&item)..end(&item),
                    items: vec![item],
                }),
            }
        }
        requests
    }

    fn work(&self, requests: &[Request]) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !self.goes_on() {
                        break;
                    }
                    self.perform(request);
                }
            };
            let more = (1..self.remote.jobs().min(requests.len()))
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok());
            let more: Vec<_> = more.collect();
            work();
            drop(more);
        });
    }

    fn perform(&self, request: &Request) {
        let path = pack_path(&request.pack);
        let bytes = match self.remote.backend.get(&path, Some(request.range.clone())) {
            Ok(bytes) => bytes,
            Err(fault) => return self.refuse(request, &path, &fault),
        };
        lock(&self.fetched).received += bytes.len() as u64;
        for item in &request.items {
            let slice = item.place.slice;
            let start = (u64::from(slice.offset) - request.range.start) as usize;
            let stored = bytes.get(start..start + slice.stored as usize);
            let raw = stored
                .and_then(|stored| codec::decode(slice.codec, stored, slice.raw as usize).ok());
            let arrived = match raw {
                Some(raw) => self.arrived(item, &raw),
                None => Ok(Arrived::Damaged),
            };
            match arrived {
                Ok(Arrived::Intact) => {}
                Ok(Arrived::Damaged) => self.damaged(item, &path),
                Err(error) => drop(lock(&self.fetched).failed.get_or_insert(error)),
            }
        }
    }

    /// Notes a request that failed: for its items alone if the pack is at fault.
    fn refuse(&self, request: &Request, path: &str, fault: &Fault) {
        let mut error = trouble::error(&*self.remote.backend, "read", path, fault);
        if !matches!(fault.kind, FaultKind::Missing | FaultKind::Truncated) {
            lock(&self.fetched).failed.get_or_insert(error);
            return;
        }
        error = error.hint(self.repair());
        let mut fetched = lock(&self.fetched);
        for item in &request.items {
            fetched.faults.push((of(item), error.clone()));
        }
    }

    fn damaged(&self, item: &Item, path: &str) {
        let what = format!("object {} is damaged", item.digest.short());
        let error = Error::damaged(what)
            .because(format!("`{path}` of `{}` has other bytes", self.remote.place()))
            .hint(self.repair());
        lock(&self.fetched).faults.push((of(item), error));
    }

    /// Returns what to do about what is lost on the remote.
    fn repair(&self) -> String {
        format!(
            "`repro fsck --remote={} --repair`, and then `repro push` in a clone that has the \
             outs, replace what is lost",
            self.remote.name
        )
    }

    fn arrived(&self, item: &Item, raw: &[u8]) -> Result<Arrived> {
        let bytes = raw.len() as u64;
        let is_intact = match item.target {
            Target::Content => {
                let is_intact = self.sink.put(&item.digest, raw)?;
                if is_intact {
                    self.added(bytes);
                }
                self.meter.advance(Amount { objects: 1, bytes });
                is_intact
            }
            Target::Segment { of, offset } => {
                let is_intact = Digest::of(raw) == item.digest;
                if is_intact {
                    self.segment(&of, offset, raw)?;
                }
                self.meter.advance(Amount { objects: 0, bytes });
                is_intact
            }
            Target::Memory(position) => {
                let is_intact = Digest::of(raw) == item.digest;
                if is_intact {
                    lock(&self.found).push((position, raw.to_vec()));
                }
                is_intact
            }
        };
        Ok(if is_intact { Arrived::Intact } else { Arrived::Damaged })
    }

    fn added(&self, bytes: u64) {
        let mut fetched = lock(&self.fetched);
        fetched.added.objects += 1;
        fetched.added.bytes += bytes;
    }
}

enum Arrived {
    Intact,
    Damaged,
}

fn length(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.bytes)).sum()
}

/// Returns the content that an item is for.
fn of(item: &Item) -> Digest {
    match item.target {
        Target::Segment { of, .. } => of,
        Target::Content | Target::Memory(_) => item.digest,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
