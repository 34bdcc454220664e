//! End-to-end tests of the program: outs, skipped files, and independence of the thread count.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn spectrogram(root: &Path, threads: &str, params: &[&str]) -> Output {
    command(root, threads, params).output().unwrap()
}

fn command(root: &Path, threads: &str, params: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spectrogram"));
    command.current_dir(root).env_clear().env("RAYON_NUM_THREADS", threads);
    command.env("REPRO_EVENTS", root.join("events.jsonl"));
    for param in params {
        command.args(["-p", param]);
    }
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns a WAV file with a tone, mono, 16 bits.
fn wav(sample_rate: u32, hertz: f64, seconds: f64) -> Vec<u8> {
    let samples = (seconds * f64::from(sample_rate)) as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples * 2).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((samples * 2).to_le_bytes());
    for n in 0..samples {
        let phase = std::f64::consts::TAU * hertz * f64::from(n) / f64::from(sample_rate);
        bytes.extend(((phase.sin() * 16_000.0) as i16).to_le_bytes());
    }
    bytes
}

fn write_clips(root: &Path) {
    for (name, bytes) in [
        ("001 - Dog bark/a.wav", wav(22_050, 440.0, 1.0)),
        ("001 - Dog bark/b.wav", wav(44_100, 2000.0, 0.3)),
        ("rock/rock.00000.wav", wav(8000, 100.0, 1.0)),
        ("rock/rock.00001.wav", wav(48_000, 8000.0, 2.0)),
        ("rock/same.wav", wav(22_050, 500.0, 1.0)),
        ("rock/same.mp3", wav(22_050, 900.0, 1.0)),
        ("rock/broken, \"cut\".wav", b"RIFF".to_vec()),
        ("rock/notes.txt", b"words".to_vec()),
    ] {
        kit::files::write_atomic(root.join("data/audio").join(name), bytes).unwrap();
    }
}

fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = kit::files::class_files(folder, |_| true).unwrap();
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| (name(&file.path), fs::read(&file.path).unwrap())).collect()
}

#[test]
fn outs_and_skipped_files() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write_clips(root);
    kit::files::write_atomic(root.join("data/spectrograms/rock/old.npy"), "old").unwrap();
    let output = spectrogram(root, "2", &["spectrogram.seconds=1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8(output.stdout.clone()).unwrap(),
        "6 spectrograms of 100 × 100 in `data/spectrograms`, 8 files processed; 2 files skipped\n"
    );
    assert!(
        stderr(&output).contains("warning: skipped `data/audio/rock/notes.txt`: "),
        "{}",
        stderr(&output)
    );

    let names: Vec<_> =
        tree(&root.join("data/spectrograms")).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "001 - Dog bark/a",
        "001 - Dog bark/b",
        "rock/rock.00000",
        "rock/rock.00001",
        "rock/same.mp3",
        "rock/same.wav",
    ];
    assert_eq!(names, expected.map(|name| format!("{name}.npy")));
    let pictures: Vec<_> =
        tree(&root.join("data/previews")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(pictures, expected.map(|name| format!("{name}.png")));

    let array = kit::npy::read(root.join("data/spectrograms/001 - Dog bark/a.npy")).unwrap();
    assert_eq!(array.shape, [100, 100]);
    let skipped = kit::csv::read(root.join("data/skipped.csv")).unwrap();
    assert_eq!(skipped.header, ["file", "reason"]);
    let files: Vec<_> = skipped.rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(files, ["data/audio/rock/broken, \"cut\".wav", "data/audio/rock/notes.txt"]);
    let metrics = fs::read_to_string(root.join("metrics/spectrogram.json")).unwrap();
    assert_eq!(metrics, expected_metrics(2));
    let events = fs::read_to_string(root.join("events.jsonl")).unwrap();
    let progress: Vec<_> = events.lines().filter(|line| line.contains("progress")).collect();
    let expected: Vec<_> =
        (1..=8).map(|done| format!("{{\"progress\":{done},\"total\":8}}")).collect();
    assert_eq!(progress, expected);
    assert_eq!(events.lines().filter(|line| line.contains("\"item\"")).count(), 8);
}

/// Given items, only their outs are computed, but the table and the counts cover all outs.
#[test]
fn only_given_items_are_computed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write_clips(root);
    assert!(spectrogram(root, "2", &[]).status.success());
    fs::remove_file(root.join("data/spectrograms/rock/rock.00000.npy")).unwrap();
    fs::write(root.join("data/spectrograms/rock/rock.00001.npy"), "as it was").unwrap();
    let outs = |name: &str| {
        format!(
            "\"data/spectrograms/{name}.npy\", \"data/previews/{name}.png\", \
             \"data/faults/{name}.txt\""
        )
    };
    kit::files::write_atomic(root.join("data/audio/rock/new.wav"), "no music").unwrap();
    let lines: String = [("rock/rock.00000.wav", "rock/rock.00000"), ("rock/new.wav", "rock/new")]
        .map(|(item, name)| {
            format!("{{\"item\": \"data/audio/{item}\", \"outs\": [{}]}}\n", outs(name))
        })
        .concat();
    fs::write(root.join("items.jsonl"), lines).unwrap();
    let mut command = command(root, "2", &[]);
    let output = command.env("REPRO_ITEMS", root.join("items.jsonl")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(root.join("data/spectrograms/rock/rock.00000.npy").exists());
    assert_eq!(fs::read(root.join("data/spectrograms/rock/rock.00001.npy")).unwrap(), b"as it was");
    let fault = fs::read_to_string(root.join("data/faults/rock/new.txt")).unwrap();
    assert!(fault.starts_with("data/audio/rock/new.wav\nunsupported audio format"), "{fault}");
    assert_eq!(kit::csv::read(root.join("data/skipped.csv")).unwrap().rows.len(), 3);
    let metrics = fs::read_to_string(root.join("metrics/spectrogram.json")).unwrap();
    assert_eq!(metrics, expected_metrics(3));
}

#[test]
fn mel_spectrograms_of_whole_clips() {
    let dir = tempfile::tempdir().unwrap();
    write_clips(dir.path());
    let output =
        spectrogram(dir.path(), "2", &["spectrogram.kind=log_mel", "spectrogram.n_mels=64"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for (name, frames) in
        [("001 - Dog bark/a", 44), ("001 - Dog bark/b", 13), ("rock/rock.00001", 87)]
    {
        let array =
            kit::npy::read(dir.path().join(format!("data/spectrograms/{name}.npy"))).unwrap();
        assert_eq!(array.shape, [64, frames], "{name}");
    }
}

#[test]
fn axes_of_arrays() {
    let dir = tempfile::tempdir().unwrap();
    write_clips(dir.path());
    assert!(spectrogram(dir.path(), "1", &["spectrogram.seconds=1"]).status.success());
    // A tone at 8 kHz of 11,025 Hz, and a tone of 0.3 s followed by silence.
    let loudest = |name: &str, column: usize| {
        let array = kit::npy::read(dir.path().join("data/spectrograms").join(name)).unwrap();
        let at = |row: usize| array.data[row * 100 + column];
        let row = (0..100).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap();
        (row, at(row))
    };
    let (row, level) = loudest("rock/rock.00001.npy", 50);
    assert!((71..=74).contains(&row) && level > 0.0, "{row} {level}");
    let (row, level) = loudest("001 - Dog bark/b.npy", 10);
    assert!((17..=19).contains(&row) && level > 0.0, "{row} {level}");
    assert!(loudest("001 - Dog bark/b.npy", 60).1 < -15.0);
}

#[test]
fn outs_do_not_depend_on_threads() {
    let dir = tempfile::tempdir().unwrap();
    write_clips(dir.path());
    let run = |threads| {
        assert!(spectrogram(dir.path(), threads, &[]).status.success());
        let data = dir.path().join("data");
        (tree(&data), fs::read(data.join("skipped.csv")).unwrap())
    };
    assert!(run("1") == run("4"));
}

#[test]
fn shapes_without_resize() {
    let dir = tempfile::tempdir().unwrap();
    write_clips(dir.path());
    let output =
        spectrogram(dir.path(), "2", &["spectrogram.seconds=1", "spectrogram.resize=false"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for name in ["001 - Dog bark/b", "rock/rock.00001"] {
        let array =
            kit::npy::read(dir.path().join(format!("data/spectrograms/{name}.npy"))).unwrap();
        assert_eq!(array.shape, [513, 44]);
    }
}

/// Returns the counts of six clips without findings.
fn expected_metrics(skipped: usize) -> String {
    format!(
        "{{\n  \"files\": 6,\n  \"skipped\": {skipped},\n  \"doubtful\": 0,\n  \
         \"silent\": 0,\n  \"in_two_classes\": 0,\n  \"empty_classes\": 0,\n  \
         \"empty_bands\": 0\n}}\n"
    )
}

#[test]
fn no_clips_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let check = |part: &str| {
        let output = spectrogram(root, "1", &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    };
    check("error: cannot read the folder `data/audio`");
    fs::create_dir_all(root.join("data/audio")).unwrap();
    check("no class folder with a file in `data/audio`; run the stage `download` first");
    kit::files::write_atomic(root.join("data/audio/rock/a.wav"), "no music").unwrap();
    check("none of the 1 files in `data/audio` could be decoded; `data/skipped.csv` says why");
    assert!(!root.join("metrics/spectrogram.json").exists());
    assert!(root.join("data/skipped.csv").exists());
}

#[test]
fn lengths_that_differ_are_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let whole = wav(8000, 440.0, 2.0);
    let cut = whole[..44 + 16_000].to_vec();
    for (name, bytes) in [("rock/whole.wav", whole), ("rock/cut.wav", cut)] {
        kit::files::write_atomic(root.join("data/audio").join(name), bytes).unwrap();
    }
    let output = spectrogram(root, "2", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "warning: `rock/cut`: 1.00 s of sound, but its header announces 2.00 s\n"
    );
}

/// Returns a WAV file with a tone on one channel and its negative on the other, but for an error of
/// one step now and then, as codecs make them.
fn antiphase(errors: bool) -> Vec<u8> {
    let mono = wav(8000, 440.0, 1.0);
    let samples = mono[44..].as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes));
    let stereo = samples.enumerate().flat_map(|(n, sample)| {
        let error = i16::from(errors && n % 7 == 0);
        [sample, -sample + error].map(i16::to_le_bytes).concat()
    });
    let mut bytes = mono[..44].to_vec();
    bytes.extend(stereo);
    for (at, value) in [(4, 32_036_u32), (28, 32_000), (40, 32_000)] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    (bytes[22], bytes[32]) = (2, 4);
    bytes
}

/// The doubts of all clips are reported, also of those that this run does not compute.
#[test]
fn channels_that_cancel() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (name, bytes) in [
        ("rock/tone.wav", wav(8000, 440.0, 1.0)),
        ("rock/exact.wav", antiphase(false)),
        ("rock/residue.wav", antiphase(true)),
    ] {
        kit::files::write_atomic(root.join("data/audio").join(name), bytes).unwrap();
    }
    let expected = "warning: `rock/exact`: its channels cancel each other: their mean is silent\n\
                    warning: `rock/residue`: its channels cancel each other: their mean is 96 dB \
                    quieter\n\
                    warning: silent clips, maybe because the channels of a stereo file cancel each \
                    other: `rock/exact`, `rock/residue`\n";
    let check = |output: &Output| {
        assert!(output.status.success());
        assert_eq!(stderr(output), expected);
        let metrics = fs::read_to_string(root.join("metrics/spectrogram.json")).unwrap();
        assert!(metrics.contains("\"doubtful\": 2,\n  \"silent\": 2,"), "{metrics}");
    };
    check(&spectrogram(root, "2", &["spectrogram.kind=log_mel"]));
    fs::write(root.join("items.jsonl"), "").unwrap();
    let mut command = command(root, "2", &["spectrogram.kind=log_mel"]);
    check(&command.env("REPRO_ITEMS", root.join("items.jsonl")).output().unwrap());
}

#[test]
fn missing_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let asf =
        [&b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c"[..], &[0; 64]].concat();
    for (name, bytes) in [("rock/a.wav", wav(8000, 440.0, 1.0)), ("rock/b.WMA", asf)] {
        kit::files::write_atomic(root.join("data/audio").join(name), bytes).unwrap();
    }
    let output = command(root, "1", &[]).env("PATH", root).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "warning: skipped `data/audio/rock/b.WMA`: Windows Media Audio needs the program \
         `ffmpeg`, which is not installed: install it, or convert the file to WAV, FLAC, MP3 or \
         Ogg Vorbis\n"
    );
}
