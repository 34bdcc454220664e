//! Compresses the blobs of a pack, each by itself, where that saves something. Pure.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Read as _;

use zstd::bulk::{Compressor, Decompressor};

/// Form in which the bytes of a blob are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Stored,
    Zstd,
}

/// Error: the bytes do not decode to a blob of the declared length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadBlob;

/// Level 3 takes twice the time of level 1 and saves nearly the same: see
/// `docs/explanation/compression.md`.
const LEVEL: i32 = 1;
/// Blobs up to this length are compressed as a whole, without a sample.
const SMALL: usize = 256 << 10;
const PIECES: usize = 8;
const PIECE: usize = 16 << 10;
/// Length up to which a buffer of the declared length is allocated before anything is decoded.
const TRUSTED: usize = 1 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(Compressor::new(LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::new().ok());
}

/// Encodes a blob.
pub(super) fn encode(raw: &[u8]) -> (Codec, Cow<'_, [u8]>) {
    let is_worthwhile = raw.len() <= SMALL || compressed(&sample(raw)).is_some();
    match compressed(raw).filter(|_| is_worthwhile) {
        Some(bytes) => (Codec::Zstd, Cow::Owned(bytes)),
        None => (Codec::Stored, Cow::Borrowed(raw)),
    }
}

/// Decodes a blob of `length` bytes.
///
/// Allocates no more than the blob really takes, at most `length`, and a constant.
///
/// # Errors
/// The bytes are damaged, or decode to another length.
pub(super) fn decode(codec: Codec, stored: &[u8], length: usize) -> Result<Cow<'_, [u8]>, BadBlob> {
    let raw = match codec {
        Codec::Stored => Cow::Borrowed(stored),
        Codec::Zstd if length <= TRUSTED => DECOMPRESSOR.with_borrow_mut(|decompressor| {
            let decompressor = decompressor.as_mut().ok_or(BadBlob)?;
            decompressor.decompress(stored, length).map(Cow::Owned).map_err(|_| BadBlob)
        })?,
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(stored);
            let mut raw = Vec::new();
            let limit = length as u64 + 1;
            decoder
                .and_then(|decoder| decoder.take(limit).read_to_end(&mut raw))
                .or(Err(BadBlob))?;
            Cow::Owned(raw)
        }
    };
    if raw.len() == length { Ok(raw) } else { Err(BadBlob) }
}

/// Returns the compressed bytes if they are shorter by a twentieth.
fn compressed(raw: &[u8]) -> Option<Vec<u8>> {
    let bytes = COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(raw).ok())?;
    (bytes.len() < raw.len() - raw.len() / 20).then_some(bytes)
}

/// Returns pieces of a long blob, spread evenly from the first byte to the last.
fn sample(raw: &[u8]) -> Vec<u8> {
    let step = (raw.len() - PIECE) / (PIECES - 1);
    (0..PIECES).flat_map(|at| &raw[at * step..at * step + PIECE]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn compressed_where_it_saves() {
        let text = b"epoch 1 loss 0.5\n".repeat(40_000);
        let mut half = text.clone();
        half.extend(noise(text.len()));
        for (raw, expected) in [
            (Vec::new(), Codec::Stored),
            (noise(5), Codec::Stored),
            (text[..300].to_vec(), Codec::Zstd),
            (noise(SMALL + 1), Codec::Stored),
            (half, Codec::Zstd),
            (text, Codec::Zstd),
        ] {
            let (codec, bytes) = encode(&raw);
            assert_eq!(codec, expected, "{} bytes", raw.len());
            assert!(decode(codec, &bytes, raw.len()) == Ok(raw.as_slice().into()));
        }
    }

    #[test]
    fn lies_about_length() {
        for length in [300, TRUSTED + 300] {
            let raw = vec![0; length];
            let (_, bytes) = encode(&raw);
            for wrong in [0, length - 1, length + 1, usize::MAX >> 1] {
                let decoded = decode(Codec::Zstd, &bytes, wrong);
                assert!(decoded == Err(BadBlob), "{length} as {wrong}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>, length in 0_usize..1 << 22) {
            let _ = decode(Codec::Zstd, &bytes, length);
            let whole = decode(Codec::Stored, &bytes, bytes.len());
            prop_assert_eq!(whole, Ok(bytes.as_slice().into()));
        }
    }
}
