//! Properties of the clips, measured on the samples.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;

use realfft::RealFftPlanner;
use synth::{Genre, SAMPLE_RATE, clip};

fn bits(clip: &[f32]) -> Vec<u32> {
    clip.iter().map(|sample| sample.to_bits()).collect()
}

#[test]
fn clips_are_deterministic() {
    for genre in Genre::ALL {
        assert_eq!(bits(&clip(genre, 42, 3, 1.0)), bits(&clip(genre, 42, 3, 1.0)), "{genre:?}");
    }
}

#[test]
fn clips_are_distinct() {
    let mut seen = HashSet::new();
    for genre in Genre::ALL {
        for (seed, index) in [(42, 0), (42, 1), (43, 0)] {
            assert!(seen.insert(bits(&clip(genre, seed, index, 0.5))), "{genre:?} {seed} {index}");
        }
    }
}

/// Compares the bits of some samples with a known hash, to detect changes of the music and
/// platforms that compute differently.
#[test]
fn sample_hash() {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for genre in Genre::ALL {
        for sample in bits(&clip(genre, 1, 2, 0.25)) {
            // FNV-1a.
            for byte in sample.to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    assert_eq!(hash, 0x7080_6272_d701_89eb, "{hash:#x}");
}

#[test]
fn length_level_and_gaps() {
    for genre in Genre::ALL {
        for index in 0..4 {
            let samples = clip(genre, 7, index, 6.0);
            assert_eq!(samples.len(), 6 * SAMPLE_RATE as usize);
            assert!(samples.iter().all(|sample| sample.is_finite()));
            let loudest = samples.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
            assert!((loudest - 0.95).abs() < 1e-5, "{genre:?} {index}: {loudest}");
            // Hard clipping would leave long plateaus at full scale.
            let full = samples.iter().filter(|sample| sample.abs() > 0.949).count();
            assert!(full < samples.len() / 100, "{genre:?} {index}: {full} samples at full scale");
            // No rest is as long as a second and a half.
            for (n, part) in samples.chunks(SAMPLE_RATE as usize * 3 / 2).enumerate() {
                let energy =
                    part.iter().map(|sample| sample * sample).sum::<f32>() / part.len() as f32;
                assert!(energy.sqrt() > 0.01, "{genre:?} {index}: part {n} is silent");
            }
        }
    }
}

#[test]
fn odd_lengths() {
    for (seconds, expected) in [(0.0, 0), (-1.0, 0), (f32::NAN, 0), (0.0001, 2), (0.333, 7343)] {
        for genre in Genre::ALL {
            assert_eq!(clip(genre, 1, 1, seconds).len(), expected, "{genre:?} {seconds}");
        }
    }
}

/// Returns the mean relative level of each octave band and its standard deviation over short
/// frames.
fn features(samples: &[f32]) -> Vec<f64> {
    const N: usize = 1024;
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(N);
    let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
    let mut frames = Vec::new();
    for frame in samples.chunks_exact(N) {
        input.copy_from_slice(frame);
        fft.process(&mut input, &mut output).unwrap();
        let bands: Vec<f64> = (0..9)
            .map(|octave| {
                let energy: f32 =
                    output[1 << octave..2 << octave].iter().map(|bin| bin.norm_sqr()).sum();
                f64::from(energy + 1e-6).ln()
            })
            .collect();
        frames.push(bands);
    }
    let count = frames.len() as f64;
    let mean: Vec<f64> =
        (0..9).map(|band| frames.iter().map(|frame| frame[band]).sum::<f64>() / count).collect();
    let spread = (0..9).map(|band| {
        let variance =
            frames.iter().map(|frame| (frame[band] - mean[band]).powi(2)).sum::<f64>() / count;
        variance.sqrt()
    });
    let level = mean.iter().sum::<f64>() / 9.0;
    mean.iter().map(|band| band - level).chain(spread).collect()
}

/// Checks that a nearest-centroid classifier is well above chance (one in ten), but not perfect.
#[test]
fn genres_differ_and_overlap() {
    const CLIPS: u32 = 8;
    let all: Vec<Vec<Vec<f64>>> = Genre::ALL
        .iter()
        .map(|genre| (0..CLIPS).map(|index| features(&clip(*genre, 5, index, 4.0))).collect())
        .collect();
    let half = CLIPS as usize / 2;
    let centres: Vec<Vec<f64>> = all
        .iter()
        .map(|clips| {
            (0..18)
                .map(|n| clips[..half].iter().map(|clip| clip[n]).sum::<f64>() / half as f64)
                .collect()
        })
        .collect();
    let distance =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let mut right = 0;
    for (genre, clips) in all.iter().enumerate() {
        for clip in &clips[half..] {
            let nearest = (0..10).min_by(|a, b| {
                distance(clip, &centres[*a]).total_cmp(&distance(clip, &centres[*b]))
            });
            right += usize::from(nearest == Some(genre));
        }
    }
    let share = right as f64 / (10 * half) as f64;
    println!("{share:.2} of the clips are nearest to the centroid of their genre");
    assert!((0.25..0.9).contains(&share), "{share}");
}
