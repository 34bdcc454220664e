//! The interface of all readers.

use anyhow::Result;

use super::block::Block;

/// An open file that delivers its sound.
pub(crate) trait Reader {
    /// Replaces `block` with the next frames; `false` at the end.
    ///
    /// # Errors
    /// A part of the file is damaged, and the next call goes on behind it.
    fn next(&mut self, block: &mut Block) -> Result<bool>;

    /// Returns the length in seconds that the container announces, apart from its frames.
    ///
    /// The value is final when the end has been read.
    fn announced(&self) -> Option<f64>;
}
