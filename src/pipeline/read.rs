//! Parses the text of `pipeline.toml` into values and collects every problem found.
//!
//! Checks one declaration at a time; `validate` checks the declarations against each other.

pub(super) mod config;
pub(super) mod matrix;
pub(super) mod options;
pub(super) mod outs;
pub(super) mod stage;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::config::{Completeness, Composed};
use super::template::Templates;
use super::{
    Goal, Goals, Links, ParamKey, ParamValue, Params, Pipeline, Problem, Stage, StageName, Tokens,
};
use crate::error::did_you_mean;
use crate::repo_path::RepoPath;

/// The keys at the top level; those of the tables follow.
pub(super) const ROOT: [&str; 7] =
    ["pipeline", "config", "params", "metrics", "tokens", "cache", "stages"];
pub(super) const PIPELINE: [&str; 1] = ["name"];
pub(super) const CONFIG: [&str; 2] = ["include", "groups"];
pub(super) const METRIC: [&str; 1] = ["goal"];
pub(super) const CACHE: [&str; 1] = ["link"];

/// A change to a param by `-p` on the command line; `key` may be a short name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub operation: Operation,
    pub key: String,
    /// The value as typed.
    pub raw: String,
}

/// The kind of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `key=value`: changes an existing param, which keeps its type.
    Set,
    /// `+key=value`: adds a new param.
    Add,
    /// `++key=value`: changes or adds a param.
    Put,
    /// `~key`: removes a param.
    Remove,
}

impl Override {
    /// Returns the override as typed.
    pub fn typed(&self) -> String {
        let Override { operation, key, raw } = self;
        match operation {
            Operation::Set => format!("{key}={raw}"),
            Operation::Add => format!("+{key}={raw}"),
            Operation::Put => format!("++{key}={raw}"),
            Operation::Remove => format!("~{key}"),
        }
    }
}

/// File access for the parser.
#[derive(Clone, Copy)]
pub struct FileSource<'w> {
    /// Reports whether a path, or for `None` the root, exists; used for deps that no stage makes.
    pub exists: &'w dyn Fn(Option<&RepoPath>) -> bool,
    /// Reads the text of a params file.
    pub read: &'w dyn Fn(&RepoPath) -> Result<String, String>,
    /// Lists the names of the `.toml` files in a directory, without the extension.
    pub list: &'w dyn Fn(&RepoPath) -> Vec<String>,
}

impl std::fmt::Debug for FileSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileSource")
    }
}

/// Parses and validates a pipeline.
///
/// # Errors
/// Every problem in its files, sorted by location.
pub fn parse(
    text: &str,
    overrides: &[Override],
    files: FileSource<'_>,
) -> Result<Pipeline, Vec<Problem>> {
    let mut reader = Reader::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(1, |span| reader.line_at(span.start));
        reader.problems.push(Problem::new(line, error.message().trim().replace('\n', ", ")));
    }
    if !reader.problems.is_empty() {
        return reader.fail();
    }
    let root = root.get_ref();
    reader.reject_unknown_keys(root, "the file", &ROOT);
    let name = reader.name(root);
    let goals = reader.goals(root);
    let tokens = reader.tokens(root);
    let links = reader.links(root);
    let Composed { params, written, groups, completeness } = reader.compose(root, overrides, files);
    if completeness == Completeness::Incomplete {
        // Errors about params that are missing for this reason would only repeat it.
        return reader.fail();
    }
    let stages = reader.stages(root, &params, &tokens);
    match super::validate::graph(&stages, files.exists) {
        Ok(graph) if reader.problems.is_empty() => {
            Ok(Pipeline { name, params, written, groups, goals, tokens, links, stages, graph })
        }
        Ok(_) => reader.fail(),
        Err(problems) => {
            reader.problems.extend(problems);
            reader.fail()
        }
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

/// The definitions that a stage's declaration can refer to.
#[derive(Debug, Clone, Copy)]
struct Scope<'s> {
    params: &'s Params,
    templates: &'s Templates,
    tokens: &'s Tokens,
}

struct Reader {
    /// Byte offset of the start of each line.
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl Reader {
    fn new(text: &str) -> Reader {
        let starts =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Reader { line_starts: std::iter::once(0).chain(starts).collect(), problems: Vec::new() }
    }

    fn fail(mut self) -> Result<Pipeline, Vec<Problem>> {
        self.problems.sort();
        self.problems.dedup();
        Err(self.problems)
    }

    fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    fn line<T>(&self, value: &Spanned<T>) -> usize {
        self.line_at(value.span().start)
    }

    fn problem<T>(&mut self, at: &Spanned<T>, what: impl Into<String>) {
        let line = self.line(at);
        self.problems.push(Problem::new(line, what));
    }

    fn reject_unknown_keys(&mut self, table: &DeTable<'_>, of: &str, known: &[&str]) {
        for (key, _) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                let problem = Problem::new(
                    self.line(key),
                    format!("unknown key `{}` in {of}", key.get_ref()),
                );
                let problem = match did_you_mean(key.get_ref(), known.iter().copied()) {
                    Some(suggestion) => problem.did_you_mean(Some(suggestion)),
                    None => problem.hint(format!("the keys are {}", known.join(", "))),
                };
                self.problems.push(problem);
            }
        }
    }

    fn table<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problem(value, format!("{what} must be a table, not {}", kind(value)));
        }
        table
    }

    fn string<'v>(&mut self, value: &'v Value<'_>, what: &str) -> Option<&'v str> {
        let string = value.get_ref().as_str();
        if string.is_none() {
            self.problem(value, format!("{what} must be a string, not {}", kind(value)));
        }
        string
    }

    /// Returns the strings of a list with their values, which have the locations.
    fn strings<'v, 'a>(
        &mut self,
        table: &'v DeTable<'a>,
        key: &str,
        of: &str,
    ) -> Vec<(&'v str, &'v Value<'a>)> {
        let Some(value) = table.get(key) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.problem(
                value,
                format!("`{key}` of {of} must be a list of strings, not {}", kind(value)),
            );
            return Vec::new();
        };
        let mut strings = Vec::with_capacity(list.len());
        for entry in list {
            match entry.get_ref().as_str() {
                Some(text) => strings.push((text, entry)),
                None => self.problem(
                    entry,
                    format!("`{key}` of {of} must contain only strings, not {}", kind(entry)),
                ),
            }
        }
        strings
    }

    fn path(&mut self, text: &str, at: &Value<'_>, role: &str, of: &str) -> Option<RepoPath> {
        match RepoPath::parse(text) {
            Ok(path) => Some(path),
            Err(bad) => {
                self.problem(at, format!("{role} `{}` of {of} {bad}", text.escape_debug()));
                None
            }
        }
    }

    fn name(&mut self, root: &DeTable<'_>) -> Option<String> {
        let table = self.table(root.get("pipeline")?, "`[pipeline]`")?;
        self.reject_unknown_keys(table, "`[pipeline]`", &PIPELINE);
        self.string(table.get("name")?, "the pipeline's `name`").map(str::to_owned)
    }

    fn params(&mut self, root: &DeTable<'_>) -> Params {
        let mut params = Params::default();
        if let Some(value) = root.get("params")
            && let Some(table) = self.table(value, "`[params]`")
        {
            self.params_below(table, "", &mut params);
        }
        params
    }

    fn params_below(&mut self, table: &DeTable<'_>, prefix: &str, params: &mut Params) {
        for (name, value) in table {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
            if name.get_ref().is_empty() || !name.get_ref().chars().all(plain) {
                let what = format!("`{}` is not a valid param name", name.get_ref().escape_debug());
                let problem = Problem::new(self.line(name), what);
                self.problems.push(problem.hint("use letters, digits, `_` and `-`"));
                continue;
            }
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(inner) => self.params_below(inner, &key, params),
                _ => {
                    if let Some(value) = self.param_value(value, &key) {
                        params.insert(ParamKey::new(key), value);
                    }
                }
            }
        }
    }

    fn param_value(&mut self, value: &Value<'_>, key: &str) -> Option<ParamValue> {
        match value.get_ref() {
            DeValue::String(text) => Some(ParamValue::from(text.as_ref())),
            DeValue::Boolean(flag) => Some(ParamValue::from(*flag)),
            DeValue::Datetime(time) => Some(ParamValue::from(time.to_string())),
            DeValue::Integer(digits) => {
                match i64::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(number) => Some(ParamValue::from(number)),
                    Err(_) => {
                        self.problem(value, format!("param `{key}` does not fit in 64 bits"));
                        None
                    }
                }
            }
            DeValue::Float(digits) => {
                let number =
                    digits.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                if number.is_none() {
                    self.problem(value, format!("param `{key}` must be a finite number"));
                }
                number.map(ParamValue::Number)
            }
            DeValue::Array(list) => list.iter().map(|entry| self.param_value(entry, key)).collect(),
            DeValue::Table(table) => {
                let entries = table.iter();
                entries
                    .map(|(name, value)| {
                        Some((name.get_ref().to_string(), self.param_value(value, key)?))
                    })
                    .collect()
            }
        }
    }

    fn goals(&mut self, root: &DeTable<'_>) -> Goals {
        let mut goals = Goals::default();
        let Some(table) = root.get("metrics").and_then(|value| self.table(value, "`[metrics]`"))
        else {
            return goals;
        };
        for (name, value) in table {
            let what = format!("metric `{}`", name.get_ref());
            let Some(options) = self.table(value, &what) else { continue };
            self.reject_unknown_keys(options, &what, &METRIC);
            let Some(goal) = options.get("goal") else { continue };
            match goal.get_ref().as_str() {
                Some("max") => goals.insert(name.get_ref().to_string(), Goal::Max),
                Some("min") => goals.insert(name.get_ref().to_string(), Goal::Min),
                _ => self.problem(goal, format!("`goal` of {what} must be \"max\" or \"min\"")),
            }
        }
        goals
    }

    /// Reads `[tokens]`, the count of each token.
    fn tokens(&mut self, root: &DeTable<'_>) -> Tokens {
        let mut tokens = Tokens::new();
        let Some(table) = root.get("tokens").and_then(|value| self.table(value, "`[tokens]`"))
        else {
            return tokens;
        };
        for (name, value) in table {
            let what = format!("token `{}`", name.get_ref());
            if let Some(count) = self.integer(value, &what, 1..=1_000_000) {
                tokens.insert(name.get_ref().to_string(), count);
            }
        }
        tokens
    }

    /// Reads `link` of `[cache]`.
    fn links(&mut self, root: &DeTable<'_>) -> Links {
        let Some(table) = root.get("cache").and_then(|value| self.table(value, "`[cache]`")) else {
            return Links::default();
        };
        self.reject_unknown_keys(table, "`[cache]`", &CACHE);
        let Some(value) = table.get("link") else {
            return Links::default();
        };
        let found = self.problems.len();
        let words = self.strings(table, "link", "`[cache]`");
        match Links::parse(words.iter().map(|(word, _)| *word)) {
            Ok(links) => return links,
            // Entries that are not strings have been reported.
            Err(_) if self.problems.len() > found => {}
            Err(bad) => {
                let problem = Problem::new(self.line(value), format!("`link` of `[cache]` {bad}"));
                self.problems.push(problem.hint(bad.hint()));
            }
        }
        Links::default()
    }

    fn stages(&mut self, root: &DeTable<'_>, params: &Params, tokens: &Tokens) -> Vec<Stage> {
        let table = root.get("stages").and_then(|value| self.table(value, "`[stages]`"));
        let Some(table) = table.filter(|table| !table.is_empty()) else {
            if self.problems.is_empty() {
                let hint = "add a table `[stages.NAME]` with a `cmd`; \
                            in an empty directory, `repro init` writes an example";
                self.problems.push(Problem::new(1, "no stage is declared").hint(hint));
            }
            return Vec::new();
        };
        let templates = Templates::new(params);
        let scope = Scope { params, templates: &templates, tokens };
        let mut stages = Vec::with_capacity(table.len());
        for (name, value) in table {
            let line = self.line(name);
            let Some(stage_name) = StageName::parse(name.get_ref()) else {
                let what = format!("`{}` is not a valid stage name", name.get_ref().escape_debug());
                let hint = "use up to 100 letters, digits, `_`, `-`, `.` and `@`, \
                            not starting with `-` or `.`";
                self.problems.push(Problem::new(self.line(name), what).hint(hint));
                continue;
            };
            if let Some(options) = self.table(value, &format!("stage `{stage_name}`")) {
                self.stage_or_matrix(&stage_name, line, options, scope, &mut stages);
            }
        }
        // The parser does not keep the order of a table. The sort is stable, so the variants of a
        // matrix, which share a line, keep theirs.
        stages.sort_by_key(|stage| stage.line);
        stages
    }
}

fn kind(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
