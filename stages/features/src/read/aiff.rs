//! The header of AIFF and AIFF-C files. Unaware of samples.

use anyhow::{Context as _, Result};

use super::ima4;
use super::sample::Sample;
use super::source::Source;
use super::stream::{Coding, Stream};

/// Reads the header.
///
/// # Errors
/// The format or the data are missing.
pub(crate) fn read(source: &mut Source) -> Result<Stream> {
    source.skip(12)?;
    let (mut common, mut data) = (None, None);
    while let Some([a, b, c, d, size @ ..]) = source.array::<8>()? {
        let (start, size) = (source.position(), u64::from(u32::from_be_bytes(size)));
        match &[a, b, c, d] {
            b"COMM" => common = Some(source.peek(size.min(1024) as usize)?.to_vec()),
            b"SSND" => {
                let skipped =
                    u64::from(source.array().ok().flatten().map_or(0, u32::from_be_bytes));
                data = Some((start + 8 + skipped, size.saturating_sub(8 + skipped)));
            }
            _ => {}
        }
        if common.is_some() && data.is_some() {
            break;
        }
        source.seek(start + size.next_multiple_of(2))?;
    }
    let common = common.context("the AIFF header has no format: replace the file")?;
    let (start, claimed) =
        data.context("the file has an AIFF header but no audio: replace or remove it")?;
    let available = source.length().saturating_sub(start);
    let size = if claimed == 0 { available } else { claimed.min(available) };
    stream(&common, start, size)
        .context("the format of the AIFF header is cut off: replace the file")
}

fn stream(common: &[u8], start: u64, size: u64) -> Option<Stream> {
    let [c0, c1, f0, f1, f2, f3, b0, b1] = *common.first_chunk()?;
    let channels = usize::from(u16::from_be_bytes([c0, c1]));
    let frames = u64::from(u32::from_be_bytes([f0, f1, f2, f3]));
    let bytes = usize::from(u16::from_be_bytes([b0, b1])).div_ceil(8);
    let rate = extended(common.get(8..)?.first_chunk()?) as u32;
    let kind = common.get(18..).and_then(|rest| rest.first_chunk()).unwrap_or(b"NONE");
    let coding = coding(kind, bytes);
    // IMA 4:1 counts packets.
    let unit = if coding == Coding::Ima4 { ima4::FRAMES as u64 } else { 1 };
    let frames = (frames > 0).then_some(frames * unit);
    Some(Stream { coding, channels, rate, start, size, frames })
}

fn coding(kind: &[u8; 4], bytes: usize) -> Coding {
    let pcm = |sample: Option<Sample>, big_endian| {
        sample.map(|sample| Coding::Pcm { sample, big_endian })
    };
    let known = match kind {
        b"NONE" | b"twos" | b"in24" | b"in32" => pcm(Sample::signed(bytes), true),
        b"sowt" => pcm(Sample::signed(bytes), false),
        b"raw " => pcm(Some(Sample::U8), true),
        b"fl32" | b"FL32" => pcm(Some(Sample::F32), true),
        b"fl64" | b"FL64" => pcm(Some(Sample::F64), true),
        b"ulaw" | b"ULAW" => pcm(Some(Sample::MuLaw), true),
        b"alaw" | b"ALAW" => pcm(Some(Sample::ALaw), true),
        b"ima4" => Some(Coding::Ima4),
        _ => None,
    };
    known.unwrap_or_else(|| Coding::Other(format!("AIFF-C compression {}", kind.escape_ascii())))
}

/// Returns the value of an 80-bit float of IEEE 754.
fn extended(bytes: &[u8; 10]) -> f64 {
    let [e0, e1, mantissa @ ..] = *bytes;
    let exponent = i32::from(u16::from_be_bytes([e0, e1]) & 0x7fff) - 16_383 - 63;
    u64::from_be_bytes(mantissa) as f64 * 2.0_f64.powi(exponent)
}
