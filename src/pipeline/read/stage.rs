//! One `[stages.NAME]`: its keys one by one, and the variants that a `matrix` makes of it.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use super::{Reader, Scope, Value, kind};
use crate::error::did_you_mean;
use crate::pipeline::pattern::Pattern;
use crate::pipeline::template::Unrendered;
use crate::pipeline::{
    Dep, Each, ItemOut, ItemText, Kept, Mode, Out, ParamKey, ParamValue, Persist, Policy, Presence, Problem,
    Role, Stage, StageName,
};
use crate::repo_path::RepoPath;

pub(in crate::pipeline) const KEYS: [&str; 20] = [
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
];

/// The keys of an out that is written as a table.
pub(in crate::pipeline) const OUT: [&str; 4] = ["path", "cache", "persist", "optional"];

/// The key of a matrix that is no axis: combinations to leave out.
pub(in crate::pipeline) const EXCLUDE: &str = "exclude";

/// More variants of one stage than this are a mistake.
const MOST_VARIANTS: usize = 10_000;

impl Reader {
    /// The stage, or one for each combination of its matrix.
    pub(super) fn stage_or_matrix(
        &mut self,
        name: &StageName,
        line: usize,
        table: &DeTable<'_>,
        scope: Scope<'_>,
        stages: &mut Vec<Stage>,
    ) {
        let of = format!("stage `{name}`");
        self.only_keys(table, &of, &KEYS);
        let Some(matrix) = table.get("matrix") else {
            stages.push(self.stage(name.clone(), None, line, table, scope));
            return;
        };
        let mut names = BTreeMap::new();
        for variant in self.variants(matrix, &of) {
            let text = variant.iter().map(|(_, value)| file_name_part(value)).collect::<Vec<_>>().join("-");
            let Some(full) = StageName::parse(&format!("{name}@{text}")) else {
                self.problem(matrix, format!("`{name}@{text}` cannot name a stage: it is too long"));
                continue;
            };
            if names.insert(full.clone(), ()).is_some() {
                self.problem(
                    matrix,
                    format!("two combinations of the matrix of {of} are both named `{full}`"),
                );
                continue;
            }
            let templates = scope.templates.with_matrix(&variant);
            let scope = Scope { templates: &templates, ..scope };
            stages.push(self.stage(full, Some(name.clone()), line, table, scope));
        }
        if names.is_empty() {
            self.problem(matrix, format!("the matrix of {of} has no combination left"));
        }
    }

    /// Every combination of the axes, the first axis slowest, without what is excluded.
    fn variants(&mut self, matrix: &Value<'_>, of: &str) -> Vec<Vec<(String, ParamValue)>> {
        let Some(table) = self.table(matrix, &format!("`matrix` of {of}")) else {
            return Vec::new();
        };
        // In the order of the text: a table of TOML does not keep it.
        let mut axes: Vec<_> = table.iter().filter(|(name, _)| name.get_ref() != EXCLUDE).collect();
        axes.sort_by_key(|(name, _)| name.span().start);
        let mut variants: Vec<Vec<(String, ParamValue)>> = vec![Vec::new()];
        for (name, value) in axes {
            let axis = name.get_ref().to_string();
            let what = format!("matrix.{axis}");
            let list = self.param_value(value, &what).and_then(|value| value.as_array().cloned());
            let scalar = |value: &ParamValue| !value.is_array() && !value.is_object();
            let Some(list) = list.filter(|list| !list.is_empty() && list.iter().all(scalar)) else {
                self.problem(value, format!("`{axis}` in the matrix of {of} is no list of plain values"));
                return Vec::new();
            };
            if variants.len() * list.len() > MOST_VARIANTS {
                self.problem(value, format!("the matrix of {of} has more than {MOST_VARIANTS} combinations"));
                return Vec::new();
            }
            let with = |variant: &Vec<(String, ParamValue)>, value: &ParamValue| {
                variant.iter().cloned().chain([(axis.clone(), value.clone())]).collect()
            };
            variants = variants
                .iter()
                .flat_map(|v| list.iter().map(move |value| (v, value)))
                .map(|(v, value)| with(v, value))
                .collect();
        }
        for rule in self.exclusions(table.get(EXCLUDE), of) {
            for (axis, at) in rule.iter().map(|(axis, (_, at))| (axis, *at)) {
                if axis == EXCLUDE || table.get(axis.as_str()).is_none() {
                    self.problems.push(Problem::new(
                        at,
                        format!("`exclude` of {of} names `{axis}`, which its matrix does not have"),
                    ));
                }
            }
            variants.retain(|variant| {
                !rule
                    .iter()
                    .all(|(axis, (value, _))| variant.iter().any(|(name, is)| name == axis && is == value))
            });
        }
        variants
    }

    fn exclusions(
        &mut self,
        exclude: Option<&Value<'_>>,
        of: &str,
    ) -> Vec<BTreeMap<String, (ParamValue, usize)>> {
        let Some(value) = exclude else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.problem(value, format!("`exclude` of {of} is {}, not a list of tables", kind(value)));
            return Vec::new();
        };
        let mut rules = Vec::new();
        for entry in list {
            let Some(table) = self.table(entry, &format!("an entry of `exclude` of {of}")) else { continue };
            let mut rule = BTreeMap::new();
            for (name, value) in table {
                let line = self.line(name);
                if let Some(value) = self.param_value(value, name.get_ref()) {
                    rule.insert(name.get_ref().to_string(), (value, line));
                }
            }
            if !rule.is_empty() {
                rules.push(rule);
            }
        }
        rules
    }

    fn stage(
        &mut self,
        name: StageName,
        family: Option<StageName>,
        line: usize,
        table: &DeTable<'_>,
        scope: Scope<'_>,
    ) -> Stage {
        let with_item = table.get("each").map(|_| scope.templates.with_item());
        // Only what names the item can be rendered with it.
        let item_scope = Scope { templates: with_item.as_ref().unwrap_or(scope.templates), ..scope };
        let of = format!("stage `{}`", family.as_ref().unwrap_or(&name));
        let desc = table.get("desc").and_then(|value| self.text(value, &format!("`desc` of {of}"), scope));
        let mut outs = self.outs(table, &of, item_scope);
        let mut deps = self.deps(table, &of, scope);
        let mut cmd = match table.get("cmd") {
            Some(value) => {
                // A stage whose command is unusable still makes its outs, as far as the checks between stages go.
                Some(self.cmd(value, &of, item_scope).unwrap_or_default())
            }
            None => {
                self.only_tracks(table, &of, line, &outs);
                None
            }
        };
        let each = match (table.get("each"), &mut cmd) {
            (Some(value), Some(cmd)) => self.each(value, cmd, &mut deps, &mut outs, &of, scope),
            _ => None,
        };
        Stage {
            cmd,
            shell: self.shell(table, &of),
            wdir: table.get("wdir").and_then(|value| self.wdir(value, &of, scope)),
            env: self.env(table, &of, scope),
            env_deps: self.names(table, "env_deps", &of),
            tools: self.tools(table, &of, scope),
            deps,
            each,
            params: self.used_params(table, &of, scope),
            policy: self.policy(table, &of),
            demand: self.demand(table, &of, scope.tokens),
            retries: self.retries(table, &of),
            timeout: table
                .get("timeout")
                .and_then(|value| self.duration(value, &format!("`timeout` of {of}"))),
            name,
            family,
            line,
            desc,
            outs,
        }
    }

    /// A stage without `cmd` is a tracked input: it can have outs and a description, and nothing to do.
    fn only_tracks(&mut self, table: &DeTable<'_>, of: &str, line: usize, outs: &[Out]) {
        let acts = |key: &&&str| !matches!(**key, "outs" | "desc" | "frozen") && table.get(**key).is_some();
        if let Some(key) = KEYS.iter().find(acts) {
            let what = format!("{of} has no `cmd`, but `{key}`");
            self.problems.push(
                Problem::new(line, what)
                    .hint("say what it runs: cmd = \"…\"; a stage that only tracks an input has `outs` and nothing else"),
            );
        } else if let Some(out) = outs.iter().find(|out| out.presence == Presence::Optional) {
            let what = format!("out `{}` of {of} is optional, but {of} has no `cmd`", out.path);
            self.problems.push(Problem::new(out.line, what).hint("an input that is tracked has to be there"));
        } else if outs.is_empty() {
            self.problems
                .push(Problem::new(line, format!("{of} has no `cmd`")).hint("say what it runs: cmd = \"…\""));
        }
    }

    fn cmd(&mut self, value: &Value<'_>, of: &str, scope: Scope<'_>) -> Option<String> {
        let cmd = self.string(value, &format!("`cmd` of {of}"))?;
        if cmd.trim().is_empty() {
            self.problem(value, format!("`cmd` of {of} is empty"));
            return None;
        }
        self.text(value, &format!("`cmd` of {of}"), scope)
    }

    /// A string with its templates rendered.
    fn text(&mut self, value: &Value<'_>, what: &str, scope: Scope<'_>) -> Option<String> {
        let text = self.string(value, what)?;
        self.rendered(text, value, what, scope)
    }

    fn rendered(&mut self, text: &str, at: &Value<'_>, what: &str, scope: Scope<'_>) -> Option<String> {
        match scope.templates.render(text) {
            // Neither an argument nor a variable of a process can hold it.
            Ok(text) if text.contains('\0') => {
                self.problem(at, format!("{what} has a zero byte in it"));
                None
            }
            Ok(text) => Some(text),
            Err(Unrendered { why, meant }) => {
                let problem = Problem::new(
                    self.line(at),
                    format!("{what} is a template that cannot be rendered: {why}"),
                );
                let hint = "params are written `{{ params.KEY }}`; for braces that the shell should see, `{{ '{{' }}`";
                self.problems.push(match meant {
                    Some(meant) => problem.meant(Some(&meant)),
                    None => problem.hint(hint),
                });
                None
            }
        }
    }

    fn wdir(&mut self, value: &Value<'_>, of: &str, scope: Scope<'_>) -> Option<RepoPath> {
        let text = self.text(value, &format!("`wdir` of {of}"), scope)?;
        if matches!(text.as_str(), "." | "./") {
            return None;
        }
        self.path(&text, value, "`wdir`", of)
    }

    fn env(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let Some(variables) = table.get("env").and_then(|value| self.table(value, &format!("`env` of {of}")))
        else {
            return env;
        };
        for (name, value) in variables {
            if !is_variable(name.get_ref()) {
                self.problem(name, format!("`{}` cannot name a variable", name.get_ref().escape_debug()));
            } else if let Some(text) =
                self.text(value, &format!("variable `{}` of {of}", name.get_ref()), scope)
            {
                env.insert(name.get_ref().to_string(), text);
            }
        }
        env
    }

    /// Names of variables: `env_deps`.
    fn names(&mut self, table: &DeTable<'_>, key: &str, of: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, at) in self.strings(table, key, of) {
            if is_variable(name) {
                names.insert(name.to_owned());
            } else {
                self.problem(at, format!("`{}` cannot name a variable", name.escape_debug()));
            }
        }
        names
    }

    fn tools(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> BTreeSet<String> {
        let mut tools = BTreeSet::new();
        for (_, at) in self.strings(table, "tools", of) {
            let what = format!("an entry of `tools` of {of}");
            match self.text(at, &what, scope) {
                Some(text) if text.trim().is_empty() => self.problem(at, format!("{what} is empty")),
                Some(text) => drop(tools.insert(text)),
                None => {}
            }
        }
        tools
    }

    fn deps(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> Vec<Dep> {
        let mut deps: Vec<Dep> = Vec::new();
        for (text, at) in self.strings(table, "deps", of) {
            let Some(text) = self.rendered(text, at, &format!("a dep of {of}"), scope) else { continue };
            let Some(path) = self.path(&text, at, "dep", of) else { continue };
            let glob = match Pattern::parse(&path) {
                Ok(glob) => glob,
                Err(why) => {
                    self.problem(at, format!("dep `{path}` of {of} is no glob: {why}"));
                    continue;
                }
            };
            deps.push(Dep { path, glob, line: self.line(at) });
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
            let Some(name) = self.rendered(text, at, &format!("a param of {of}"), scope) else { continue };
            let found = params.named(&name);
            if found.is_empty() {
                let problem = Problem::new(self.line(at), format!("param `{name}` of {of} does not exist"));
                let tables: BTreeSet<&str> =
                    params.iter().filter_map(|(key, _)| Some(key.as_str().rsplit_once('.')?.0)).collect();
                let full = did_you_mean(&name, params.iter().map(|(key, _)| key.as_str()).chain(tables));
                let ending = params.resolve(&name).ok().map(ParamKey::as_str);
                self.problems.push(match ending.or(full) {
                    Some(meant) => problem.meant(Some(meant)),
                    None => problem.hint("declare it under `[params]`"),
                });
            }
            used.extend(found);
        }
        used
    }

    fn outs(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> Vec<Out> {
        let mut outs: Vec<Out> = Vec::new();
        for (key, role) in [("outs", Role::Data), ("metrics", Role::Metrics), ("plots", Role::Plot)] {
            let Some(value) = table.get(key) else { continue };
            let Some(list) = value.get_ref().as_array() else {
                self.problem(value, format!("`{key}` of {of} is {}, not a list", kind(value)));
                continue;
            };
            for entry in list {
                outs.extend(self.out(entry, key, role, of, scope));
            }
        }
        outs.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        outs
    }

    /// `"PATH"` or `{ path = "PATH", cache = false, persist = true, optional = true }`.
    fn out(&mut self, entry: &Value<'_>, key: &str, role: Role, of: &str, scope: Scope<'_>) -> Option<Out> {
        let (at, kept, persist, presence) = match entry.get_ref() {
            DeValue::Table(options) => {
                let what = format!("an entry of `{key}` of {of}");
                self.only_keys(options, &what, &OUT);
                let Some(path) = options.get("path") else {
                    self.problem(entry, format!("{what} has no `path`"));
                    return None;
                };
                let kept =
                    if self.flag(options, "cache", &what, true) { Kept::InCache } else { Kept::Nowhere };
                let persist =
                    if self.flag(options, "persist", &what, false) { Persist::Yes } else { Persist::No };
                let optional = self.flag(options, "optional", &what, false);
                (path, kept, persist, if optional { Presence::Optional } else { Presence::Required })
            }
            _ => (entry, Kept::InCache, Persist::No, Presence::Required),
        };
        let text = self.text(at, &format!("an entry of `{key}` of {of}"), scope)?;
        let by_item = ItemText::parse(&text);
        if by_item.names_item() {
            let plain = key == "outs" && (kept, persist) == (Kept::InCache, Persist::No);
            return self.item_out(ItemOut { path: by_item, presence }, at, plain, of);
        }
        let path = self.path(&text, at, "out", of)?;
        if path.is_reserved() {
            let what = format!("out `{path}` of {of} is not a stage's to write");
            let hint = "git and `repro` keep their own things there; give it another path";
            self.problems.push(Problem::new(self.line(at), what).hint(hint));
            return None;
        }
        Some(Out { path, role, kept, persist, presence, by_item: Vec::new(), line: self.line(at) })
    }

    /// An out by item: to the graph it is the folder that holds those of all items, and which is always there.
    fn item_out(&mut self, out: ItemOut, at: &Value<'_>, plain: bool, of: &str) -> Option<Out> {
        let (line, text) = (self.line(at), &out.path);
        if !plain {
            let what = format!("`{text}` of {of} is made by item, so it can only be a plain out");
            let hint = "name it in `outs`, with no option but `optional`";
            self.problems.push(Problem::new(line, what).hint(hint));
            return None;
        }
        let Some(path) = text.base().filter(|base| !base.is_reserved()) else {
            let what = format!("out `{text}` of {of} does not lie in a folder of its own");
            let hint = "begin it with a folder that is the same for every item, out/{{ item.stem }}";
            self.problems.push(Problem::new(line, what).hint(hint));
            return None;
        };
        Some(Out {
            path,
            role: Role::Data,
            kept: Kept::InCache,
            persist: Persist::No,
            presence: Presence::Required,
            by_item: vec![out],
            line,
        })
    }

    /// `each`: its glob becomes a dep; outs by item that share a folder become one out.
    fn each(
        &mut self,
        value: &Value<'_>,
        cmd: &mut String,
        deps: &mut Vec<Dep>,
        outs: &mut Vec<Out>,
        of: &str,
        scope: Scope<'_>,
    ) -> Option<Each> {
        let text = self.text(value, &format!("`each` of {of}"), scope)?;
        let path = self.path(&text, value, "`each`", of)?;
        let Ok(Some(glob)) = Pattern::parse(&path) else {
            self.problem(value, format!("`each` of {of} is no glob like \"data/*/*.wav\""));
            return None;
        };
        let mode = ItemText::parse(cmd);
        let mode = if mode.names_item() { Mode::Apart(mode) } else { Mode::Together };
        if let Mode::Apart(text) = &mode {
            *cmd = text.to_string();
        }
        let (by_item, mut plain): (Vec<Out>, Vec<Out>) =
            std::mem::take(outs).into_iter().partition(|out| !out.by_item.is_empty());
        if by_item.is_empty() {
            let problem = Problem::new(self.line(value), format!("{of} has `each`, but no out by item"));
            self.problems.push(problem.hint("name the item in an out: outs = [\"out/{{ item.stem }}.txt\"]"));
        }
        if let (Mode::Apart(_), Some(out)) = (&mode, plain.first()) {
            let what = format!("out `{}` of {of} is of no item, and its command runs once an item", out.path);
            self.problems.push(
                Problem::new(out.line, what)
                    .hint("leave the item out of `cmd`: one process then gets all items in REPRO_ITEMS"),
            );
        }
        let mut texts = Vec::new();
        for out in by_item {
            texts.extend(out.by_item);
            // Outs in a folder that is an out already are part of it.
            let shared = |other: &Out| other.path == out.path || out.path.below(&other.path).is_some();
            if !plain.iter().any(shared) {
                plain.retain(|other| other.path.below(&out.path).is_none() || other.role != Role::Data);
                plain.push(Out { by_item: Vec::new(), ..out });
            }
        }
        plain.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        *outs = plain;
        if !deps.iter().any(|dep| dep.path == path) {
            deps.push(Dep { path, glob: Some(glob.clone()), line: self.line(value) });
            deps.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        }
        Some(Each { glob, outs: texts, mode })
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

/// A value as part of a stage's name.
fn file_name_part(value: &ParamValue) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}
