//! The program as a user runs it: real audio in, genres out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;
use std::process::{Command, Output};

use onnx::classifier::{INPUT, LOGITS, PROBABILITIES};
use onnx::graph::{Attribute, Dim, Graph};
use onnx::metadata::Metadata;

/// A model that calls a clip `loud` where the mean of its log-power spectrogram is above -10, else `quiet`.
fn model(path: &Path) {
    let mut graph = Graph::new("loudness");
    let [batch, one, side] = [Dim::Symbol("N"), Dim::Size(1), Dim::Size(8)];
    graph.input(INPUT, &[batch, one, side, side]);
    graph.constant("weight", &[64, 2], &[1.0 / 64.0, 0.0].repeat(64));
    graph.constant("bias", &[2], &[10.0, 0.0]);
    graph.node("Flatten", &[INPUT], "flat", &[("axis", Attribute::Int(1))]);
    graph.node("Gemm", &["flat", "weight", "bias"], LOGITS, &[]);
    graph.node("Softmax", &[LOGITS], PROBABILITIES, &[("axis", Attribute::Int(-1))]);
    graph.output(LOGITS, &[batch, Dim::Size(2)]);
    graph.output(PROBABILITIES, &[batch, Dim::Size(2)]);
    let spectrogram = serde_json::json!({ "sample_rate": 8000, "n_fft": 256, "hop_length": 128, "seconds": 0.5, "size": 8 });
    let metadata = Metadata { labels: vec!["loud".to_owned(), "quiet".to_owned()], spectrogram };
    kit::files::write_atomic(path, graph.encode(&metadata.to_properties().unwrap())).unwrap();
}

/// Half a second of noise of this amplitude, 8 kHz, mono, 16 bits.
fn wav(path: &Path, amplitude: i32) {
    let mut state = 1u32;
    let samples: Vec<u8> = (0..4000)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((((state >> 16) as i32 - 32_768) * amplitude / 32_768) as i16).to_le_bytes()
        })
        .collect();
    let mut bytes =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
    bytes.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&samples);
    let size = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    kit::files::write_atomic(path, bytes).unwrap();
}

fn predict(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_predict")).current_dir(root).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn files_and_folders_of_classes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    model(&root.join("models/genre.onnx"));
    for (path, amplitude) in [("set/noise/a.wav", 20_000), ("set/rest/b.wav", 0), ("one.wav", 20_000)] {
        wav(&root.join(path), amplitude);
    }
    let output = predict(root, &["one.wav", "set", "--top", "1", "--csv", "out/table.csv"]);
    assert!(output.status.success(), "{output:?}");
    let expected = "one.wav: loud 100.0 %\nset/noise/a.wav: loud 100.0 %\nset/rest/b.wav: quiet 100.0 %\n";
    assert_eq!(text(&output.stdout), expected);
    let table = std::fs::read_to_string(root.join("out/table.csv")).unwrap();
    let rows: Vec<_> = table.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
    let expected =
        ["path,prediction,label", "one.wav,loud,", "set/noise/a.wav,loud,noise", "set/rest/b.wav,quiet,rest"];
    assert_eq!(rows, expected);
    let output = predict(root, &["one.wav"]);
    assert!(text(&output.stdout).starts_with("one.wav: loud 100.0 %, quiet 0.0 %\n"), "{output:?}");
}

#[test]
fn a_file_that_cannot_be_read_does_not_stop_the_others() {
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
}

#[test]
fn unusable_models_are_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    wav(&root.join("a.wav"), 100);
    let error = || {
        let output = predict(root, &["a.wav"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stderr)
    };
    assert!(
        error().starts_with("error: cannot read the model `models/genre.onnx`: `repro run` makes it\n"),
        "{}",
        error()
    );
    kit::files::write_atomic(root.join("models/genre.onnx"), "not a model").unwrap();
    assert!(error().starts_with("error: `models/genre.onnx` is not a usable model\n"), "{}", error());
    let bare = Graph::new("bare").encode(&std::collections::BTreeMap::new());
    kit::files::write_atomic(root.join("models/genre.onnx"), bare).unwrap();
    assert!(error().contains("it has no property `version`: `repro run export` writes one"), "{}", error());
}
