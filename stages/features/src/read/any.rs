//! Reads a file with symphonia's own reader of its container, for Matroska and rare codecs in MP4.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context as _, Result, anyhow, bail};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_AC3, CODEC_ID_EAC3, CODEC_ID_MP2, CODEC_ID_OPUS, CODEC_ID_VORBIS,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::aac;
use super::block::Block;
use super::codec::Codec;
use super::mpeg_header::Header;
use super::program;
use super::reader::Reader;
use super::source::Source;
use super::vorbis;
use crate::faults;

const NO_TRACK: &str = "the file has no audio track: replace or remove it";

/// Opens a file in a container that is named as in ffmpeg.
///
/// # Errors
/// The header is damaged, or no decoder exists for the codec of the first track with sound.
pub(crate) fn open(source: Source, container: &str) -> Result<Box<dyn Reader>> {
    let mut file = source.into_file()?;
    let again = file.try_clone()?;
    let forwards = AnyReader::new(Box::new(Forwards(file.try_clone()?)));
    let reader = forwards.or_else(|_| {
        // The description may follow the sound.
        file.rewind()?;
        AnyReader::new(Box::new(file))
    });
    let Ok(mut reader) = reader else {
        return program::open(Source::new(again)?, container, "an unknown codec");
    };
    let mut obstacle = reader.obstacle();
    if obstacle.is_none() && reader.codec().is_err() {
        obstacle = Some("an unknown codec");
    }
    match obstacle {
        Some(name) => program::open(Source::new(again)?, container, name),
        None => Ok(Box::new(reader)),
    }
}

/// A file that cannot be read backwards, as far as symphonia knows. It then takes one that was cut
/// off, whose elements claim more than there is.
struct Forwards(File);

impl Read for Forwards {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Forwards {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl MediaSource for Forwards {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}

struct AnyReader {
    format: Box<dyn FormatReader>,
    track: u32,
    params: AudioCodecParameters,
    codec: Option<Codec>,
    /// Packets read ahead.
    ahead: VecDeque<Packet>,
    announced: Option<f64>,
    /// Frames to drop.
    delay: usize,
}

impl AnyReader {
    fn new(source: Box<dyn MediaSource>) -> Result<AnyReader> {
        let stream = MediaSourceStream::new(source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| anyhow!(faults::no_codec(&error)))?;
        let track = format.default_track(TrackType::Audio).context(NO_TRACK)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio()).cloned();
        let seconds = track.duration.zip(track.time_base).and_then(|(duration, base)| {
            base.calc_time(duration.timestamp_from(symphonia::core::units::Timestamp::ZERO)?)
        });
        // Fragments leave 0.
        let announced = seconds.map(|time| time.as_secs_f64()).filter(|seconds| *seconds > 0.0);
        let (id, params) = (track.id, params.context(NO_TRACK)?);
        let delay = if params.codec == CODEC_ID_AAC { aac::FRAMES as usize } else { 0 };
        Ok(AnyReader {
            format,
            track: id,
            params,
            codec: None,
            ahead: VecDeque::new(),
            announced,
            delay,
        })
    }

    /// Returns the name of a codec that symphonia does not decode fully.
    fn obstacle(&mut self) -> Option<&'static str> {
        match self.params.codec {
            CODEC_ID_OPUS => Some("Opus"),
            CODEC_ID_AC3 | CODEC_ID_EAC3 => Some("Dolby Digital"),
            CODEC_ID_AAC => {
                while self.ahead.len() < aac::EXAMINED
                    && let Ok(Some(packet)) = self.read()
                {
                    self.ahead.push_back(packet);
                }
                let packets: Vec<_> =
                    self.ahead.iter().map(|packet| packet.data.to_vec()).collect();
                let config = self.params.extra_data.as_deref().unwrap_or_default();
                aac::obstacle(config)
                    .or(aac::is_high_efficiency(&packets).then_some(aac::HIGH_EFFICIENCY))
            }
            CODEC_ID_MP2 => {
                let packet = self.read().ok().flatten()?;
                let name = Header::obstacle(&packet.data);
                self.ahead.push_back(packet);
                name
            }
            _ => None,
        }
    }

    /// Reads the next packet of the track.
    fn read(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.format.next_packet()? {
                Some(packet) if packet.track_id != self.track => {}
                packet => return Ok(packet),
            }
        }
    }

    fn codec(&mut self) -> Result<&mut Codec> {
        if self.codec.is_none() {
            self.codec = Some(if self.params.codec == CODEC_ID_VORBIS {
                let headers = self.params.extra_data.as_deref().and_then(vorbis::split);
                let (identification, setup) = headers.context("the Vorbis header is damaged")?;
                Codec::vorbis(identification, setup)?
            } else {
                Codec::new(&self.params)?
            });
        }
        self.codec.as_mut().context("BUG: no codec")
    }
}

impl Reader for AnyReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        loop {
            let packet = match self.ahead.pop_front() {
                Some(packet) => packet,
                None => match self.read() {
                    Ok(Some(packet)) => packet,
                    // A file that was cut off.
                    Ok(None) | Err(Error::IoError(_)) => return Ok(false),
                    Err(error) => bail!(faults::damaged(&error)),
                },
            };
            self.codec()?.decode(&packet.data, packet.block_dur().get(), block)?;
            let dropped = self.delay.min(block.frames());
            block.drop_front(dropped);
            self.delay -= dropped;
            if !block.samples.is_empty() {
                return Ok(true);
            }
        }
    }

    fn announced(&self) -> Option<f64> {
        self.announced
    }
}
