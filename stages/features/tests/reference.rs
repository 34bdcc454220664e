//! The numbers against torchaudio's and torchvision's; `fixtures/make_fixtures.py` made the references.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use features::resize::resize;
use features::{Array, Extractor, Spectrogram, SpectrogramParams};

fn fixture(name: &str) -> Array {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    kit::npy::read(path).unwrap()
}

/// Powers: within 1e-4 of the reference, plus 1e-6 of the largest there, where the transform's rounding shows.
fn check_powers(values: &[f32], reference: &[f32]) {
    let largest = reference.iter().fold(0.0_f32, |most, value| most.max(*value));
    check(values, reference, |power| 1e-4 * power + 1e-6 * largest);
}

/// Logarithms: within 1e-4, which is 1e-4 of the power.
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
fn power_is_torchaudios() {
    let signal = fixture("signal.npy").data;
    for (name, samples, n_fft, hop_length, step) in
        [("power_every_7th_bin.npy", signal.len(), 1024, 512, 7), ("power_256_100.npy", 3000, 256, 100, 3)]
    {
        let mut spectrogram = Spectrogram::new(n_fft, hop_length).unwrap();
        let power = spectrogram.power(&signal[..samples]).unwrap();
        let reference = fixture(name);
        assert_eq!(reference.shape[1], spectrogram.frames(samples));
        check_powers(&every_nth_row(&power, reference.shape[1], step), &reference.data);
    }
}

#[test]
fn the_resized_logarithm_is_torchvisions() {
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
