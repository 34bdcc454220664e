//! The cache as the source of what is sent and the sink of what arrives.

use crate::cache::{Cache, ObjectFile, PartialObject};
use crate::digest::Digest;
use crate::error::Result;
use crate::remote::{Partial, Pieces, Sink, Source};

/// A cache, seen by a remote.
#[derive(Debug)]
pub(super) struct Exchange<'c>(pub &'c Cache);

impl Source for Exchange<'_> {
    fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.0.bytes(digest)
    }

    fn open(&self, digest: &Digest) -> Result<Box<dyn Pieces + '_>> {
        Ok(Box::new(self.0.open_object(digest)?))
    }
}

impl Pieces for ObjectFile<'_> {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        ObjectFile::read(self, offset, length)
    }

    fn verify(&self, is_stopped: &dyn Fn() -> bool) -> Result<bool> {
        ObjectFile::verify(self, is_stopped)
    }
}

impl Sink for Exchange<'_> {
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<bool> {
        self.0.put_verified(digest, bytes)
    }

    fn partial(&self, digest: &Digest, bytes: u64) -> Result<Box<dyn Partial + '_>> {
        Ok(Box::new(self.0.partial_object(digest, bytes)?))
    }
}

impl Partial for PartialObject<'_> {
    fn has(&self, offset: u64, length: u64, digest: &Digest) -> bool {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.found(offset, length).is_some_and(|bytes| Digest::of(&bytes) == *digest)
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write(offset, bytes)
    }

    fn finish(&self, is_stopped: &dyn Fn() -> bool) -> Result<Option<bool>> {
        PartialObject::finish(self, is_stopped)
    }
}
