//! Reads the first Vorbis or FLAC stream of an Ogg file, and those chained behind it.
//!
//! Packets are decoded whether or not their page has a position. Positions only tell how many
//! samples of the first and of the last page are not part of the sound.

use anyhow::{Error, Result, anyhow};

use super::block::Block;
use super::codec::Codec;
use super::flac::FlacDecoder;
use super::flac_header::StreamInfo;
use super::ogg_page::{Packets, Page};
use super::program;
use super::reader::Reader;
use super::source::Source;

/// Opens a file: with the reader below, or with a program for other codecs.
///
/// # Errors
/// The file has no stream of sound.
pub(crate) fn open(mut source: Source) -> Result<Box<dyn Reader>> {
    let start = source.position();
    let mut other = None;
    while let Some(page) = Page::read(&mut source)?.filter(|page| page.is_first) {
        match kind(page.first_packet()) {
            Ok(_) => {
                source.seek(start)?;
                let links = Link { serial: page.serial, ..Link::default() };
                return Ok(Box::new(OggReader { source, link: links, done: 0.0, fault: None }));
            }
            Err(name) => other = other.or(name),
        }
    }
    program::open(source, "ogg", other.unwrap_or("an unknown codec in Ogg"))
}

/// Decoder of a stream, or the headers that it needs.
enum Decoder {
    Vorbis { identification: Vec<u8>, codec: Option<Codec> },
    Flac(FlacDecoder),
}

/// Returns the decoder for a stream that begins with this packet, or the name of its codec.
fn kind(packet: &[u8]) -> Result<Decoder, Option<&'static str>> {
    if packet.starts_with(b"\x01vorbis") {
        return Ok(Decoder::Vorbis { identification: packet.to_vec(), codec: None });
    }
    // The mapping's own header of 9 bytes, the magic number and the head of the first block.
    if packet.starts_with(b"\x7fFLAC") {
        let info = packet.get(17..).and_then(|rest| rest.first_chunk());
        return Ok(Decoder::Flac(FlacDecoder::new(
            info.map(StreamInfo::parse).unwrap_or_default(),
        )));
    }
    let names = [(&b"OpusHead"[..], "Opus"), (b"Speex   ", "Speex"), (b"PCM     ", "PCM in Ogg")];
    Err(names.iter().find(|(magic, _)| packet.starts_with(magic)).map(|(_, name)| *name))
}

/// One of the streams that are chained.
#[derive(Default)]
struct Link {
    serial: u32,
    decoder: Option<Decoder>,
    packets: Packets,
    /// Frames decoded so far, before any are dropped.
    decoded: u64,
    /// Last known position, and the frames decoded up to there.
    known: Option<(u64, u64)>,
    /// Position of the first frame.
    origin: u64,
    rate: u32,
}

impl Link {
    /// Decodes the packets that end in a page; returns the first fault.
    fn decode(&mut self, page: &Page, block: &mut Block) -> Option<Error> {
        let mut fault = self.packets.misses(page).then(|| anyhow!("a page is missing"));
        let decoder = &mut self.decoder;
        self.packets.read(page, |packet| {
            let result = match decoder {
                Some(Decoder::Vorbis { identification, codec }) => {
                    vorbis_packet(identification, codec, packet, block)
                }
                Some(Decoder::Flac(flac)) if packet.first() == Some(&0xff) => {
                    flac.decode(packet, block)
                }
                _ => Ok(()),
            };
            if let Err(error) = result {
                fault.get_or_insert(error);
            }
        });
        fault
    }

    /// Drops the frames of a page that its position excludes.
    fn trim(&mut self, page: &Page, is_end: bool, block: &mut Block) {
        let frames = block.frames() as u64;
        let (before, after) = (self.decoded, self.decoded + frames);
        self.decoded = after;
        self.rate = if frames > 0 { block.rate } else { self.rate };
        let (Some(granule), true) = (page.granule, frames > 0) else { return };
        match self.known {
            // Frames before position 0 are dropped, unless the stream ends at once.
            None if !is_end && before == 0 => {
                block.drop_front(after.saturating_sub(granule) as usize);
                self.origin = granule.saturating_sub(after);
            }
            _ if is_end => {
                let (position, decoded) = self.known.unwrap_or_default();
                let end = decoded.saturating_add(granule.saturating_sub(position));
                if granule > position && end >= before {
                    block.truncate((end - before) as usize);
                }
            }
            _ => {}
        }
        if self.known.is_none_or(|(position, _)| granule > position) {
            self.known = Some((granule, after));
        }
    }

    /// Returns the length in seconds that the positions tell.
    fn announced(&self) -> f64 {
        let frames = self.known.map_or(self.decoded, |(position, _)| position - self.origin);
        if self.rate == 0 { 0.0 } else { frames as f64 / f64::from(self.rate) }
    }
}

fn vorbis_packet(
    identification: &[u8],
    codec: &mut Option<Codec>,
    packet: &[u8],
    block: &mut Block,
) -> Result<()> {
    match (packet.first(), codec) {
        (Some(5), codec) => {
            *codec = Some(Codec::vorbis(identification, packet)?);
            Ok(())
        }
        // Headers have odd types, and an empty packet has no sound.
        (Some(first), Some(codec)) if first & 1 == 0 => codec.decode(packet, 0, block),
        _ => Ok(()),
    }
}

struct OggReader {
    source: Source,
    link: Link,
    /// Seconds that the links before announce.
    done: f64,
    /// Fault of the last page, which has sound as well.
    fault: Option<Error>,
}

impl Reader for OggReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        while let Some(page) = Page::read(&mut self.source)? {
            if page.is_first
                && let Ok(decoder) = kind(page.first_packet())
            {
                // Of streams side by side, the first; another may follow its end.
                if page.serial == self.link.serial || self.link.decoded > 0 {
                    self.done += self.link.announced();
                    let (serial, decoder) = (page.serial, Some(decoder));
                    self.link = Link { serial, decoder, ..Link::default() };
                }
                if page.serial == self.link.serial {
                    self.link.packets.read(&page, |_| {});
                }
                continue;
            }
            if page.serial != self.link.serial {
                continue;
            }
            let is_end = page.is_last || self.source.left() == 0;
            self.fault = self.link.decode(&page, block);
            self.link.trim(&page, is_end, block);
            if !block.samples.is_empty() {
                return Ok(true);
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
        }
        Ok(false)
    }

    fn announced(&self) -> Option<f64> {
        Some(self.done + self.link.announced())
    }
}
