//! The program as a user runs it: real files in, real files out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;
use std::process::{Command, Output};

use model::checkpoint::Manifest;
use model::config::{Architecture, NetworkConfig};
use model::dataset::Clip;
use model::init::initial_weights;
use model::split::{self, Part};

/// A model that takes every clip for class `b`, three held-out clips of `a` and `b`, and one that trained.
fn project(root: &Path) {
    let config =
        NetworkConfig { model: Architecture::Baseline, input: [1, 12, 12], classes: 2, dropout: 0.5 };
    let mut weights = initial_weights(&config, 1).unwrap();
    weights.insert("linear2.weight", vec![256, 2], vec![0.0; 512]);
    weights.insert("linear2.bias", vec![2], vec![0.0, 1.0]);
    weights.write(root.join("models/genre.mpk")).unwrap();
    let labels = vec!["a".to_owned(), "b, \"c\" & <d>".to_owned()];
    Manifest::new(labels.clone(), config).unwrap().write(root.join("models/genre.json")).unwrap();
    let clips: Vec<Clip> = [("a/1.npy", 0), ("a/2.npy", 0), ("b/1.npy", 1), ("b/gone.npy", 1)]
        .map(|(path, label)| Clip { path: path.to_owned(), label })
        .to_vec();
    let parts = [Part::Validation, Part::Validation, Part::Validation, Part::Train];
    split::write(root.join("models/split.csv"), &clips, &labels, &parts).unwrap();
    for clip in &clips[..3] {
        kit::npy::write(root.join("data").join(&clip.path), &[12, 12], &[0.5; 144]).unwrap();
    }
}

fn evaluate(root: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evaluate"));
    command.current_dir(root).env_remove("REPRO_PARAMS").env_remove("REPRO_EVENTS");
    command.args(["--spectrograms", "data"]).output().unwrap()
}

fn text(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join("metrics").join(name)).unwrap()
}

#[test]
fn every_out_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path());
    let output = evaluate(dir.path());
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_str(&text(dir.path(), "evaluate.json")).unwrap();
    assert_eq!(report["clips"], 3);
    assert_eq!(report["accuracy"], 1.0 / 3.0);
    assert_eq!(report["macro_f1"], 0.25);
    // Softmax of (0, 1) is (0.269, 0.731).
    let loss = (2.0 * 1.313_261_687_5 + 0.313_261_687_5) / 3.0;
    assert!((report["loss"].as_f64().unwrap() - loss).abs() < 1e-6, "{report}");
    let b = &report["per_class"]["b, \"c\" & <d>"];
    assert_eq!((&b["support"], &b["recall"], &b["f1"]), (&1.into(), &1.0.into(), &0.5.into()), "{report}");

    let quoted = "\"b, \"\"c\"\" & <d>\"";
    let expected = format!(
        "path,prediction,label,probability\na/1.npy,{quoted},a,0.731059\na/2.npy,{quoted},a,0.731059\n\
         b/1.npy,{quoted},{quoted},0.731059\n"
    );
    assert_eq!(text(dir.path(), "predictions.csv"), expected);
    let matrix: serde_json::Value = serde_json::from_str(&text(dir.path(), "confusion.json")).unwrap();
    assert_eq!(matrix["matrix"], serde_json::json!([[0, 2], [0, 1]]));
    assert!(
        text(dir.path(), "confusion.csv")
            .starts_with(&format!("label,prediction,count\na,a,0\na,{quoted},2\n"))
    );
    assert!(text(dir.path(), "confusion.svg").contains("b, &quot;c&quot; &amp; &lt;d&gt;"));
}

#[test]
fn what_cannot_be_measured_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let error = || {
        let output = evaluate(root);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(error().contains("`models/genre.json`: `repro run train` makes it"), "{}", error());
    project(root);
    kit::npy::write(root.join("data/a/2.npy"), &[13, 12], &[0.0; 156]).unwrap();
    assert!(error().contains("`data/a/2.npy` has the shape [1, 13, 12]"), "{}", error());
    std::fs::remove_file(root.join("data/a/2.npy")).unwrap();
    assert!(error().contains("`data/a/2.npy`"), "{}", error());
    std::fs::write(root.join("models/split.csv"), "path,label,split\na/1.npy,a,train\n").unwrap();
    assert!(error().contains("holds no clip out, so there is nothing to measure"), "{}", error());
}
