//! Reads FLAC frame by frame.
//!
//! The description of the stream is the only metadata used; a fault elsewhere does not matter.
//! Each frame has its own spec, so the rate, the channels and the sample size may change.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;

use super::block::Block;
use super::codec::Codec;
use super::flac_header::{Header, LONGEST, STREAM_INFO, Spec, StreamInfo, crc_16};
use super::reader::Reader;
use super::source::Source;

/// Bound on the bytes that are searched for ends of frames, per byte of the file.
const EFFORT: u64 = 64;

/// Reads a native FLAC file.
pub(crate) struct FlacReader {
    source: Source,
    decoder: FlacDecoder,
    /// Number of bytes that may still be searched.
    effort: u64,
    has_sound: bool,
    /// Frames of sound that could not be decoded, behind others.
    lost: u64,
}

impl FlacReader {
    /// Reads the metadata, if the file begins with them.
    pub(crate) fn new(mut source: Source) -> Result<FlacReader> {
        let mut info = StreamInfo::default();
        if source.peek(4)? == b"fLaC" {
            source.skip(4)?;
            info = read_metadata(&mut source)?;
        }
        let effort = source.length().saturating_mul(EFFORT);
        Ok(FlacReader {
            source,
            decoder: FlacDecoder::new(info),
            effort,
            has_sound: false,
            lost: 0,
        })
    }

    /// Moves to the next frame header; `None` at the end of the file.
    fn find(&mut self) -> Result<Option<Header>> {
        loop {
            let bytes = self.source.peek(4096)?;
            let found = (0..bytes.len()).find_map(|at| {
                let rest = &bytes[at..];
                (rest[0] == 0xff).then(|| Header::parse(rest, &self.decoder.info))?.map(|h| (at, h))
            });
            let skipped = match found {
                Some((at, header)) => {
                    self.source.skip(at as u64)?;
                    return Ok(Some(header));
                }
                None if bytes.len() < 4096 => return Ok(None),
                // A header may begin in the last bytes.
                None => bytes.len() - LONGEST,
            };
            self.source.skip(skipped as u64)?;
        }
    }
}

impl Reader for FlacReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        let Some(header) = self.find()? else { return Ok(false) };
        let bytes = self.source.peek(header.longest_frame() + LONGEST)?;
        let end = frame_end(bytes, &header, &self.decoder.info);
        let searched = end.map_or(bytes.len(), |(end, _)| end);
        let Some(effort) = self.effort.checked_sub(searched as u64) else {
            self.source.skip(u64::MAX)?;
            bail!("too many bytes look like frames: the file is damaged; replace or remove it");
        };
        self.effort = effort;
        // A decoder stops at the end of the frame; an end that is not sure does not cut it.
        let frame =
            &bytes[..end.filter(|(_, is_sure)| *is_sure).map_or(bytes.len(), |(end, _)| end)];
        let decoded = self.decoder.decode(frame, block);
        // Behind a frame without an end, the next header is searched for.
        self.source.skip(match (&decoded, end) {
            (Ok(()), Some((end, _))) | (Err(_), Some((end, true))) => end as u64,
            _ => header.length as u64,
        })?;
        if let Err(fault) = decoded {
            self.lost += u64::from(header.frames) * u64::from(self.has_sound);
            return Err(fault);
        }
        self.has_sound = true;
        block.replace_lost(0, &mut self.lost);
        Ok(true)
    }

    fn announced(&self) -> Option<f64> {
        self.decoder.announced()
    }
}

/// Returns the length of the frame at the start of `bytes`, and whether its checksum is right.
///
/// A frame ends where its checksum says so and another frame, a tag or the end of the file follows.
/// For the last frame before other bytes, the first place with the right checksum counts.
fn frame_end(bytes: &[u8], header: &Header, info: &StreamInfo) -> Option<(usize, bool)> {
    let (mut crc, mut first) = (0, None);
    for (at, byte) in bytes.iter().enumerate() {
        if crc == 0 && at > header.length + 2 {
            let rest = &bytes[at..];
            if rest[0] == 0xff && Header::parse(rest, info).is_some() || super::id3::begins(rest) {
                return Some((at, true));
            }
            first = first.or(Some((at, false)));
        }
        crc = crc_16(crc, *byte);
    }
    if crc == 0 { Some((bytes.len(), true)) } else { first }
}

/// Reads the metadata blocks; the position is then behind the last.
fn read_metadata(source: &mut Source) -> Result<StreamInfo> {
    let mut info = StreamInfo::default();
    while let Some([kind, size @ ..]) = source.peek(4)?.first_chunk::<4>().copied() {
        if kind == 0xff {
            // The sync code of a frame: the block that should be last does not say so.
            break;
        }
        source.skip(4)?;
        let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
        let start = source.position();
        if kind & 0x7f == 0
            && info == StreamInfo::default()
            && let Some(block) = source.peek(STREAM_INFO)?.first_chunk()
        {
            info = StreamInfo::parse(block);
        }
        // A size that leaves nothing is wrong; the frames are searched for instead.
        if size >= source.left() {
            break;
        }
        source.seek(start + size)?;
        if kind & 0x80 != 0 {
            break;
        }
    }
    Ok(info)
}

/// Decodes frames that a container delivers.
pub(crate) struct FlacDecoder {
    info: StreamInfo,
    codec: Option<(Spec, Codec)>,
}

impl FlacDecoder {
    pub(crate) fn new(info: StreamInfo) -> FlacDecoder {
        FlacDecoder { info, codec: None }
    }

    /// Appends the sound of a frame.
    ///
    /// # Errors
    /// The frame is damaged.
    pub(crate) fn decode(&mut self, frame: &[u8], block: &mut Block) -> Result<()> {
        let header = Header::parse(frame, &self.info).context("a frame is damaged")?;
        ensure!(
            !(header.is_joint && header.spec.bits == 32),
            "32-bit FLAC with joint channels is not supported: convert it to 24 bits"
        );
        let (_, codec) = match self.codec.take().filter(|(spec, _)| *spec == header.spec) {
            Some(known) => self.codec.insert(known),
            None => self.codec.insert((header.spec, codec(&header.spec)?)),
        };
        codec.decode(frame, u64::from(header.frames), block)?;
        match block.samples.is_empty() {
            true => Err(anyhow!("a frame is damaged")),
            false => Ok(()),
        }
    }

    /// Returns the length in seconds of the stream's description.
    pub(crate) fn announced(&self) -> Option<f64> {
        let StreamInfo { rate, total, .. } = self.info;
        (rate > 0 && total > 0).then(|| total as f64 / f64::from(rate))
    }
}

fn codec(spec: &Spec) -> Result<Codec> {
    let mut params = AudioCodecParameters::new();
    params.for_codec(CODEC_ID_FLAC).with_extra_data(spec.stream_info());
    Codec::new(&params)
}

/// Bytes searched for a stream that begins with something else.
const SEARCHED: u64 = 1 << 20;

/// Finds the magic number, or else a frame that another one follows.
pub(crate) fn search(source: &mut Source) -> Result<Option<u64>> {
    let start = source.position();
    let bytes = source.peek(source.left().min(SEARCHED) as usize)?;
    // The first block describes the stream and has 34 bytes.
    let is_magic = |bytes: &[u8]| {
        bytes.starts_with(b"fLaC")
            && bytes[4] & 0x7f == 0
            && bytes[5..] == [0, 0, STREAM_INFO as u8]
    };
    if let Some(at) = bytes.windows(8).position(is_magic) {
        return Ok(Some(start + at as u64));
    }
    let info = StreamInfo::default();
    let is_frame = |at: &usize| {
        let rest = &bytes[*at..];
        rest[0] == 0xff
            && Header::parse(rest, &info)
                .and_then(|header| frame_end(rest, &header, &info))
                .is_some_and(|(_, is_sure)| is_sure)
    };
    // A few tries bound the work.
    let candidates = (0..bytes.len()).filter(|at| Header::parse(&bytes[*at..], &info).is_some());
    Ok(candidates.take(16).find(is_frame).map(|at| start + at as u64))
}
