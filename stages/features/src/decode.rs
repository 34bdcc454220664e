//! Decodes audio files to mono samples.
//!
//! The readers (`read`) deliver all channels; here they are averaged and limited in length. A
//! damaged packet is skipped, as players do. Only a file with no audio at all is an error. Unaware
//! of containers, of the target sample rate and of spectrograms.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Error, Result, bail, ensure};

use crate::audio::Audio;
use crate::collect::Collector;
use crate::read::{self, Block, Reader};

/// Number of consecutive damaged packets after which the rest of a file is given up.
const BAD_PACKETS_IN_A_ROW: u32 = 1_000;

/// Bound on the magnitude of a sample, where full scale is 1. Float files may exceed full scale,
/// but not by so much that a power overflows.
const LOUDEST: f32 = 1e4;

/// Upper bound on the rounding error of summed seconds, about a hundredth of a sample.
const ROUNDING: f64 = 1e-8;

/// Difference between the decoded and the announced length that is worth a warning.
const DIFFERENT: f64 = 0.02;

/// Ratio of the power of the mean to that of the mean of independent channels below which channels
/// cancel each other: −12 dB. Two have a correlation of −0.94 then. Codecs for music leave as much
/// of channels that are each other's negative, because they code noise for each alone.
const CANCELLED: f64 = 1.0 / 16.0;

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
) -> Result<Outcome> {
    let path = path.as_ref();
    let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    ensure!(!file.metadata()?.is_dir(), "this is a folder: name the files in it");
    let mut reader = read::open(file)?;
    let mut sink = Sink {
        length,
        seconds: 0.0,
        mono: Vec::new(),
        channel_power: 0.0,
        independent_power: 0.0,
        mean_power: 0.0,
        each,
    };
    let (first_fault, damaged) = drain(reader.as_mut(), &mut sink);
    match (sink.seconds > 0.0, first_fault) {
        (true, _) => Ok(Outcome {
            seconds: sink.seconds,
            announced: reader.announced().filter(|_| sink.has_room()),
            damaged,
            cancellation: sink.cancellation(),
        }),
        (false, Some(error)) => Err(error),
        (false, None) => bail!("the file has a header but no audio: replace or remove it"),
    }
}

/// Feeds the sink until it is full or the file ends; returns the first fault and their number.
fn drain<E>(reader: &mut dyn Reader, sink: &mut Sink<E>) -> (Option<Error>, u64)
where
    E: FnMut(&[f32], u32),
{
    let mut block = Block::default();
    let (mut first, mut count, mut in_a_row) = (None, 0, 0);
    while sink.has_room() && in_a_row < BAD_PACKETS_IN_A_ROW {
        match reader.next(&mut block) {
            Ok(true) => {
                sink.mix(&block);
                in_a_row = 0;
            }
            Ok(false) => break,
            Err(error) => {
                first.get_or_insert(error);
                (count, in_a_row) = (count + 1, in_a_row + 1);
            }
        }
    }
    (first, count)
}

/// The result of decoding a file that has sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Decoded length.
    pub seconds: f64,
    /// Length that the container announces, if the file was decoded to its end.
    pub announced: Option<f64>,
    /// Number of damaged parts that were skipped.
    pub damaged: u64,
    /// Decibels by which the mean of the channels is quieter than they are, if they cancel each
    /// other. What is left then is mostly the errors of a codec.
    pub cancellation: Option<f64>,
}

impl Outcome {
    /// Returns why the sound may not be all of the file's.
    pub fn doubt(&self) -> Option<String> {
        let seconds = self.seconds;
        let length = self
            .announced
            .filter(|announced| (seconds - announced).abs() > DIFFERENT * announced)
            .map(|announced| {
                format!("{seconds:.2} s of sound, but its header announces {announced:.2} s")
            });
        let damage = (self.damaged > 0).then(|| match self.damaged {
            1 => "one damaged part was skipped".to_owned(),
            count => format!("{count} damaged parts were skipped"),
        });
        let cancellation = self.cancellation.map(|decibels| {
            if decibels.is_finite() {
                format!("its channels cancel each other: their mean is {decibels:.0} dB quieter")
            } else {
                "its channels cancel each other: their mean is silent".to_owned()
            }
        });
        let doubts: Vec<String> = [length, damage, cancellation].into_iter().flatten().collect();
        (!doubts.is_empty()).then(|| doubts.join("; "))
    }
}

/// Mixes decoded blocks to mono and passes them on.
struct Sink<E> {
    length: Length,
    /// Duration received so far.
    seconds: f64,
    mono: Vec<f32>,
    /// Sum of the squares of the samples, averaged over the channels.
    channel_power: f64,
    /// Sum of the squares of the means, if the channels were independent.
    independent_power: f64,
    /// Sum of the squares of the means.
    mean_power: f64,
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

    fn cancellation(&self) -> Option<f64> {
        let is_cancelled = self.mean_power < CANCELLED * self.independent_power;
        is_cancelled.then(|| 10.0 * (self.channel_power / self.mean_power).log10())
    }

    /// Passes the mean of the channels to `each`.
    fn mix(&mut self, block: &Block) {
        let Block { samples, channels, rate } = block;
        self.mono.clear();
        // A comparison with NaN is false. Without an early exit, the loop is vectorized.
        let is_clean = samples.iter().fold(true, |clean, sample| clean & (sample.abs() <= LOUDEST));
        match channels {
            _ if !is_clean => self.mono.extend(samples.chunks_exact(*channels).map(mean_of_finite)),
            1 => self.mono.extend_from_slice(samples),
            2 => self.mono.extend(samples.as_chunks().0.iter().map(|[one, two]| (one + two) / 2.0)),
            _ => self.mono.extend(
                samples
                    .chunks_exact(*channels)
                    .map(|frame| frame.iter().sum::<f32>() / *channels as f32),
            ),
        }
        if *channels > 1 && is_clean {
            let each = power(samples) / *channels as f64;
            self.channel_power += each;
            self.independent_power += each / *channels as f64;
            self.mean_power += power(&self.mono);
        }
        let rate = *rate;
        if let Length::Seconds(limit) = self.length {
            let max_len =
                ((limit - self.seconds - ROUNDING) * f64::from(rate)).ceil().max(1.0) as usize;
            self.mono.truncate(max_len);
        }
        self.seconds += self.mono.len() as f64 / f64::from(rate);
        (self.each)(&self.mono, rate);
    }
}

/// Returns the sum of squares. Sums of a few samples in lanes are exact enough and vectorized.
fn power(samples: &[f32]) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|sample| f64::from(sample * sample)).sum::<f64>();
    let (chunks, rest) = samples.as_chunks::<16>();
    let mut lanes = [0.0_f32; 16];
    let mut sum = square(rest);
    for part in chunks.chunks(256) {
        for chunk in part {
            lanes.iter_mut().zip(chunk).for_each(|(lane, sample)| *lane += sample * sample);
        }
        sum += lanes.iter().copied().map(f64::from).sum::<f64>();
        lanes.fill(0.0);
    }
    sum
}

/// Returns the mean of the channels that are finite, clamped; without one, silence.
fn mean_of_finite(frame: &[f32]) -> f32 {
    let finite = || frame.iter().filter(|sample| sample.is_finite());
    let sum: f32 = finite().map(|sample| sample.clamp(-LOUDEST, LOUDEST)).sum();
    sum / finite().count().max(1) as f32
}
