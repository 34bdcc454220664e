//! Runs the genre pipeline end to end: the declared stages and their real programs.
//!
//! To save time it uses fewer and shorter clips, and two epochs.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAMS: [&str; 6] = ["download", "spectrogram", "train", "evaluate", "export", "predict"];

struct Project {
    dir: tempfile::TempDir,
    programs: PathBuf,
}

impl Project {
    fn new() -> Project {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = build(source);
        let dir = tempfile::tempdir().unwrap();
        let mut pipeline = std::fs::read_to_string(source.join("pipeline.toml")).unwrap();
        for program in PROGRAMS {
            let path = programs.join(program);
            pipeline = pipeline.replace(
                &format!("\"cargo run --release -p {program}\""),
                &format!("'{}'", path.display()),
            );
        }
        assert!(!pipeline.contains("\"cargo run"), "unexpected stage command: {pipeline}");
        std::fs::write(dir.path().join("pipeline.toml"), pipeline).unwrap();
        copy(&source.join("stages"), &dir.path().join("stages"));
        copy(&source.join("conf"), &dir.path().join("conf"));
        Project { dir, programs }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn command(&self, program: &Path, args: &[&str]) -> String {
        let output =
            Command::new(program).args(args).current_dir(self.dir.path()).output().unwrap();
        let text = text(&output);
        assert!(output.status.success(), "{} {args:?}\n{text}", program.display());
        text
    }

    fn repro(&self, args: &[&str]) -> String {
        self.command(Path::new(env!("CARGO_BIN_EXE_repro")), args)
    }

    /// Returns the outcome of each stage of a run, as `NAME OUTCOME`.
    fn outcomes(&self, run: &str) -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_repro"))
            .args(["runs", "show", run, "--json"])
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let stages = shown["stages"].as_array().unwrap().iter();
        let mut outcomes: Vec<String> = stages
            .map(|stage| {
                format!(
                    "{} {}",
                    stage["stage"].as_str().unwrap(),
                    stage["outcome"].as_str().unwrap()
                )
            })
            .collect();
        // A run may omit stages that were fresh before it started.
        outcomes.retain(|outcome| !outcome.ends_with(" fresh"));
        outcomes.sort();
        outcomes
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Builds the stages' programs and returns their folder.
///
/// The features are those of the whole workspace, so that what its tests have built is used.
fn build(source: &Path) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--workspace"]).current_dir(source);
    for program in PROGRAMS {
        cargo.args(["--bin", program]);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(source.join("target"), PathBuf::from);
    target.join("release")
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn numbers(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn full_then_partial_run() {
    let project = Project::new();
    project.repro(&[
        "params",
        "set",
        "per_genre=4",
        "download.seconds=3",
        "spectrogram.seconds=3.0",
        "epochs=2",
        "warmup_epochs=1",
    ]);
    project.repro(&["run"]);
    let all = ["download ran", "evaluate ran", "export ran", "spectrogram ran", "train ran"];
    assert_eq!(project.outcomes("run-1"), all);

    let evaluate = numbers(&project.path("metrics/evaluate.json"));
    assert!((0.0..=1.0).contains(&evaluate["accuracy"].as_f64().unwrap()), "{evaluate}");
    let export = numbers(&project.path("metrics/export.json"));
    assert!(export["max_abs_difference"].as_f64().unwrap() < 1e-4, "{export}");
    let curves = std::fs::read_to_string(project.path("metrics/curves.csv")).unwrap();
    assert_eq!(curves.lines().count(), 1 + 2, "{curves}");
    assert_eq!(numbers(&project.path("metrics/spectrogram.json"))["files"], 40);

    let again = project.repro(&["run"]);
    assert!(again.contains("up to date"), "{again}");
    assert_eq!(again.lines().count(), 1, "{again}");

    let weights = std::fs::read(project.path("models/genre.mpk")).unwrap();
    project.repro(&["params", "set", "epochs=3"]);
    let status = project.repro(&["status"]);
    assert!(status.contains("train.epochs 2 → 3"), "{status}");
    assert_eq!(status.matches("waits for train").count(), 2, "{status}");
    project.repro(&["run"]);
    // If the third epoch is not better, the weights do not change and later stages stay fresh.
    let second = project.outcomes("run-2");
    assert!(second.contains(&"train ran".to_owned()), "{second:?}");
    let is_upstream =
        |outcome: &String| outcome.starts_with("download") || outcome.starts_with("spectrogram");
    assert!(!second.iter().any(is_upstream), "{second:?}");
    project.repro(&["params", "set", "epochs=2"]);
    project.repro(&["run"]);
    assert!(project.outcomes("run-3").contains(&"train restored".to_owned()));
    assert_eq!(std::fs::read(project.path("models/genre.mpk")).unwrap(), weights);

    let source = project.path("stages/evaluate/src/main.rs");
    let edited = std::fs::read_to_string(&source).unwrap() + "// edited\n";
    std::fs::write(&source, edited).unwrap();
    project.repro(&["run"]);
    assert_eq!(project.outcomes("run-4"), ["evaluate ran"]);

    // The same seed gives the same bytes.
    project.repro(&["run", "--force=train"]);
    assert_eq!(std::fs::read(project.path("models/genre.mpk")).unwrap(), weights);

    let predict = project.programs.join("predict");
    let clip = "data/audio/jazz/jazz.00000.wav";
    let answer = project.command(&predict, &[clip]);
    assert!(answer.contains('%'), "{answer}");
    project.command(&predict, &["data/audio", "--csv", "predictions.csv"]);
    let csv = std::fs::read_to_string(project.path("predictions.csv")).unwrap();
    let header = csv.lines().next().unwrap();
    assert!(header.contains("prediction") && header.contains("label"), "{header}");
    assert_eq!(csv.lines().count(), 41);
    assert!(
        csv.lines().any(|line| line.contains("jazz.00000.wav") && line.contains(",jazz")),
        "{csv}"
    );

    // Switch to the original features and network.
    project.repro(&["params", "set", "spectrogram=log_power", "train=baseline"]);
    project.repro(&["params", "set", "epochs=2", "spectrogram.seconds=3.0"]);
    project.repro(&["run"]);
    let manifest = numbers(&project.path("models/genre.json"));
    assert_eq!(manifest["network"]["model"], "baseline", "{manifest}");
    assert_eq!(manifest["network"]["input"], serde_json::json!([1, 100, 100]), "{manifest}");
}
