//! `[config]`: params from further files. Later wins: included files in their order, then the chosen files of the groups,
//! then `[params]` of pipeline.toml itself, then what the command line says.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::{Reader, Value};
use crate::error::did_you_mean;
use crate::pipeline::params_edit::{self, Literal};
use crate::pipeline::problem::Place;
use crate::pipeline::{
    FileSource, Operation, Override, ParamKey, ParamValue, Params, Problem, Unresolved, Written,
};
use crate::repo_path::RepoPath;

/// Where the files of groups lie: `conf/model/small.toml`.
pub const GROUPS: &str = "conf";

/// The params of a pipeline and where they come from.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) params: Params,
    /// Of each param that stands in a file other than pipeline.toml.
    pub(super) written: BTreeMap<ParamKey, Written>,
    /// The chosen option of each group.
    pub(super) groups: BTreeMap<String, String>,
    pub(super) whole: Whole,
}

/// Whether the params are all that were meant.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    #[default]
    Yes,
    /// A file or a group could not be had, or an override could not be followed.
    No,
}

impl Reader {
    /// All params, composed.
    pub(super) fn compose(
        &mut self,
        root: &DeTable<'_>,
        overrides: &[Override],
        world: FileSource<'_>,
    ) -> Composed {
        let mut composed = Composed::default();
        let before = self.problems.len();
        let config = root.get("config").and_then(|value| self.table(value, "`[config]`"));
        let mut rest: Vec<&Override> = overrides.iter().collect();
        if let Some(config) = config {
            self.only_keys(config, "`[config]`", &super::CONFIG);
            for (text, at) in self.strings(config, "include", "`[config]`") {
                if let Some(path) = self.path(text, at, "file", "`include`") {
                    let line = self.line(at);
                    self.add_file(&path, "", Place::Line(line), world, &mut composed);
                }
            }
            if let Some(groups) =
                config.get("groups").and_then(|value| self.table(value, "`groups` of `[config]`"))
            {
                for (group, value) in groups {
                    self.add_group(group.get_ref(), value, &mut rest, world, &mut composed);
                }
            }
        }
        if self.problems.len() > before {
            composed.whole = Whole::No;
        }
        let own = self.params(root);
        own.iter().for_each(|(key, value)| composed.insert(key.clone(), value.clone(), None));
        let of_files = composed.whole;
        for given in rest {
            // It may be one of those that could not be had.
            let is_unknown =
                || matches!(composed.params.resolve(&given.key), Err(Unresolved::Unknown { .. }));
            if of_files == Whole::No && is_unknown() {
                continue;
            }
            if let Err(problem) = composed.apply(given) {
                self.problems.push(problem);
                composed.whole = Whole::No;
            }
        }
        composed
    }

    /// The file that a group chooses, or that `-p GROUP=OPTION` chooses in its place.
    fn add_group(
        &mut self,
        group: &str,
        value: &Value<'_>,
        rest: &mut Vec<&Override>,
        world: FileSource<'_>,
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
                what: format!("`{option}` is no option of group `{group}`"),
                hint: None,
            });
            return;
        };
        let options = (world.list)(&folder);
        if path.strip_prefix(&folder).is_none() || !options.contains(&option) {
            let meant = did_you_mean(&option, options.iter().map(String::as_str));
            let hint = match (meant, options.is_empty()) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, false) => format!("there are {}", options.join(", ")),
                (None, true) => format!("an option is a file `{folder}/NAME.toml`"),
            };
            let what = format!("group `{group}` has no option `{option}`");
            self.problems.push(Problem { place, what, hint: Some(hint) });
            return;
        }
        self.add_file(&path, group, place, world, composed);
        composed.groups.insert(group.to_owned(), option);
    }

    /// Lays the params of a file over those so far, all below `prefix`.
    fn add_file(
        &mut self,
        path: &RepoPath,
        prefix: &str,
        place: Place,
        world: FileSource<'_>,
        composed: &mut Composed,
    ) {
        let text = match (world.read)(path) {
            Ok(text) => text,
            Err(why) => {
                self.problems.push(Problem {
                    place,
                    what: format!("`{path}` cannot be read: {why}"),
                    hint: None,
                });
                return;
            }
        };
        let mut reader = Reader::new(&text);
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let line = error.span().map_or(1, |span| reader.line_at(span.start));
            reader.problems.push(Problem::new(line, error.message().trim().replace('\n', ", ")));
        }
        let mut params = Params::default();
        reader.params_below(table.get_ref(), "", &mut params);
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

    /// Does what one `-p` says.
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
                let literal = Literal::typed(&given.raw, &old)
                    .map_err(|wrong| problem(wrong.to_string(), Some(format!("it is {old}"))))?;
                self.params.replace(key, literal.value().clone());
            }
            // A table is laid over the one that is there.
            (Operation::Set | Operation::Put, Err(Unresolved::Table(_))) => match value()? {
                ParamValue::Object(table) => {
                    for (name, value) in table {
                        self.params.replace(ParamKey::new(format!("{}.{name}", given.key)), value);
                    }
                }
                _ => {
                    return Err(problem(
                        "is a table of params".into(),
                        Some("name one of them, or give a table: {a = 1}".into()),
                    ));
                }
            },
            (Operation::Add, Ok(key)) => {
                return Err(problem(
                    format!("param `{key}` is there already"),
                    Some(format!("leave out the `+` to change it: {}={}", given.key, given.raw)),
                ));
            }
            (Operation::Add | Operation::Put, Err(_)) => {
                self.params.replace(ParamKey::new(given.key.as_str()), value()?);
            }
            (Operation::Remove, Ok(key)) => self.params.remove(&key),
            (Operation::Remove, Err(Unresolved::Table(keys))) => {
                keys.iter().for_each(|key| self.params.remove(key));
            }
            (_, Err(Unresolved::Unknown { meant })) => {
                let hint = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("`-p +{}` adds one", given.typed()),
                };
                return Err(problem("no such param".into(), Some(hint)));
            }
            (_, Err(Unresolved::Ambiguous(keys))) => {
                let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                return Err(problem(
                    "could be several params".into(),
                    Some(format!("name one of {}", keys.join(", "))),
                ));
            }
        }
        Ok(())
    }
}
