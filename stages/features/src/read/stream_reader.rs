//! The reader for one stream of samples in a container of chunks.

use anyhow::{Context as _, Result, ensure};
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;

use super::block::Block;
use super::codec::Codec;
use super::ima4;
use super::mpeg::MpegReader;
use super::mpeg_header::Header;
use super::pcm::PcmReader;
use super::program;
use super::reader::Reader;
use super::sample::{Sample, place_of_24_bits};
use super::source::Source;
use super::stream::{Coding, Stream};

/// Bytes examined at a time to find the place of 24 bits in 32.
const EXAMINED: u64 = 64 * 1024;

/// Largest plausible packet in bytes.
const LARGEST: u32 = 1 << 22;

/// Opens a stream in a container, which is named as in ffmpeg.
///
/// # Errors
/// No decoder exists for the codec.
pub(crate) fn open(
    mut source: Source,
    stream: Stream,
    container: &'static str,
) -> Result<Box<dyn Reader>> {
    match stream.coding.clone() {
        Coding::Pcm { sample, big_endian } => {
            Ok(Box::new(PcmReader::new(source, stream, sample, big_endian)?))
        }
        Coding::S24Somewhere { big_endian } => {
            let sample = find_24_bits(&mut source, &stream, big_endian)?;
            Ok(Box::new(PcmReader::new(source, stream, sample, big_endian)?))
        }
        Coding::Ima4 => {
            let size = u32::try_from(ima4::BYTES * stream.channels).unwrap_or(u32::MAX);
            ensure!(
                (1..=LARGEST).contains(&size),
                "{} channels are implausible: the header is damaged; replace the file",
                stream.channels
            );
            let sizes = Sizes::Constant(size, stream.size.div_ceil(u64::from(size)));
            let codec = Codec::ima4(stream.channels, stream.rate);
            Ok(Box::new(PacketReader::new(source, stream, codec, sizes, ima4::FRAMES as u64)?))
        }
        Coding::Blocks { .. } if stream.channels > 2 => {
            program::open(source, container, "ADPCM with more than two channels")
        }
        Coding::Blocks { codec, bytes, frames } => {
            let mut params = AudioCodecParameters::new();
            params
                .for_codec(codec)
                .with_sample_rate(stream.rate)
                .with_channels(Channels::Discrete(stream.channels as u16))
                .with_max_frames_per_packet(frames)
                .with_frames_per_block(frames);
            let size = u32::try_from(bytes).context("a packet is too large")?;
            let count = stream.size.div_ceil(bytes.max(1) as u64);
            let sizes = Sizes::Constant(size, count);
            Ok(Box::new(PacketReader::new(source, stream, Codec::new(&params)?, sizes, frames)?))
        }
        Coding::Alac { cookie, sizes, frames } => {
            let mut params = AudioCodecParameters::new();
            params
                .for_codec(symphonia::core::codecs::audio::well_known::CODEC_ID_ALAC)
                .with_extra_data(cookie);
            let sizes = Sizes::Each(sizes.into_iter());
            Ok(Box::new(PacketReader::new(source, stream, Codec::new(&params)?, sizes, frames)?))
        }
        Coding::Mpeg => {
            source.seek(stream.start)?;
            if let Some(name) = Header::obstacle(source.peek(4)?) {
                return program::open(source, container, name);
            }
            let end = stream.start.saturating_add(stream.size);
            Ok(Box::new(MpegReader::new(source, stream.start, end)?))
        }
        Coding::Other(codec) => program::open(source, container, &codec),
    }
}

/// Finds the place of 24 bits in 32: the first sound shows it, silence does not.
fn find_24_bits(source: &mut Source, stream: &Stream, big_endian: bool) -> Result<Sample> {
    source.seek(stream.start)?;
    let mut left = stream.size;
    while left > 0 {
        let bytes = source.take(left.min(EXAMINED) as usize)?;
        if bytes.is_empty() {
            break;
        }
        if let Some(sample) = place_of_24_bits(bytes, big_endian) {
            return Ok(sample);
        }
        left -= bytes.len() as u64;
    }
    Ok(Sample::S32)
}

/// Sizes of packets.
enum Sizes {
    /// One size, and the number of packets.
    Constant(u32, u64),
    Each(std::vec::IntoIter<u32>),
}

impl Sizes {
    fn next(&mut self) -> Option<u32> {
        match self {
            Sizes::Constant(size, count) => {
                *count = count.checked_sub(1)?;
                Some(*size)
            }
            Sizes::Each(sizes) => sizes.next(),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Sizes::Constant(_, count) => *count,
            Sizes::Each(sizes) => sizes.len() as u64,
        }
    }
}

/// Decodes packets that lie one behind the other.
struct PacketReader {
    source: Source,
    stream: Stream,
    codec: Codec,
    sizes: Sizes,
    frames_per_packet: u64,
    /// Frames to deliver; the last packet may have more.
    left: u64,
    packet: Vec<u8>,
}

impl PacketReader {
    fn new(
        mut source: Source,
        stream: Stream,
        codec: Codec,
        sizes: Sizes,
        frames_per_packet: u64,
    ) -> Result<PacketReader> {
        source.seek(stream.start)?;
        // The last packet may have padding, but a count that leaves out whole packets is wrong.
        let before_last = sizes.count().saturating_sub(1).saturating_mul(frames_per_packet);
        let left = stream.frames.filter(|frames| *frames > before_last).unwrap_or(u64::MAX);
        Ok(PacketReader { source, stream, codec, sizes, frames_per_packet, left, packet: vec![] })
    }
}

impl Reader for PacketReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        while self.left > 0
            && block.samples.is_empty()
            && let Some(size) = self.sizes.next()
        {
            self.read(size, block)?;
        }
        Ok(!block.samples.is_empty())
    }

    fn announced(&self) -> Option<f64> {
        // The last packet may be shorter than the others, which some writers do not count.
        self.stream.announced().filter(|_| self.left >= self.frames_per_packet)
    }
}

impl PacketReader {
    /// Decodes the next packet.
    fn read(&mut self, size: u32, block: &mut Block) -> Result<()> {
        ensure!(
            (1..=LARGEST).contains(&size),
            "the size of a packet is implausible: replace the file"
        );
        let bytes = self.source.take(size as usize)?;
        if bytes.is_empty() {
            self.left = 0;
            return Ok(());
        }
        self.packet.clear();
        self.packet.extend_from_slice(bytes);
        // A packet that is cut off is decoded with silence in place of its end.
        self.packet.resize(size as usize, 0);
        let present = self.frames_per_packet.saturating_mul(bytes.len() as u64) / u64::from(size);
        let is_whole = bytes.len() == size as usize;
        self.codec.decode(&self.packet, self.frames_per_packet, block)?;
        let wanted = self.left.min(if is_whole { u64::MAX } else { present });
        block.truncate(wanted.min(1 << 32) as usize);
        self.left -= block.frames() as u64;
        Ok(())
    }
}
