//! A table `[stages.NAME]`, key by key.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Scope, Value, is_command, kind};
use super::texts::Form;
use crate::error::did_you_mean;
use crate::pipeline::glob::Glob;
use crate::pipeline::shell::is_shell;
use crate::pipeline::template::Unrendered;
use crate::pipeline::variables::{expanded, may_set};
use crate::pipeline::{
    Dep, Out, ParamKey, ParamValue, Params, Policy, Presence, Problem, Stage, StageName,
};
use crate::repo_path::RepoPath;

pub(in crate::pipeline) const KEYS: [&str; 26] = [
    "cmd",
    "desc",
    "each",
    "shell",
    "wdir",
    "env",
    "env_deps",
    "tools",
    "deps",
    "params",
    "outs",
    "metrics",
    "plots",
    "matrix",
    "frozen",
    "always",
    "resources",
    "uses",
    "retries",
    "timeout",
    "mlflow",
    "url",
    "extract",
    "sha256",
    "md5",
    "import",
];

impl Reader {
    pub(super) fn stage(
        &mut self,
        name: StageName,
        family: Option<StageName>,
        line: usize,
        table: &DeTable<'_>,
        scope: Scope<'_>,
    ) -> Stage {
        let with_item = table.get("each").map(|_| scope.templates.with_item());
        // Only the outs and the command may name the item.
        let item_scope =
            Scope { templates: with_item.as_ref().unwrap_or(scope.templates), ..scope };
        let of = format!("stage `{}`", family.as_ref().unwrap_or(&name));
        self.required.clear();
        let desc = table.get("desc").and_then(|value| {
            self.rendered_string(value, &format!("`desc` of {of}"), scope, Form::Text)
        });
        let mut outs = self.outs(table, &of, item_scope);
        let mut deps = self.deps(table, &of, scope);
        let origin = self.origin(table, &of, &outs, scope);
        let shell = self.shell(table, &of);
        let is_sh = shell.is_empty() || is_shell(shell.iter().map(String::as_str));
        let mut cmd = match table.get("cmd") {
            Some(value) => {
                if is_sh {
                    self.foreign_variables(value, table, &of, scope.params);
                }
                let form = if is_sh { Form::Command } else { Form::Text };
                // With an invalid command the stage still makes its outs, so that the checks
                // between stages report no further errors.
                Some(self.cmd(value, &of, item_scope, form).unwrap_or_default())
            }
            None => {
                if !table.contains_key("url") && !table.contains_key("import") {
                    self.check_tracked_input(table, &of, line, &outs);
                }
                None
            }
        };
        let each = match (table.get("each"), &mut cmd) {
            (Some(value), Some(cmd)) => self.each(value, cmd, &mut deps, &mut outs, &of, scope),
            _ => None,
        };
        let env = self.env(table, &of, scope);
        let tools = self.tools(table, &of, scope);
        let params = self.used_params(table, &of, scope);
        Stage {
            shell,
            wdir: table.get("wdir").and_then(|value| self.wdir(value, &of, scope)),
            env,
            env_deps: self.names(table, "env_deps", &of),
            tools,
            deps,
            each,
            params,
            required: std::mem::take(&mut self.required),
            policy: self.policy(table, &of),
            resources: self.resources(table, &of, scope.tokens),
            retries: self.retries(table, &of),
            timeout: table
                .get("timeout")
                .and_then(|value| self.duration(value, &format!("`timeout` of {of}"))),
            mlflow: cmd.is_some() && self.flag(table, "mlflow", &of, scope.mlflow),
            cmd,
            origin,
            name,
            family,
            line,
            desc,
            outs,
        }
    }

    /// Checks a stage without `cmd`, a tracked input: it can only have `outs`, `desc` and `frozen`.
    fn check_tracked_input(&mut self, table: &DeTable<'_>, of: &str, line: usize, outs: &[Out]) {
        let acts = |key: &&&str| {
            !matches!(**key, "outs" | "desc" | "frozen" | "extract" | "sha256" | "md5")
                && table.get(**key).is_some()
        };
        if table.iter().any(|(key, _)| is_command(key.get_ref())) {
            // Reported as an unknown key.
        } else if let Some(key) = KEYS.iter().find(acts) {
            let what = format!("{of} has `{key}` but no `cmd`");
            self.problems.push(Problem::new(line, what).hint(
                "add cmd = \"…\"; a tracked input can only have `outs`, `desc` and `frozen`",
            ));
        } else if let Some(out) = outs.iter().find(|out| out.presence == Presence::Optional) {
            let what =
                format!("out `{}` of {of} is optional, but the stage has no `cmd`", out.path);
            self.problems.push(
                Problem::new(out.line, what).hint("remove `optional`: a tracked input must exist"),
            );
        } else if outs.is_empty() {
            self.problems
                .push(Problem::new(line, format!("{of} has no `cmd`")).hint("add cmd = \"…\""));
        }
    }

    fn cmd(&mut self, value: &Value<'_>, of: &str, scope: Scope<'_>, form: Form) -> Option<String> {
        if let DeValue::Array(_) = value.get_ref() {
            let what = format!("`cmd` of {of} must be a string, not {}", kind(value));
            let hint = "join the commands with ` && `, or write a `\"\"\"` string of several lines";
            self.problems.push(Problem::new(self.line(value), what).hint(hint));
            return None;
        }
        let cmd = self.string(value, &format!("`cmd` of {of}"))?;
        if cmd.trim().is_empty() {
            self.problem(value, format!("`cmd` of {of} is empty"));
            return None;
        }
        self.rendered(cmd, value, &format!("`cmd` of {of}"), scope, form)
    }

    /// Reports params in the spelling of DVC and Hydra, `${train.lr}`: the shell would find no
    /// variable of this name, and in most cases continue with an empty text.
    fn foreign_variables(
        &mut self,
        cmd: &Value<'_>,
        table: &DeTable<'_>,
        of: &str,
        params: &Params,
    ) {
        let Some(text) = cmd.get_ref().as_str() else { return };
        let env = table.get("env").and_then(|value| value.get_ref().as_table());
        let inherited = table.get("env_deps").and_then(|value| value.get_ref().as_array());
        for name in expanded(text) {
            let is_set = env.is_some_and(|env| env.contains_key(name))
                || inherited.is_some_and(|names| {
                    names.iter().any(|other| other.get_ref().as_str() == Some(name))
                })
                || may_set(text, name);
            if params.get(name).is_some() && !is_set {
                let what = format!(
                    "`cmd` of {of} reads shell variable `${{{name}}}`, but `{name}` is a param"
                );
                let hint = format!("write `{{{{ params.{name} }}}}`");
                self.problems.push(Problem::new(self.line(cmd), what).hint(hint));
            }
        }
    }

    fn wdir(&mut self, value: &Value<'_>, of: &str, scope: Scope<'_>) -> Option<RepoPath> {
        let text =
            self.text_without_variables(value, &format!("`wdir` of {of}"), scope, Form::Path)?;
        if matches!(text.as_str(), "." | "./") {
            return None;
        }
        self.path(&text, value, "`wdir`", of)
    }

    fn env(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let Some(variables) =
            table.get("env").and_then(|value| self.table(value, &format!("`env` of {of}")))
        else {
            return env;
        };
        for (name, value) in variables {
            if !is_variable(name.get_ref()) {
                self.bad_variable_name(name, name.get_ref());
            } else if let Some(text) = self.text_without_variables(
                value,
                &format!("variable `{}` of {of}", name.get_ref()),
                scope,
                Form::Text,
            ) {
                env.insert(name.get_ref().to_string(), text);
            }
        }
        env
    }

    /// Reads a list of names of environment variables.
    fn names(&mut self, table: &DeTable<'_>, key: &str, of: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, at) in self.strings(table, key, of) {
            if is_variable(name) {
                names.insert(name.to_owned());
            } else {
                self.bad_variable_name(at, name);
            }
        }
        names
    }

    fn bad_variable_name<T>(&mut self, at: &toml::Spanned<T>, name: &str) {
        let what = format!("`{}` is not a valid variable name", name.escape_debug());
        let problem = Problem::new(self.line(at), what);
        self.problems.push(problem.hint("use letters, digits and `_`"));
    }

    fn tools(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> BTreeSet<String> {
        let mut tools = BTreeSet::new();
        for (text, at) in self.strings(table, "tools", of) {
            let what = format!("an entry of `tools` of {of}");
            match self.rendered(text, at, &what, scope, Form::Command) {
                Some(text) if text.trim().is_empty() => {
                    self.problem(at, format!("{what} is empty"));
                }
                Some(text) => drop(tools.insert(text)),
                None => {}
            }
        }
        tools
    }

    fn deps(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> Vec<Dep> {
        let mut deps: Vec<Dep> = Vec::new();
        for (_, at) in self.strings(table, "deps", of) {
            let what = format!("a dep of {of}");
            let Some(text) = self.text_without_variables(at, &what, scope, Form::Path) else {
                continue;
            };
            let Some(path) = self.path(&text, at, "dep", of) else { continue };
            let glob = match Glob::parse(&path) {
                Ok(glob) => glob,
                Err(why) => {
                    self.problem(at, format!("dep `{path}` of {of} is not a valid glob: {why}"));
                    continue;
                }
            };
            deps.push(Dep::new(path, glob, self.line(at)));
        }
        deps.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        deps.dedup_by(|a, b| a.path == b.path);
        deps
    }

    fn used_params(
        &mut self,
        table: &DeTable<'_>,
        of: &str,
        scope: Scope<'_>,
    ) -> BTreeMap<ParamKey, ParamValue> {
        let params = scope.params;
        let mut used = BTreeMap::new();
        for (text, at) in self.strings(table, "params", of) {
            let Some(name) =
                self.rendered(text, at, &format!("a param of {of}"), scope, Form::Path)
            else {
                continue;
            };
            let found = params.named(&name);
            if found.is_empty() {
                let problem = Problem::new(
                    self.line(at),
                    format!("{of} reads param `{name}`, which does not exist"),
                );
                let tables: BTreeSet<&str> = params
                    .iter()
                    .filter_map(|(key, _)| Some(key.as_str().rsplit_once('.')?.0))
                    .collect();
                let full =
                    did_you_mean(&name, params.iter().map(|(key, _)| key.as_str()).chain(tables));
                let is_removed = |key: &ParamKey| {
                    let (key, end) = (key.as_str(), format!(".{name}"));
                    key == name || key.ends_with(&end) || key.starts_with(&format!("{name}."))
                };
                if let Some(hint) = self.removed_hint(is_removed) {
                    self.problems.push(problem.hint(hint));
                    continue;
                }
                let ending = params.resolve(&name).ok().map(ParamKey::as_str);
                self.problems.push(match ending.or(full) {
                    Some(suggestion) => problem.did_you_mean(Some(suggestion)),
                    None => problem.hint("declare it under `[params]`"),
                });
            }
            let unusable = found.keys().find_map(|key| scope.templates.unusable(key));
            if let Some(Unrendered { why, hint }) = unusable {
                let what = format!("{why}, and {of} reads it");
                self.problems.push(Problem::new(self.line(at), what).hint(hint.as_str()));
            }
            let required = found.keys().filter(|key| scope.templates.is_required(key));
            self.required.extend(required.cloned());
            used.extend(found);
        }
        used
    }

    fn policy(&mut self, table: &DeTable<'_>, of: &str) -> Policy {
        match (self.flag(table, "frozen", of, false), self.flag(table, "always", of, false)) {
            (false, false) => Policy::WhenStale,
            (false, true) => Policy::Always,
            (true, false) => Policy::Frozen,
            (true, true) => {
                if let Some(value) = table.get("always") {
                    self.problem(value, format!("{of} is both `frozen` and `always`"));
                }
                Policy::Frozen
            }
        }
    }
}

fn is_variable(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(valid)
}
