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

/// Packs a folder as an archive, with its own name as the top folder.
fn pack(folder: &Path, archive: &Path) {
    let mut tar = tar::Builder::new(fs::File::create(archive).unwrap());
    tar.follow_symlinks(false);
    tar.append_dir_all(folder.file_name().unwrap(), folder).unwrap();
    tar.finish().unwrap();
}

#[test]
fn same_classes_from_folder_and_archive() {
    let kaggle = "Data/genres_original/blues/blues.00000.wav \
                  Data/genres_original/rock/rock.00000.wav Data/images_original/rock/rock00000.png \
                  Data/features_30_sec.csv";
    for (source, expected) in [
        ("rock/a.wav jazz/a.wav", &["jazz/a.wav", "rock/a.wav"][..]),
        (
            "train/rock/a.wav train/jazz/a.wav test/rock/a.wav",
            &["jazz/train/a.wav", "rock/test/a.wav", "rock/train/a.wav"],
        ),
        (
            "rock/cd1/a.wav rock/cd2/a.wav jazz/b.wav",
            &["jazz/b.wav", "rock/cd1/a.wav", "rock/cd2/a.wav"],
        ),
        (kaggle, &["blues/blues.00000.wav", "rock/rock.00000.wav"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for name in source.split_whitespace() {
            kit::files::write_atomic(dir.path().join("set").join(name), name).unwrap();
        }
        pack(&dir.path().join("set"), &dir.path().join("set.tar"));
        let taken = ["set", "set.tar"].map(|source| {
            let output = download(dir.path(), &[&format!("download.source={source}")]);
            assert!(output.status.success(), "{}", stderr(&output));
            files(&dir.path().join("data/audio"))
        });
        assert_eq!(taken[0], taken[1]);
        let names: Vec<&str> = taken[0].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected, "{source}");
    }
}

#[test]
fn unusable_files_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    for name in ["rock/a.wav", "rock/new\nline.wav", "jazz/a.wav", "opera/a.txt", "notes.txt"] {
        kit::files::write_atomic(set.join(name), "x").unwrap();
    }
    std::os::unix::fs::symlink("nowhere.wav", set.join("rock/link.wav")).unwrap();
    let output = download(dir.path(), &["download.source=set"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(names(&dir.path().join("data/audio")), ["jazz/a.wav", "rock/a.wav"]);
    let (warnings, lines) = (stderr(&output), String::from_utf8(output.stdout).unwrap());
    for words in [
        "the folder `opera` is not a class, because none of its files is audio",
        "left out 1 file (control characters in the path): `rock/new\\nline.wav`",
        "left out 1 file (unreadable, or a link that leads nowhere): `set/rock/link.wav`",
    ] {
        assert!(warnings.contains(words), "{warnings}");
    }
    let words = "left out 2 files (not audio by extension): `notes.txt`, `opera/a.txt`";
    assert!(lines.contains(words), "{lines}");
}

#[test]
fn depth_of_class_folders() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["fold1/dog/a.wav", "fold1/cat/a.wav", "fold2/dog/b.wav"] {
        kit::files::write_atomic(dir.path().join("set").join(name), name).unwrap();
    }
    let classes = |depth: &str| {
        let output = download(dir.path(), &["download.source=set", depth]);
        assert!(output.status.success(), "{}", stderr(&output));
        names(&dir.path().join("data/audio"))
    };
    assert_eq!(
        classes("download.class_depth=0"),
        ["fold1/cat/a.wav", "fold1/dog/a.wav", "fold2/dog/b.wav"]
    );
    assert_eq!(classes("download.class_depth=2"), ["cat/a.wav", "dog/a.wav", "dog/b.wav"]);
    kit::files::write_atomic(dir.path().join("set/test/x.wav"), "x").unwrap();
    let output = download(dir.path(), &["download.source=set"]);
    let error = stderr(&output);
    assert!(error.contains("parts of a split or classes? Set `download.class_depth`"), "{error}");
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
