//! `repro params`: shows params and changes them in the files that define them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::{Args, Subcommand};

use crate::data::Format;
use crate::engine::project;
use crate::error::{Error, Result, exit};
use crate::pipeline::params_edit::{self, Literal};
use crate::pipeline::{self, FileSource, ParamKey, ParamValue, Params, Pipeline, Unresolved};
use crate::repo_path::RepoPath;
use crate::report;
use crate::terminal::stdout;
use crate::terminal::style::STAGE;
use crate::terminal::text::{Pad, pad, widest};

/// Show and change params
#[derive(Debug, Args)]
pub(super) struct ParamsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show params and their values
    Show {
        /// Key, suffix of a key, or prefix for everything below it [default: all params]
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// Print one nested JSON object, as stages receive it
        #[arg(long)]
        json: bool,
    },
    /// Set params where they are defined, keeping comments and layout
    ///
    /// A key may omit its prefix if only one param ends in it: `repro params set epochs=30`. A
    /// param keeps its type. Strings need no quotes: `source=synth`. An integer given for a float
    /// is written with `.0`. Either all assignments are made or none.
    Set {
        /// Param and its new value
        #[arg(value_name = "KEY=VALUE", required = true)]
        assignments: Vec<String>,
    },
}

impl ParamsArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let files = Files::default();
        let pipeline = files.parse(root)?;
        let text = match self.command {
            Command::Show { keys, json } => show(&selected(&pipeline.params, &keys)?, json),
            Command::Set { assignments } => {
                let changes = changes(&pipeline, &assignments)?;
                let edited = edit(root, &changes)?;
                // Nothing is written unless the edited files are a valid pipeline.
                edited.parse(root)?;
                for (file, text) in &edited.0 {
                    project::staging(root).replace(&root.join(file), text.as_bytes())?;
                }
                changes.iter().map(Change::summary).collect()
            }
        };
        stdout::write(&text)?;
        Ok(exit::OK)
    }
}

/// Edited texts by file name, not yet written to disk.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, String>);

impl Files {
    fn text(&self, root: &Path, file: &str) -> Result<String> {
        if let Some(text) = self.0.get(file) {
            return Ok(text.clone());
        }
        let path = root.join(file);
        fs::read_to_string(&path).map_err(|err| Error::io("read", &path, &err))
    }

    /// Parses the pipeline with these texts. Deps are assumed to exist: they do not affect params.
    fn parse(&self, root: &Path) -> Result<Pipeline> {
        let read =
            |path: &RepoPath| self.text(root, path.as_str()).map_err(|error| error.to_string());
        let list = |folder: &RepoPath| project::options(root, folder);
        let files = FileSource { read: &read, list: &list, ..FileSource::default() };
        pipeline::parse(&self.text(root, pipeline::FILE)?, &[], files)
            .map_err(pipeline::problem::report)
    }
}

fn selected(params: &Params, names: &[String]) -> Result<BTreeMap<ParamKey, ParamValue>> {
    if names.is_empty() {
        return Ok(params.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    }
    let mut selected = BTreeMap::new();
    for name in names {
        match params.resolve(name) {
            Err(Unresolved::Table(_)) => selected.extend(params.named(name)),
            found => {
                let key = found.map_err(|unresolved| unresolvable(name, unresolved))?;
                selected.extend(params.get(key.as_str()).map(|value| (key.clone(), value.clone())));
            }
        }
    }
    Ok(selected)
}

fn show(params: &BTreeMap<ParamKey, ParamValue>, json: bool) -> String {
    if json {
        return report::json(&pipeline::nested(params));
    }
    let width = widest(params.keys().map(ParamKey::as_str));
    let line = |(key, value): (&ParamKey, &ParamValue)| {
        format!("{}  {STAGE}{value}{STAGE:#}\n", pad(key.as_str(), width, Pad::Right))
    };
    params.iter().map(line).collect()
}

/// A parsed assignment.
struct Change {
    /// The full key.
    key: ParamKey,
    old: ParamValue,
    new: Literal,
    place: Place,
}

/// Location of a value in a file.
struct Place {
    file: String,
    tables: &'static [&'static str],
    key: ParamKey,
}

impl Change {
    fn summary(&self) -> String {
        let Change { key, old, new, .. } = self;
        if old == new.value() {
            return format!("{key} is already {old}\n");
        }
        format!("{key} {old} → {STAGE}{}{STAGE:#}\n", new.value())
    }
}

fn changes(pipeline: &Pipeline, assignments: &[String]) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    for assignment in assignments {
        let (name, raw) = assignment.split_once('=').ok_or_else(|| {
            Error::usage(format!("`{assignment}` is not an assignment"))
                .hint("write `KEY=VALUE`, for example `epochs=30`")
        })?;
        let (key, old, place) = place(pipeline, name.trim())?;
        if changes.iter().any(|change| change.key == key) {
            return Err(Error::usage(format!("param `{key}` is set twice")));
        }
        let new = Literal::typed(raw, &old).map_err(|wrong| {
            Error::usage(format!("param `{key}` {wrong}"))
                .hint(format!("its value is {old}; to change its type, edit `{}`", place.file))
        })?;
        changes.push(Change { key, old, new, place });
    }
    Ok(changes)
}

/// Returns the key, value and location of the param or config group called `name`.
fn place(pipeline: &Pipeline, name: &str) -> Result<(ParamKey, ParamValue, Place)> {
    let own = |tables, key| Place { file: pipeline::FILE.to_owned(), tables, key };
    if let Some(option) = pipeline.groups.get(name) {
        let key = ParamKey::new(name);
        return Ok((key.clone(), option.as_str().into(), own(&["config", "groups"], key)));
    }
    let key = pipeline.params.resolve(name).map_err(|unresolved| match unresolved {
        Unresolved::Unknown { suggestion: None } => {
            Error::usage(format!("there is no param `{name}`"))
                .hint("declare it under `[params]`; `params set` changes existing params")
        }
        other => unresolvable(name, other),
    })?;
    let Some(old) = pipeline.params.get(key.as_str()) else {
        panic!("BUG: `{key}` is a param without a value");
    };
    let place = match pipeline.written.get(key.as_str()) {
        Some(written) => {
            Place { file: written.file.to_string(), tables: &[], key: written.key.clone() }
        }
        None => own(&["params"], key.clone()),
    };
    Ok((key.clone(), old.clone(), place))
}

/// Applies the changes and returns the texts of the files that differ.
fn edit(root: &Path, changes: &[Change]) -> Result<Files> {
    let mut files = Files::default();
    // An equal value also keeps its spelling.
    for Change { key, new, place, .. } in
        changes.iter().filter(|change| change.old != *change.new.value())
    {
        if let Some(format @ (Format::Json | Format::Yaml)) = Format::of(&place.file) {
            let (name, file) = (format.name(), &place.file);
            let what = format!("param `{key}` is defined in `{file}`, and {name} is not edited");
            let hint = format!("edit the file, or give the value to one run: `-p {key}=…`");
            return Err(Error::usage(what).hint(hint));
        }
        let because = |why: params_edit::Uneditable| Error::usage(format!("{}: {why}", place.file));
        let text = files.text(root, &place.file)?;
        let text = params_edit::set(&text, place.tables, &place.key, new).map_err(because)?;
        files.0.insert(place.file.clone(), text);
    }
    Ok(files)
}

fn unresolvable(name: &str, why: Unresolved) -> Error {
    let listed = |keys: Vec<ParamKey>| {
        keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
    };
    match why {
        Unresolved::Unknown { suggestion } => {
            let error = Error::usage(format!("there is no param `{name}`"));
            error.hint(match suggestion {
                Some(suggestion) => format!("did you mean `{suggestion}`?"),
                None => "`repro params show` lists them".to_owned(),
            })
        }
        Unresolved::Ambiguous(keys) => Error::usage(format!("param `{name}` is ambiguous"))
            .hint(format!("write one of {}", listed(keys))),
        Unresolved::Table(keys) => {
            Error::usage(format!("`{name}` is a table of params, not a param"))
                .hint(format!("write one of {}", listed(keys)))
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn declared() -> Pipeline {
        Files([(pipeline::FILE.to_owned(), FILE.to_owned())].into())
            .parse(Path::new("/nonexistent"))
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
        let pipeline = declared();
        let assignments: Vec<String> = assignments.iter().map(|text| (*text).to_owned()).collect();
        let text = match changes(&pipeline, &assignments) {
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
        there is no param `zzz`
        hint: declare it under `[params]`; `params set` changes existing params
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
            crate::escape::without_styles(&show(&selected(&params, &names).unwrap(), json))
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
        let expected =
            FILE.replace("seed = 42 ", "seed = 1 ").replace("epochs = 10", "epochs = 30");
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
}
