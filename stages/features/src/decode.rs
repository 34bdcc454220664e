//! Audio files to mono samples, by symphonia.
//!
//! WAV, AIFF and CAF with PCM or ADPCM; MP1, MP2 and MP3; FLAC; Ogg and Matroska with Vorbis or FLAC; MP4 with
//! AAC or ALAC. A packet that is damaged is passed over, as players do; only a file with no audio at all is
//! an error. Knows nothing about resampling to a wanted rate or about spectrograms.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::audio::Audio;
use crate::collect::Collector;
use crate::faults;
use crate::wav::PlainWav;

/// Rates beyond these come from broken headers.
const RATES: std::ops::RangeInclusive<u32> = 500..=768_000;

/// A file that gives this many bad packets in a row gives nothing more.
const BAD_PACKETS_IN_A_ROW: u32 = 1_000;

/// Full scale is 1. Float files may exceed it, but not by so much that a power overflows.
const LOUDEST: f32 = 1e4;

/// Sums of seconds are off by less than this, a hundredth of a sample.
const ROUNDING: f64 = 1e-8;

const NO_TRACK: &str = "it holds no audio track: get it again, or remove it";

/// How much of a file is decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// All of it, in memory: 10 MB a minute at 44.1 kHz.
    All,
    /// At most the first seconds.
    Seconds(f64),
}

/// Decodes a file's first audio track to the mean of its channels.
///
/// Where the rate changes within a file, the rest is resampled to the first rate.
///
/// # Errors
/// No such file; no format or codec that is known; no packet that could be decoded.
pub fn decode(path: impl AsRef<Path>, length: Length) -> Result<Audio> {
    let mut sound = Collector::new(None);
    decode_pieces(path, length, |piece, rate| {
        sound.push(piece, rate);
    })?;
    let sample_rate = sound.sample_rate().context("holds no audio")?;
    Ok(Audio { samples: std::mem::take(sound.finish()), sample_rate })
}

/// Decodes a file piece by piece: `each` gets mono samples and their rate. Memory does not grow with the file.
///
/// # Errors
/// See [`decode`]. What `each` was given before the fault is as good as the file is.
pub fn decode_pieces(
    path: impl AsRef<Path>,
    length: Length,
    each: impl FnMut(&[f32], u32),
) -> Result<()> {
    let path = path.as_ref();
    let open = || File::open(path).with_context(|| format!("cannot open `{}`", path.display()));
    let file = open()?;
    ensure!(!file.metadata()?.is_dir(), "it is a folder: name the files in it");
    let mut sink = Sink { length, seconds: 0.0, interleaved: Vec::new(), mono: Vec::new(), each };
    let stopped = match PlainWav::open(file)?.filter(|wav| RATES.contains(&wav.sample_rate)) {
        Some(wav) => read_plain(wav, &mut sink),
        None => read_any(open()?, path, &mut sink),
    };
    match (sink.seconds > 0.0, stopped) {
        (true, _) => Ok(()),
        (false, Err(error)) => Err(error),
        (false, Ok(())) => {
            bail!("it holds no audio: its header is all there is; get it again, or remove it")
        }
    }
}

fn read_plain<E: FnMut(&[f32], u32)>(mut wav: PlainWav, sink: &mut Sink<E>) -> Result<()> {
    while sink.has_room() {
        wav.next(&mut sink.interleaved)?;
        if sink.interleaved.is_empty() {
            break;
        }
        sink.mix(wav.channels, wav.sample_rate);
    }
    Ok(())
}

fn read_any<E: FnMut(&[f32], u32)>(mut file: File, path: &Path, sink: &mut Sink<E>) -> Result<()> {
    let mut head = [0; 64];
    let count = file.read(&mut head)?;
    file.rewind()?;
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| anyhow!(faults::not_audio(&head[..count], &error)))?;
    read_packets(format, sink)
}

/// Feeds the sink until it is full or the file ends; an error says why nothing more came.
fn read_packets<E: FnMut(&[f32], u32)>(
    mut format: Box<dyn FormatReader + '_>,
    sink: &mut Sink<E>,
) -> Result<()> {
    let (mut track, mut decoder) = open_track(format.as_ref())?;
    let mut bad = 0;
    let mut first_fault = None;
    while sink.has_room() && bad < BAD_PACKETS_IN_A_ROW {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // The next link of a chained stream: other tracks, other codecs.
            Err(Error::ResetRequired) => {
                (track, decoder) = open_track(format.as_ref())?;
                bad += 1;
                continue;
            }
            Err(error) => {
                first_fault.get_or_insert(error);
                break;
            }
        };
        if packet.track_id != track {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(buffer) => {
                sink.push(&buffer)?;
                bad = 0;
            }
            Err(error) => {
                first_fault.get_or_insert(error);
                bad += 1;
            }
        }
    }
    match first_fault {
        Some(fault) => bail!(faults::damaged(&fault)),
        None => Ok(()),
    }
}

fn open_track(format: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>)> {
    let track = format.default_track(TrackType::Audio).context(NO_TRACK)?;
    let codec = track.codec_params.as_ref().and_then(|params| params.audio());
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(codec.context(NO_TRACK)?, &AudioDecoderOptions::default())
        .map_err(|error| anyhow!(faults::no_codec(&error)))?;
    Ok((track.id, decoder))
}

/// Makes mono pieces of what comes.
struct Sink<E> {
    length: Length,
    /// How much has come.
    seconds: f64,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    each: E,
}

impl<E: FnMut(&[f32], u32)> Sink<E> {
    fn has_room(&self) -> bool {
        match self.length {
            Length::All => true,
            // Nothing yet: one sample, however short the limit is.
            Length::Seconds(limit) => self.seconds == 0.0 || limit - self.seconds > ROUNDING,
        }
    }

    fn push(&mut self, buffer: &GenericAudioBufferRef<'_>) -> Result<()> {
        let channels = buffer.num_planes();
        if channels == 0 || buffer.frames() == 0 {
            return Ok(());
        }
        let rate = buffer.spec().rate();
        ensure!(
            RATES.contains(&rate),
            "its sample rate is {rate} Hz, which no recording has: its header is damaged; get it again"
        );
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        self.mix(channels, rate);
        Ok(())
    }

    /// Hands on the mean of the channels of `interleaved`.
    fn mix(&mut self, channels: usize, rate: u32) {
        self.mono.clear();
        match channels {
            1 => self.mono.extend(self.interleaved.iter().map(|sample| clean(*sample))),
            2 => self.mono.extend(
                self.interleaved.as_chunks().0.iter().map(|[one, two]| clean((one + two) / 2.0)),
            ),
            _ => self.mono.extend(
                self.interleaved
                    .chunks_exact(channels)
                    .map(|frame| clean(frame.iter().sum::<f32>() / channels as f32)),
            ),
        }
        if let Length::Seconds(limit) = self.length {
            let most =
                ((limit - self.seconds - ROUNDING) * f64::from(rate)).ceil().max(1.0) as usize;
            self.mono.truncate(most);
        }
        self.seconds += self.mono.len() as f64 / f64::from(rate);
        (self.each)(&self.mono, rate);
    }
}

/// Silence for what is no number. Without a branch, and inlined: it is called for each sample.
#[inline]
fn clean(sample: f32) -> f32 {
    let bounded = sample.clamp(-LOUDEST, LOUDEST);
    if sample.is_finite() { bounded } else { 0.0 }
}
