//! Evaluation on a Vulkan device: a GPU, or the CPU through Mesa's lavapipe.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::process::Command;

use model::checkpoint::Manifest;
use model::config::{Architecture, NetworkConfig};
use model::dataset::Clip;
use model::init::initial_weights;
use model::split::{self, Part};

/// Writes an untrained model, and eight held-out clips of 32 × 32 in two classes.
fn project(root: &Path, model: Architecture) {
    let config =
        NetworkConfig { model, input: [1, 32, 32], classes: 2, dropout: 0.5, statistics: false };
    initial_weights(&config, 1).unwrap().write(root.join("models/genre.mpk")).unwrap();
    let labels = ["a", "b"].map(str::to_owned);
    Manifest::new(labels.to_vec(), config).unwrap().write(root.join("models/genre.json")).unwrap();
    let clip = |number: usize| Clip {
        path: format!("{}/{number}.npy", labels[number % 2]),
        label: number % 2,
    };
    let clips: Vec<Clip> = (0..8).map(clip).collect();
    split::write(root.join("models/split.csv"), &clips, &labels, &[Part::Validation; 8]).unwrap();
    for (number, clip) in clips.iter().enumerate() {
        let values: Vec<f32> =
            (0..1024).map(|at| (at as f32 * (0.1 + 0.07 * number as f32)).sin()).collect();
        kit::npy::write(root.join("data").join(&clip.path), &[32, 32], &values).unwrap();
    }
    let curves = "epoch,train_loss,train_accuracy,train_macro_f1,\
                  val_loss,val_accuracy,val_macro_f1\n1,2,0.5,0.5,3,0.25,0.2\n";
    kit::files::write_atomic(root.join("metrics/curves.csv"), curves).unwrap();
}

fn evaluate(root: &Path, device: &str) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evaluate"));
    command.current_dir(root).env_remove("REPRO_PARAMS").env_remove("REPRO_EVENTS");
    command.args([
        "--spectrograms",
        "data",
        "--metrics",
        device,
        &format!("-pevaluate.device={device}"),
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(root.join(device).join("evaluate.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn device_matches_cpu() {
    for network in [Architecture::Baseline, Architecture::ResNet] {
        let dir = tempfile::tempdir().unwrap();
        project(dir.path(), network);
        let [cpu, device] = ["cpu", "wgpu"].map(|device| evaluate(dir.path(), device));
        for metric in ["accuracy", "macro_f1", "loss", "ece"] {
            let [expected, found] = [&cpu, &device].map(|report| report[metric].as_f64().unwrap());
            assert!(
                (found - expected).abs() <= 1e-3 * expected.abs().max(1.0),
                "{network:?}, {metric}: {expected} {found}"
            );
        }
        assert_ne!(cpu["loss"], device["loss"], "{network:?}: both ran on the CPU");
    }
}
