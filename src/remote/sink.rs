//! The place that fetched contents go to.

use crate::digest::Digest;
use crate::error::Result;

/// The place that fetched contents go to.
pub trait Sink: Sync {
    /// Adds a content, and reports whether its bytes match the digest. Wrong bytes are not added.
    ///
    /// # Errors
    /// The content cannot be stored.
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<bool>;

    /// Opens a content that arrives in segments, with what an interrupted fetch has left of it.
    ///
    /// # Errors
    /// The content cannot be stored.
    fn partial(&self, digest: &Digest, bytes: u64) -> Result<Box<dyn Partial + '_>>;
}

/// A content that arrives in segments, from several threads.
pub trait Partial: Send + Sync {
    /// Reports whether an earlier fetch has left the bytes with this digest at an offset.
    fn has(&self, offset: u64, length: u64, digest: &Digest) -> bool;

    /// Writes a segment.
    ///
    /// # Errors
    /// The segment cannot be stored.
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Adds the complete content, and reports whether its bytes match the digest; `None` if it was
    /// stopped before.
    ///
    /// # Errors
    /// The content cannot be stored.
    fn finish(&self, is_stopped: &dyn Fn() -> bool) -> Result<Option<bool>>;
}
