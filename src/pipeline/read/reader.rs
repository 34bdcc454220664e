//! The parser of the simple tables, and the checks that all tables share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::did_you_mean;
use crate::pipeline::OutsInGit;
use crate::pipeline::problem::Place;
use crate::pipeline::template::Templates;
use crate::pipeline::{
    Goal, Goals, KEEP_DISPLACED, Links, ParamKey, ParamValue, Params, Problem, Stage, StageName,
    Tokens, check_name, is_url,
};
use crate::repo_path::RepoPath;

/// The keys at the top level; those of the tables follow.
pub(in crate::pipeline) const ROOT: [&str; 12] = [
    "pipeline",
    "config",
    "params",
    "metrics",
    "tokens",
    "cache",
    "git",
    "worktrees",
    "remotes",
    "external",
    "sweeps",
    "stages",
];
pub(in crate::pipeline) const PIPELINE: [&str; 2] = ["name", "mlflow"];
pub(in crate::pipeline) const CONFIG: [&str; 2] = ["include", "groups"];
pub(in crate::pipeline) const GIT: [&str; 1] = ["ignore_outs"];
pub(in crate::pipeline) const METRIC: [&str; 1] = ["goal"];
pub(in crate::pipeline) const CACHE: [&str; 3] = ["dir", "link", "trash"];

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// The definitions that a stage's declaration can refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) params: &'s Params,
    pub(super) templates: &'s Templates,
    pub(super) tokens: &'s Tokens,
    /// Default of the key `mlflow` of a stage.
    pub(super) mlflow: bool,
}

/// The parser of one file: reports problems with their lines.
pub(super) struct Reader {
    /// Byte offset of the start of each line.
    line_starts: Vec<usize>,
    pub(super) problems: Vec<Problem>,
    /// The params that `-p ~KEY` removed, with the text that was typed.
    pub(super) removed: Vec<(ParamKey, String)>,
    /// The params without a value that the present stage uses.
    pub(super) required: BTreeSet<ParamKey>,
}

impl Reader {
    pub(super) fn new(text: &str) -> Reader {
        let starts =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Reader {
            line_starts: std::iter::once(0).chain(starts).collect(),
            problems: Vec::new(),
            removed: Vec::new(),
            required: BTreeSet::new(),
        }
    }

    /// Takes the problems, sorted by location, each once.
    pub(super) fn sorted(&mut self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort();
        problems.dedup();
        problems
    }

    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    pub(super) fn line<T>(&self, value: &Spanned<T>) -> usize {
        self.line_at(value.span().start)
    }

    pub(super) fn problem<T>(&mut self, at: &Spanned<T>, what: impl Into<String>) {
        let line = self.line(at);
        self.problems.push(Problem::new(line, what));
    }

    pub(super) fn reject_unknown_keys(&mut self, table: &DeTable<'_>, of: &str, known: &[&str]) {
        for (key, _) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                let problem = Problem::new(
                    self.line(key),
                    format!("unknown key `{}` in {of}", key.get_ref()),
                );
                let suggestion = did_you_mean(key.get_ref(), known.iter().copied());
                self.problems.push(match (foreign_key(key.get_ref(), known), suggestion) {
                    (Some(hint), _) => problem.hint(hint),
                    (None, Some(suggestion)) => problem.did_you_mean(Some(suggestion)),
                    (None, None) => problem.hint(format!("the keys are {}", known.join(", "))),
                });
            }
        }
    }

    pub(super) fn table<'v, 'a>(
        &mut self,
        value: &'v Value<'a>,
        what: &str,
    ) -> Option<&'v DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problem(value, format!("{what} must be a table, not {}", kind(value)));
        }
        table
    }

    pub(super) fn string<'v>(&mut self, value: &'v Value<'_>, what: &str) -> Option<&'v str> {
        let string = value.get_ref().as_str();
        if string.is_none() {
            self.problem(value, format!("{what} must be a string, not {}", kind(value)));
        }
        string
    }

    /// Returns the strings of a list with their values, which have the locations.
    pub(super) fn strings<'v, 'a>(
        &mut self,
        table: &'v DeTable<'a>,
        key: &str,
        of: &str,
    ) -> Vec<(&'v str, &'v Value<'a>)> {
        let Some(value) = table.get(key) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.not_a_list(value, key, format!("`{key}` of {of} must be a list of strings"));
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

    /// Reports a value that is not a list; `what` lacks the kind of the value.
    pub(super) fn not_a_list(&mut self, value: &Value<'_>, key: &str, what: String) {
        let problem = Problem::new(self.line(value), format!("{what}, not {}", kind(value)));
        self.problems.push(match value.get_ref() {
            DeValue::String(_) => problem.hint(format!("write `{key} = [\"…\"]`")),
            _ => problem,
        });
    }

    pub(super) fn path(
        &mut self,
        text: &str,
        at: &Value<'_>,
        role: &str,
        of: &str,
    ) -> Option<RepoPath> {
        if let Some((what, hint)) = not_in_project(text) {
            let problem = format!("{role} `{}` of {of} {what}", text.escape_debug());
            self.problems.push(Problem::new(self.line(at), problem).hint(hint));
            return None;
        }
        match RepoPath::parse(text) {
            Ok(path) => Some(path),
            Err(bad) => {
                self.problem(at, format!("{role} `{}` of {of} {bad}", text.escape_debug()));
                None
            }
        }
    }

    pub(super) fn name(&mut self, root: &DeTable<'_>) -> Option<String> {
        let table = self.table(root.get("pipeline")?, "`[pipeline]`")?;
        self.reject_unknown_keys(table, "`[pipeline]`", &PIPELINE);
        self.string(table.get("name")?, "the pipeline's `name`").map(str::to_owned)
    }

    /// Reads whether stages log through MLflow's client, unless they say otherwise.
    fn mlflow(&mut self, root: &DeTable<'_>) -> bool {
        let table = root.get("pipeline").and_then(|value| value.get_ref().as_table());
        table.is_some_and(|table| self.flag(table, "mlflow", "`[pipeline]`", false))
    }

    pub(super) fn params(&mut self, root: &DeTable<'_>) -> Params {
        let mut params = Params::default();
        if let Some(value) = root.get("params")
            && let Some(table) = self.table(value, "`[params]`")
        {
            self.params_below(table, "", &mut params);
        }
        params
    }

    pub(super) fn params_below(&mut self, table: &DeTable<'_>, prefix: &str, params: &mut Params) {
        for (name, value) in table {
            if let Err(bad) = check_name(name.get_ref()) {
                self.bad_name(name, &bad);
                continue;
            }
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => {
                    self.params_below(inner, &key, params);
                }
                _ => {
                    if let Some(value) = self.param_value(value, &key) {
                        params.insert(ParamKey::new(key), value);
                    }
                }
            }
        }
    }

    pub(super) fn param_value(&mut self, value: &Value<'_>, key: &str) -> Option<ParamValue> {
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

    pub(super) fn goals(&mut self, root: &DeTable<'_>) -> Goals {
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
    pub(super) fn tokens(&mut self, root: &DeTable<'_>) -> Tokens {
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

    /// Reads `link` and `dir` of `[cache]`.
    pub(super) fn cache(&mut self, root: &DeTable<'_>) -> (Links, Option<String>) {
        let Some(table) = root.get("cache").and_then(|value| self.table(value, "`[cache]`")) else {
            return (Links::default(), None);
        };
        self.reject_unknown_keys(table, "`[cache]`", &CACHE);
        let dir = table.get("dir").and_then(|value| self.cache_dir(value));
        (self.links(table), dir)
    }

    fn cache_dir(&mut self, value: &Value<'_>) -> Option<String> {
        let dir = self.string(value, "`dir` of `[cache]`")?;
        if dir.trim().is_empty() || dir.chars().any(char::is_control) {
            let hint = "give a folder: absolute, from the home directory (`~/…`), or relative to \
                        the project";
            let what = "`dir` of `[cache]` is not a path";
            self.problems.push(Problem::new(self.line(value), what).hint(hint));
            return None;
        }
        Some(dir.to_owned())
    }

    fn links(&mut self, table: &DeTable<'_>) -> Links {
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

    /// Reads `trash` of `[cache]`.
    pub(super) fn trash(&mut self, root: &DeTable<'_>) -> Duration {
        let table = root.get("cache").and_then(|value| value.get_ref().as_table());
        let value = table.and_then(|table| table.get("trash"));
        let kept = value.and_then(|value| self.duration(value, "`trash` of `[cache]`"));
        kept.unwrap_or(KEEP_DISPLACED)
    }

    /// Reads `ignore_outs` of `[git]`.
    pub(super) fn outs_in_git(&mut self, root: &DeTable<'_>) -> OutsInGit {
        let Some(table) = root.get("git").and_then(|value| self.table(value, "`[git]`")) else {
            return OutsInGit::default();
        };
        self.reject_unknown_keys(table, "`[git]`", &GIT);
        match self.flag(table, "ignore_outs", "`[git]`", true) {
            true => OutsInGit::Ignored,
            false => OutsInGit::Tracked,
        }
    }

    pub(super) fn stages(
        &mut self,
        root: &DeTable<'_>,
        params: &Params,
        tokens: &Tokens,
        set: &[(String, Vec<ParamKey>)],
    ) -> (Vec<Stage>, BTreeMap<ParamKey, ParamValue>) {
        let table = root.get("stages").and_then(|value| self.table(value, "`[stages]`"));
        let Some(table) = table.filter(|table| !table.is_empty()) else {
            if self.problems.is_empty() {
                let hint = "add a table `[stages.NAME]` with a `cmd`; \
                            in an empty directory, `repro init` writes an example";
                self.problems.push(Problem::new(1, "no stage is declared").hint(hint));
            }
            return (Vec::new(), BTreeMap::new());
        };
        let templates = Templates::new(params);
        let mlflow = self.mlflow(root);
        let scope = Scope { params, templates: &templates, tokens, mlflow };
        let mut stages = Vec::with_capacity(table.len());
        for (name, value) in table {
            let line = self.line(name);
            let stage_name = StageName::parse(name.get_ref()).unwrap_or_else(|| {
                let shown = name.get_ref().escape_debug().to_string();
                let what = format!("`{shown}` is not a valid stage name");
                let hint = "use up to 100 letters, digits, `_`, `-`, `.` and `@`, \
                            not starting with `-` or `.`";
                self.problems.push(Problem::new(line, what).hint(hint));
                StageName::invalid(&shown)
            });
            if let Some(options) = self.table(value, &format!("stage `{stage_name}`")) {
                self.stage_or_matrix(&stage_name, line, options, scope, &mut stages);
            }
        }
        // The parser does not keep the order of a table. The sort is stable, so the variants of a
        // matrix, which share a line, keep theirs.
        stages.sort_by_key(|stage| stage.line);
        if self.problems.is_empty() {
            self.reject_unread(set, &stages, &templates);
        }
        let rendered = params.iter().filter(|(key, _)| templates.uses(key));
        let rendered = rendered.map(|(key, value)| (key.clone(), value.clone())).collect();
        (stages, rendered)
    }

    /// Reports the overrides of params that no stage reads: they change nothing.
    fn reject_unread(
        &mut self,
        set: &[(String, Vec<ParamKey>)],
        stages: &[Stage],
        templates: &Templates,
    ) {
        let read = |key: &ParamKey| {
            stages.iter().any(|stage| stage.params.contains_key(key)) || templates.uses(key)
        };
        for (typed, keys) in set {
            if let Some(key) = keys.first().filter(|_| !keys.iter().any(read)) {
                self.problems.push(Problem {
                    place: Place::Override(typed.clone()),
                    what: format!("no stage reads param `{key}`, so this changes nothing"),
                    hint: Some(format!("add `{key}` to the `params` of a stage")),
                });
            }
        }
    }
}

/// Returns the reason that a text cannot be a path in the project, and a remedy.
fn not_in_project(text: &str) -> Option<(String, &'static str)> {
    if is_url(text) {
        let hint =
            "`repro add URL` makes a stage that downloads it; the `cmd` of a stage can upload";
        return Some(("is a URL, not a path".to_owned(), hint));
    }
    let first = text.split('/').next().unwrap_or_default();
    (first == "~" || is_shell_variable(first)).then(|| {
        (
            format!("starts with `{first}`, which only a shell replaces"),
            "paths are relative to the project root: copy the file there, or create a link to it",
        )
    })
}

/// Reports whether the text is `$NAME` or `${NAME}`.
fn is_shell_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_part)
}

/// Returns a hint for a header of `pipeline.toml` in a file that only has params.
pub(super) fn header_hint(name: &str) -> Option<&'static str> {
    match name {
        "stages" => Some("declare stages in `pipeline.toml`"),
        "params" => Some("omit the header: every value in the file is a param"),
        _ => None,
    }
}

/// Returns a hint for a stage's key that other tools use.
fn foreign_key(key: &str, known: &[&str]) -> Option<String> {
    if !known.contains(&"cmd") {
        return None;
    }
    let meant = match key {
        "foreach" | "for_each" => {
            let hint = "use `matrix` for a list of values, or `each` for the files of a glob";
            return Some(hint.to_owned());
        }
        _ if is_command(key) => "cmd",
        "input" | "inputs" | "dependencies" => "deps",
        "output" | "outputs" => "outs",
        "cwd" | "workdir" => "wdir",
        _ => return None,
    };
    Some(format!("did you mean `{meant}`?"))
}

/// Reports whether other tools use the key for the command.
pub(super) fn is_command(key: &str) -> bool {
    matches!(key, "command" | "commands" | "run" | "script" | "exec")
}

/// Returns the kind of a value for messages.
pub(super) fn kind(value: &Value<'_>) -> &'static str {
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
