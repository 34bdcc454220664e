//! The header of WAV files: RIFF, RIFX, RF64, BW64 and Sony Wave64.
//!
//! Recorders that were stopped, and programs that write to a pipe, leave sizes that are 0, too
//! large, or the largest number. The data then reach to the end of the file. Unaware of samples.

use anyhow::{Context as _, Result, bail};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS};

use super::sample::Sample;
use super::source::Source;
use super::stream::{Coding, Stream};

/// Sizes from here on stand for "unknown" if the file has less: 2 GiB and 4 GiB, less a header.
const UNKNOWN: u64 = 0x7fff_0000;

/// Bytes of a format chunk that are of use.
const FORMAT: usize = 1024;

/// Notation of ids and sizes of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Riff {
        big_endian: bool,
    },
    /// GUIDs of 16 bytes, and sizes of 8 that include both.
    Wave64,
}

/// Reads the header.
///
/// # Errors
/// The format or the data are missing, or the format makes no sense.
pub(crate) fn read(source: &mut Source) -> Result<Stream> {
    let dialect = match source.peek(4)? {
        b"riff" => Dialect::Wave64,
        magic => Dialect::Riff { big_endian: magic == b"RIFX" },
    };
    source.skip(if dialect == Dialect::Wave64 { 40 } else { 12 })?;
    let mut found = Chunks::default();
    while let Some((id, size)) = chunk_header(source, dialect)? {
        let start = source.position();
        let next = found.take(source, dialect, id, size)?;
        let align = if dialect == Dialect::Wave64 { 8 } else { 2 };
        source.seek(next.checked_next_multiple_of(align).unwrap_or(u64::MAX).max(start))?;
        if found.format.is_some() && found.data.is_some() {
            break;
        }
    }
    let (start, claimed) =
        found.data.context("the file has a WAV header but no audio: replace or remove it")?;
    let format = found.format.context("the WAV header has no format: replace the file")?;
    let available = source.length().saturating_sub(start);
    let is_unknown = claimed == 0 || claimed > available && claimed >= UNKNOWN;
    let size = if is_unknown { available } else { claimed.min(available) };
    let claimed = (!is_unknown).then_some(claimed);
    stream(&format, dialect, start, size, claimed, found.fact)
}

#[derive(Default)]
struct Chunks {
    format: Option<Vec<u8>>,
    /// Position and claimed size.
    data: Option<(u64, u64)>,
    /// Number of frames, which is right for compressed data only.
    fact: Option<u64>,
    /// Size of the data in RF64.
    data_size: Option<u64>,
}

impl Chunks {
    /// Takes what is of use in a chunk, and returns the position of the next one.
    fn take(
        &mut self,
        source: &mut Source,
        dialect: Dialect,
        id: [u8; 4],
        size: u64,
    ) -> Result<u64> {
        let start = source.position();
        let big_endian = dialect == Dialect::Riff { big_endian: true };
        match &id {
            b"fmt " => self.format = Some(source.peek(size.min(FORMAT as u64) as usize)?.to_vec()),
            b"fact" => {
                let frames = source.peek(size.min(8) as usize)?;
                let word = frames.first_chunk().map(|four| u64::from(word(*four, big_endian)));
                self.fact = word.filter(|frames| (1..u64::from(u32::MAX)).contains(frames));
            }
            b"ds64" => {
                let sizes = source.peek(16)?;
                self.data_size = sizes
                    .get(8..)
                    .and_then(|eight| eight.first_chunk())
                    .map(|eight| u64::from_le_bytes(*eight));
            }
            b"data" => {
                let is_in_ds64 = size == u64::from(u32::MAX);
                let size = self.data_size.filter(|_| is_in_ds64).unwrap_or(size);
                if size > 0 || !is_end_of_chunks(source, dialect)? {
                    self.data = Some((start, size));
                }
                return Ok(start.saturating_add(size));
            }
            _ => {}
        }
        Ok(start.saturating_add(size))
    }
}

/// Reads the id and the size of the contents of a chunk; `None` at the end of the file.
fn chunk_header(source: &mut Source, dialect: Dialect) -> Result<Option<([u8; 4], u64)>> {
    Ok(match dialect {
        Dialect::Riff { big_endian } => source
            .array::<8>()?
            .map(|[a, b, c, d, size @ ..]| ([a, b, c, d], u64::from(word(size, big_endian)))),
        Dialect::Wave64 => source.array::<24>()?.map(|bytes| {
            let [id @ .., _, _, _, _] = *bytes.first_chunk::<8>().unwrap_or(&[0; 8]);
            let size = u64::from_le_bytes(*bytes.last_chunk::<8>().unwrap_or(&[0; 8]));
            // Only a size of zero or all ones is less than its own header.
            (id, size.saturating_sub(24))
        }),
    })
}

fn word(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// Checks whether an empty data chunk is empty indeed: chunks that end with the file follow.
fn is_end_of_chunks(source: &mut Source, dialect: Dialect) -> Result<bool> {
    let start = source.position();
    while source.left() > 0 {
        let Some((id, size)) = chunk_header(source, dialect)? else { break };
        if size > source.left() || !id.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            source.seek(start)?;
            return Ok(false);
        }
        source.skip(size + size % 2)?;
    }
    source.seek(start)?;
    Ok(true)
}

fn stream(
    format: &[u8],
    dialect: Dialect,
    start: u64,
    size: u64,
    claimed: Option<u64>,
    fact: Option<u64>,
) -> Result<Stream> {
    let big_endian = dialect == Dialect::Riff { big_endian: true };
    let two = |at: usize| -> Option<u16> {
        let bytes = *format.get(at..)?.first_chunk()?;
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let rate =
        format.get(4..).and_then(|rest| rest.first_chunk()).map(|four| word(*four, big_endian));
    let (Some(mut tag), Some(channels), Some(rate), Some(align)) = (two(0), two(2), rate, two(12))
    else {
        bail!("the format of the WAV header is cut off: replace the file");
    };
    if tag == EXTENSIBLE {
        tag = two(24).unwrap_or(tag);
    }
    let (channels, align) = (usize::from(channels), usize::from(align));
    let bits = two(14).unwrap_or(0);
    let coding = coding(tag, channels, align, usize::from(bits), big_endian);
    let frames = match &coding {
        Coding::Pcm { sample, .. } => frames_of(claimed, sample.bytes() * channels),
        Coding::S24Somewhere { .. } => frames_of(claimed, 4 * channels),
        Coding::Blocks { .. } => fact,
        _ => None,
    };
    Ok(Stream { coding, channels, rate, start, size, frames })
}

fn frames_of(bytes: Option<u64>, frame: usize) -> Option<u64> {
    bytes?.checked_div(frame as u64)
}

const EXTENSIBLE: u16 = 0xfffe;

/// Returns the coding of a format tag of RFC 2361.
fn coding(tag: u16, channels: usize, align: usize, bits: usize, big_endian: bool) -> Coding {
    let needed = bits.div_ceil(8);
    // The size of a container comes from the size of a frame, if that can be.
    let bytes = match align.checked_div(channels) {
        Some(bytes) if bytes >= needed && bytes <= 8 && align.is_multiple_of(channels) => bytes,
        _ => needed,
    };
    // The size of a block tells its frames: `head` bytes and so many frames for each channel, and
    // then two frames to a byte. The header's own number may be elsewhere, or wrong.
    let blocks = |codec, head: usize, frames: usize| {
        let codes = align.checked_sub(head * channels).filter(|_| channels > 0)?;
        let frames = (frames + 2 * codes / channels) as u64;
        (codes > 0).then_some(Coding::Blocks { codec, bytes: align, frames })
    };
    let known = match tag {
        1 if bytes == 4 && needed == 3 => Some(Coding::S24Somewhere { big_endian }),
        1 if bytes == 1 => Some(Coding::Pcm { sample: Sample::U8, big_endian }),
        1 => Sample::signed(bytes).map(|sample| Coding::Pcm { sample, big_endian }),
        2 if bits == 4 => blocks(CODEC_ID_ADPCM_MS, 7, 2),
        3 => Sample::float(bytes).map(|sample| Coding::Pcm { sample, big_endian }),
        6 => Some(Coding::Pcm { sample: Sample::ALaw, big_endian }),
        7 => Some(Coding::Pcm { sample: Sample::MuLaw, big_endian }),
        // Words of eight frames alternate between the channels.
        0x11 if bits == 4 && align.is_multiple_of(4 * channels.max(1)) => {
            blocks(CODEC_ID_ADPCM_IMA_WAV, 4, 1)
        }
        0x50 | 0x55 => Some(Coding::Mpeg),
        _ => None,
    };
    known.unwrap_or_else(|| Coding::Other(format!("WAV format {tag:#06x} with {bits} bits")))
}
