//! `[config]`: params from further files. Later definitions override earlier ones: included files
//! in order, the chosen files of the groups, `[params]` of `pipeline.toml`, then the command line.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::reader::{Reader, Value, header_hint};
use crate::data::Format;
use crate::error::did_you_mean;
use crate::pipeline::params_edit;
use crate::pipeline::problem::Place;
use crate::pipeline::{
    BadName, FileSource, Operation, Override, ParamKey, ParamValue, Params, Problem, Unresolved,
    Written, check_name,
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
    /// Definitions in other files that `[params]` of `pipeline.toml` replaces.
    pub(super) shadowed: BTreeMap<ParamKey, Written>,
    /// The chosen option of each group.
    pub(super) groups: BTreeMap<String, String>,
    /// The files of the options that the command line chooses.
    chosen: BTreeSet<RepoPath>,
    /// The params that each override sets, by its text.
    pub(super) set: Vec<(String, Vec<ParamKey>)>,
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
                    match group.get_ref().split('.').try_for_each(check_name) {
                        Ok(()) => {
                            self.add_group(group.get_ref(), value, &mut rest, files, &mut composed);
                        }
                        Err(bad) => self.bad_name(group, &bad),
                    }
                }
            }
        }
        if self.problems.len() > before {
            composed.completeness = Completeness::Incomplete;
        }
        let own = self.params(root);
        for (key, value) in own.iter() {
            composed.shadow(key);
            composed.insert(key.clone(), value.clone(), None);
        }
        let from_files = composed.completeness;
        for given in rest {
            // The param may be defined in a file that could not be read.
            let is_unknown =
                || matches!(composed.params.resolve(&given.key), Err(Unresolved::Unknown { .. }));
            if from_files == Completeness::Incomplete && is_unknown() {
                continue;
            }
            let removes = matches!(given.operation, Operation::Remove | Operation::RemoveEqual);
            let before = if removes { composed.params.clone() } else { Params::default() };
            let applied = composed.apply(given);
            let gone = before.iter().filter(|(key, _)| composed.params.get(key.as_str()).is_none());
            self.removed.extend(gone.map(|(key, _)| (key.clone(), given.typed())));
            match applied {
                Ok(keys) => composed.set.push((given.typed(), keys)),
                Err(problem) => {
                    self.problems.push(problem);
                    composed.completeness = Completeness::Incomplete;
                }
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
            // A table is laid over the params of the option instead.
            let chooses = given.key == group
                && given.operation == Operation::Set
                && params_edit::table(&given.raw).is_none();
            if chooses {
                option = given.raw.trim().to_owned();
                place = Place::Override(given.typed());
            }
            !chooses
        });
        let folder = format!("{GROUPS}/{}", group.replace('.', "/"));
        let path = match option_file(&folder, group, &option, files) {
            Ok(path) => path,
            Err((what, hint)) => {
                self.problems.push(Problem { place, what, hint });
                return;
            }
        };
        if matches!(place, Place::Override(_)) {
            composed.chosen.insert(path.clone());
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
        let text = super::source::unix_line_ends(&text);
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
                reader.reject_headers(table.get_ref());
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

/// Finds the file of an option of a group, in any format of params.
///
/// # Errors
/// A message and a hint: there is no such option, or several files have its name.
fn option_file(
    folder: &str,
    group: &str,
    option: &str,
    files: FileSource<'_>,
) -> Result<RepoPath, (String, Option<String>)> {
    let missing = |hint| (format!("there is no option `{option}` in group `{group}`"), hint);
    let folder = RepoPath::parse(folder).map_err(|_| missing(None))?;
    let names = (files.list)(&folder);
    let stem = |name: &'_ str| name.rfind('.').map_or(name.len(), |at| at);
    let options: BTreeSet<&str> = names.iter().map(|name| &name[..stem(name)]).collect();
    let found: Vec<RepoPath> = names
        .iter()
        .filter(|name| name[..stem(name)] == *option)
        .map(|name| folder.join(name))
        .collect();
    match &found[..] {
        [path] => Ok(path.clone()),
        [] => {
            let suggestion = did_you_mean(option, options.iter().copied());
            Err(missing(Some(match (suggestion, options.is_empty()) {
                (Some(suggestion), _) => format!("did you mean `{suggestion}`?"),
                (None, false) => {
                    let options: Vec<&str> = options.into_iter().collect();
                    format!("the options are {}", options.join(", "))
                }
                (None, true) => format!("create an option as a file `{folder}/NAME.toml`"),
            })))
        }
        several => {
            let several: Vec<String> = several.iter().map(|path| format!("`{path}`")).collect();
            let what = format!("option `{option}` of group `{group}` has several files");
            Err((what, Some(format!("remove all but one of {}", several.join(", ")))))
        }
    }
}

impl Reader {
    pub(super) fn bad_name<T>(&mut self, at: &toml::Spanned<T>, bad: &BadName) {
        let problem = Problem::new(self.line(at), bad.to_string());
        self.problems.push(problem.hint(BadName::HINT));
    }

    /// Reports the headers of `pipeline.toml` in a file that only has params.
    fn reject_headers(&mut self, table: &DeTable<'_>) {
        for (name, value) in table.iter().filter(|(_, value)| value.get_ref().is_table()) {
            if let Some(hint) = header_hint(name.get_ref()) {
                let what = format!("`[{}]` has no meaning in a file of params", name.get_ref());
                self.problems.push(Problem::new(self.line(value), what).hint(hint));
            }
        }
    }
}

impl Composed {
    /// Returns the params that overrides have set, also by choosing the option of a group.
    pub(super) fn overridden(&self) -> BTreeSet<ParamKey> {
        let set = self.set.iter().flat_map(|(_, keys)| keys.iter().cloned());
        let is_chosen = |written: &Written| self.chosen.contains(&written.file);
        let chosen = self.written.iter().filter(|(_, written)| is_chosen(written));
        set.chain(chosen.map(|(key, _)| key.clone())).collect()
    }

    /// Returns a warning for each file whose params are all replaced, and for each option chosen on
    /// the command line of which some are.
    pub(super) fn without_effect(&self) -> Vec<String> {
        let mut files: BTreeMap<&RepoPath, Vec<&ParamKey>> = BTreeMap::new();
        for (key, written) in &self.shadowed {
            files.entry(&written.file).or_default().push(key);
        }
        let keys = |keys: &[&ParamKey]| {
            keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        };
        let warning = |(file, shadowed): (&RepoPath, Vec<&ParamKey>)| {
            let works = self.written.values().any(|written| written.file == *file);
            let shadowed = keys(&shadowed);
            if !works {
                Some(format!("`{file}` has no effect: `[params]` replaces {shadowed}"))
            } else if self.chosen.contains(file) {
                Some(format!("`[params]` replaces {shadowed} of `{file}`"))
            } else {
                None
            }
        };
        files.into_iter().filter_map(warning).collect()
    }

    /// Notes the definitions in other files that a param of `pipeline.toml` replaces.
    fn shadow(&mut self, key: &ParamKey) {
        let replaced = self.params.named(key.as_str()).into_keys();
        for key in replaced.chain(self.params.value_above(key).cloned()) {
            if let Some(written) = self.written.get(&key) {
                self.shadowed.insert(key, written.clone());
            }
        }
    }

    fn insert(&mut self, key: ParamKey, value: ParamValue, written: Option<Written>) {
        self.params.replace(key.clone(), value);
        match written {
            Some(written) => drop(self.written.insert(key, written)),
            None => drop(self.written.remove(&key)),
        }
    }
}
