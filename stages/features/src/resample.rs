//! Changing the sample rate, by rubato's synchronous FFT resampler.
//!
//! Knows nothing about files.

use anyhow::{Context as _, Result};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::decode::Audio;

/// Frames that the resampler handles at a time: long enough to be fast, short against a clip.
const BLOCK: usize = 4096;

/// The same sound at another rate, without delay: sample `n` of the result is at `n / sample_rate` seconds.
///
/// Its length is that of the input times the ratio of the rates, rounded up. Frequencies that the new
/// rate cannot hold are filtered out.
///
/// # Errors
/// A rate of 0.
pub fn resample(audio: &Audio, sample_rate: u32) -> Result<Audio> {
    if audio.sample_rate == sample_rate || audio.samples.is_empty() {
        return Ok(Audio { samples: audio.samples.clone(), sample_rate });
    }
    let explain = || format!("cannot resample from {} Hz to {sample_rate} Hz", audio.sample_rate);
    let frames = audio.samples.len();
    let block = even_block(audio.sample_rate as usize, sample_rate as usize);
    let input = InterleavedSlice::new(&audio.samples, 1, frames).with_context(explain)?;
    let mut resampler =
        Fft::<f32>::new(audio.sample_rate as usize, sample_rate as usize, block, 1, FixedSync::Both)
            .with_context(explain)?;
    let output = resampler.process_all(&input, frames, None).with_context(explain)?;
    Ok(Audio { samples: output.take_data(), sample_rate })
}

/// The resampler's delay is half a block: a whole number of frames only if the block is an even multiple of
/// the shortest one, the rate over the common divisor of both.
fn even_block(from: usize, to: usize) -> usize {
    let (mut divisor, mut rest) = (from, to);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    BLOCK.next_multiple_of(2 * (from / divisor.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, sample_rate: u32, seconds: f64) -> Audio {
        let samples = (0..(seconds * f64::from(sample_rate)) as usize)
            .map(|n| {
                let time = n as f64 / f64::from(sample_rate);
                // Faded in and out, so that the ends have no wide spectrum.
                let fade = (time.min(seconds - time) / 0.05).min(1.0);
                (fade * (std::f64::consts::TAU * frequency * time).sin()) as f32
            })
            .collect();
        Audio { samples, sample_rate }
    }

    #[test]
    fn a_tone_keeps_its_phase_and_length() {
        for (from, to) in
            [(44_100, 22_050), (48_000, 22_050), (8_000, 22_050), (22_050, 44_100), (44_101, 22_050)]
        {
            let resampled = resample(&tone(1000.0, from, 0.5), to).unwrap();
            let expected = tone(1000.0, to, 0.5);
            let lengths = (resampled.samples.len(), expected.samples.len());
            assert!(lengths.0.abs_diff(lengths.1) <= 1, "{from} → {to}: {lengths:?}");
            for (n, (a, b)) in resampled.samples.iter().zip(&expected.samples).enumerate() {
                assert!((a - b).abs() < 2e-3, "{from} → {to}: sample {n} is {a}, not {b}");
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_filtered_out() {
        let resampled = resample(&tone(15_000.0, 44_100, 0.5), 22_050).unwrap();
        let loudest = resampled.samples.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }

    #[test]
    fn short_sounds_have_a_length() {
        for frames in [1, 2, 3, 100] {
            let audio = Audio { samples: vec![0.5; frames], sample_rate: 44_100 };
            assert_eq!(resample(&audio, 22_050).unwrap().samples.len(), frames.div_ceil(2));
        }
        let silent = Audio { samples: vec![], sample_rate: 44_100 };
        assert_eq!(resample(&silent, 22_050).unwrap().samples, [0.0; 0]);
    }
}
