//! All blobs of a remote, by the index files that count.

use std::collections::HashMap;

use super::index::{Index, Kind, Pack, Segment, Slice};
use crate::digest::{Content, Digest};

/// Where each blob is. Of several places of one blob, the first counts.
#[derive(Debug, Default)]
pub struct Catalog {
    packs: Vec<(Digest, u32)>,
    contents: HashMap<Digest, Place>,
    larges: HashMap<Digest, Vec<Segment>>,
    traces: HashMap<Digest, TracePlace>,
    runs: Vec<RunPlace>,
}

/// Place of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pack: u32,
    pub(super) slice: Slice,
}

impl Place {
    /// Returns the length of the blob.
    pub fn bytes(&self) -> u64 {
        self.slice.raw.into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracePlace {
    /// Digest of the text.
    pub digest: Digest,
    pub place: Place,
    /// The contents of the outs, as the writer of the index stated them.
    pub outs: Vec<Content>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlace {
    pub uid: [u8; 16],
    /// Digest of the manifest; a run that was edited has several.
    pub digest: Digest,
    pub place: Place,
    pub refers: Vec<Content>,
}

/// The way in which a content is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stored<'c> {
    Whole(Place),
    InSegments(&'c [Segment]),
}

impl Catalog {
    pub(super) fn add(&mut self, index: &Index) {
        for Pack { digest, bytes, blobs, .. } in &index.packs {
            let pack = u32::try_from(self.packs.len())
                .unwrap_or_else(|_| panic!("BUG: more packs than an index file has bytes"));
            self.packs.push((*digest, *bytes));
            for blob in blobs {
                let (digest, place) = (blob.digest, Place { pack, slice: blob.slice });
                match &blob.kind {
                    Kind::Content | Kind::Tree => {
                        self.contents.entry(digest).or_insert(place);
                    }
                    Kind::Trace { key, outs } => {
                        let trace = || TracePlace { digest, place, outs: outs.clone() };
                        self.traces.entry(*key).or_insert_with(trace);
                    }
                    Kind::Run { uid, refers } => {
                        let refers = refers.clone();
                        self.runs.push(RunPlace { uid: *uid, digest, place, refers });
                    }
                }
            }
        }
        for large in &index.larges {
            self.larges.entry(large.digest).or_insert_with(|| large.segments.clone());
        }
    }

    /// Returns the digest and the length of the pack of a blob.
    pub(super) fn pack(&self, place: &Place) -> (Digest, u32) {
        self.packs[place.pack as usize]
    }

    /// Reports whether the remote has a content, with all of its segments.
    pub fn has(&self, digest: &Digest) -> bool {
        self.stored(digest).is_some()
    }

    /// Returns how a content is stored; `None` if the remote does not have all of it.
    pub(super) fn stored(&self, digest: &Digest) -> Option<Stored<'_>> {
        if let Some(place) = self.contents.get(digest) {
            return Some(Stored::Whole(*place));
        }
        let segments = self.larges.get(digest)?;
        let is_complete =
            segments.iter().all(|segment| self.contents.contains_key(&segment.digest));
        is_complete.then_some(Stored::InSegments(segments))
    }

    /// Returns the place of a content or segment that is a blob of its own.
    pub(super) fn place(&self, digest: &Digest) -> Option<Place> {
        self.contents.get(digest).copied()
    }

    /// Returns the length of a content.
    pub fn bytes(&self, digest: &Digest) -> Option<u64> {
        Some(match self.stored(digest)? {
            Stored::Whole(place) => place.slice.raw.into(),
            Stored::InSegments(segments) => {
                segments.iter().map(|segment| u64::from(segment.bytes)).sum()
            }
        })
    }

    pub fn trace(&self, key: &Digest) -> Option<&TracePlace> {
        self.traces.get(key)
    }

    /// Returns all traces by key, in no particular order.
    pub fn traces(&self) -> impl Iterator<Item = (&Digest, &TracePlace)> {
        self.traces.iter()
    }

    pub fn runs(&self) -> &[RunPlace] {
        &self.runs
    }

    /// Returns the number of contents and the bytes that they have when unpacked.
    pub fn contents(&self) -> usize {
        self.contents.len()
    }

    pub fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }
}
