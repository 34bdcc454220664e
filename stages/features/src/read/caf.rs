//! The header of Apple's Core Audio Format. Unaware of samples.

use anyhow::{Context as _, Result};

use super::sample::Sample;
use super::source::Source;
use super::stream::{Coding, Stream};

/// Largest packet table: 24 hours of Apple Lossless have 1.3 million packets of a few bytes each.
const TABLE: u64 = 16 << 20;

/// The chunks of use.
#[derive(Default)]
struct Chunks {
    description: Option<[u8; 32]>,
    /// Position and size that is there.
    data: Option<(u64, u64)>,
    cookie: Box<[u8]>,
    packets: Vec<u8>,
}

/// Reads the header and the packet table, which may follow the data.
///
/// # Errors
/// The format or the data are missing.
pub(crate) fn read(source: &mut Source) -> Result<Stream> {
    source.skip(8)?;
    let mut found = Chunks::default();
    while let Some([a, b, c, d, size @ ..]) = source.array::<12>()? {
        let (start, size) = (source.position(), i64::from_be_bytes(size));
        // The size −1 of data stands for "to the end".
        let size = u64::try_from(size).unwrap_or(u64::MAX).min(source.left());
        let most = size.min(TABLE) as usize;
        match &[a, b, c, d] {
            b"desc" => found.description = source.array()?,
            // The data begin with a count of edits.
            b"data" => found.data = Some((start + 4, size.saturating_sub(4))),
            b"kuki" => found.cookie = source.take(most)?.into(),
            b"pakt" => found.packets = source.take(most)?.to_vec(),
            _ => {}
        }
        source.seek(start.saturating_add(size))?;
    }
    let description =
        found.description.context("the CAF header has no format: replace the file")?;
    let (start, size) =
        found.data.context("the file has a CAF header but no audio: replace or remove it")?;
    Ok(stream(&description, &found, start, size))
}

fn stream(description: &[u8; 32], found: &Chunks, start: u64, size: u64) -> Stream {
    let word = |at: usize| {
        let bytes = description.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    };
    let rate = f64::from_be_bytes(*description.first_chunk().unwrap_or(&[0; 8])) as u32;
    let (flags, bytes_per_packet, frames_per_packet) = (word(12), word(16), word(20));
    let (channels, bits) = (word(24) as usize, word(28) as usize);
    let table = Table::parse(&found.packets);
    let big_endian = flags & 2 == 0;
    let needed = bits.div_ceil(8);
    let bytes = match (bytes_per_packet as usize).checked_div(channels) {
        Some(bytes) if (needed..=8).contains(&bytes) => bytes,
        _ => needed,
    };
    let pcm = |sample| Coding::Pcm { sample, big_endian };
    let kind: [u8; 4] = word(8).to_be_bytes();
    let known = match &kind {
        b"lpcm" if flags & 1 != 0 => Sample::float(bytes).map(pcm),
        b"lpcm" if needed == 3 && bytes == 4 => Some(Coding::S24Somewhere { big_endian }),
        b"lpcm" => Sample::signed(bytes).map(pcm),
        b"ulaw" => Some(pcm(Sample::MuLaw)),
        b"alaw" => Some(pcm(Sample::ALaw)),
        b"ima4" => Some(Coding::Ima4),
        b"alac" if frames_per_packet > 0 => Some(Coding::Alac {
            cookie: found.cookie.clone(),
            sizes: table.sizes,
            frames: u64::from(frames_per_packet),
        }),
        b".mp1" | b".mp2" | b".mp3" => Some(Coding::Mpeg),
        _ => None,
    };
    let coding = known.unwrap_or_else(|| {
        Coding::Other(format!("CAF format {} with {bits} bits", kind.escape_ascii()))
    });
    let frames = match &coding {
        Coding::Ima4 | Coding::Alac { .. } => table.frames,
        _ => None,
    };
    Stream { coding, channels, rate, start, size, frames }
}

/// The packet table.
#[derive(Default)]
struct Table {
    /// Number of valid frames.
    frames: Option<u64>,
    sizes: Vec<u32>,
}

impl Table {
    /// Parses 24 bytes of counts, and then sizes with seven bits to a byte.
    fn parse(bytes: &[u8]) -> Table {
        let Some((counts, sizes)) = bytes.split_first_chunk::<24>() else {
            return Table::default();
        };
        let mut valid = [0; 8];
        valid.copy_from_slice(&counts[8..16]);
        let mut table =
            Table { frames: u64::try_from(i64::from_be_bytes(valid)).ok(), sizes: vec![] };
        table.frames = table.frames.filter(|frames| *frames > 0);
        let mut size: u32 = 0;
        for byte in sizes {
            size = size << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                table.sizes.push(std::mem::take(&mut size));
            }
        }
        // Some writers reserve room for more packets.
        while table.sizes.pop_if(|size| *size == 0).is_some() {}
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_packets() {
        let counts = [&3_i64.to_be_bytes()[..], &9000_i64.to_be_bytes(), &[0; 8]].concat();
        for (bytes, expected) in [
            (&[5, 0x81, 0x02, 7][..], &[5, 130, 7][..]),
            (&[5, 6, 7, 0, 0], &[5, 6, 7]),
            (&[5, 0, 7, 0x81], &[5, 0, 7]),
            (&[], &[]),
        ] {
            let table = Table::parse(&[&counts, bytes].concat());
            assert_eq!((table.frames, &table.sizes[..]), (Some(9000), expected), "{bytes:?}");
        }
        assert_eq!(Table::parse(&counts[..23]).frames, None);
    }
}
