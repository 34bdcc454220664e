//! Final metrics: the numbers in the files that stages declare under `metrics`.
//!
//! Everything that cannot be read, or has no single meaning, becomes a complaint with the file and
//! the remedy. `docs/reference/metrics.md` describes the rules.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::Project;
use super::observe::{fingerprint, observe_dep};
use crate::data::{self, Fault, Format, Value};
use crate::digest::Content;
use crate::number::Number;
use crate::pipeline::{Dep, Role, Stage};
use crate::plan::Trace;
use crate::repo_path::RepoPath;
use crate::workspace::Indexed;

/// Maximum size of a metrics file. Its values need about ten times as much memory.
const MAX_SIZE: u64 = 64 << 20;
/// Maximum length of a key. Longer ones come from a table that is data.
const MAX_KEY: usize = 1000;
/// Maximum number of complaints per file.
const MAX_COMPLAINTS: usize = 10;

/// The metrics of a stage, and what is wrong with its files.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// By dotted key.
    pub values: BTreeMap<String, Number>,
    pub complaints: Vec<String>,
}

/// Reads the metrics files of a stage. A missing file has no metrics.
pub(super) fn read(root: &Path, stage: &Stage) -> Found {
    read_by(stage, |path| bytes(&path.to_path(root)))
}

/// Reads the metrics of a stage from files whose bytes `read` returns; `None` for a missing file.
pub(super) fn read_by(
    stage: &Stage,
    read: impl Fn(&RepoPath) -> Result<Option<Vec<u8>>, Fault>,
) -> Found {
    let outs = stage.outs.iter().filter(|out| out.role == Role::Metrics);
    let mut files = Vec::new();
    let mut complaints = Vec::new();
    for out in outs {
        let path = out.path.as_str();
        let value = read(&out.path).and_then(|bytes| bytes.map(|b| value(path, &b)).transpose());
        match value {
            Ok(None) => {}
            Ok(Some(value)) => {
                let mut flat = Flat::default();
                flat.file(value);
                complaints.extend(flat.complaints(path));
                files.push((path, flat.numbers));
            }
            Err(Fault { line, what, hint }) => {
                let place = line.map_or_else(String::new, |line| format!(":{line}"));
                let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
                complaints.push(format!("`{path}{place}` has no metrics, because it {what}{hint}"));
            }
        }
    }
    Found { values: merged(files), complaints }
}

/// Reads the bytes of a file; `None` if it does not exist.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let unreadable = |err: std::io::Error| fault(format!("cannot be read: {err}"), "");
    let meta = match path.metadata() {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
        meta => meta.map_err(unreadable)?,
    };
    if !meta.is_file() {
        return Err(not_a_file(if meta.is_dir() { "a folder" } else { "not a file" }));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Some(bytes))
}

/// Returns the fault of a path that holds `kind` instead of a file.
pub(super) fn not_a_file(kind: &str) -> Fault {
    let hint = "declare the files under `metrics` one by one, and other outs under `outs`";
    fault(format!("is {kind}"), hint)
}

pub(super) fn fault(what: String, hint: &str) -> Fault {
    Fault { line: None, what, hint: (!hint.is_empty()).then(|| hint.to_owned()) }
}

/// Parses the bytes of the file `name`.
fn value(name: &str, bytes: &[u8]) -> Result<Value, Fault> {
    if bytes.len() as u64 > MAX_SIZE {
        let what = format!("is larger than {} MiB", MAX_SIZE >> 20);
        let hint = "write the final numbers only; data belongs to `outs`, a series to \
                    `$REPRO_EVENTS`";
        return Err(fault(what, hint));
    }
    let format = Format::of(name).unwrap_or(Format::Json);
    let text = data::decode(bytes)?;
    data::parse(format, &text).map_err(|fault| Fault {
        what: format!("cannot be read as {}: {}", format.name(), fault.what),
        ..fault
    })
}

/// The numbers in one file by dotted key, and the keys that cannot be recorded.
#[derive(Default)]
struct Flat {
    numbers: BTreeMap<String, Number>,
    repeated: Vec<String>,
    too_long: Vec<String>,
    /// The file holds something, but no table.
    is_no_table: bool,
}

impl Flat {
    fn file(&mut self, value: Value) {
        match value {
            Value::Table(entries) => {
                entries.into_iter().for_each(|(name, value)| self.add(name, value));
            }
            // An empty file.
            Value::Null => {}
            _ => self.is_no_table = true,
        }
        for key in &self.repeated {
            self.numbers.remove(key);
        }
    }

    fn add(&mut self, key: String, value: Value) {
        let number = match value {
            Value::Integer(integer) => Number::from(integer),
            Value::Float(float) => Number::from(float),
            Value::Bool(flag) => Number::from(f64::from(u8::from(flag))),
            Value::Text(text) => match data::not_finite(&text) {
                Some(float) => Number::from(float),
                None => return,
            },
            Value::Table(entries) => {
                let below = |name: String| format!("{key}.{name}");
                return entries.into_iter().for_each(|(name, value)| self.add(below(name), value));
            }
            // A list, such as a confusion matrix, is data and not a metric.
            Value::List(_) | Value::Null => return,
        };
        if key.len() > MAX_KEY {
            self.too_long.push(key);
        } else if self.numbers.insert(key.clone(), number).is_some() {
            self.repeated.push(key);
        }
    }

    fn complaints(&self, path: &str) -> Vec<String> {
        if self.is_no_table {
            let hint = "write a table of names and numbers, such as {\"accuracy\": 0.9}";
            return vec![format!("`{path}` has no metrics, because it is not a table; {hint}")];
        }
        let mut complaints = Vec::new();
        for key in &self.repeated {
            complaints.push(format!(
                "`{path}` has two values for `{key}`, so neither is recorded; rename one of them"
            ));
        }
        for key in &self.too_long {
            let start: String = key.chars().take(40).collect();
            complaints.push(format!(
                "`{path}` has a key of more than {MAX_KEY} bytes, `{start}…`, which is not \
                 recorded; shorten it"
            ));
        }
        if complaints.is_empty() && self.numbers.is_empty() {
            complaints.push(format!(
                "`{path}` contains no number; write metrics as numbers, without quotes and not in \
                 lists"
            ));
        }
        let more = complaints.len().saturating_sub(MAX_COMPLAINTS);
        complaints.truncate(MAX_COMPLAINTS);
        if more > 0 {
            complaints.push(format!("`{path}` has {more} more keys that are not recorded"));
        }
        complaints
    }
}

/// Combines the numbers of several files. A key that is in more than one of them is preceded by
/// the label of its file.
fn merged(files: Vec<(&str, BTreeMap<String, Number>)>) -> BTreeMap<String, Number> {
    let mut count: BTreeMap<&String, usize> = BTreeMap::new();
    for key in files.iter().flat_map(|(_, numbers)| numbers.keys()) {
        *count.entry(key).or_default() += 1;
    }
    let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    let labels = labels(&paths);
    let mut all = BTreeMap::new();
    for ((_, numbers), label) in files.iter().zip(&labels) {
        for (key, number) in numbers {
            let shared = count[key] > 1 || labels.iter().any(|label| below(key, label));
            let key = if shared { format!("{label}.{key}") } else { key.clone() };
            all.insert(key, *number);
        }
    }
    all
}

/// Reports whether a key could be mistaken for one that is preceded by a label.
fn below(key: &str, label: &str) -> bool {
    key.strip_prefix(label).is_some_and(|rest| rest.starts_with('.'))
}

/// Returns a label for each path: without the folder that all have in common, and without the
/// extensions if the labels still differ.
fn labels(paths: &[&str]) -> Vec<String> {
    let common = |at: usize| paths.iter().all(|path| path.get(..at) == paths[0].get(..at));
    let slashes = paths.first().into_iter().flat_map(|path| path.match_indices('/'));
    let start = slashes.map(|(at, _)| at + 1).filter(|&at| common(at)).max().unwrap_or(0);
    let dotted = |path: &str| path.replace('/', ".");
    let whole: Vec<String> = paths.iter().map(|path| dotted(&path[start..])).collect();
    let short: Vec<String> = whole
        .iter()
        .map(|label| label.rsplit_once('.').map_or(label.as_str(), |(stem, _)| stem).to_owned())
        .collect();
    let distinct = short.iter().collect::<std::collections::BTreeSet<_>>().len() == short.len();
    if distinct { short } else { whole }
}

/// Reports whether the workspace holds what the lock says about a stage that this run does not
/// observe, as far as that is known without reading large deps.
pub(super) fn is_as_locked(project: &Project, stage: &Stage) -> bool {
    let has_metrics = stage.outs.iter().any(|out| out.role == Role::Metrics);
    let trace = project.lock.stages.get(&stage.name).filter(|_| has_metrics);
    let Some(trace) = trace else { return false };
    let holds = |(path, content): (&RepoPath, &Content)| {
        let seen = project.workspace.observe(path).ok().flatten();
        seen.is_some_and(|seen| seen.content() == *content)
    };
    let metrics = stage.outs.iter().filter(|out| out.role == Role::Metrics).map(|out| &out.path);
    let mut metrics = metrics.filter_map(|path| Some((path, trace.outs.get(path)?)));
    let deps = stage
        .deps
        .iter()
        .filter_map(|dep| Some((dep.path.clone(), dep_content(project, stage, dep, trace)?)));
    let deps: BTreeMap<RepoPath, Content> = deps.collect();
    fingerprint(&project.root, &project.answers, stage, deps)
        .is_ok_and(|fingerprint| fingerprint == trace.fingerprint)
        && metrics.all(holds)
}

/// Returns the content of a dep; that in the lock if it cannot be known without reading much.
fn dep_content(project: &Project, stage: &Stage, dep: &Dep, trace: &Trace) -> Option<Content> {
    let is_small = |path: &RepoPath| {
        let meta = path.to_path(&project.root).metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_SIZE)
    };
    let locked = || trace.fingerprint.deps.get(&dep.path).copied();
    match dep.source() {
        (path, None) if is_small(path) => {
            observe_dep(project, stage, dep).ok().flatten().map(|seen| seen.content())
        }
        (path, None) => match project.workspace.indexed_content(path) {
            Indexed::Present(content) => Some(content),
            Indexed::Unknown => locked(),
            Indexed::Absent => None,
        },
        (_, Some(_)) => locked(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> (String, Vec<String>) {
        let mut flat = Flat::default();
        flat.file(data::parse(Format::Json, text).unwrap());
        (format!("{:?}", flat.numbers), flat.complaints("m.json"))
    }

    #[test]
    fn numbers_get_dotted_keys() {
        let (numbers, complaints) = flat(
            r#"{"a": 1, "b": {"c": 0.5, "ok": true}, "list": [1], "text": "x", "null": null,
                "nan": NaN, "top": "Infinity", "big": 9007199254740993}"#,
        );
        assert_eq!(
            numbers,
            "{\"a\": 1.0, \"b.c\": 0.5, \"b.ok\": 1.0, \"big\": 9007199254740993, \
             \"nan\": NaN, \"top\": inf}"
        );
        assert_eq!(complaints, Vec::<String>::new());
    }

    #[test]
    fn complaints_name_the_remedy() {
        let long = format!(r#"{{"{}": 1, "a": 2}}"#, "k".repeat(70_000));
        for (text, numbers, start, end) in [
            (
                r#"{"a.b": 1, "a": {"b": 2}, "c": 3}"#,
                r#"{"c": 3.0}"#,
                "`m.json` has two values for `a.b`",
                "rename one of them",
            ),
            (
                r#"{"a": 1, "a": 1, "a": 1}"#,
                "{}",
                "`m.json` has two values for `a`",
                "rename one of them",
            ),
            (
                "[1, 2]",
                "{}",
                "`m.json` has no metrics, because it is not a table",
                "{\"accuracy\": 0.9}",
            ),
            (
                "0.5",
                "{}",
                "`m.json` has no metrics, because it is not a table",
                "{\"accuracy\": 0.9}",
            ),
            (r#"{"a": "0.5"}"#, "{}", "`m.json` contains no number", "in lists"),
            (&long, r#"{"a": 2.0}"#, "`m.json` has a key of more than 1000 bytes", "shorten it"),
        ] {
            let (found, complaints) = flat(text);
            assert_eq!(found, numbers, "{start}");
            let first = &complaints[0];
            assert!(first.starts_with(start) && first.ends_with(end), "{first}");
        }
        for empty in ["{}", "null"] {
            assert!(flat(empty).1[0].contains("contains no number"), "{empty}");
        }
    }

    #[test]
    fn shared_keys_name_their_file() {
        let numbers = |entries: &[(&str, f64)]| -> BTreeMap<String, Number> {
            entries.iter().map(|(key, n)| ((*key).to_owned(), Number::from(*n))).collect()
        };
        let keys = |files: &[(&'static str, &[(&str, f64)])]| {
            let files = files.iter().map(|(path, entries)| (*path, numbers(entries))).collect();
            merged(files).into_keys().collect::<Vec<_>>()
        };
        let (train, test) = ("m/train.json", "m/test.json");
        assert_eq!(
            keys(&[(train, &[("acc", 1.0), ("n", 3.0)]), (test, &[("acc", 2.0)])]),
            ["n", "test.acc", "train.acc"]
        );
        assert_eq!(
            keys(&[(train, &[("acc", 1.0), ("test.acc", 3.0)]), (test, &[("acc", 2.0)])]),
            ["test.acc", "train.acc", "train.test.acc"]
        );
        assert_eq!(labels(&["a/m.json", "b/m.json", "b/c/m.json"]), ["a.m", "b.m", "b.c.m"]);
        assert_eq!(labels(&["d/m.json", "d/m.yaml"]), ["m.json", "m.yaml"]);
        assert_eq!(labels(&["m"]), ["m"]);
    }
}
