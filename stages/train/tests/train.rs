//! End-to-end tests of the `train` binary on real files.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Writes three classes of six 16 × 16 clips: a bright band at the top, bottom or middle, plus
/// noise.
fn spectrograms(root: &Path) {
    for (class, name) in ["high", "low", "mid"].iter().enumerate() {
        for clip in 0..6u32 {
            let values: Vec<f32> = (0..256u32)
                .map(|at| {
                    let noise = (at.wrapping_mul(2_654_435_761) ^ clip.wrapping_mul(40_503)) % 97;
                    let band = if (at / 16 / 6) as usize == class { 4.0 } else { -4.0 };
                    band + noise as f32 / 50.0
                })
                .collect();
            kit::npy::write(root.join(format!("data/{name}/{clip}.npy")), &[16, 16], &values)
                .unwrap();
        }
    }
}

fn train(root: &Path, threads: &str, params: &[&str]) -> Output {
    command(root, threads, params).output().unwrap()
}

fn command(root: &Path, threads: &str, params: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command
        .current_dir(root)
        .env_remove("REPRO_PARAMS")
        .env("REPRO_EVENTS", root.join("events.jsonl"));
    command.env("RAYON_NUM_THREADS", threads).args(["--spectrograms", "data"]);
    command.args(params.iter().flat_map(|param| ["-p", param]));
    command
}

fn outs(root: &Path) -> Vec<Vec<u8>> {
    let names = ["models/genre.mpk", "models/last.mpk", "models/genre.json", "models/split.csv"];
    let metrics = ["metrics/train.json", "metrics/curves.csv"];
    names.iter().chain(&metrics).map(|name| std::fs::read(root.join(name)).unwrap()).collect()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Params that turn on all optional training features.
const RECIPE: [&str; 16] = [
    "train.model=resnet",
    "train.statistics=true",
    "train.batch_size=4",
    "train.learning_rate=1e-3",
    "train.schedule=cosine",
    "train.warmup_epochs=1",
    "train.label_smoothing=0.1",
    "train.ema_decay=0.9",
    "train.patience=50",
    "train.augment.crop=12",
    "train.augment.time_stretch=0.2",
    "train.augment.gain=1.0",
    "train.augment.mixup=0.3",
    "train.augment.freq_mask=3",
    "train.augment.time_mask=3",
    "train.augment.masks=2",
];

#[test]
fn thread_start_failure_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    // No machine has enough memory for this stack size.
    let output = command(dir.path(), "3", &[])
        .env("RUST_MIN_STACK", (1u64 << 50).to_string())
        .output()
        .unwrap();
    let error = error(&output);
    assert!(
        error.starts_with("error: cannot start 3 threads: set `RAYON_NUM_THREADS` to fewer\n"),
        "{error}"
    );
}

#[test]
fn output_is_independent_of_thread_count() {
    for recipe in [&[][..], &RECIPE] {
        let runs = [("1", "seed=3"), ("2", "seed=3"), ("3", "seed=3"), ("2", "seed=4")].map(
            |(threads, seed)| {
                let dir = tempfile::tempdir().unwrap();
                spectrograms(dir.path());
                let output =
                    train(dir.path(), threads, &[&["train.epochs=3", seed], recipe].concat());
                assert!(output.status.success(), "{output:?}");
                outs(dir.path())
            },
        );
        assert!(runs[0] == runs[1] && runs[1] == runs[2]);
        assert_ne!(runs[0][0], runs[3][0]);
    }
}

#[test]
fn full_recipe_learns() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    let output =
        train(dir.path(), "2", &[&["train.epochs=30", "train.val_size=0.3"], &RECIPE[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let summary = std::fs::read_to_string(dir.path().join("metrics/train.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["val_accuracy"], 1.0, "{summary}");
    let manifest = std::fs::read_to_string(dir.path().join("models/genre.json")).unwrap();
    assert!(manifest.contains(r#""model": "resnet""#), "{manifest}");
}

#[test]
fn resnet_trains_on_clips_of_different_lengths() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    kit::npy::write(dir.path().join("data/mid/9.npy"), &[16, 20], &[0.0; 320]).unwrap();
    let output = train(dir.path(), "2", &[&["train.epochs=2"], &RECIPE[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let output = train(
        dir.path(),
        "2",
        &[&RECIPE[..], &["train.augment.crop=0", "train.augment.time_stretch=0"]].concat(),
    );
    assert!(
        error(&output).contains("`mid/9.npy` has 20 frames, but `high/0.npy` has 16"),
        "{output:?}"
    );
}

#[test]
fn default_recipe_on_short_clips() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    // The crops and masks of the default recipe are longer than the clips, of 16 frames.
    let recipe = [
        "train.model=resnet",
        "train.epochs=0",
        "train.warmup_epochs=5",
        "train.patience=3",
        "train.augment.crop=128",
        "train.augment.time_stretch=0.2",
        "train.augment.time_mask=24",
        "train.augment.masks=2",
    ];
    let output = train(dir.path(), "2", &recipe);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // Three batches per epoch: 200 epochs are the fewest steps.
    assert!(text.starts_with("training on 12 clips of 3 classes for 600 steps; 6"), "{text}");
    let manifest = std::fs::read_to_string(dir.path().join("models/genre.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["network"]["input"], serde_json::json!([1, 16, 16]), "{manifest}");
    let summary = std::fs::read_to_string(dir.path().join("metrics/train.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(manifest["epoch"]["kept"], summary["best_epoch"], "{summary}");
    assert_eq!(manifest["epoch"]["of"], summary["epochs"], "{summary}");
    assert!(summary["last_epoch"]["val_accuracy"].is_number(), "{summary}");
}

#[test]
fn early_stopping() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    let params = ["train.epochs=50", "train.patience=2", "train.learning_rate=1e-9"];
    let output = train(dir.path(), "2", &params);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("stopping: no better epoch in the last 2\nkept epoch"), "{text}");
}

#[test]
fn killed_training_resumes_to_the_same_bytes() {
    let params = ["train.epochs=100", "seed=3", "train.ema_decay=0.9", "train.statistics=true"];
    let whole = tempfile::tempdir().unwrap();
    spectrograms(whole.path());
    assert!(train(whole.path(), "2", &params).status.success());

    let broken = tempfile::tempdir().unwrap();
    spectrograms(broken.path());
    let mut child = command(broken.path(), "2", &params);
    let mut child = child.args(["--keep-every", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    // An epoch's line is printed after the previous epoch has been saved.
    let mut lines = deadline::lines(child.stdout.take().unwrap());
    assert!(lines.any(|line| line.starts_with("epoch   3/100")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !broken.path().join("models/genre.mpk").exists(),
        "killed too late: training had ended"
    );

    let output = train(broken.path(), "1", &params);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nresuming after epoch "), "{text}");
    assert!(outs(whole.path()) == outs(broken.path()));
    assert!(!broken.path().join("models/train.resume").exists());
}

#[test]
fn resume_requires_the_same_training() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    let kept = dir.path().join("models/train.resume");
    let interrupt = || {
        let mut child = command(dir.path(), "2", &["train.epochs=5000"]);
        let mut child = child.args(["--keep-every", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = deadline::lines(child.stdout.take().unwrap());
        assert!(lines.any(|line| line.starts_with("epoch    3/5000")));
        child.kill().unwrap();
        child.wait().unwrap();
    };
    interrupt();
    let output = train(dir.path(), "2", &["train.epochs=3"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("resuming"));

    interrupt();
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() / 2]).unwrap();
    let output = train(dir.path(), "2", &["train.epochs=3"]);
    assert!(output.status.success(), "{output:?}");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.contains("train.resume` is damaged"), "{warning}");
    assert!(warning.ends_with(": training starts over\n"), "{warning}");
}

#[test]
fn run_reports_epochs_metrics_and_progress() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    let params =
        ["train.epochs=8", "train.learning_rate=1e-3", "train.val_size=0.3", "train.batch_size=3"];
    let output = train(dir.path(), "2", &params);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with(
            "training on 12 clips of 3 classes for 32 steps; 6 other clips choose the epoch\n\
             epoch 1/8 · train loss "
        ),
        "{text}"
    );

    let summary = std::fs::read_to_string(dir.path().join("metrics/train.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["val_accuracy"], 1.0, "{summary}");
    let events = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for key in [
        "train_loss",
        "train_accuracy",
        "train_macro_f1",
        "val_loss",
        "val_accuracy",
        "val_macro_f1",
    ] {
        let steps: Vec<_> =
            events.iter().filter(|it| it["metric"] == key).map(|it| it["step"].as_u64()).collect();
        assert_eq!(steps, (1..=8).map(Some).collect::<Vec<_>>(), "{key}");
    }
    let progress: Vec<_> = events.iter().filter_map(|it| it["progress"].as_u64()).collect();
    assert_eq!(progress, (1..=32).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["step"], 8);
}

#[test]
fn test_fold_is_excluded_from_training() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    let fold = [
        "train.epochs=1",
        "train.folds=3",
        "train.fold=2",
        "train.groups='{}'",
        "train.val_size=0.4",
    ];
    let output = train(dir.path(), "2", &fold);
    // Each file name is a group: 0 to 5.
    assert!(output.status.success(), "{output:?}");
    let split = std::fs::read_to_string(dir.path().join("models/split.csv")).unwrap();
    let count = |part: &str| split.lines().filter(|line| line.ends_with(part)).count();
    assert_eq!([count(",train"), count(",val"), count(",test")], [6, 6, 6], "{split}");

    let output = train(dir.path(), "2", &["train.folds=3", "train.fold=4"]);
    assert!(error(&output).contains("param `train.fold` must be from 1 to"), "{output:?}");
    let output = train(dir.path(), "2", &["train.groups=prefix"]);
    assert!(
        error(&output).contains("param `train.groups`: `prefix` is neither a pattern"),
        "{output:?}"
    );
    let output = train(dir.path(), "2", &["train.split=fault_filtered"]);
    assert!(error(&output).contains("needs all of GTZAN"), "{output:?}");
}

#[test]
fn no_validation_clips_and_single_clip_class() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    std::fs::create_dir_all(dir.path().join("data/rare")).unwrap();
    std::fs::copy(dir.path().join("data/mid/0.npy"), dir.path().join("data/rare/0.npy")).unwrap();
    let output = train(dir.path(), "2", &["train.epochs=1", "train.val_size=0"]);
    assert!(output.status.success(), "{output:?}");
    let warning = "warning: class `rare` has only one clip: \
                   it is used for training and not evaluated\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), warning);
    let summary = std::fs::read_to_string(dir.path().join("metrics/train.json")).unwrap();
    assert!(!summary.contains("val_"), "{summary}");
}

#[test]
fn invalid_params_leave_no_outs() {
    let dir = tempfile::tempdir().unwrap();
    spectrograms(dir.path());
    for (param, expected) in [
        ("train.learning_rate=1e30", "lower `train.learning_rate` (now 1"),
        ("train.epochs=-1", "error: param `train.epochs`: invalid value: integer `-1`"),
        ("train.batch_size=1", "error: param `train.batch_size` must be at least 2"),
        ("train.device=tpu", "unknown variant `tpu`, expected one of `cpu`, `wgpu`, `cuda`"),
        ("train.epoch=3", "error: param `train.epoch`: unknown field `epoch`"),
        ("train.model=vgg", "unknown variant `vgg`, expected `baseline` or `resnet`"),
        ("train.schedule=linear", "unknown variant `linear`, expected `constant` or `cosine`"),
        ("train.warmup_epochs=10", "error: param `train.warmup_epochs` must be below"),
        ("train.augment.crop=13", "only `train.model` = `resnet` can train on crops"),
        ("train.augment.mixup=5", "error: param `train.augment.mixup` must be from 0 to 4, not 5"),
        ("train.augment.cutout=1", "error: param `train.augment.cutout`: unknown field `cutout`"),
        ("seed=-1", "error: param `seed` must be a non-negative integer, not -1"),
    ] {
        let error = error(&train(dir.path(), "2", &[param]));
        assert!(error.contains(expected), "{param}: {error}");
    }
    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    for device in ["wgpu", "cuda"] {
        let error = error(&train(dir.path(), "2", &[&format!("train.device={device}")]));
        assert!(
            error.contains(&format!("`cargo run --release -p train --features {device}`")),
            "{error}"
        );
    }
    assert!(!dir.path().join("models").exists() && !dir.path().join("metrics").exists());

    let empty = tempfile::tempdir().unwrap();
    assert!(
        error(&train(empty.path(), "2", &[])).starts_with("error: cannot read the folder `data`")
    );
    std::fs::create_dir(empty.path().join("data")).unwrap();
    assert!(
        error(&train(empty.path(), "2", &[]))
            .contains("no `.npy` file in the class folders of `data`")
    );
}
