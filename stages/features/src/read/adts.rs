//! Reads AAC in the ADTS stream format, frame by frame.

use anyhow::Result;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;

use super::aac;
use super::block::Block;
use super::codec::Codec;
use super::id3;
use super::program;
use super::reader::Reader;
use super::source::Source;

/// Bytes searched for the first frame of a file that does not begin with one.
const SEARCHED: usize = 1 << 20;

/// Consecutive frames that tell a stream from other bytes.
const CONVINCING: usize = 4;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    profile: u8,
    rate: u32,
    channels: u8,
    /// Bytes of the header.
    length: usize,
    /// Bytes of the frame, header included.
    size: usize,
    has_one_packet: bool,
}

impl Header {
    /// Parses a header; `None` if there is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        let [0xff, b1, b2, b3, b4, b5, b6] = *bytes.first_chunk()? else { return None };
        let size = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        let length = if b1 & 1 == 1 { 7 } else { 9 };
        (b1 & 0xf6 == 0xf0 && size > length).then_some(Header {
            profile: b2 >> 6,
            rate: *aac::RATES.get(usize::from(b2 >> 2 & 15))?,
            channels: (b2 & 1) << 2 | b3 >> 6,
            length,
            size,
            has_one_packet: b6 & 3 == 0,
        })
    }

    fn goes_with(&self, next: &Header) -> bool {
        (self.profile, self.rate) == (next.profile, next.rate)
    }

    /// Returns the name of a kind of frame that symphonia does not decode.
    fn obstacle(&self) -> Option<&'static str> {
        match self.profile {
            1 if self.has_one_packet => aac::channel_obstacle(u32::from(self.channels)),
            1 => Some("AAC with several packets a frame"),
            _ => Some("AAC of another profile than low complexity"),
        }
    }
}

/// Checks whether two frames follow each other at the position.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn begins(source: &mut Source) -> Result<bool> {
    let Some(header) = Header::parse(source.peek(16)?) else { return Ok(false) };
    let next = source.peek(header.size + 16)?.get(header.size..).unwrap_or_default();
    Ok(next.is_empty() || Header::parse(next).is_some_and(|next| header.goes_with(&next)))
}

/// Finds consecutive frames behind other bytes, as in a part of a broadcast.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn search(source: &mut Source) -> Result<Option<u64>> {
    let start = source.position();
    let bytes = source.peek(SEARCHED)?;
    let is_chain = |first: usize| {
        let mut at = first;
        (0..CONVINCING).all(|_| {
            let header = bytes.get(at..).and_then(Header::parse);
            at += header.map_or(0, |header| header.size);
            header.is_some()
        })
    };
    let candidates = (0..bytes.len()).filter(|at| bytes[*at] == 0xff);
    Ok(candidates.into_iter().find(|at| is_chain(*at)).map(|at| start + at as u64))
}

/// Opens a stream: with the reader below, or with a program.
///
/// # Errors
/// The program is missing.
pub(crate) fn open(source: Source) -> Result<Box<dyn Reader>> {
    let start = source.position();
    let mut frames = Frames { source, last: None };
    let (mut packets, mut obstacle) = (Vec::new(), None);
    while let (Some(header), true) = (frames.find()?, packets.len() < aac::EXAMINED) {
        obstacle = obstacle.or(header.obstacle());
        packets.push(frames.source.take(header.size)?[header.length..].to_vec());
    }
    if aac::is_high_efficiency(&packets) {
        obstacle = Some(aac::HIGH_EFFICIENCY);
    }
    frames.source.seek(start)?;
    match obstacle {
        Some(name) => program::open(frames.source, "aac", name),
        None => {
            Ok(Box::new(AdtsReader { frames, codec: None, delay: aac::FRAMES as usize, lost: 0 }))
        }
    }
}

struct Frames {
    source: Source,
    last: Option<Header>,
}

impl Frames {
    /// Moves to the next whole frame; `None` at the end.
    fn find(&mut self) -> Result<Option<Header>> {
        loop {
            let left = self.source.left();
            let bytes = self.source.peek(id3::HEAD)?;
            let tag = id3::length(bytes);
            if tag > 0 {
                self.source.skip(tag)?;
                continue;
            }
            if bytes.len() < 7 {
                return Ok(None);
            }
            if let Some(header) = Header::parse(bytes)
                && header.size as u64 <= left
            {
                let next =
                    self.source.peek(header.size + 16)?.get(header.size..).unwrap_or_default();
                let goes_on = Header::parse(next).is_some_and(|next| header.goes_with(&next));
                let is_known = self.last.is_some_and(|last| last.goes_with(&header));
                if is_known || goes_on || next.is_empty() || id3::begins(next) {
                    self.last = Some(header);
                    return Ok(Some(header));
                }
            }
            self.last = None;
            let bytes = self.source.peek(4096)?;
            let next = bytes.iter().skip(1).position(|byte| matches!(byte, 0xff | b'I' | b'A'));
            let skipped = next.map_or(bytes.len(), |at| at + 1) as u64;
            self.source.skip(skipped)?;
        }
    }
}

struct AdtsReader {
    frames: Frames,
    codec: Option<(Header, Codec)>,
    /// Frames of sound to drop: the format has no place for the encoder's delay.
    delay: usize,
    /// Frames of sound that could not be decoded, behind others.
    lost: u64,
}

impl Reader for AdtsReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        while let Some(header) = self.frames.find()? {
            let packet = &self.frames.source.take(header.size)?[header.length..];
            let is_known = |(known, _): &(Header, Codec)| {
                known.goes_with(&header) && known.channels == header.channels
            };
            let (_, codec) = match self.codec.take().filter(is_known) {
                Some(known) => self.codec.insert(known),
                None => self.codec.insert((header, codec(&header)?)),
            };
            if let Err(fault) = codec.decode(packet, aac::FRAMES, block) {
                self.lost += aac::FRAMES * u64::from(self.delay == 0);
                return Err(fault);
            }
            block.replace_lost(0, &mut self.lost);
            let dropped = self.delay.min(block.frames());
            block.drop_front(dropped);
            self.delay -= dropped;
            if !block.samples.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn announced(&self) -> Option<f64> {
        None
    }
}

fn codec(header: &Header) -> Result<Codec> {
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(CODEC_ID_AAC)
        .with_sample_rate(header.rate)
        .with_channels(Channels::Discrete(u16::from(header.channels)));
    Codec::new(&params)
}
