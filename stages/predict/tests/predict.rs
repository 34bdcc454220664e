//! Runs the program on real audio files.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use onnx::graph::{Attribute, Dim, Graph};
use onnx::metadata::Metadata;
use onnx::names::{INPUT, LOGITS, PROBABILITIES};

/// Writes a model that predicts `loud` if the mean of the log-power spectrogram is above -10.
///
/// Otherwise it predicts `quiet`.
fn model(path: &Path) {
    let mut graph = Graph::new("loudness");
    let [batch, one, side] = [Dim::Symbol("N"), Dim::Size(1), Dim::Size(8)];
    graph.input(INPUT, &[batch, one, side, side]);
    graph.constant("weight", &[64, 2], &[1.0 / 64.0, 0.0].repeat(64));
    graph.constant("bias", &[2], &[10.0, 0.0]);
    graph.node("Flatten", &[INPUT], "flat", &[("axis", Attribute::Int(1))]);
    graph.node("Gemm", &["flat", "weight", "bias"], LOGITS, &[]);
    let spectrogram = serde_json::json!({
        "sample_rate": 8000,
        "n_fft": 256,
        "hop_length": 128,
        "seconds": 0.5,
        "size": 8,
    });
    write_model(graph, path, spectrogram);
}

/// As [`model`], for spectrograms of whole clips at 1 kHz.
fn model_of_any_length(path: &Path) {
    let mut graph = Graph::new("loudness");
    let [batch, one] = [Dim::Symbol("N"), Dim::Size(1)];
    graph.input(INPUT, &[batch, one, Dim::Size(9), Dim::Symbol("width")]);
    graph.constant("weight", &[1, 2], &[1.0, 0.0]);
    graph.constant("bias", &[2], &[10.0, 0.0]);
    graph.node("GlobalAveragePool", &[INPUT], "mean", &[]);
    graph.node("Flatten", &["mean"], "flat", &[("axis", Attribute::Int(1))]);
    graph.node("Gemm", &["flat", "weight", "bias"], LOGITS, &[]);
    write_model(
        graph,
        path,
        serde_json::json!({ "sample_rate": 1000, "n_fft": 16, "hop_length": 16, "resize": false }),
    );
}

fn write_model(mut graph: Graph, path: &Path, spectrogram: serde_json::Value) {
    let classes = [Dim::Symbol("N"), Dim::Size(2)];
    graph.node("Softmax", &[LOGITS], PROBABILITIES, &[("axis", Attribute::Int(-1))]);
    graph.output(LOGITS, &classes);
    graph.output(PROBABILITIES, &classes);
    let metadata = Metadata { labels: vec!["loud".to_owned(), "quiet".to_owned()], spectrogram };
    kit::files::write_atomic(path, graph.encode(&metadata.to_properties().unwrap())).unwrap();
}

/// Returns noise of the given amplitude.
fn noise(count: usize, amplitude: i32) -> Vec<i16> {
    let mut state = 1u32;
    let mut sample = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((((state >> 16) as i32 - 32_768) * amplitude) / 32_768) as i16
    };
    (0..count).map(|_| sample()).collect()
}

/// Writes half a second of noise.
fn wav(path: &Path, amplitude: i32) {
    write_wav(path, &noise(4000, amplitude), 8000);
}

/// Writes a WAV file, mono, 16 bits.
fn write_wav(path: &Path, samples: &[i16], rate: u32) {
    let samples: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    bytes.extend_from_slice(&rate.to_le_bytes());
    bytes.extend_from_slice(&(2 * rate).to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&samples);
    let size = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    kit::files::write_atomic(path, bytes).unwrap();
}

fn predict(root: &Path, arguments: &[&str]) -> Output {
    predict_with(root, arguments, b"")
}

fn predict_with(root: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_predict"));
    command.current_dir(root).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Small enough for the pipe buffer, so that the write does not block.
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    deadline::wait(child)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn files_and_class_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for (path, amplitude) in
        [("set/noise/a.wav", 20_000), ("set/rest/b.wav", 0), ("one.wav", 20_000)]
    {
        wav(&root.join(path), amplitude);
    }
    let output = predict(root, &["one.wav", "set", "--top", "1", "--csv", "out/table.csv"]);
    assert!(output.status.success(), "{output:?}");
    let expected =
        "one.wav: loud 100.0 %\nset/noise/a.wav: loud 100.0 %\nset/rest/b.wav: quiet 100.0 %\n";
    assert_eq!(text(&output.stdout), expected);
    let table = std::fs::read_to_string(root.join("out/table.csv")).unwrap();
    let rows: Vec<_> = table.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
    let expected = [
        "path,prediction,label",
        "one.wav,loud,",
        "set/noise/a.wav,loud,noise",
        "set/rest/b.wav,quiet,rest",
    ];
    assert_eq!(rows, expected);
    let output = predict(root, &["one.wav"]);
    assert!(text(&output.stdout).starts_with("one.wav: loud 100.0 %, quiet 0.0 %\n"), "{output:?}");
}

#[test]
fn patterns_lists_and_stdin() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for name in ["a/1.wav", "a/b/2.wav", "c.wav"] {
        wav(&root.join(name), 20_000);
    }
    let first_words = |output: Output| -> Vec<String> {
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
            .lines()
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(first_words(predict(root, &["a/**/*.wav"])), ["a/1.wav", "a/b/2.wav"]);
    std::fs::write(root.join("list"), "c.wav\n\na/1.wav\n").unwrap();
    assert_eq!(first_words(predict(root, &["--files-from", "list"])), ["c.wav", "a/1.wav"]);
    assert_eq!(
        first_words(predict_with(root, &["--files-from", "-"], b"a/b/2.wav\n")),
        ["a/b/2.wav"]
    );
    let sound = std::fs::read(root.join("c.wav")).unwrap();
    let output = predict_with(root, &["-", "--top", "1"], &sound);
    assert_eq!(text(&output.stdout), "-: loud 100.0 %\n", "{output:?}");
}

#[test]
fn timeline_covers_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    // The model takes half a second at a time: noise, noise, silence, silence, and 0.3 s more.
    let mut samples = noise(8000, 20_000);
    samples.resize(18_400 - 2400, 0);
    samples.extend(noise(2400, 20_000));
    write_wav(&root.join("long.wav"), &samples, 8000);
    let output = predict(
        root,
        &["long.wav", "--timeline", "--csv", "t.csv", "--json", "t.json", "--top", "1"],
    );
    assert!(output.status.success(), "{output:?}");
    let table = std::fs::read_to_string(root.join("t.csv")).unwrap();
    let rows: Vec<&str> = table.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
    let expected = [
        "path,start,end,prediction",
        "long.wav,0.000,0.500,loud",
        "long.wav,0.500,1.000,loud",
        "long.wav,1.000,1.500,quiet",
        // The last half second is mostly noise.
        "long.wav,1.500,2.300,loud",
    ];
    assert_eq!(rows, expected);
    let lines = text(&output.stdout);
    assert!(lines.contains("\n     0:01 –  0:01.5  quiet 100.0 %\n"), "{lines}");
    let json = std::fs::read_to_string(root.join("t.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let timeline = json[0]["timeline"].as_array().unwrap();
    let loud = |segment: &serde_json::Value| {
        let probability = segment["probability"].as_f64().unwrap();
        if segment["prediction"] == "loud" { probability } else { 1.0 - probability }
    };
    let sum: f64 = timeline.iter().map(loud).sum();
    let probability = json[0]["probabilities"]["loud"].as_f64().unwrap();
    assert!((probability - sum / timeline.len() as f64).abs() < 1e-3, "{json}");

    let output = predict(root, &["long.wav", "--timeline", "--segment", "3"]);
    let error = text(&output.stderr);
    assert!(error.contains("--segment: the model takes 0.5 seconds at a time, not 3"), "{error}");
}

#[test]
fn common_audio_formats() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for extension in ["mp3", "flac", "ogg", "m4a"] {
        let name = format!("noise_then_silence.{extension}");
        std::fs::copy(fixtures.join(&name), root.join(&name)).unwrap();
        let output = predict(root, &[&name, "--timeline", "--top", "1"]);
        let lines = text(&output.stdout);
        let genres: Vec<&str> = lines
            .lines()
            .skip(1)
            .filter_map(|line| line.split("  ").last()?.split(' ').next())
            .collect();
        assert!(
            output.status.success() && genres == ["loud", "loud", "quiet", "quiet"],
            "{output:?}"
        );
        // The format must be detected without a file name.
        let sound = std::fs::read(root.join(&name)).unwrap();
        let output = predict_with(root, &["-", "--top", "1"], &sound);
        assert!(text(&output.stdout).starts_with("-: loud"), "{output:?}");
    }
}

#[test]
fn long_file_is_split_into_parts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model_of_any_length(&root.join("models/genre.onnx"));
    // Six parts of ten minutes are noise, the seventh is silence.
    let mut samples = noise(3_600_000, 20_000);
    samples.resize(4_200_000, 0);
    write_wav(&root.join("long.wav"), &samples, 1000);
    let output = predict(root, &["long.wav"]);
    assert_eq!(text(&output.stdout), "long.wav: loud 85.7 %, quiet 14.3 %\n", "{output:?}");
}

#[test]
fn closed_stdout_is_not_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    wav(&root.join("good.wav"), 20_000);
    let mut command = Command::new(env!("CARGO_BIN_EXE_predict"));
    command
        .current_dir(root)
        .args(["good.wav", "none.wav", "--csv", "table.csv"])
        .stdin(Stdio::null());
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    drop(reader);
    assert_eq!(command.status().unwrap().code(), Some(1), "the missing file is still an error");
    assert!(std::fs::read_to_string(root.join("table.csv")).unwrap().contains("good.wav,loud"));
}

#[test]
fn json_replaces_lines_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    wav(&root.join("set/noise/a.wav"), 20_000);
    std::fs::write(root.join("bad.wav"), "no sound").unwrap();
    let output = predict(root, &["set", "bad.wav", "--json", "-"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found[0]["label"], &found[0]["prediction"]), (&"noise".into(), &"loud".into()));
    assert_eq!(found[1]["path"], "bad.wav");
    assert!(found[1]["error"].as_str().unwrap().starts_with("unsupported audio format"), "{found}");
}

#[test]
fn results_keep_input_order() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for number in 0..40 {
        write_wav(
            &root.join(format!("{number:02}.wav")),
            &noise(4000 * (1 + number % 7), 20_000),
            8000,
        );
    }
    let output = predict(root, &["."]);
    let names: Vec<String> =
        text(&output.stdout).lines().map(|line| line[..6].to_owned()).collect();
    assert!(names.len() == 40 && names.is_sorted(), "{names:?}");
}

#[test]
fn unreadable_file_does_not_stop_others() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("m.onnx"));
    wav(&root.join("good.wav"), 20_000);
    std::fs::write(root.join("bad.wav"), "no sound").unwrap();
    let output = predict(root, &["--model", "m.onnx", "bad.wav", "good.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("good.wav: loud"), "{output:?}");
    let errors = text(&output.stderr);
    assert!(errors.starts_with("warning: `bad.wav`: "), "{errors}");
    assert!(errors.ends_with("error: 1 of 2 files could not be read\n"), "{errors}");
    let output = predict(root, &["--model", "m.onnx", "none.wav", "*.flac", "good.wav"]);
    assert!(text(&output.stdout).starts_with("good.wav: loud"), "{output:?}");
    let errors = text(&output.stderr);
    assert!(errors.contains("warning: `none.wav`: cannot read it: "), "{errors}");
    assert!(errors.contains("warning: `*.flac`: no file matches it\n"), "{errors}");
}

/// Returns the files that were classified, in a run in which some could not be read.
fn classified(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stdout).replace(": loud 100.0 %", "")
}

#[test]
fn unreadable_entries_do_not_stop_others() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for name in ["set/a/1.wav", "set/z/2.wav", "set/0.wav", "set/.hidden.wav", "set/.git/3.wav"] {
        wav(&root.join(name), 20_000);
    }
    let latin = Path::new(OsStr::from_bytes(b"set/caf\xe9"));
    wav(&root.join(latin).join("4.wav"), 20_000);
    symlink("nowhere", root.join("set/a/gone.wav")).unwrap();
    symlink("nowhere", root.join("set/a/.#lock.wav")).unwrap();
    symlink("..", root.join("set/a/round")).unwrap();
    let output = predict(root, &["set", "--top", "1"]);
    assert_eq!(classified(&output), "set/0.wav\nset/a/1.wav\nset/z/2.wav\n");
    let errors = [
        "warning: `set/a/gone.wav`: cannot read it: No such file or directory (os error 2)\n",
        "warning: `set/a/round`: a link that leads back to `set`\n",
        "warning: `set/caf\u{fffd}`: the name of the class folder is not UTF-8: \
         rename the folder\n",
        "error: 3 of 6 files could not be read\n",
    ];
    assert_eq!(text(&output.stderr), errors.concat());
}

#[test]
fn pattern_reports_unreadable_entries() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for name in [&b"set/a/1.wav"[..], b"set/a/caf\xe9.wav", b"set/!2.wav", b"!3.wav"] {
        wav(&root.join(OsStr::from_bytes(name)), 20_000);
    }
    symlink("nowhere", root.join("set/a/gone.wav")).unwrap();
    symlink("nowhere", root.join("set/a/gone.txt")).unwrap();
    let output = predict(root, &["set/*/*.wav", "!*.wav", "--top", "1"]);
    assert_eq!(classified(&output), "set/a/1.wav\nset/a/caf\u{fffd}.wav\n!3.wav\n");
    let errors = "warning: `set/a/gone.wav`: cannot read it: \
                  No such file or directory (os error 2)\n\
                  error: 1 of 4 files could not be read\n";
    assert_eq!(text(&output.stderr), errors);
}

#[test]
fn list_with_non_utf8_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    wav(&root.join("a.wav"), 20_000);
    wav(&root.join(OsStr::from_bytes(b"caf\xe9.wav")), 20_000);
    let output = predict_with(
        root,
        &["--files-from", "-", "--top", "1"],
        b"caf\xe9.wav\nnone\xe9\na.wav\r\n",
    );
    assert_eq!(classified(&output), "caf\u{fffd}.wav\na.wav\n");
}

#[test]
fn invalid_arguments_exit_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["-", "--files-from", "-"][..], "stdin is either audio or a list"),
        (&["a.wav", "--timeline", "--segment", "0.1"], "must be from 0.5 to 600"),
        (&["a.wav", "--timeline", "--segment", "nan"], "must be from 0.5 to 600"),
        (&["a.wav", "--timeline", "--segment", "long"], "must be a number"),
    ] {
        let output = predict(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(words), "{output:?}");
    }
}

#[test]
fn unusable_models() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    wav(&root.join("a.wav"), 100);
    let error = || {
        let output = predict(root, &["a.wav"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stderr)
    };
    assert!(
        error().starts_with(
            "error: cannot read the model `models/genre.onnx`: `repro run` makes it\n"
        ),
        "{}",
        error()
    );
    kit::files::write_atomic(root.join("models/genre.onnx"), "not a model").unwrap();
    assert!(
        error().starts_with("error: `models/genre.onnx` is not a usable model\n"),
        "{}",
        error()
    );
    let bare = Graph::new("bare").encode(&std::collections::BTreeMap::new());
    kit::files::write_atomic(root.join("models/genre.onnx"), bare).unwrap();
    assert!(
        error().contains("it has no property `version`: `repro run export` writes one"),
        "{}",
        error()
    );
}
