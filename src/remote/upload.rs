//! Sends contents, traces and runs to a remote.
//!
//! # Mechanism
//!
//! Workers take small contents in groups, and large ones by regions, which they cut into segments.
//! They encode contents and segments and append them to an open pack, of which there is one for
//! each kind. The worker that fills a pack writes it to
//! the store and notes it in the journal. What was sent is then named by one index file
//! ([`super::Remote::publish`]), so an interrupted upload changes nothing that others see.
//!
//! # Invariants
//!
//! - A content is sent once: what the remote, or the journal of an interrupted push has, is left
//!   out.
//! - A pack is noted only after the store has it.
//! - A large content is complete only if its source was verified as a whole.
//! - Of the packs of an interrupted push, only those trees, traces and runs are named that this
//!   push sends as well: it alone knows whether everything in them is on the remote.

mod packing;
mod sending;
mod work;

use std::collections::HashSet;

use super::index::{Large, Pack};
use super::meter::Amount;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};

/// The place that the bytes of contents come from.
pub trait Source: Sync {
    /// Returns all bytes of a content of at most 4 MiB, verified.
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

    /// Reads everything and compares the digest; returns false if it was stopped before the end.
    ///
    /// # Errors
    /// The content is damaged.
    fn verify(&self, is_stopped: &dyn Fn() -> bool) -> Result<bool>;
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
