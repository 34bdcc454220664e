//! Runs the program on real files.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::process::{Command, Output};

use model::checkpoint::Manifest;
use model::config::{Architecture, NetworkConfig};
use model::dataset::Clip;
use model::init::initial_weights;
use model::split::{self, Part};

/// Writes a model that always predicts class `b`, three held-out clips, and a training clip.
fn project(root: &Path) {
    let config = NetworkConfig {
        model: Architecture::Baseline,
        input: [1, 12, 12],
        classes: 2,
        dropout: 0.5,
        statistics: false,
    };
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
    kit::files::write_atomic(root.join("data/previews/a/1.png"), "a picture").unwrap();
    let curves = "epoch,train_loss,train_accuracy,train_macro_f1,\
                  val_loss,val_accuracy,val_macro_f1\n1,2,0.5,0.5,3,0.25,0.2\n";
    kit::files::write_atomic(root.join("metrics/curves.csv"), curves).unwrap();
}

fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evaluate"));
    command.current_dir(root).env_remove("REPRO_PARAMS").env_remove("REPRO_EVENTS");
    command.args(["--spectrograms", "data"]);
    command
}

fn evaluate_with(root: &Path, arguments: &[&str]) -> Output {
    command(root).args(arguments).output().unwrap()
}

fn evaluate(root: &Path) -> Output {
    evaluate_with(root, &[])
}

fn text(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join("metrics").join(name)).unwrap()
}

#[test]
fn outs_are_consistent() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path());
    let output = evaluate(dir.path());
    assert!(output.status.success(), "{output:?}");
    let before = text(dir.path(), "evaluate.json");
    assert!(evaluate(dir.path()).status.success());
    assert_eq!(text(dir.path(), "evaluate.json"), before, "the same seed gives the same bytes");
    let report: serde_json::Value =
        serde_json::from_str(&text(dir.path(), "evaluate.json")).unwrap();
    assert_eq!(report["clips"], 3);
    assert_eq!(report["accuracy"], 1.0 / 3.0);
    assert_eq!(report["macro_f1"], 0.25);
    // The recalls are 0 and 1. With two classes, the true class is always in the top 3.
    assert_eq!(
        (&report["balanced_accuracy"], &report["top3_accuracy"]),
        (&0.5.into(), &1.0.into())
    );
    let interval = &report["interval"]["accuracy"];
    // Wilson's interval of 1 of 3.
    let [low, high] = ["low", "high"].map(|side| interval[side].as_f64().unwrap());
    assert!((low - 0.061_49).abs() < 1e-4 && (high - 0.792_34).abs() < 1e-4, "{report}");
    assert!(report["interval"]["ece"]["high"].is_number(), "{report}");
    // The clips chose the epoch; those of the last epoch are in the curves.
    assert_eq!((&report["part"], &report["chose_epoch"]), (&"val".into(), &true.into()));
    assert_eq!(report["last_epoch"]["accuracy"], 0.25, "{report}");
    assert!(report.get("calibrated").is_none(), "{report}");
    let line = String::from_utf8(output.stdout).unwrap();
    let expected = "3 validation clips, which chose the epoch: accuracy 0.333 (0.061 to 0.792) \
                    at the best epoch, 0.250 (";
    assert!(line.starts_with(expected), "{line}");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.starts_with("warning: 3 clips say little about the accuracy"), "{warning}");
    // All clips have the same confidence, and a third of the predictions are correct.
    let ece = 0.731_058_578_63 - 1.0 / 3.0;
    assert!((report["ece"].as_f64().unwrap() - ece).abs() < 1e-6, "{report}");
    // Softmax of (0, 1) is (0.269, 0.731).
    let loss = (2.0 * 1.313_261_687_5 + 0.313_261_687_5) / 3.0;
    assert!((report["loss"].as_f64().unwrap() - loss).abs() < 1e-6, "{report}");
    let b = &report["per_class"]["b, \"c\" & <d>"];
    assert_eq!(
        (&b["support"], &b["recall"], &b["f1"]),
        (&1.into(), &1.0.into(), &0.5.into()),
        "{report}"
    );

    let quoted = "\"b, \"\"c\"\" & <d>\"";
    let expected = format!(
        "path,prediction,label,probability,calibrated\na/1.npy,{quoted},a,0.731059,\n\
         a/2.npy,{quoted},a,0.731059,\nb/1.npy,{quoted},{quoted},0.731059,\n"
    );
    assert_eq!(text(dir.path(), "predictions.csv"), expected);
    let expected = format!(
        "path,label,prediction,probability,label_probability\n\
         a/1.npy,a,{quoted},0.731059,0.268941\n\
         a/2.npy,a,{quoted},0.731059,0.268941\n"
    );
    assert_eq!(text(dir.path(), "mistakes.csv"), expected);
    let expected = format!(
        "class,precision,recall,f1,support\na,0.000000,0.000000,0.000000,2\n\
         {quoted},0.333333,1.000000,0.500000,1\n"
    );
    assert_eq!(text(dir.path(), "per_class.csv"), expected);
    let calibration = text(dir.path(), "calibration.csv");
    assert!(calibration.contains("\n0.6,0.7,0,,\n0.7,0.8,3,0.731059,0.333333\n"), "{calibration}");
    let matrix: serde_json::Value =
        serde_json::from_str(&text(dir.path(), "confusion.json")).unwrap();
    assert_eq!(matrix["matrix"], serde_json::json!([[0, 2], [0, 1]]));
    assert!(
        text(dir.path(), "confusion.csv")
            .starts_with(&format!("label,prediction,count\na,a,0\na,{quoted},2\n"))
    );
    for (figure, words) in [
        ("confusion.svg", "b, &quot;c&quot; &amp; &lt;d&gt;"),
        ("curves.svg", "1 epoch<"),
        ("reliability.svg", "3 clips: mean confidence 73.1 %, accuracy 33.3 %"),
        // One clip has a preview, another has none.
        ("gallery.svg", "base64,YSBwaWN0dXJl"),
        ("gallery.svg", "no preview"),
    ] {
        assert!(text(dir.path(), figure).contains(words), "{figure}: {words}");
    }
}

#[test]
fn test_clips_and_calibration() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path());
    // 50 validation clips, of which half are `b`, fit the temperature; 2 test clips are measured.
    let labels = ["a".to_owned(), "b, \"c\" & <d>".to_owned()];
    let clips: Vec<Clip> =
        (0..52).map(|clip| Clip { path: format!("x/{clip}.npy"), label: clip % 2 }).collect();
    let parts: Vec<Part> =
        (0..52).map(|clip| if clip < 50 { Part::Validation } else { Part::Test }).collect();
    split::write(dir.path().join("models/split.csv"), &clips, &labels, &parts).unwrap();
    for clip in &clips {
        kit::npy::write(dir.path().join("data").join(&clip.path), &[12, 12], &[0.5; 144]).unwrap();
    }
    let output = evaluate(dir.path());
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("2 test clips: accuracy 0.500 (0.095 to 0.905), balanced"), "{line}");
    assert!(line.contains(" after scaling by a temperature of "), "{line}");
    let report: serde_json::Value =
        serde_json::from_str(&text(dir.path(), "evaluate.json")).unwrap();
    assert_eq!((&report["part"], &report["chose_epoch"]), (&"test".into(), &false.into()));
    assert!(report.get("last_epoch").is_none(), "{report}");
    // Half of the predictions are right, at a confidence of 0.73: the highest temperature.
    assert_eq!(report["calibrated"]["fitted_on"], "validation", "{report}");
    let [before, after] =
        [&report["ece"], &report["calibrated"]["ece"]].map(|error| error.as_f64().unwrap());
    assert!((before - 0.231).abs() < 0.001 && after < 0.03, "{report}");
    assert!(text(dir.path(), "predictions.csv").contains(",0.731059,0.52"));
}

#[test]
fn closed_stdout_does_not_stop_outs() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command(dir.path()).stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
    assert!(text(dir.path(), "gallery.svg").ends_with("</svg>\n"));
}

#[test]
fn unusable_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let error = || {
        let output = evaluate(root);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(error().contains("`models/genre.json`: `repro run train` makes it"), "{}", error());
    project(root);
    let output = evaluate_with(root, &["-p", "evaluate.bins=1"]);
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(refused.contains("param `evaluate.bins` must be from 2 to 100, not 1"), "{refused}");
    kit::npy::write(root.join("data/a/2.npy"), &[13, 12], &[0.0; 156]).unwrap();
    assert!(error().contains("`data/a/2.npy` has 1 × 13 rows, but"), "{}", error());
    kit::npy::write(root.join("data/a/2.npy"), &[12, 13], &[0.0; 156]).unwrap();
    assert!(error().contains("`a/2.npy` has 13 frames, but `a/1.npy` has 12"), "{}", error());
    std::fs::remove_file(root.join("data/a/2.npy")).unwrap();
    assert!(error().contains("`data/a/2.npy`"), "{}", error());
    project(root);
    std::fs::remove_file(root.join("metrics/curves.csv")).unwrap();
    assert!(error().contains("`metrics/curves.csv`: `repro run train` makes it"), "{}", error());
    std::fs::write(root.join("models/split.csv"), "path,label,split\na/1.npy,a,train\n").unwrap();
    assert!(error().contains("has no held-out clips to evaluate"), "{}", error());
}
