//! Checks the exported files with `onnx.checker`, and compares onnxruntime's results with ours.
//!
//! Needs a Python with onnx, onnxruntime and numpy: `.ci/run` makes one, elsewhere
//! `REPRO_ONNX_PYTHON` names it.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

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

struct Case {
    model: Architecture,
    /// Params of the features.
    params: SpectrogramParams,
    samples: usize,
}

impl Case {
    /// Exports an untrained network and compares both files with the network on two sounds.
    fn check(&self, python: &std::ffi::OsStr) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mut extractor = Extractor::new(&self.params).unwrap();
        let sounds = [sound(self.samples, 1), sound(self.samples, 2)];
        let spectrograms = sounds.clone().map(|sound| extractor.samples(sound).unwrap());
        let [rows, columns] = spectrograms[0].shape[..] else { panic!("not two-dimensional") };
        let config = NetworkConfig {
            model: self.model,
            input: [1, rows, columns],
            classes: 4,
            dropout: 0.5,
        };
        let weights = initial_weights(&config, 5).unwrap();
        self.project(root, &config, &weights, &spectrograms[0].data);

        let values: Vec<f32> = spectrograms.iter().flat_map(|array| &array.data).copied().collect();
        let shape = [2, 1, rows, columns];
        let network = Network::new(&config, &weights, &Device::flex()).unwrap();
        let logits = network.forward(values.clone(), shape).unwrap();
        let expected: Vec<f64> = logits.chunks(4).flat_map(probabilities).collect();

        let waves: Vec<f32> = sounds.iter().flatten().copied().collect();
        let wave_shape = [2, self.samples];
        for (file, input, shape, values) in [
            ("genre.onnx", "spectrograms", &shape[..], &values),
            ("genre_waveform.onnx", "waveform", &wave_shape[..], &waves),
        ] {
            let found = run_onnx(python, &root.join("models").join(file), input, shape, values);
            let largest = found
                .iter()
                .zip(&expected)
                .map(|(one, other)| (one - other).abs())
                .fold(0.0, f64::max);
            println!("{file} {:?}: at most {largest:.1e} off", self.params.kind);
            assert!(
                found.len() == expected.len() && largest < TOLERANCE,
                "{file}: {found:?} {expected:?}"
            );
        }
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
fn default_recipe_at_any_length() {
    let Some(python) = python() else { return };
    let text = include_str!("../../../conf/spectrogram/log_mel.toml");
    Case { model: Architecture::ResNet, params: toml::from_str(text).unwrap(), samples: 70_001 }
        .check(&python);
}

#[test]
fn original_recipe_at_ten_seconds() {
    let Some(python) = python() else { return };
    let text = include_str!("../../../conf/spectrogram/log_power.toml");
    Case { model: Architecture::Baseline, params: toml::from_str(text).unwrap(), samples: 220_500 }
        .check(&python);
}
