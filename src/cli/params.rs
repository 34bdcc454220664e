//! `repro params`: shows params and changes them in the files that define them.

mod diff;

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, Subcommand};

use crate::data::Format;
use crate::engine::project;
use crate::error::{Error, Result, exit};
use crate::pipeline::params_edit::{self, Literal};
use crate::pipeline::{
    self, Declared, FileSource, ParamKey, ParamValue, Params, Problem, Unresolved, Written,
};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::report;
use crate::terminal::stdout;
use crate::terminal::style::{DIM, STAGE};
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
    /// Show the params that differ between runs, git revisions and the workspace
    ///
    /// With one RUN, compares it with the workspace; with none, compares the latest run with the
    /// workspace.
    Diff(diff::DiffArgs),
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
        let text = match self.command {
            Command::Show { keys, json } => {
                let declared = Files::default().params(root)?;
                let selected = selected(&declared.params, &keys)?;
                if json { as_json(&selected) } else { as_lines(&selected, &declared.shadowed) }
            }
            Command::Diff(args) => return args.execute(root),
            Command::Set { assignments } => set(root, &assignments)?,
        };
        stdout::write(&text)?;
        Ok(exit::OK)
    }
}

/// Writes new values into the files that define the params, and returns a line per change.
pub(super) fn set(root: &Path, assignments: &[String]) -> Result<String> {
    let edits = project::hold_edits(root)?;
    let files = Files::default();
    let changes = changes(&files.params(root)?, assignments)?;
    let edited = files.edit(root, &changes)?;
    edited.check(root, &files)?;
    for (file, text) in &edited.0 {
        edits.replace(&root.join(file), text.as_bytes())?;
    }
    Ok(changes.iter().map(Change::summary).collect())
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
        regular_file::read_text_following(&path).map_err(|err| Error::io("read", &path, &err))
    }

    /// Calls `parse` with these texts. Deps are assumed to exist: they do not affect params.
    fn parse<T>(&self, root: &Path, parse: impl FnOnce(&str, FileSource<'_>) -> T) -> Result<T> {
        let read =
            |path: &RepoPath| self.text(root, path.as_str()).map_err(|error| error.to_string());
        let list = |folder: &RepoPath| project::option_files(root, folder);
        let files = FileSource { read: &read, list: &list, ..FileSource::default() };
        Ok(parse(&self.text(root, pipeline::FILE)?, files))
    }

    fn params(&self, root: &Path) -> Result<Declared> {
        self.parse(root, |text, files| pipeline::parse_params(text, &[], files))?
            .map_err(pipeline::problem::report)
    }

    fn problems(&self, root: &Path) -> Result<Vec<Problem>> {
        let parsed = self.parse(root, |text, files| pipeline::parse(text, &[], files))?;
        Ok(parsed.err().unwrap_or_default())
    }

    /// Checks that the pipeline has no problems but those of the `old` texts: the value of one
    /// param can be given before that of the next.
    fn check(&self, root: &Path, old: &Files) -> Result<()> {
        let mut new = self.problems(root)?;
        if !new.is_empty() {
            let old = old.problems(root)?;
            new.retain(|problem| !old.iter().any(|other| other.what == problem.what));
        }
        if new.is_empty() { Ok(()) } else { Err(pipeline::problem::report(new)) }
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

fn as_json(params: &BTreeMap<ParamKey, ParamValue>) -> String {
    report::json(&pipeline::nested(params))
}

/// Returns a line per param, with the file whose value it replaces.
fn as_lines(
    params: &BTreeMap<ParamKey, ParamValue>,
    shadowed: &BTreeMap<ParamKey, Written>,
) -> String {
    let width = widest(params.keys().map(ParamKey::as_str));
    let line = |(key, value): (&ParamKey, &ParamValue)| {
        let replaced = match shadowed.get(key) {
            Some(written) => format!("  {DIM}replaces {}{DIM:#}", written.file),
            None => String::new(),
        };
        let name = pad(key.as_str(), width, Pad::Right);
        format!("{name}  {STAGE}{value}{STAGE:#}{replaced}\n")
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

/// Changes that give params the values of a run, not yet written.
pub(super) struct OfRun {
    /// The new texts of the files that differ.
    pub files: Vec<(RepoPath, String)>,
    pub undeclared: Vec<ParamKey>,
    /// A line per changed param.
    pub summary: String,
}

/// Returns the changes that give params the values of a run. `overrides` are those of the run, some
/// of which may select config files.
pub(super) fn of_run(
    root: &Path,
    overrides: &[String],
    values: &BTreeMap<ParamKey, ParamValue>,
) -> Result<OfRun> {
    let old = Files::default();
    let declared = old.params(root)?;
    let is_group = |text: &&String| {
        text.split_once('=').is_some_and(|(name, _)| declared.groups.contains_key(name.trim()))
    };
    let groups: Vec<String> = overrides.iter().filter(is_group).cloned().collect();
    let mut all = changes(&declared, &groups)?;
    let mut files = old.edit(root, &all)?;
    let declared = files.params(root)?;
    let mut undeclared = Vec::new();
    let mut restored = Vec::new();
    for (key, value) in values {
        match declared.params.get(key.as_str()) {
            Some(old) if old == value => {}
            Some(_) => {
                let (key, old, place) = place(&declared, key.as_str())?;
                let new = Literal::of(value).ok_or_else(|| {
                    Error::usage(format!("param `{key}` was {value}, which TOML cannot express"))
                })?;
                restored.push(Change { key, old, new, place });
            }
            None => undeclared.push(key.clone()),
        }
    }
    files = files.edit(root, &restored)?;
    files.check(root, &old)?;
    all.extend(restored);
    let summary = all.iter().map(Change::summary).collect();
    let path =
        |file: String| RepoPath::parse(&file).unwrap_or_else(|bad| panic!("BUG: `{file}` {bad}"));
    let files = files.0.into_iter().map(|(file, text)| (path(file), text)).collect();
    Ok(OfRun { files, undeclared, summary })
}

fn changes(declared: &Declared, assignments: &[String]) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    for (name, raw) in single(declared, assignments)? {
        let (key, old, place) = place(declared, &name)?;
        if changes.iter().any(|change| change.key == key) {
            return Err(Error::usage(format!("param `{key}` is set twice")));
        }
        let new = Literal::typed(&raw, &old).map_err(|wrong| {
            Error::usage(format!("param `{key}` {wrong}")).hint(wrong.hint().unwrap_or_else(|| {
                format!("its value is {old}; to change its type, edit `{}`", place.file)
            }))
        })?;
        changes.push(Change { key, old, new, place });
    }
    Ok(changes)
}

/// Splits the assignments into names and values; one of a table is one for each param in it.
fn single(declared: &Declared, assignments: &[String]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for assignment in assignments {
        let (name, raw) = assignment.split_once('=').ok_or_else(|| {
            Error::usage(format!("`{assignment}` is not an assignment"))
                .hint("write `KEY=VALUE`, for example `epochs=30`")
        })?;
        let name = name.trim();
        let is_table = matches!(declared.params.resolve(name), Err(Unresolved::Table(_)));
        match params_edit::table(raw).filter(|_| is_table) {
            Some(leaves) => found.extend(leaves.into_iter().map(|(below, raw)| {
                let names = std::iter::once(name.to_owned()).chain(below);
                (names.collect::<Vec<_>>().join("."), raw)
            })),
            None => found.push((name.to_owned(), raw.to_owned())),
        }
    }
    Ok(found)
}

/// Returns the key, value and location of the param or config group called `name`.
fn place(declared: &Declared, name: &str) -> Result<(ParamKey, ParamValue, Place)> {
    let own = |tables, key| Place { file: pipeline::FILE.to_owned(), tables, key };
    if let Some(option) = declared.groups.get(name) {
        let key = ParamKey::new(name);
        return Ok((key.clone(), option.as_str().into(), own(&["config", "groups"], key)));
    }
    let key = declared.params.resolve(name).map_err(|unresolved| match unresolved {
        Unresolved::Unknown { suggestion: None } => {
            let hint = "add it to `[params]` by hand, or for one run with `-p +KEY=VALUE`";
            let what = format!("there is no param `{name}`, and `params set` cannot add one");
            Error::usage(what).hint(hint)
        }
        other => unresolvable(name, other),
    })?;
    let Some(old) = declared.params.get(key.as_str()) else {
        panic!("BUG: `{key}` is a param without a value");
    };
    let place = match declared.written.get(key.as_str()) {
        Some(written) => {
            Place { file: written.file.to_string(), tables: &[], key: written.key.clone() }
        }
        None => own(&["params"], key.clone()),
    };
    Ok((key.clone(), old.clone(), place))
}

impl Files {
    /// Applies the changes and returns the texts of the files that differ from those on the disk.
    fn edit(&self, root: &Path, changes: &[Change]) -> Result<Files> {
        let mut files = Files(self.0.clone());
        // An equal value also keeps its spelling.
        for Change { key, new, place, .. } in
            changes.iter().filter(|change| change.old != *change.new.value())
        {
            if let Some(format @ (Format::Json | Format::Yaml)) = Format::of(&place.file) {
                let (name, file) = (format.name(), &place.file);
                let what =
                    format!("param `{key}` is defined in `{file}`, and {name} is not edited");
                let hint = format!("edit the file, or give the value to one run: `-p {key}=…`");
                return Err(Error::usage(what).hint(hint));
            }
            let because =
                |why: params_edit::Uneditable| Error::usage(format!("{}: {why}", place.file));
            let text = files.text(root, &place.file)?;
            let text = params_edit::set(&text, place.tables, &place.key, new).map_err(because)?;
            files.0.insert(place.file.clone(), text);
        }
        Ok(files)
    }
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
mod tests;
