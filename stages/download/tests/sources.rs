//! Runs the program on local sources: synthetic clips, and copies of a folder's clips.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn download(root: &Path, params: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_download"));
    command.current_dir(root).env_clear();
    for param in params {
        command.args(["-p", param]);
    }
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns the paths below a folder and their contents, sorted.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let found = kit::files::class_files(folder, |_| true).unwrap();
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|file| (name(&file.path), fs::read(&file.path).unwrap())).collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn synthesizer_writes_class_folders() {
    let dir = tempfile::tempdir().unwrap();
    let params = ["download.per_genre=2", "download.seconds=0.5"];
    let output = download(dir.path(), &params);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "20 clips of 10 classes in `data/audio`, from the synthesizer\n"
    );
    let audio = dir.path().join("data/audio");
    let first = files(&audio);
    assert_eq!(first.len(), 20);
    assert_eq!(first[0].0, "blues/blues.00000.wav");
    assert_eq!(first[19].0, "rock/rock.00001.wav");
    assert!(first.iter().all(|(_, bytes)| bytes.len() == 44 + 2 * 11_025));

    // The same bytes again, regardless of existing files; other bytes for another seed.
    fs::write(audio.join("blues/blues.00009.wav"), "old").unwrap();
    assert!(download(dir.path(), &params).status.success());
    assert!(files(&audio) == first);
    assert!(download(dir.path(), &[params[0], params[1], "seed=43"]).status.success());
    assert!(files(&audio) != first);
}

#[test]
fn reads_params_and_writes_events() {
    let dir = tempfile::tempdir().unwrap();
    let (params, events) = (dir.path().join("params.json"), dir.path().join("events.jsonl"));
    fs::write(
        &params,
        r#"{"seed": 1, "download": {"source": "synth", "per_genre": 1, "seconds": 0.2}}"#,
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_download"))
        .current_dir(dir.path())
        .env_clear()
        .env("REPRO_PARAMS", &params)
        .env("REPRO_EVENTS", &events)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<_> = fs::read_to_string(&events).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0], r#"{"progress":1,"total":10}"#);
    assert_eq!(lines[9], r#"{"progress":10,"total":10}"#);
}

#[test]
fn copies_class_folders() {
    let dir = tempfile::tempdir().unwrap();
    let clips = dir.path().join("my clips");
    for name in [
        "001 - Dog bark/b.OGG",
        "001 - Dog bark/a.ogg",
        "001 - Dog bark/c.ogg",
        "rock/cd 1/x.flac",
        "rock/notes.txt",
    ] {
        kit::files::write_atomic(clips.join(name), name).unwrap();
    }
    let output = download(dir.path(), &["download.source=my clips", "download.per_genre=2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let audio = dir.path().join("data/audio");
    assert_eq!(names(&audio), ["001 - Dog bark/a.ogg", "001 - Dog bark/b.OGG", "rock/cd 1/x.flac"]);
    assert_eq!(files(&audio)[0].1, b"001 - Dog bark/a.ogg");

    let output = download(dir.path(), &["download.source=my clips", "download.per_genre=0"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(names(&audio).len(), 4);
    assert_eq!(names(&clips).len(), 5);
}

#[test]
fn invalid_sources_keep_existing_output() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let kept = root.join("data/audio/blues/a.wav");
    for name in ["data/audio/blues/a.wav", "flat/a.wav", "words/blues/a.txt", "file"] {
        kit::files::write_atomic(root.join(name), "x").unwrap();
    }
    for (params, part) in [
        (&["download.source=absent"][..], "`absent` does not exist"),
        (&["download.source=file"], "it is not a .tar.gz, .tgz, .tar or .zip"),
        (&["download.source=flat"], "`flat` has no class folders"),
        (&["download.source=words"], "no class folder in `words` contains audio"),
        (&["download.source=data/audio"], "overlaps the output folder"),
        (&["download.source=data"], "overlaps the output folder"),
        (&["download.source=."], "overlaps the output folder"),
        (&["download.source=data/audio/blues"], "overlaps the output folder"),
        (
            &["download.source=ftp://host/a.zip"],
            "`ftp://` is not supported; use http://, https://, kaggle://, hf://",
        ),
        (&["download.source="], "`download.source` is empty"),
        (&["download.per_genre=0"], "the synthesizer has no fixed number of clips"),
        (&["download.per_genre=-1"], "param `download.per_genre`"),
        (&["download.per_genre=some"], "expected a non-negative integer, or `all`"),
        (&["download.seconds=0"], "param `download.seconds`"),
        (&["download.seconds=1e9"], "param `download.seconds`"),
        (&["download.sources=synth"], "unknown field `sources`"),
        (&["downlod.source=synth"], "no param `downlod.source`"),
    ] {
        let output = download(root, params);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{params:?}");
        assert!(message.starts_with("error: ") && message.contains(part), "{params:?}: {message}");
        assert!(kept.exists(), "{params:?}");
    }
}
