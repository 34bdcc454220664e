//! Fast reader for plain WAV files: RIFF with 16-bit PCM or 32-bit floats, one or two channels.
//!
//! Most data sets use this format. Samples are only converted, which takes a fraction of a general
//! reader's time. A file that is truncated, or has a header that claims too much data because the
//! recorder was stopped, yields the samples it has. Anything else unusual makes a file not plain
//! and is left to the general reader. Does not mix channels.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};

/// Bytes within which the data of a plain file must begin.
const HEAD: u64 = 4096;

/// Bytes converted at a time. They fit in the first-level cache and are a multiple of every frame
/// size.
const BLOCK: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Pcm16,
    Float32,
}

/// An open plain WAV file, positioned at its first unread sample.
#[derive(Debug)]
pub(crate) struct PlainWav {
    pub(crate) channels: usize,
    pub(crate) sample_rate: u32,
    encoding: Encoding,
    /// Bytes of samples not yet read.
    left: u64,
    file: File,
    bytes: Vec<u8>,
}

impl PlainWav {
    /// Opens a file; `None` if it is not plain. The file's position is then undefined.
    pub(crate) fn open(mut file: File) -> std::io::Result<Option<PlainWav>> {
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(HEAD).read_to_end(&mut head)?;
        let length = file.metadata()?.len();
        let Some(layout) = layout(&head, length) else { return Ok(None) };
        file.seek(SeekFrom::Start(layout.start))?;
        let Layout { channels, sample_rate, encoding, size, .. } = layout;
        Ok(Some(PlainWav {
            channels,
            sample_rate,
            encoding,
            left: size,
            file,
            bytes: vec![0; BLOCK],
        }))
    }

    /// Replaces the contents of `interleaved` with the next samples, or with nothing at the end.
    pub(crate) fn next(&mut self, interleaved: &mut Vec<f32>) -> std::io::Result<()> {
        let count = self.left.min(BLOCK as u64) as usize;
        let bytes = &mut self.bytes[..count];
        self.file.read_exact(bytes)?;
        self.left -= count as u64;
        interleaved.clear();
        match self.encoding {
            Encoding::Pcm16 => interleaved.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|sample| f32::from(i16::from_le_bytes(*sample)) / 32_768.0),
            ),
            Encoding::Float32 => {
                interleaved
                    .extend(bytes.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)));
            }
        }
        Ok(())
    }
}

struct Layout {
    channels: usize,
    sample_rate: u32,
    encoding: Encoding,
    start: u64,
    size: u64,
}

/// Finds the samples of a plain file of `length` bytes from its first bytes; `None` if it is not
/// plain.
fn layout(head: &[u8], length: u64) -> Option<Layout> {
    let chunks = head.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let (mut rest, mut format) = (chunks, None);
    loop {
        let (id, after) = rest.split_first_chunk::<4>()?;
        let (size, body) = after.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size);
        match id {
            b"fmt " => format = Some(body.get(..size as usize)?),
            b"data" => {
                let start = (head.len() - body.len()) as u64;
                return plain(format?, start, u64::from(size), length);
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        rest = body.get((size as usize).checked_next_multiple_of(2)?..)?;
    }
}

fn plain(format: &[u8], start: u64, size: u64, length: u64) -> Option<Layout> {
    let two = |at: usize| Some(u16::from_le_bytes(*format.get(at..)?.first_chunk()?));
    let four = |at: usize| Some(u32::from_le_bytes(*format.get(at..)?.first_chunk()?));
    let encoding = match (two(0)?, two(14)?) {
        (1, 16) => Encoding::Pcm16,
        (3, 32) => Encoding::Float32,
        _ => return None,
    };
    let channels = usize::from(two(2)?);
    let frame = u64::from(two(12)?);
    let expected = channels as u64 * if encoding == Encoding::Pcm16 { 2 } else { 4 };
    if !matches!(channels, 1 | 2) || frame != expected {
        return None;
    }
    let present = size.min(length.saturating_sub(start));
    let size = present - present % frame;
    (size > 0).then_some(Layout { channels, sample_rate: four(4)?, encoding, start, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a header of 44 bytes for 16-bit PCM with two channels.
    fn head(size: u32) -> Vec<u8> {
        let mut bytes =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0data"
                .to_vec();
        bytes.extend(size.to_le_bytes());
        bytes
    }

    #[test]
    fn plain_layouts() {
        for (claimed, length, size) in
            [(400, 444, 400), (400, 443, 396), (402, 446, 400), (u32::MAX, 450, 404)]
        {
            let found = layout(&head(claimed), length).unwrap();
            assert_eq!(
                (found.channels, found.sample_rate, found.start, found.size),
                (2, 8000, 44, size)
            );
        }
        let changed = |at: usize, value: u8| {
            let mut bytes = head(400);
            bytes[at] = value;
            layout(&bytes, 444)
        };
        for (what, bad) in [
            ("no samples", layout(&head(0), 444)),
            ("nothing after the header", layout(&head(400), 44)),
            ("shorter than the header", layout(&head(400), 10)),
            ("no data", layout(&head(400)[..40], 444)),
            ("another format", changed(20, 2)),
            ("24 bits", changed(34, 24)),
            ("three channels", changed(22, 3)),
            ("no channels", changed(22, 0)),
            ("a wrong frame", changed(32, 3)),
            ("a long format chunk", changed(17, 255)),
            ("not RIFF", changed(0, b'X')),
        ] {
            assert!(bad.is_none(), "{what}");
        }
    }

    proptest! {
        #[test]
        fn layout_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            cut in 0_usize..44,
            length in any::<u64>(),
        ) {
            let mut mixed = head(400);
            mixed.truncate(cut);
            mixed.extend(bytes);
            let _ = layout(&mixed, length);
        }
    }
}
