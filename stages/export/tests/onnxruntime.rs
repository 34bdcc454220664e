//! Checks the exported files with `onnx.checker`, and compares onnxruntime's results with ours.
//!
//! Needs a Python with onnx, onnxruntime and numpy: `.ci/run` makes one, elsewhere
//! `REPRO_ONNX_PYTHON` names it.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use features::params::{Kind, MelNorm, MelScale, Normalise, Padding, Scale};
use features::{Extractor, SpectrogramParams};
use model::burn::tensor::Device;
use model::checkpoint::Manifest;
use model::config::{Architecture, NetworkConfig};
use model::dataset::Clip;
use model::init::initial_weights;
use model::metrics::probabilities;
use model::network::Network;
use model::split::{self, Part};

/// Maximum difference of a probability.
const TOLERANCE: f64 = 1e-5;

/// Returns the Python to use, or reports why the test is skipped.
fn python() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("REPRO_ONNX_PYTHON").filter(|python| !python.is_empty());
    assert!(
        python.is_some() || std::env::var_os("CI").is_none(),
        "REPRO_ONNX_PYTHON does not name a Python with onnx, onnxruntime and numpy"
    );
    if python.is_none() {
        // Not `println!`, which the test harness captures.
        kit::say!(
            "skipped: REPRO_ONNX_PYTHON does not name a Python with onnx, onnxruntime and numpy"
        );
    }
    python
}

fn run_onnx(
    python: &std::ffi::OsStr,
    file: &Path,
    input: &str,
    shape: &[usize],
    values: &[f32],
) -> Vec<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run_onnx.py");
    let mut command = Command::new(python);
    command.arg(script).arg(file).arg(input).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let mut bytes = format!("{}\n", lengths.join(" ")).into_bytes();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} is rejected", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|probability| probability.parse().unwrap()).collect()
}

/// Synthesizes decaying tones over noise, determined by `seed`.
fn sound(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut sample = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 16) as f32 / 65_536.0 - 0.5;
        let beat = n as f32 / 22_050.0 % 0.4;
        0.1 * noise + (-8.0 * beat).exp() * (beat * 1500.0 * seed as f32).sin() * 0.5
    };
    (0..count).map(&mut sample).collect()
}

/// Returns sounds of `count` samples on which features are most likely to differ.
fn hard_sounds(count: usize) -> Vec<(&'static str, Vec<f32>)> {
    let noise = |level: f32| sound(count, 3).iter().map(|sample| sample * level).collect();
    let click = |n: usize| if n == count / 3 { 1.0 } else { 0.0 };
    vec![
        ("tones", sound(count, 1)),
        ("other tones", sound(count, 2)),
        ("silence", vec![0.0; count]),
        ("direct current", vec![0.5; count]),
        ("at the floor", noise(1e-5)),
        ("below the floor", noise(1e-8)),
        ("quiet", noise(1e-3)),
        (
            "clipped",
            sound(count, 5).iter().map(|sample| (sample * 50.0).clamp(-1.0, 1.0)).collect(),
        ),
        ("click", (0..count).map(click).collect()),
        (
            "half silent",
            (0..count).map(|n| if n < count / 2 { 0.0 } else { 0.3 * click(n) }).collect(),
        ),
    ]
}

struct Case {
    model: Architecture,
    /// Params of the features.
    params: SpectrogramParams,
    samples: usize,
}

impl Case {
    /// Exports an untrained network and compares both files with the network on hard sounds, and on
    /// a sound that is shorter than a window.
    ///
    /// Returns the differences that are too large.
    fn check(&self, python: &std::ffi::OsStr) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mut extractor = Extractor::new(&self.params).unwrap();
        let sounds = hard_sounds(self.samples);
        let short = ("short", sound(100, 1));
        let arrays: Vec<_> =
            sounds.iter().map(|(_, sound)| extractor.samples(sound.clone()).unwrap()).collect();
        let [rows, columns] = arrays[0].shape[..] else { panic!("not two-dimensional") };
        let config = NetworkConfig {
            model: self.model,
            input: [1, rows, columns],
            classes: 4,
            dropout: 0.5,
            statistics: self.model == Architecture::ResNet,
        };
        let weights = initial_weights(&config, 5).unwrap();
        self.project(root, &config, &weights, &arrays[0].data);
        let network = Network::new(&config, &weights, &Device::flex()).unwrap();
        let expected = |arrays: &[features::Array]| -> Vec<f64> {
            let values = arrays.iter().flat_map(|array| &array.data).copied().collect();
            let [rows, columns] = arrays[0].shape[..] else { panic!("not two-dimensional") };
            let logits = network.forward(values, [arrays.len(), 1, rows, columns]).unwrap();
            logits.chunks(4).flat_map(probabilities).collect()
        };
        let names: Vec<&str> = sounds.iter().map(|(name, _)| *name).collect();
        let [spectrograms, waveforms] =
            ["genre.onnx", "genre_waveform.onnx"].map(|name| root.join("models").join(name));
        let all = expected(&arrays);

        let values: Vec<f32> = arrays.iter().flat_map(|array| &array.data).copied().collect();
        let shape = [sounds.len(), 1, rows, columns];
        let found = run_onnx(python, &spectrograms, "spectrograms", &shape, &values);
        let mut faults = self.differences("spectrograms", &names, &found, &all);
        let waves: Vec<f32> = sounds.iter().flat_map(|(_, sound)| sound).copied().collect();
        let found = run_onnx(python, &waveforms, "waveform", &[sounds.len(), self.samples], &waves);
        faults.extend(self.differences("waveform", &names, &found, &all));
        let found = run_onnx(python, &waveforms, "waveform", &[1, short.1.len()], &short.1);
        let alone = expected(&[extractor.samples(short.1).unwrap()]);
        faults.extend(self.differences("waveform", &[short.0], &found, &alone));
        faults
    }

    fn differences(&self, input: &str, names: &[&str], found: &[f64], all: &[f64]) -> Vec<String> {
        assert_eq!(found.len(), all.len(), "{:?}", self.params);
        let largest = |(found, expected): (&[f64], &[f64])| {
            let pairs = found.iter().zip(expected);
            pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
        };
        let pairs = found.chunks(4).zip(all.chunks(4)).map(largest).zip(names);
        pairs
            .filter(|(difference, _)| difference.is_nan() || *difference >= TOLERANCE)
            .map(|(difference, name)| {
                format!("{input}, {name}: {difference:.1e}, {:?}", self.params)
            })
            .collect()
    }

    fn project(
        &self,
        root: &Path,
        config: &NetworkConfig,
        weights: &model::weights::Weights,
        spectrogram: &[f32],
    ) {
        weights.write(root.join("models/genre.mpk")).unwrap();
        let labels = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        Manifest::new(labels.clone(), config.clone())
            .unwrap()
            .write(root.join("models/genre.json"))
            .unwrap();
        let clips = [Clip { path: "a/1.npy".to_owned(), label: 0 }];
        split::write(root.join("models/split.csv"), &clips, &labels, &[Part::Validation]).unwrap();
        kit::npy::write(root.join("data/spectrograms/a/1.npy"), &config.input[1..], spectrogram)
            .unwrap();
        kit::files::write_atomic(root.join("metrics/evaluate.json"), r#"{"clips":1}"#).unwrap();
        let params = serde_json::json!({ "spectrogram": self.params });
        kit::files::write_json(root.join("params.json"), &params).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_export"));
        command.current_dir(root).env("REPRO_PARAMS", "params.json").env_remove("REPRO_EVENTS");
        assert!(command.status().unwrap().success());
    }
}

#[test]
fn recipes_on_hard_sounds() {
    let Some(python) = python() else { return };
    let mel = include_str!("../../../conf/spectrogram/log_mel.toml");
    let power = include_str!("../../../conf/spectrogram/log_power.toml");
    let any =
        Case { model: Architecture::ResNet, params: toml::from_str(mel).unwrap(), samples: 70_001 };
    let ten = Case {
        model: Architecture::Baseline,
        params: toml::from_str(power).unwrap(),
        samples: 220_500,
    };
    let faults = [any, ten].map(|case| case.check(&python)).concat();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Checks each value of each param, and all pairs of a scale with a normalisation and a power.
#[test]
fn configurations_on_hard_sounds() {
    let Some(python) = python() else { return };
    let mel = SpectrogramParams {
        kind: Kind::LogMel,
        n_mels: 40,
        seconds: 0.0,
        padding: Padding::Zeros,
        ..SpectrogramParams::default()
    };
    let power = SpectrogramParams { kind: Kind::LogPower, resize: false, ..mel.clone() };
    let mut all = Vec::new();
    for scale in [Scale::Db, Scale::Log, Scale::Log1p] {
        for normalise in [Normalise::None, Normalise::Clip] {
            for power in [1, 2] {
                all.push(SpectrogramParams { scale, normalise, power, ..mel.clone() });
            }
        }
    }
    for normalise in [Normalise::None, Normalise::Clip] {
        let mel = SpectrogramParams { normalise, ..mel.clone() };
        all.push(SpectrogramParams { top_db: 0.0, ..mel.clone() });
        all.push(SpectrogramParams { mel_scale: MelScale::Htk, ..mel.clone() });
        all.push(SpectrogramParams { mel_norm: MelNorm::None, ..mel.clone() });
        all.push(SpectrogramParams { padding: Padding::Reflect, ..mel.clone() });
        all.push(SpectrogramParams { padding: Padding::None, seconds: 1.0, ..mel.clone() });
        all.push(SpectrogramParams { n_fft: 400, hop_length: 160, fmin: 50.0, ..mel.clone() });
    }
    all.push(power.clone());
    all.push(SpectrogramParams { padding: Padding::Reflect, seconds: 1.0, ..power.clone() });
    all.push(SpectrogramParams { resize: true, size: 30, seconds: 1.0, ..power });
    let cases = all
        .into_iter()
        .map(|params| Case { model: Architecture::ResNet, params, samples: 22_050 }.check(&python));
    let faults: Vec<String> = cases.flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
