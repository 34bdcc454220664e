//! `outs`, `metrics` and `plots`, plain or per item, and `each`, which defines the items.

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Scope, Value, kind};
use super::texts::Form;
use crate::error::did_you_mean;
use crate::pipeline::glob::Glob;
use crate::pipeline::{
    Cached, Dep, Drawing, Each, ItemOut, ItemText, Mode, Out, Persist, Presence, Problem, Role,
    Template,
};

/// The keys of an out declared as a table.
pub(in crate::pipeline) const OUT: [&str; 4] = ["path", "cache", "persist", "optional"];
/// The keys of a plot declared as a table.
pub(in crate::pipeline) const PLOT: [&str; 8] =
    ["path", "cache", "persist", "optional", "template", "x", "y", "title"];

impl Reader {
    pub(super) fn outs(&mut self, table: &DeTable<'_>, of: &str, scope: Scope<'_>) -> Vec<Out> {
        let mut outs: Vec<Out> = Vec::new();
        for (key, role) in [("outs", Role::Data), ("metrics", Role::Metrics), ("plots", Role::Plot)]
        {
            let Some(value) = table.get(key) else { continue };
            let Some(list) = value.get_ref().as_array() else {
                self.not_a_list(value, key, format!("`{key}` of {of} must be a list"));
                continue;
            };
            for entry in list {
                outs.extend(self.out(entry, key, role, of, scope));
            }
        }
        outs.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        outs
    }

    /// Reads `"PATH"` or `{ path = "PATH", cache = false, persist = true, optional = true }`.
    fn out(
        &mut self,
        entry: &Value<'_>,
        key: &str,
        role: Role,
        of: &str,
        scope: Scope<'_>,
    ) -> Option<Out> {
        let (at, cached, persist, presence) = match entry.get_ref() {
            DeValue::Table(options) => {
                let what = format!("an entry of `{key}` of {of}");
                let keys: &[&str] = if role == Role::Plot { &PLOT } else { &OUT };
                self.reject_unknown_keys(options, &what, keys);
                let Some(path) = options.get("path") else {
                    self.problem(entry, format!("{what} has no `path`"));
                    return None;
                };
                let cached =
                    if self.flag(options, "cache", &what, true) { Cached::Yes } else { Cached::No };
                let persist = if self.flag(options, "persist", &what, false) {
                    Persist::Yes
                } else {
                    Persist::No
                };
                let optional = self.flag(options, "optional", &what, false);
                (
                    path,
                    cached,
                    persist,
                    if optional { Presence::Optional } else { Presence::Required },
                )
            }
            DeValue::String(_) => (entry, Cached::Yes, Persist::No, Presence::Required),
            _ => {
                let found = kind(entry);
                let what =
                    format!("an entry of `{key}` of {of} must be a string or a table, not {found}");
                self.problem(entry, what);
                return None;
            }
        };
        let text = self.text_without_variables(
            at,
            &format!("an entry of `{key}` of {of}"),
            scope,
            Form::Path,
        )?;
        let per_item = ItemText::parse(&text);
        if per_item.names_item() {
            let plain = key == "outs" && (cached, persist) == (Cached::Yes, Persist::No);
            return self.item_out(ItemOut { path: per_item, presence }, at, plain, of);
        }
        let path = self.path(&text, at, "out", of)?;
        if path.is_reserved() {
            let what = format!("out `{path}` of {of} is a reserved path");
            let hint = "git and `repro` use it; choose another path";
            self.problems.push(Problem::new(self.line(at), what).hint(hint));
            return None;
        }
        let options = entry.get_ref().as_table().filter(|_| role == Role::Plot);
        let drawing = options.map_or_else(Drawing::default, |options| {
            self.drawing(options, &format!("plot `{path}` of {of}"))
        });
        Some(Out {
            path,
            drawing,
            real: None,
            role,
            cached,
            persist,
            presence,
            per_item: Vec::new(),
            line: self.line(at),
        })
    }

    /// Reads `template`, `x`, `y` and `title` of a plot.
    fn drawing(&mut self, options: &DeTable<'_>, what: &str) -> Drawing {
        let mut text = |key: &str| {
            let value = options.get(key)?;
            self.string(value, &format!("`{key}` of {what}")).map(str::to_owned)
        };
        let (x, title) = (text("x"), text("title"));
        let y = match options.get("y") {
            Some(value) if value.get_ref().is_array() => {
                let columns = self.strings(options, "y", what).into_iter();
                columns.map(|(column, _)| column.to_owned()).collect()
            }
            Some(_) => text("y").into_iter().collect(),
            None => Vec::new(),
        };
        Drawing { template: self.template(options, what), x, y, title }
    }

    fn template(&mut self, options: &DeTable<'_>, what: &str) -> Option<Template> {
        let value = options.get("template")?;
        let word = self.string(value, &format!("`template` of {what}"))?;
        let found = Template::ALL.into_iter().find(|template| template.word() == word);
        if found.is_none() {
            let words = Template::ALL.map(Template::word);
            let problem =
                Problem::new(self.line(value), format!("{what} has unknown template `{word}`"));
            self.problems.push(match did_you_mean(word, words) {
                Some(meant) => problem.did_you_mean(Some(meant)),
                None => problem.hint(format!("the templates are {}", words.join(", "))),
            });
        }
        found
    }

    /// Reads a per-item out. In the graph it is the directory that contains the outs of all items,
    /// which always exists.
    fn item_out(&mut self, out: ItemOut, at: &Value<'_>, plain: bool, of: &str) -> Option<Out> {
        let (line, text) = (self.line(at), &out.path);
        if !plain {
            let what = format!(
                "per-item out `{text}` of {of} cannot be a metric or a plot, or have \
                 `cache = false` or `persist = true`"
            );
            let hint = "list it in `outs`; its only option is `optional`";
            self.problems.push(Problem::new(line, what).hint(hint));
            return None;
        }
        let Some(path) = text.base().filter(|base| !base.is_reserved()) else {
            let what = format!("per-item out `{text}` of {of} is not in a directory of its own");
            let hint = "start it with a directory that is the same for every item: \
                        out/{{ item.stem }}";
            self.problems.push(Problem::new(line, what).hint(hint));
            return None;
        };
        Some(Out {
            path,
            drawing: Drawing::default(),
            real: None,
            role: Role::Data,
            cached: Cached::Yes,
            persist: Persist::No,
            presence: Presence::Required,
            per_item: vec![out],
            line,
        })
    }

    /// Reads `each`: the glob becomes a dep, and per-item outs in the same directory become one
    /// out.
    pub(super) fn each(
        &mut self,
        value: &Value<'_>,
        cmd: &mut String,
        deps: &mut Vec<Dep>,
        outs: &mut Vec<Out>,
        of: &str,
        scope: Scope<'_>,
    ) -> Option<Each> {
        let text = self.rendered_string(value, &format!("`each` of {of}"), scope, Form::Path)?;
        let path = self.path(&text, value, "`each`", of)?;
        let Ok(Some(glob)) = Glob::parse(&path) else {
            self.problem(value, format!("`each` of {of} must be a glob such as \"data/*/*.wav\""));
            return None;
        };
        let mode = ItemText::parse(cmd);
        let mode = if mode.names_item() { Mode::PerItem(mode) } else { Mode::Batch };
        if let Mode::PerItem(text) = &mode {
            *cmd = text.to_string();
        }
        let (per_item, mut plain): (Vec<Out>, Vec<Out>) =
            std::mem::take(outs).into_iter().partition(|out| !out.per_item.is_empty());
        if per_item.is_empty() {
            let problem =
                Problem::new(self.line(value), format!("{of} has `each` but no per-item out"));
            self.problems.push(
                problem.hint("name the item in an out: outs = [\"out/{{ item.stem }}.txt\"]"),
            );
        }
        if let (Mode::PerItem(_), Some(out)) = (&mode, plain.first()) {
            let what = format!(
                "out `{}` of {of} does not name the item, but the command runs once per item",
                out.path
            );
            self.problems.push(Problem::new(out.line, what).hint(
                "remove the item from `cmd`; one process then gets all items in `REPRO_ITEMS`",
            ));
        }
        let mut texts = Vec::new();
        for out in per_item {
            texts.extend(out.per_item);
            // Outs in a directory that is already an out are part of that out.
            let shared = |other: &Out| other.path.contains(&out.path);
            if !plain.iter().any(shared) {
                plain.retain(|other| !out.path.contains(&other.path) || other.role != Role::Data);
                plain.push(Out { per_item: Vec::new(), ..out });
            }
        }
        plain.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        *outs = plain;
        if !deps.iter().any(|dep| dep.path == path) {
            deps.push(Dep::new(path, Some(glob.clone()), self.line(value)));
            deps.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        }
        Some(Each { glob, outs: texts, mode })
    }
}
