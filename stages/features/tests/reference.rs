//! Comparison with torchaudio, torchvision and librosa. The scripts in `fixtures/` wrote the
//! references.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use features::params::{Kind, MelNorm, MelScale, Normalise, Padding, Scale};
use features::resize::resize;
use features::{Array, Extractor, Spectrogram, SpectrogramParams};

fn fixture(name: &str) -> Array {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    kit::npy::read(path).unwrap()
}

/// Checks powers to a relative error of 1e-4, plus 1e-6 of the largest power for the rounding error
/// of the transform.
fn check_powers(values: &[f32], reference: &[f32]) {
    let largest = reference.iter().fold(0.0_f32, |most, value| most.max(*value));
    check(values, reference, |power| 1e-4 * power + 1e-6 * largest);
}

/// Checks logarithms to an absolute error of 1e-4, which is a relative error of 1e-4 in power.
fn check_logarithms(values: &[f32], reference: &[f32]) {
    check(values, reference, |_| 1e-4);
}

fn check(values: &[f32], reference: &[f32], allowed: impl Fn(f32) -> f32) {
    assert_eq!(values.len(), reference.len());
    for (index, (value, reference)) in values.iter().zip(reference).enumerate() {
        let difference = (value - reference).abs();
        assert!(difference <= allowed(*reference), "[{index}] is {value}, not {reference}");
    }
}

fn every_nth_row(data: &[f32], columns: usize, n: usize) -> Vec<f32> {
    data.chunks_exact(columns).step_by(n).flatten().copied().collect()
}

#[test]
fn power_matches_torchaudio() {
    let signal = fixture("signal.npy").data;
    for (name, samples, n_fft, hop_length, step) in [
        ("power_every_7th_bin.npy", signal.len(), 1024, 512, 7),
        ("power_256_100.npy", 3000, 256, 100, 3),
    ] {
        let mut spectrogram = Spectrogram::new(n_fft, hop_length, Padding::Reflect).unwrap();
        let power = spectrogram.power(&signal[..samples]).unwrap();
        let reference = fixture(name);
        assert_eq!(reference.shape[1], spectrogram.frames(samples));
        check_powers(&every_nth_row(&power, reference.shape[1], step), &reference.data);
    }
}

#[test]
fn resized_logarithm_matches_torchvision() {
    let signal = fixture("signal.npy").data;
    // 100 × 100 enlarges the 26 frames; 37 × 20 reduces both.
    let params = SpectrogramParams { seconds: 0.6, ..SpectrogramParams::default() };
    let array = Extractor::new(&params).unwrap().samples(signal.clone()).unwrap();
    check_logarithms(&array.data, &fixture("log_100x100.npy").data);

    let whole = SpectrogramParams { resize: false, ..params };
    let array = Extractor::new(&whole).unwrap().samples(signal).unwrap();
    let reduced = resize(&array.data, [array.shape[0], array.shape[1]], [37, 20]);
    check_logarithms(&reduced, &fixture("log_37x20.npy").data);
}

/// A relative error of 1e-4 in power, in decibels.
const DECIBELS: f32 = 4.343e-4;

/// Returns librosa's defaults except for the window length.
fn like_librosa(n_mels: usize) -> SpectrogramParams {
    SpectrogramParams {
        kind: Kind::LogMel,
        padding: Padding::Zeros,
        n_mels,
        ..SpectrogramParams::default()
    }
}

/// Returns torchaudio's defaults except for the window length and a `top_db` of 80.
fn like_torchaudio(n_mels: usize) -> SpectrogramParams {
    SpectrogramParams {
        padding: Padding::Reflect,
        mel_scale: MelScale::Htk,
        mel_norm: MelNorm::None,
        ..like_librosa(n_mels)
    }
}

/// Compares every `step`th frame of the fixture signal's mel spectrogram with a reference.
fn check_mel(name: &str, params: &SpectrogramParams, step: usize, allowed: impl Fn(f32) -> f32) {
    let array = Extractor::new(params).unwrap().samples(fixture("signal.npy").data).unwrap();
    let frames = array.shape[1];
    let rows = array.data.chunks_exact(frames);
    let thinned: Vec<_> = rows.flat_map(|row| row.iter().step_by(step).copied()).collect();
    let reference = fixture(&format!("{name}.npy"));
    assert_eq!(reference.shape, [params.rows(), frames.div_ceil(step)], "{name}");
    println!("{name}");
    check(&thinned, &reference.data, allowed);
}

#[test]
fn mel_bands_match_librosa() {
    check_mel("librosa_db", &like_librosa(128), 1, |_| DECIBELS);
    let htk = SpectrogramParams {
        n_fft: 512,
        hop_length: 256,
        fmin: 50.0,
        fmax: 8000.0,
        mel_scale: MelScale::Htk,
        mel_norm: MelNorm::None,
        top_db: 0.0,
        ..like_librosa(40)
    };
    check_mel("librosa_db_htk", &htk, 2, |_| DECIBELS);
    let magnitude = SpectrogramParams { power: 1, ..like_librosa(64) };
    check_mel("librosa_magnitude", &magnitude, 1, |_| 2.0 * DECIBELS);
    let tight = SpectrogramParams { padding: Padding::None, ..like_librosa(64) };
    check_mel("librosa_not_centred", &tight, 1, |_| DECIBELS);
    let log1p =
        SpectrogramParams { padding: Padding::Reflect, scale: Scale::Log1p, ..like_librosa(64) };
    check_mel("librosa_reflect_log1p", &log1p, 1, |value| 1e-4 * value);
}

#[test]
fn mel_bands_match_torchaudio() {
    let defaults = SpectrogramParams { n_fft: 400, hop_length: 200, ..like_torchaudio(40) };
    check_mel("torchaudio_db", &defaults, 4, |_| DECIBELS);
    let slaney = SpectrogramParams {
        fmin: 20.0,
        fmax: 10_000.0,
        mel_scale: MelScale::Slaney,
        mel_norm: MelNorm::Slaney,
        scale: Scale::Log,
        ..like_torchaudio(64)
    };
    check_mel("torchaudio_log_slaney", &slaney, 1, |_| 1e-4);
    let tight = SpectrogramParams {
        n_fft: 512,
        hop_length: 500,
        padding: Padding::None,
        ..like_torchaudio(32)
    };
    check_mel("torchaudio_not_centred", &tight, 1, |_| DECIBELS);
    let normalised = SpectrogramParams { normalise: Normalise::Clip, ..like_torchaudio(64) };
    check_mel("torchaudio_normalised", &normalised, 1, |_| 1e-4);
}
