//! From the text of `pipeline.toml` to values, collecting every fault on the way.
//! Reads one declaration at a time; what holds between declarations is `validate`'s.

pub(super) mod config;
pub(super) mod matrix;
pub(super) mod options;
pub(super) mod outs;
pub(super) mod stage;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::config::{Composed, Whole};
use super::template::Templates;
use super::{
    Goal, Goals, Links, ParamKey, ParamValue, Params, Pipeline, Problem, Stage, StageName, Tokens,
};
use crate::error::did_you_mean;
use crate::repo_path::RepoPath;

/// The keys of the file, of `[pipeline]`, of `[config]`, of a metric and of `[cache]`.
pub(super) const ROOT: [&str; 7] =
    ["pipeline", "config", "params", "metrics", "tokens", "cache", "stages"];
pub(super) const PIPELINE: [&str; 1] = ["name"];
pub(super) const CONFIG: [&str; 2] = ["include", "groups"];
pub(super) const METRIC: [&str; 1] = ["goal"];
pub(super) const CACHE: [&str; 1] = ["link"];

/// What a `-p` of the command line does to a param for one invocation; `key` may be short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub operation: Operation,
    pub key: String,
    /// The value as typed.
    pub raw: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `key=value`: the param exists, and keeps its type.
    Set,
    /// `+key=value`: it does not exist yet.
    Add,
    /// `++key=value`: either.
    Put,
    /// `~key`
    Remove,
}

impl Override {
    /// As it was typed.
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

/// What a pipeline's text is read against.
#[derive(Clone, Copy)]
pub struct FileSource<'w> {
    /// Whether a path, or the root, is there: for deps that no stage makes.
    pub exists: &'w dyn Fn(Option<&RepoPath>) -> bool,
    /// The text of a further file of params.
    pub read: &'w dyn Fn(&RepoPath) -> Result<String, String>,
    /// The names of the `.toml` files in a folder, without the ending.
    pub list: &'w dyn Fn(&RepoPath) -> Vec<String>,
}

impl std::fmt::Debug for FileSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileSource")
    }
}

/// Reads and validates a pipeline.
///
/// # Errors
/// Every fault of its files, by line.
pub fn parse(
    text: &str,
    overrides: &[Override],
    world: FileSource<'_>,
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
    reader.only_keys(root, "the file", &ROOT);
    let name = reader.name(root);
    let goals = reader.goals(root);
    let tokens = reader.tokens(root);
    let links = reader.links(root);
    let Composed { params, written, groups, whole } = reader.compose(root, overrides, world);
    if whole == Whole::No {
        // What hangs on a param that is not there would only repeat it.
        return reader.fail();
    }
    let stages = reader.stages(root, &params, &tokens);
    match super::validate::graph(&stages, world.exists) {
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

/// What a stage's declaration can refer to.
#[derive(Debug, Clone, Copy)]
struct Scope<'s> {
    params: &'s Params,
    templates: &'s Templates,
    tokens: &'s Tokens,
}

struct Reader {
    /// The byte offset at which each line begins.
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

    fn only_keys(&mut self, table: &DeTable<'_>, of: &str, known: &[&str]) {
        for (key, _) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                let problem = Problem::new(
                    self.line(key),
                    format!("unknown key `{}` in {of}", key.get_ref()),
                );
                let problem = match did_you_mean(key.get_ref(), known.iter().copied()) {
                    Some(meant) => problem.meant(Some(meant)),
                    None => problem.hint(format!("the keys are {}", known.join(", "))),
                };
                self.problems.push(problem);
            }
        }
    }

    fn table<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problem(value, format!("{what} is {}, not a table", kind(value)));
        }
        table
    }

    fn string<'v>(&mut self, value: &'v Value<'_>, what: &str) -> Option<&'v str> {
        let string = value.get_ref().as_str();
        if string.is_none() {
            self.problem(value, format!("{what} is {}, not a string", kind(value)));
        }
        string
    }

    /// The strings of a list, each with where it stands.
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
                format!("`{key}` of {of} is {}, not a list of strings", kind(value)),
            );
            return Vec::new();
        };
        let what = format!("an entry of `{key}` of {of}");
        list.iter().filter_map(|entry| Some((self.string(entry, &what)?, entry))).collect()
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
        self.only_keys(table, "`[pipeline]`", &PIPELINE);
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
                let what = format!(
                    "`{}` cannot name a param: use letters, digits, `_` and `-`",
                    name.get_ref().escape_debug()
                );
                self.problem(name, what);
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
                    self.problem(
                        value,
                        format!("param `{key}` is not a finite number, which JSON cannot hold"),
                    );
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
            self.only_keys(options, &what, &METRIC);
            let Some(goal) = options.get("goal") else { continue };
            match goal.get_ref().as_str() {
                Some("max") => goals.insert(name.get_ref().to_string(), Goal::Max),
                Some("min") => goals.insert(name.get_ref().to_string(), Goal::Min),
                _ => self.problem(goal, format!("`goal` of {what} is neither \"max\" nor \"min\"")),
            }
        }
        goals
    }

    /// `[tokens]`: how many there are of each.
    fn tokens(&mut self, root: &DeTable<'_>) -> Tokens {
        let mut tokens = Tokens::new();
        let Some(table) = root.get("tokens").and_then(|value| self.table(value, "`[tokens]`"))
        else {
            return tokens;
        };
        for (name, value) in table {
            let what = format!("token `{}`", name.get_ref());
            if let Some(count) = self.whole(value, &what, 1..=1_000_000) {
                tokens.insert(name.get_ref().to_string(), count);
            }
        }
        tokens
    }

    /// `link` of `[cache]`.
    fn links(&mut self, root: &DeTable<'_>) -> Links {
        let Some(table) = root.get("cache").and_then(|value| self.table(value, "`[cache]`")) else {
            return Links::default();
        };
        self.only_keys(table, "`[cache]`", &CACHE);
        let Some(value) = table.get("link") else {
            return Links::default();
        };
        let found = self.problems.len();
        let words = self.strings(table, "link", "`[cache]`");
        match Links::parse(words.iter().map(|(word, _)| *word)) {
            Ok(links) => return links,
            // What is no string was told already.
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
                let hint = "add a `[stages.NAME]` with a `cmd`; in an empty folder, `repro init` writes an example";
                self.problems.push(Problem::new(1, "declares no stage").hint(hint));
            }
            return Vec::new();
        };
        let templates = Templates::new(params);
        let scope = Scope { params, templates: &templates, tokens };
        let mut stages = Vec::with_capacity(table.len());
        for (name, value) in table {
            let line = self.line(name);
            let Some(stage_name) = StageName::parse(name.get_ref()) else {
                let what = format!(
                    "`{}` cannot name a stage: use letters, digits, `_`, `-`, `.`",
                    name.get_ref().escape_debug()
                );
                self.problem(name, what);
                continue;
            };
            if let Some(options) = self.table(value, &format!("stage `{stage_name}`")) {
                self.stage_or_matrix(&stage_name, line, options, scope, &mut stages);
            }
        }
        // A table of TOML does not keep its order; the variants of a matrix do.
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
