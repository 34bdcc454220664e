//! Decodes audio files to mono samples with symphonia.
//!
//! Supports WAV, AIFF and CAF with PCM or ADPCM; MP1, MP2 and MP3; FLAC; Ogg and Matroska with
//! Vorbis or FLAC; MP4 with AAC or ALAC. A damaged packet is skipped, as players do. Only a file
//! with no audio at all is an error. Unaware of the target sample rate and of spectrograms.

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

/// Plausible sample rates in Hz; any other rate comes from a broken header.
const RATES: std::ops::RangeInclusive<u32> = 500..=768_000;

/// Number of consecutive bad packets after which the rest of a file is given up.
const BAD_PACKETS_IN_A_ROW: u32 = 1_000;

/// Bound on the magnitude of a sample, where full scale is 1. Float files may exceed full scale,
/// but not by so much that a power overflows.
const LOUDEST: f32 = 1e4;

/// Upper bound on the rounding error of summed seconds, about a hundredth of a sample.
const ROUNDING: f64 = 1e-8;

const NO_TRACK: &str = "the file has no audio track: replace or remove it";

/// The part of a file to decode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// The whole file, in memory: 10 MB per minute at 44.1 kHz.
    All,
    /// At most this many seconds from the start.
    Seconds(f64),
}

/// Decodes a file's first audio track to the mean of its channels.
///
/// If the sample rate changes within a file, the rest is resampled to the first rate.
///
/// # Errors
/// The file cannot be read, its format or codec is unknown, or no packet could be decoded.
pub fn decode(path: impl AsRef<Path>, length: Length) -> Result<Audio> {
    let mut sound = Collector::new(None);
    decode_chunks(path, length, |chunk, rate| {
        sound.push(chunk, rate);
    })?;
    let sample_rate = sound.sample_rate().context("the file has no audio")?;
    Ok(Audio { samples: std::mem::take(sound.finish()), sample_rate })
}

/// Decodes a file in chunks and passes each chunk of mono samples and its rate in Hz to `each`.
///
/// Memory use does not grow with the file.
///
/// # Errors
/// See [`decode()`]. Chunks passed to `each` before the error are valid.
pub fn decode_chunks(
    path: impl AsRef<Path>,
    length: Length,
    each: impl FnMut(&[f32], u32),
) -> Result<()> {
    let path = path.as_ref();
    let open = || File::open(path).with_context(|| format!("cannot open `{}`", path.display()));
    let file = open()?;
    ensure!(!file.metadata()?.is_dir(), "this is a folder: name the files in it");
    let mut sink = Sink { length, seconds: 0.0, interleaved: Vec::new(), mono: Vec::new(), each };
    let stopped = match PlainWav::open(file)?.filter(|wav| RATES.contains(&wav.sample_rate)) {
        Some(wav) => read_plain(wav, &mut sink),
        None => read_any(open()?, path, &mut sink),
    };
    match (sink.seconds > 0.0, stopped) {
        (true, _) => Ok(()),
        (false, Err(error)) => Err(error),
        (false, Ok(())) => {
            bail!("the file has a header but no audio: replace or remove it")
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

/// Feeds the sink until it is full or the file ends.
///
/// # Errors
/// The first fault, even if audio was decoded before or after it.
fn read_packets<E: FnMut(&[f32], u32)>(
    mut format: Box<dyn FormatReader + '_>,
    sink: &mut Sink<E>,
) -> Result<()> {
    let (mut track, mut decoder) = open_track(format.as_ref())?;
    let mut bad_in_a_row = 0;
    let mut first_fault = None;
    while sink.has_room() && bad_in_a_row < BAD_PACKETS_IN_A_ROW {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A chained stream starts its next link, with other tracks and codecs.
            Err(Error::ResetRequired) => {
                (track, decoder) = open_track(format.as_ref())?;
                bad_in_a_row += 1;
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
                bad_in_a_row = 0;
            }
            Err(error) => {
                first_fault.get_or_insert(error);
                bad_in_a_row += 1;
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

/// Mixes decoded buffers to mono and passes them on.
struct Sink<E> {
    length: Length,
    /// Duration received so far.
    seconds: f64,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    each: E,
}

impl<E: FnMut(&[f32], u32)> Sink<E> {
    fn has_room(&self) -> bool {
        match self.length {
            Length::All => true,
            // Take at least one sample, however short the limit is.
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
            "the sample rate {rate} Hz is implausible: the header is damaged; replace the file"
        );
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        self.mix(channels, rate);
        Ok(())
    }

    /// Passes the mean of the channels of `interleaved` to `each`.
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
            let max_len =
                ((limit - self.seconds - ROUNDING) * f64::from(rate)).ceil().max(1.0) as usize;
            self.mono.truncate(max_len);
        }
        self.seconds += self.mono.len() as f64 / f64::from(rate);
        (self.each)(&self.mono, rate);
    }
}

/// Clamps a sample and replaces NaN and infinities with silence.
///
/// It is branchless and inlined because it is called for each sample.
#[inline]
fn clean(sample: f32) -> f32 {
    let bounded = sample.clamp(-LOUDEST, LOUDEST);
    if sample.is_finite() { bounded } else { 0.0 }
}
