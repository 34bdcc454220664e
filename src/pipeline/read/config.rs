//! `[config]`: params from further files. Later definitions override earlier ones: included files
//! in order, the chosen files of the groups, `[params]` of `pipeline.toml`, then the command line.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::reader::{Reader, Value};
use crate::data::Format;
use crate::error::did_you_mean;
use crate::pipeline::params_edit::{self, Literal};
use crate::pipeline::problem::Place;
use crate::pipeline::{
    FileSource, Operation, Override, ParamKey, ParamValue, Params, Problem, Unresolved, Written,
};
use crate::repo_path::RepoPath;

/// The directory of the groups' files: `conf/model/small.toml`.
pub const GROUPS: &str = "conf";

/// The params of a pipeline and their origin.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) params: Params,
    /// The origin of each param that comes from a file other than `pipeline.toml`.
    pub(super) written: BTreeMap<ParamKey, Written>,
    /// The chosen option of each group.
    pub(super) groups: BTreeMap<String, String>,
    pub(super) completeness: Completeness,
}

/// The success of reading all params.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    #[default]
    Complete,
    /// A file or a group could not be read, or an override could not be applied.
    Incomplete,
}

impl Reader {
    /// Combines the params of all files and the overrides.
    pub(super) fn compose(
        &mut self,
        root: &DeTable<'_>,
        overrides: &[Override],
        files: FileSource<'_>,
    ) -> Composed {
        let mut composed = Composed::default();
        let before = self.problems.len();
        let config = root.get("config").and_then(|value| self.table(value, "`[config]`"));
        let mut rest: Vec<&Override> = overrides.iter().collect();
        if let Some(config) = config {
            self.reject_unknown_keys(config, "`[config]`", &super::reader::CONFIG);
            for (text, at) in self.strings(config, "include", "`[config]`") {
                if let Some(path) = self.path(text, at, "file", "`include`") {
                    let line = self.line(at);
                    self.add_file(&path, "", Place::Line(line), files, &mut composed);
                }
            }
            if let Some(groups) =
                config.get("groups").and_then(|value| self.table(value, "`groups` of `[config]`"))
            {
                for (group, value) in groups {
                    self.add_group(group.get_ref(), value, &mut rest, files, &mut composed);
                }
            }
        }
        if self.problems.len() > before {
            composed.completeness = Completeness::Incomplete;
        }
        let own = self.params(root);
        own.iter().for_each(|(key, value)| composed.insert(key.clone(), value.clone(), None));
        let from_files = composed.completeness;
        for given in rest {
            // The param may be defined in a file that could not be read.
            let is_unknown =
                || matches!(composed.params.resolve(&given.key), Err(Unresolved::Unknown { .. }));
            if from_files == Completeness::Incomplete && is_unknown() {
                continue;
            }
            if let Err(problem) = composed.apply(given) {
                self.problems.push(problem);
                composed.completeness = Completeness::Incomplete;
            }
        }
        composed
    }

    /// Adds the file chosen by a group, or by `-p GROUP=OPTION` instead.
    fn add_group(
        &mut self,
        group: &str,
        value: &Value<'_>,
        rest: &mut Vec<&Override>,
        files: FileSource<'_>,
        composed: &mut Composed,
    ) {
        let Some(mut option) = self.string(value, &format!("group `{group}`")).map(str::to_owned)
        else {
            return;
        };
        let mut place = Place::Line(self.line(value));
        rest.retain(|given| {
            let chooses = given.key == group && given.operation == Operation::Set;
            if chooses {
                option = given.raw.trim().to_owned();
                place = Place::Override(given.typed());
            }
            !chooses
        });
        let folder = format!("{GROUPS}/{}", group.replace('.', "/"));
        let (Ok(folder), Ok(path)) =
            (RepoPath::parse(&folder), RepoPath::parse(&format!("{folder}/{option}.toml")))
        else {
            self.problems.push(Problem {
                place,
                what: format!("there is no option `{option}` in group `{group}`"),
                hint: None,
            });
            return;
        };
        let options = (files.list)(&folder);
        if !folder.contains(&path) || !options.contains(&option) {
            let suggestion = did_you_mean(&option, options.iter().map(String::as_str));
            let hint = match (suggestion, options.is_empty()) {
                (Some(suggestion), _) => format!("did you mean `{suggestion}`?"),
                (None, false) => format!("the options are {}", options.join(", ")),
                (None, true) => format!("create an option as a file `{folder}/NAME.toml`"),
            };
            let what = format!("there is no option `{option}` in group `{group}`");
            self.problems.push(Problem { place, what, hint: Some(hint) });
            return;
        }
        self.add_file(&path, group, place, files, composed);
        composed.groups.insert(group.to_owned(), option);
    }

    /// Adds the params of a file below `prefix`, overriding earlier ones.
    fn add_file(
        &mut self,
        path: &RepoPath,
        prefix: &str,
        place: Place,
        files: FileSource<'_>,
        composed: &mut Composed,
    ) {
        let text = match (files.read)(path) {
            Ok(text) => text,
            Err(why) => {
                self.problems.push(Problem {
                    place,
                    what: format!("cannot read `{path}`: {why}"),
                    hint: None,
                });
                return;
            }
        };
        let mut reader = Reader::new(&text);
        let mut params = Params::default();
        match Format::of(path.as_str()) {
            Some(format @ (Format::Json | Format::Yaml)) => {
                reader.params_of_data(format, &text, &mut params);
            }
            _ => {
                let (table, errors) = DeTable::parse_recoverable(&text);
                for error in errors {
                    reader.problems.extend(super::syntax::problem(&reader, &text, &error));
                }
                reader.params_below(table.get_ref(), "", &mut params);
            }
        }
        for (key, value) in params.iter() {
            let written = Written { file: path.clone(), key: key.clone() };
            let full = if prefix.is_empty() {
                key.clone()
            } else {
                ParamKey::new(format!("{prefix}.{key}"))
            };
            composed.insert(full, value.clone(), Some(written));
        }
        self.problems.extend(reader.problems.into_iter().map(|problem| match problem.place {
            Place::Line(line) => Problem { place: Place::In(path.clone(), line), ..problem },
            _ => problem,
        }));
    }
}

impl Composed {
    fn insert(&mut self, key: ParamKey, value: ParamValue, written: Option<Written>) {
        self.params.replace(key.clone(), value);
        match written {
            Some(written) => drop(self.written.insert(key, written)),
            None => drop(self.written.remove(&key)),
        }
    }

    /// Applies one override.
    fn apply(&mut self, given: &Override) -> Result<(), Problem> {
        let problem = |what: String, hint: Option<String>| Problem {
            place: Place::Override(given.typed()),
            what,
            hint,
        };
        let found = self.params.resolve(&given.key).cloned();
        let value = || params_edit::parse_value(&given.raw).map_err(|why| problem(why, None));
        match (given.operation, found) {
            (Operation::Set | Operation::Put, Ok(key)) => {
                let old = self.params.get(key.as_str()).cloned().unwrap_or_default();
                let literal = Literal::typed(&given.raw, &old).map_err(|wrong| {
                    let hint = format!("the present value is {old}");
                    problem(format!("param `{key}` {wrong}"), Some(hint))
                })?;
                self.params.replace(key, literal.value().clone());
            }
            // A table is merged into the existing one.
            (Operation::Set | Operation::Put, Err(Unresolved::Table(_))) => match value()? {
                ParamValue::Object(table) => {
                    for (name, value) in table {
                        self.params.replace(ParamKey::new(format!("{}.{name}", given.key)), value);
                    }
                }
                _ => {
                    return Err(problem(
                        format!("`{}` is a table of params, not a param", given.key),
                        Some("set one of its params, or give a table: {a = 1}".into()),
                    ));
                }
            },
            (Operation::Add, Ok(key)) => {
                return Err(problem(
                    format!("param `{key}` already exists"),
                    Some(format!("to change it, omit the `+`: {}={}", given.key, given.raw)),
                ));
            }
            (Operation::Add | Operation::Put, Err(_)) => {
                self.params.replace(ParamKey::new(given.key.as_str()), value()?);
            }
            (Operation::Remove, Ok(key)) => self.params.remove(&key),
            (Operation::Remove, Err(Unresolved::Table(keys))) => {
                keys.iter().for_each(|key| self.params.remove(key));
            }
            (_, Err(Unresolved::Unknown { suggestion })) => {
                let hint = match suggestion {
                    Some(suggestion) => format!("did you mean `{suggestion}`?"),
                    None if given.operation == Operation::Remove => {
                        "`repro params show` lists them".to_owned()
                    }
                    None => format!("add it with `-p +{}`", given.typed()),
                };
                return Err(problem(format!("there is no param `{}`", given.key), Some(hint)));
            }
            (_, Err(Unresolved::Ambiguous(keys))) => {
                let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                return Err(problem(
                    format!("param `{}` is ambiguous", given.key),
                    Some(format!("write one of {}", keys.join(", "))),
                ));
            }
        }
        Ok(())
    }
}
