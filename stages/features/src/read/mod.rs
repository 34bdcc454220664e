//! Readers of audio files, one per container, around the decoders of symphonia.
//!
//! [`open`] chooses the reader by the content of a file, never by its name. A reader trusts the
//! frames that are there more than counts in headers, so a file that was cut off, joined or written
//! to a pipe yields all it has. Unaware of mono sound and of time limits.

mod aac;
mod adts;
mod aiff;
mod any;
mod atoms;
mod au;
mod block;
mod caf;
mod codec;
mod flac;
mod flac_header;
mod id3;
mod ima4;
mod mp4;
mod mp4_pcm;
mod mp4_track;
mod mpeg;
mod mpeg_header;
mod ogg;
mod ogg_page;
mod pcm;
mod program;
mod reader;
mod sample;
mod source;
mod stream;
mod stream_reader;
mod vorbis;
mod wav;

use std::fs::File;

use anyhow::{Result, bail, ensure};

pub(crate) use self::block::Block;
pub(crate) use self::reader::Reader;
use self::source::Source;
use crate::faults;

/// Bytes that tell the containers apart.
const HEAD: usize = 64;

/// Opens a file.
///
/// # Errors
/// The container is unknown, its header is damaged, or no decoder exists for the codec.
pub(crate) fn open(file: File) -> Result<Box<dyn Reader>> {
    let mut source = Source::new(file)?;
    // Programs that do not know a tag put another one in front of it.
    loop {
        match id3::length(source.peek(HEAD)?) {
            0 => break,
            tag => source.skip(tag)?,
        }
    }
    let head = source.peek(HEAD)?.to_vec();
    match Container::of(&head) {
        Some(Container::Wav) => {
            let container = if head.starts_with(b"riff") { "w64" } else { "wav" };
            let stream = wav::read(&mut source)?;
            stream_reader::open(source, stream, container)
        }
        Some(Container::Aiff) => {
            let stream = aiff::read(&mut source)?;
            stream_reader::open(source, stream, "aiff")
        }
        Some(Container::Caf) => {
            let stream = caf::read(&mut source)?;
            stream_reader::open(source, stream, "caf")
        }
        Some(Container::Au) => {
            let stream = au::read(&mut source)?;
            stream_reader::open(source, stream, "au")
        }
        Some(Container::Flac) => Ok(Box::new(flac::FlacReader::new(source)?)),
        Some(Container::Ogg) => ogg::open(source),
        Some(Container::Mp4) => mp4::open(source),
        Some(Container::Matroska) => any::open(source, "matroska"),
        Some(Container::Asf) => program::open(source, "asf", "Windows Media Audio"),
        None => frames(source, &head),
    }
}

/// A kind of file that begins with a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Wav,
    Aiff,
    Caf,
    Au,
    Flac,
    Ogg,
    Mp4,
    Matroska,
    Asf,
}

impl Container {
    fn of(head: &[u8]) -> Option<Container> {
        let kind = |at: usize| head.get(at..at + 4).unwrap_or_default();
        match (kind(0), kind(4), kind(8)) {
            (b"RIFF" | b"RIFX" | b"RF64" | b"BW64", _, b"WAVE") => Some(Container::Wav),
            (b"riff", b"\x2e\x91\xcf\x11", _) => Some(Container::Wav),
            (b"FORM", _, b"AIFF" | b"AIFC") => Some(Container::Aiff),
            (b"caff", ..) => Some(Container::Caf),
            (b".snd" | b"dns.", ..) => Some(Container::Au),
            (b"fLaC", ..) => Some(Container::Flac),
            (b"OggS", ..) => Some(Container::Ogg),
            (_, b"ftyp" | b"moov" | b"mdat" | b"wide" | b"free" | b"skip", _) => {
                Some(Container::Mp4)
            }
            (b"\x1a\x45\xdf\xa3", ..) => Some(Container::Matroska),
            (b"\x30\x26\xb2\x75", ..) => Some(Container::Asf),
            _ => None,
        }
    }
}

/// Opens a file that begins with no mark: frames of AAC, MPEG audio or FLAC, maybe behind other
/// bytes.
fn frames(mut source: Source, head: &[u8]) -> Result<Box<dyn Reader>> {
    if faults::known(head).is_none() {
        let start = source.position();
        if adts::begins(&mut source)? {
            return adts::open(source);
        }
        if let Some(first) = mpeg::search(&mut source)? {
            source.seek(first)?;
            if let Some(name) = mpeg_header::Header::obstacle(source.peek(4)?) {
                return program::open(source, "mp3", name);
            }
            let end = source.length();
            return Ok(Box::new(mpeg::MpegReader::new(source, first, end)?));
        }
        source.seek(start)?;
        if let Some(first) = adts::search(&mut source)? {
            source.seek(first)?;
            return adts::open(source);
        }
        source.seek(start)?;
        if let Some(first) = flac::search(&mut source)? {
            source.seek(first)?;
            return Ok(Box::new(flac::FlacReader::new(source)?));
        }
    }
    ensure!(
        !mpeg_header::Header::is_free(head),
        "MPEG audio with a free bit rate is not supported: convert it to WAV, FLAC or Ogg Vorbis, \
         or to MP3 with another bit rate"
    );
    ensure!(
        source.length() == 0 || !head.is_empty(),
        "the file has a tag but no audio: replace it"
    );
    bail!(faults::not_audio(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_by_content() {
        for (head, expected) in [
            (&b"RIFF\0\0\0\0WAVEfmt "[..], Some(Container::Wav)),
            (b"RIFF\0\0\0\0AVI LIST", None),
            (b"FORM\0\0\0\0AIFCFVER", Some(Container::Aiff)),
            (b"\0\0\0\x20ftypM4A ", Some(Container::Mp4)),
            (b"\xff\xfb\x90\x00", None),
            (b"", None),
        ] {
            assert_eq!(Container::of(head), expected, "{}", head.escape_ascii());
        }
    }
}
