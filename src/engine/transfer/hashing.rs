//! A reader that hashes what it passes on.

use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::digest::Digest;

/// Hashes what is read.
pub(super) struct Hashing<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl Hashing<BufReader<File>> {
    pub(super) fn of(file: File) -> Hashing<BufReader<File>> {
        Hashing::new(BufReader::with_capacity(1 << 16, file))
    }
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(input: R) -> Hashing<R> {
        Hashing { input, hasher: blake3::Hasher::new() }
    }

    pub(super) fn digest(&self) -> Digest {
        self.hasher.finalize().into()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
}
