//! The format of an index file: which blobs lie where in which packs.
//!
//! ```text
//! repro.index 1\n
//! codec      one byte: 0 stored, 1 zstd
//! length     of the body, u64
//! body:
//!   index files that this one replaces      count, digests
//!   packs       count; for each: digest, length, time of the push, count of blobs, then the
//!               blobs by offset:
//!     blob      kind and codec (one byte), gap since the previous blob, stored length,
//!               length if compressed, digest
//!     trace     also its key, and the contents of its outs
//!     run       also its uid, and the contents that it refers to
//!   large contents   count; for each: kind, digest, count of segments; digest and length of each
//! ```
//! Numbers in the body are LEB128. An index file is immutable and named by the BLAKE3 of its bytes.
//! An index file that another one replaces does not count, even while it is still listed.
//!
//! Decoding checks every count against the bytes that are left before anything is allocated, so
//! memory is bounded by a multiple of the input. Does not know where index files are stored.

use std::collections::BTreeMap;

use super::backend::MAX_FILE;
use super::codec::{self, Codec};
use crate::digest::{Content, Digest};

const HEADER: &[u8] = b"repro.index 1\n";
/// Start of the header of all versions.
const ANY_VERSION: &[u8] = b"repro.index ";
/// Maximum length of a blob, and of a pack, when it is written and when it is read.
pub(super) const MAX_PACK: u64 = 1 << 26;
/// A body that compresses better than this is stored, so that a short file cannot stand for a long
/// body.
const MAX_RATIO: u64 = 64;

/// The decoded content of an index file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Names of the index files that this one replaces.
    pub(super) replaces: Vec<Digest>,
    pub(super) packs: Vec<Pack>,
    pub(super) larges: Vec<Large>,
}

/// A pack with the blobs in it, by offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pack {
    pub(super) digest: Digest,
    pub(super) bytes: u32,
    /// Time of the push that wrote it, by the clock of its machine, in seconds since 1970.
    pub(super) since: u64,
    pub(super) blobs: Vec<Blob>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    /// Digest of the raw bytes.
    pub(super) digest: Digest,
    pub(super) kind: Kind,
    pub(super) slice: Slice,
}

/// Place of a blob in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) offset: u32,
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) codec: Codec,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The content of a file or a link, or a segment of one.
    Content,
    /// The tree of a folder.
    Tree,
    /// The text of a trace.
    Trace {
        /// Key of its fingerprint.
        key: Digest,
        outs: Vec<Content>,
    },
    /// The manifest of a run.
    Run { uid: [u8; 16], refers: Vec<Content> },
}

/// A content that is stored in segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Large {
    pub(super) digest: Digest,
    pub(super) is_tree: bool,
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) digest: Digest,
    pub(super) bytes: u32,
}

/// The reason that bytes are not an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadIndex {
    /// A newer version of this program wrote it.
    Newer,
    Malformed,
}

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
        let body = self.body();
        let (codec, bytes) = codec::encode(&body);
        let is_dense = body.len() as u64 <= MAX_RATIO * bytes.len() as u64;
        let (codec, bytes) =
            if is_dense { (codec, bytes) } else { (Codec::Stored, body.as_slice().into()) };
        let mut file = HEADER.to_vec();
        file.push(code(codec));
        file.extend((body.len() as u64).to_le_bytes());
        file.extend_from_slice(&bytes);
        file
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_digests(&mut body, self.replaces.iter());
        put_number(&mut body, self.packs.len() as u64);
        for pack in &self.packs {
            body.extend(pack.digest.as_bytes());
            put_number(&mut body, pack.bytes.into());
            put_number(&mut body, pack.since);
            put_number(&mut body, pack.blobs.len() as u64);
            let mut end = 0;
            for blob in &pack.blobs {
                put_blob(&mut body, blob, end);
                end = blob.slice.offset + blob.slice.stored;
            }
        }
        put_number(&mut body, self.larges.len() as u64);
        for large in &self.larges {
            body.push(if large.is_tree { TREE } else { CONTENT });
            body.extend(large.digest.as_bytes());
            put_number(&mut body, large.segments.len() as u64);
            for segment in &large.segments {
                body.extend(segment.digest.as_bytes());
                put_number(&mut body, segment.bytes.into());
            }
        }
        body
    }

    /// Decodes an index file.
    ///
    /// # Errors
    /// The bytes are not an index of this version.
    pub(super) fn decode(file: &[u8]) -> Result<Index, BadIndex> {
        let Some(rest) = file.strip_prefix(HEADER) else {
            return Err(match file.strip_prefix(ANY_VERSION).map(version) {
                Some(Some(2..)) => BadIndex::Newer,
                _ => BadIndex::Malformed,
            });
        };
        let read = || {
            let (codec, rest) = rest.split_first()?;
            let (length, rest) = rest.split_first_chunk::<8>()?;
            let length = u64::from_le_bytes(*length);
            if length > (MAX_RATIO * rest.len() as u64).min(MAX_FILE) {
                return None;
            }
            let length = usize::try_from(length).ok()?;
            let body = codec::decode(codec_of(*codec)?, rest, length).ok()?;
            let mut reader = Reader { rest: &body };
            let index = reader.index()?;
            reader.rest.is_empty().then_some(index)
        };
        read().ok_or(BadIndex::Malformed)
    }
}

/// Returns each pack without its blobs, and the blobs by offset. Several index files can name
/// different blobs of one pack.
pub(super) fn merged<'i>(
    indexes: impl Iterator<Item = &'i Index>,
) -> Vec<(Pack, BTreeMap<u32, &'i Blob>)> {
    let mut packs: BTreeMap<Digest, (Pack, BTreeMap<u32, &Blob>)> = BTreeMap::new();
    for pack in indexes.flat_map(|index| &index.packs) {
        let empty = || (Pack { blobs: Vec::new(), ..*pack }, BTreeMap::new());
        let (_, blobs) = packs.entry(pack.digest).or_insert_with(empty);
        blobs.extend(pack.blobs.iter().map(|blob| (blob.slice.offset, blob)));
    }
    packs.into_values().collect()
}

/// Returns the number at the start of the rest of a header's line.
fn version(rest: &[u8]) -> Option<u32> {
    let line = rest.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

const CONTENT: u8 = 0;
const TRACE: u8 = 1;
const RUN: u8 = 2;
const TREE: u8 = 3;

fn code(codec: Codec) -> u8 {
    match codec {
        Codec::Stored => 0,
        Codec::Zstd => 1,
    }
}

fn codec_of(code: u8) -> Option<Codec> {
    match code {
        0 => Some(Codec::Stored),
        1 => Some(Codec::Zstd),
        _ => None,
    }
}

fn put_number(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        body.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    body.push(number.to_le_bytes()[0]);
}

fn put_digests<'d>(body: &mut Vec<u8>, digests: impl ExactSizeIterator<Item = &'d Digest>) {
    put_number(body, digests.len() as u64);
    digests.for_each(|digest| body.extend(digest.as_bytes()));
}

fn put_contents(body: &mut Vec<u8>, contents: &[Content]) {
    put_number(body, contents.len() as u64);
    for content in contents {
        body.push(match content {
            Content::File(_) => 0,
            Content::Executable(_) => 1,
            Content::Tree(_) => 2,
            Content::Link(_) => 3,
        });
        body.extend(content.digest().as_bytes());
    }
}

/// Writes a blob that begins after the byte `end` of its pack.
fn put_blob(body: &mut Vec<u8>, blob: &Blob, end: u32) {
    let kind = match blob.kind {
        Kind::Content => CONTENT,
        Kind::Trace { .. } => TRACE,
        Kind::Run { .. } => RUN,
        Kind::Tree => TREE,
    };
    let Slice { offset, stored, raw, codec } = blob.slice;
    body.push(kind << 4 | code(codec));
    put_number(body, u64::from(offset - end));
    put_number(body, stored.into());
    if codec != Codec::Stored {
        put_number(body, raw.into());
    }
    body.extend(blob.digest.as_bytes());
    match &blob.kind {
        Kind::Content | Kind::Tree => {}
        Kind::Trace { key, outs } => {
            body.extend(key.as_bytes());
            put_contents(body, outs);
        }
        Kind::Run { uid, refers } => {
            body.extend(uid);
            put_contents(body, refers);
        }
    }
}

/// Reads a body; each method returns `None` at its end, or if a value is not possible.
struct Reader<'b> {
    rest: &'b [u8],
}

impl Reader<'_> {
    fn index(&mut self) -> Option<Index> {
        let replaces = self.list(32, |reader| reader.digest())?;
        let packs = self.list(35, Reader::pack)?;
        let larges = self.list(34, Reader::large)?;
        Some(Index { replaces, packs, larges })
    }

    fn pack(&mut self) -> Option<Pack> {
        let digest = self.digest()?;
        let bytes = self.length()?;
        let since = self.number()?;
        let mut end = 0;
        let blobs = self.list(35, |reader| {
            let blob = reader.blob(end)?;
            end = blob.slice.offset.checked_add(blob.slice.stored)?;
            (end <= bytes).then_some(blob)
        })?;
        Some(Pack { digest, bytes, since, blobs })
    }

    fn blob(&mut self, end: u32) -> Option<Blob> {
        let tag = self.byte()?;
        let codec = codec_of(tag & 0xf)?;
        let offset = end.checked_add(self.length()?)?;
        let stored = self.length()?;
        let raw = if codec == Codec::Stored { stored } else { self.length()? };
        let digest = self.digest()?;
        let kind = match tag >> 4 {
            CONTENT => Kind::Content,
            TREE => Kind::Tree,
            TRACE => Kind::Trace { key: self.digest()?, outs: self.contents()? },
            RUN => Kind::Run { uid: self.array()?, refers: self.contents()? },
            _ => return None,
        };
        Some(Blob { digest, kind, slice: Slice { offset, stored, raw, codec } })
    }

    fn large(&mut self) -> Option<Large> {
        let is_tree = match self.byte()? {
            CONTENT => false,
            TREE => true,
            _ => return None,
        };
        let digest = self.digest()?;
        let segments = self.list(33, |reader| {
            Some(Segment { digest: reader.digest()?, bytes: reader.length()? })
        })?;
        // Each segment takes space on a disk; an empty one would make work and no progress.
        let has_empty = segments.iter().any(|segment| segment.bytes == 0);
        (!has_empty).then_some(Large { digest, is_tree, segments })
    }

    fn contents(&mut self) -> Option<Vec<Content>> {
        self.list(33, |reader| {
            let kind = reader.byte()?;
            let digest = reader.digest()?;
            match kind {
                0 => Some(Content::File(digest)),
                1 => Some(Content::Executable(digest)),
                2 => Some(Content::Tree(digest)),
                3 => Some(Content::Link(digest)),
                _ => None,
            }
        })
    }

    /// Reads a count and as many entries, each of at least `size` bytes.
    fn list<T>(
        &mut self,
        size: usize,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        if count > self.rest.len() / size {
            return None;
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// Reads the length of something that is no longer than a pack.
    fn length(&mut self) -> Option<u32> {
        let length = self.number()?;
        u32::try_from(length).ok().filter(|_| length <= MAX_PACK)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.array().map(Digest::from_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*array)
    }
}

#[cfg(test)]
mod tests;
