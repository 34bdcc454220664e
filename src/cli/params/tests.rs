//! Showing and setting params.

use std::fs;

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

const FILE: &str = "\
[params]
seed = 42               # the answer
lr = 0.5
train.lr = 1e-3
train.epochs = 10
fine.epochs = 3
source = 'synth'

[stages.train]
cmd = \"train {{ params.train.lr }}\"
params = [\"train\"]
outs = [\"model\"]
";

fn declared() -> Declared {
    Files([(pipeline::FILE.to_owned(), FILE.to_owned())].into())
        .params(Path::new("/nonexistent"))
        .unwrap()
}

fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(pipeline::FILE), FILE).unwrap();
    dir
}

fn set(root: &Path, assignments: &[&str]) -> Result<u8> {
    let assignments = assignments.iter().map(|text| (*text).to_owned()).collect();
    ParamsArgs { command: Command::Set { assignments } }.execute(root)
}

fn summary(assignments: &[&str]) -> String {
    let declared = declared();
    let assignments: Vec<String> = assignments.iter().map(|text| (*text).to_owned()).collect();
    let text = match changes(&declared, &assignments) {
        Ok(changes) => changes.iter().map(Change::summary).collect(),
        Err(error) => format!("{}\nhint: {}", error.what, error.hint.unwrap_or_default()),
    };
    crate::escape::without_styles(&text)
}

#[test]
fn summary_of_assignments() {
    let assignments = ["train.epochs=30", "seed=42", "lr=1", "source=a folder"];
    insta::assert_snapshot!(summary(&assignments), @r#"
    train.epochs 10 → 30
    seed is already 42
    lr 0.5 → 1.0
    source "synth" → "a folder"
    "#);
}

#[test]
fn invalid_assignments() {
    insta::assert_snapshot!(summary(&["sed=1"]), @r#"
    there is no param `sed`
    hint: did you mean `seed`?
    "#);
    insta::assert_snapshot!(summary(&["zzz=1"]), @r#"
    there is no param `zzz`, and `params set` cannot add one
    hint: add it to `[params]` by hand, or for one run with `-p +KEY=VALUE`
    "#);
    insta::assert_snapshot!(summary(&["epochs=30"]), @r#"
    param `epochs` is ambiguous
    hint: write one of `fine.epochs`, `train.epochs`
    "#);
    insta::assert_snapshot!(summary(&["train=30"]), @r#"
    `train` is a table of params, not a param
    hint: write one of `train.epochs`, `train.lr`
    "#);
    insta::assert_snapshot!(summary(&["seed=ten"]), @r#"
    param `seed` must be an integer, not `ten`
    hint: its value is 42; to change its type, edit `pipeline.toml`
    "#);
    insta::assert_snapshot!(summary(&["seed"]), @r#"
    `seed` is not an assignment
    hint: write `KEY=VALUE`, for example `epochs=30`
    "#);
    insta::assert_snapshot!(summary(&["seed=1", "seed=2"]), @r#"
    param `seed` is set twice
    hint:
    "#);
}

#[test]
fn params_as_text_and_json() {
    let params = declared().params;
    let shown = |names: &[&str], json| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let selected = selected(&params, &names).unwrap();
        let text = if json { as_json(&selected) } else { as_lines(&selected, &BTreeMap::new()) };
        crate::escape::without_styles(&text)
    };
    insta::assert_snapshot!(shown(&[], false), @r#"
    fine.epochs   3
    lr            0.5
    seed          42
    source        "synth"
    train.epochs  10
    train.lr      0.001
    "#);
    insta::assert_snapshot!(shown(&["fine.epochs", "train"], true), @r#"
    {
      "fine": {
        "epochs": 3
      },
      "train": {
        "epochs": 10,
        "lr": 0.001
      }
    }
    "#);
}

#[test]
fn set_is_atomic() {
    let dir = project();
    let file = dir.path().join(pipeline::FILE);
    set(dir.path(), &["seed=1", "train.epochs=ten"]).unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
    assert_eq!(set(dir.path(), &["seed=1", "train.epochs=30"]).unwrap(), exit::OK);
    let expected = FILE.replace("seed = 42 ", "seed = 1 ").replace("epochs = 10", "epochs = 30");
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    let staged = fs::read_dir(dir.path().join("cache/tmp")).unwrap().count();
    assert_eq!(staged, 0, "a temporary file was left");
}

#[test]
fn set_keeps_mode_and_link() {
    let dir = project();
    let (link, file) = (dir.path().join(pipeline::FILE), dir.path().join("real.toml"));
    fs::rename(&link, &file).unwrap();
    symlink("real.toml", &link).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    set(dir.path(), &["seed=7"]).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&file).unwrap().contains("seed = 7 "));
}

#[test]
fn set_to_equal_value() {
    let dir = project();
    set(dir.path(), &["train.lr=0.001", "source=synth"]).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join(pipeline::FILE)).unwrap(), FILE);
}
