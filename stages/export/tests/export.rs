//! Runs the program on real files.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::process::{Command, Output};

use model::checkpoint::Manifest;
use model::config::{Architecture, NetworkConfig};
use model::dataset::Clip;
use model::init::initial_weights;
use model::split::{self, Part};
use model::weights::Weights;
use onnx::classifier::Classifier;

fn project(root: &Path, change: impl Fn(&mut Weights)) {
    let config = NetworkConfig {
        model: Architecture::Baseline,
        input: [1, 12, 12],
        classes: 2,
        dropout: 0.5,
        statistics: false,
    };
    let mut weights = initial_weights(&config, 1).unwrap();
    change(&mut weights);
    weights.write(root.join("models/genre.mpk")).unwrap();
    let labels = vec!["blues".to_owned(), "hip \"hop\"".to_owned()];
    Manifest::new(labels.clone(), config).unwrap().write(root.join("models/genre.json")).unwrap();
    let clips = [Clip { path: "blues/1.npy".to_owned(), label: 0 }];
    split::write(root.join("models/split.csv"), &clips, &labels, &[Part::Validation]).unwrap();
    let values: Vec<f32> = (0..144u16).map(|at| f32::from(at) / 9.0 - 8.0).collect();
    let scores = r#"{"accuracy":0.5,"clips":1,"ece":0.25,
            "interval":{"accuracy":{"low":0.25,"high":0.75}},
            "last_epoch":{"accuracy":0.4,"interval":{"accuracy":{"low":0.125,"high":0.625}}},
            "calibrated":{"temperature":1.5,"ece":0.125}}"#;
    kit::files::write_atomic(root.join("metrics/evaluate.json"), scores).unwrap();
    kit::npy::write(root.join("data/blues/1.npy"), &[12, 12], &values).unwrap();
}

fn export(root: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_export"));
    command.current_dir(root).env_remove("REPRO_PARAMS").env_remove("REPRO_EVENTS");
    command.args(["--spectrograms", "data", "-p", "spectrogram.size=12"]).output().unwrap()
}

#[test]
fn exported_file_is_self_contained() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), |_| ());
    let output = export(dir.path());
    assert!(output.status.success(), "{output:?}");
    let path = dir.path().join("models/genre.onnx");
    let bytes = std::fs::read(&path).unwrap();
    let classifier = Classifier::read(&path).unwrap();
    assert_eq!(classifier.metadata().labels, ["blues", "hip \"hop\""]);
    assert_eq!(classifier.metadata().spectrogram["size"], 12);
    assert_eq!(classifier.metadata().spectrogram["n_fft"], 1024, "defaults are written too");
    let probabilities = classifier.run([2, 1, 12, 12], vec![0.0; 288]).unwrap().probabilities;
    assert!((probabilities[0] + probabilities[1] - 1.0).abs() < 1e-6);
    assert!(classifier.run([2, 1, 12, 12], vec![0.0; 100]).is_err());
    let error = classifier.run([1, 1, 12, 13], vec![0.0; 156]).unwrap_err().to_string();
    assert_eq!(error, "the shape is [1, 12, 13], but the model takes [1, 12, 12]");

    let report = std::fs::read_to_string(dir.path().join("metrics/export.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["clips_compared"], &report["bytes"]), (&1.into(), &bytes.len().into()));
    let card = std::fs::read_to_string(dir.path().join("models/genre.md")).unwrap();
    let digest = blake3::hash(&std::fs::read(dir.path().join("models/genre.mpk")).unwrap());
    for words in [
        &format!("BLAKE3 digest of the weights file: `{digest}`"),
        "# Audio classifier (2 classes)",
        "Measured on 1 validation clips. They were not used for training but chose the epoch",
        "| accuracy, best epoch | 0.500 | 0.250 to 0.750 |",
        "| accuracy, last epoch | 0.400 | 0.125 to 0.625 |",
        "| expected calibration error, best epoch | 0.250 |  |",
        "With logits divided by 1.500, the calibration error is 0.125.",
        "0 train, 1 val, 0 test",
    ] {
        assert!(card.contains(words), "{card}");
    }
    assert!(export(dir.path()).status.success());
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the same model gives the same bytes");
    assert_eq!(std::fs::read_to_string(dir.path().join("models/genre.md")).unwrap(), card);
}

#[test]
fn no_waveform_model_for_resized_whole_clips() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), |_| ());
    let waveform = dir.path().join("models/genre_waveform.onnx");
    std::fs::write(&waveform, "an older model").unwrap();
    let output = export(dir.path());
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && warning.contains("set `spectrogram.seconds`"), "{warning}");
    assert!(!waveform.exists());
    let card = std::fs::read_to_string(dir.path().join("models/genre.md")).unwrap();
    assert!(!card.contains("genre_waveform.onnx"), "{card}");
}

#[test]
fn missing_scores() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), |_| ());
    std::fs::remove_file(dir.path().join("metrics/evaluate.json")).unwrap();
    let error = String::from_utf8(export(dir.path()).stderr).unwrap();
    assert!(error.contains("`metrics/evaluate.json`: `repro run evaluate` makes it"), "{error}");
}

#[test]
fn nan_weights_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), |weights| weights.insert("linear2.bias", vec![2], vec![f32::NAN, 0.0]));
    std::fs::write(dir.path().join("models/genre.onnx"), "an older model").unwrap();
    let output = export(dir.path());
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("differs from the network by NaN"), "{error}");
    assert!(!dir.path().join("models/genre.onnx").exists());
}
