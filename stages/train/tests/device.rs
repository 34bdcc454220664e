//! Training on a Vulkan device: a graphics card, or a CPU through Mesa's lavapipe.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;
use std::process::Command;

/// Writes two classes of six 16 × 16 clips: one bright half, plus waves that differ per clip.
fn spectrograms(root: &Path) {
    for (class, name) in ["high", "low"].iter().enumerate() {
        for clip in 0..6usize {
            let value = |at: usize| {
                let band = if at / 128 == class { 3.0 } else { -3.0 };
                band + (at as f32 * (0.3 + 0.1 * clip as f32)).sin()
            };
            let values: Vec<f32> = (0..256).map(value).collect();
            kit::npy::write(root.join(format!("data/{name}/{clip}.npy")), &[16, 16], &values)
                .unwrap();
        }
    }
}

fn train(root: &Path, device: &str, network: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command.current_dir(root).env_remove("REPRO_PARAMS").env_remove("REPRO_EVENTS");
    command.args([
        "--spectrograms",
        "data",
        "--models",
        device,
        "--metrics",
        device,
        "-p",
        "train.epochs=3",
    ]);
    command.args([format!("-ptrain.device={device}"), format!("-ptrain.model={network}")]);
    command
}

#[test]
fn device_matches_cpu() {
    for network in ["baseline", "resnet"] {
        let dir = tempfile::tempdir().unwrap();
        spectrograms(dir.path());
        let [cpu, device] = ["cpu", "wgpu"].map(|device| {
            let output = train(dir.path(), device, network).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            // Training and validation scores: both networks, `Trainable` and `Network`, are
            // compared.
            std::fs::read_to_string(dir.path().join(device).join("curves.csv")).unwrap()
        });
        let numbers = |text: &str| -> Vec<f64> {
            text.lines()
                .skip(1)
                .flat_map(|line| line.split(','))
                .map(|word| word.parse().unwrap())
                .collect()
        };
        let pairs = numbers(&device).into_iter().zip(numbers(&cpu));
        assert_eq!(pairs.len(), numbers(&cpu).len());
        for (found, expected) in pairs {
            assert!(
                (found - expected).abs() <= 1e-3 * expected.abs().max(1.0),
                "{network}:\n{device}\n{cpu}"
            );
        }
    }
}

#[test]
fn missing_device_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    let mut command = train(dir.path(), "wgpu", "baseline");
    // Hide the Vulkan and OpenGL drivers.
    for list in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(list, "/nothing");
    }
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: param `train.device`: no graphics card available"), "{error}");
    assert!(error.contains("or set the param to `cpu`") && !error.contains("panicked"), "{error}");
    assert!(!dir.path().join("wgpu").exists());
}
