//! Reads AAC, Apple Lossless, MPEG audio and PCM in MP4, M4A and QuickTime.
//!
//! Packets are where the tables of the movie or of its fragments say, as far as the file goes.
//! Edit lists and iTunes' comment tell which part is the sound; without them, the first packet of
//! AAC is the decoder's delay.

use std::ops::Range;

use anyhow::{Context as _, Result};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_ALAC};

use super::aac;
use super::any;
use super::atoms::Atom;
use super::block::Block;
use super::codec::Codec;
use super::mp4_pcm::ChunkReader;
use super::mp4_track::{Kind, Track};
use super::mpeg;
use super::mpeg_header::Header;
use super::program;
use super::reader::Reader;
use super::source::Source;

/// Most bytes of a movie's description; tables of 24 hours have 30 MB.
const LARGEST: u64 = 64 << 20;

/// Opens a file: with the reader below, with symphonia's, or with a program.
///
/// # Errors
/// The file has no track with sound, or no decoder exists for it.
pub(crate) fn open(mut source: Source) -> Result<Box<dyn Reader>> {
    let track = read_track(&mut source)?;
    let packets: Vec<Vec<u8>> = match track.kind {
        Kind::Aac => track
            .packets
            .iter()
            .take(aac::EXAMINED)
            .filter_map(|packet| read(&mut source, packet).ok())
            .collect(),
        _ => Vec::new(),
    };
    let mut params = AudioCodecParameters::new();
    params.with_extra_data(track.config.clone());
    match &track.kind {
        Kind::Aac => {
            let high = aac::is_high_efficiency(&packets).then_some(aac::HIGH_EFFICIENCY);
            if let Some(name) = high.or(aac::obstacle(&track.config)) {
                return program::open(source, "mov", name);
            }
            params.for_codec(CODEC_ID_AAC);
        }
        Kind::Alac => drop(params.for_codec(CODEC_ID_ALAC)),
        Kind::Mp3 => {
            params = AudioCodecParameters::new();
            let first = track.packets.first().and_then(|first| read(&mut source, first).ok());
            let first = first.unwrap_or_default();
            if let Some(name) = Header::obstacle(&first) {
                return program::open(source, "mov", name);
            }
            params.for_codec(mpeg::codec_id(&first));
        }
        Kind::Pcm(pcm) => {
            let seconds = Some(track.length()).filter(|seconds| seconds.is_finite());
            let reader = ChunkReader::new(source, *pcm, track.packets.clone(), seconds);
            return Ok(Box::new(reader));
        }
        Kind::Flac => return any::open(source, "mov"),
        Kind::Other(name) => return program::open(source, "mov", name),
    }
    Ok(Box::new(Mp4Reader::new(source, track, &params)?))
}

/// Reads the description of the first track with sound, and those of the fragments.
fn read_track(source: &mut Source) -> Result<Track> {
    let mut track: Option<Track> = None;
    let mut fragments = Vec::new();
    source.seek(0)?;
    while let Some(atom) = Atom::read(source)? {
        match &atom.kind {
            b"moov" if track.is_none() => {
                let length = source.length();
                track = Track::parse(atom.bytes(source, LARGEST)?, length);
            }
            b"moof" => fragments.push(atom),
            _ => {}
        }
        source.seek(atom.end)?;
    }
    let mut track = track.context(
        "the file has no description of its sound, because it was cut off or has no audio track: \
         replace or remove it",
    )?;
    let length = source.length();
    for fragment in fragments {
        track.add_fragment(fragment.start, fragment.bytes(source, LARGEST)?, length);
    }
    Ok(track)
}

fn read(source: &mut Source, packet: &Range<u64>) -> Result<Vec<u8>> {
    source.seek(packet.start)?;
    Ok(source.take((packet.end - packet.start) as usize)?.to_vec())
}

struct Mp4Reader {
    source: Source,
    packets: std::vec::IntoIter<Range<u64>>,
    codec: Codec,
    /// Where the sound begins, in seconds, because a track may have a clock of its own.
    start: Option<f64>,
    /// Where the sound ends by the edit list, in seconds.
    end: f64,
    /// Length of all packets in seconds. It tells the padding of the last one.
    length: f64,
    /// Frames to drop if the file does not say where the sound begins.
    delay: u64,
    rate: u32,
    /// Frames decoded so far.
    decoded: u64,
    /// Frames of the last packet.
    frames_per_packet: u64,
    /// Frames that could not be decoded, behind others.
    lost: u64,
}

impl Mp4Reader {
    fn new(source: Source, track: Track, params: &AudioCodecParameters) -> Result<Mp4Reader> {
        Ok(Mp4Reader {
            source,
            codec: Codec::new(params)?,
            start: track.start(),
            end: track.end(),
            length: track.length(),
            delay: if track.kind == Kind::Aac { aac::FRAMES } else { 0 },
            rate: 0,
            packets: track.packets.into_iter(),
            decoded: 0,
            frames_per_packet: 0,
            lost: 0,
        })
    }

    /// Drops the frames outside the sound.
    fn trim(&mut self, block: &mut Block) {
        let first = self.decoded;
        self.decoded += block.frames() as u64;
        self.rate = block.rate;
        let frames = |seconds: f64| (seconds * f64::from(block.rate)).round() as u64;
        // A length that leaves out whole packets is wrong.
        let has_padding = self.packets.as_slice().is_empty() && frames(self.length) > first;
        let end = if has_padding { self.end.min(self.length) } else { self.end };
        let (start, end) = (self.start.map_or(self.delay, frames), frames(end));
        block.truncate(end.saturating_sub(first).min(1 << 32) as usize);
        block.drop_front(start.saturating_sub(first).min(1 << 32) as usize);
    }
}

impl Reader for Mp4Reader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        while let Some(packet) = self.packets.next() {
            let bytes = read(&mut self.source, &packet)?;
            if let Err(fault) = self.codec.decode(&bytes, 0, block) {
                self.lost += self.frames_per_packet;
                return Err(fault);
            }
            self.frames_per_packet = block.frames() as u64;
            block.replace_lost(0, &mut self.lost);
            self.trim(block);
            if !block.samples.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn announced(&self) -> Option<f64> {
        let delay = (self.delay as f64) / f64::from(self.rate.max(1));
        let seconds = self.end.min(self.length) - self.start.unwrap_or(delay);
        Some(seconds).filter(|seconds| seconds.is_finite() && self.rate > 0)
    }
}
