//! `matrix`: several stages from one declaration.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::reader::{Reader, Scope, Value, kind};
use super::stage::KEYS;
use crate::pipeline::{ParamValue, Problem, Stage, StageName};

/// The key of a matrix that is not an axis: combinations to leave out.
pub(in crate::pipeline) const EXCLUDE: &str = "exclude";

/// Upper bound on the variants of one stage; more are assumed to be a mistake.
const MAX_VARIANTS: usize = 10_000;

impl Reader {
    /// Adds the stage, or one stage for each combination of its matrix.
    pub(super) fn stage_or_matrix(
        &mut self,
        name: &StageName,
        line: usize,
        table: &DeTable<'_>,
        scope: Scope<'_>,
        stages: &mut Vec<Stage>,
    ) {
        let of = format!("stage `{name}`");
        self.reject_unknown_keys(table, &of, &KEYS);
        let Some(matrix) = table.get("matrix") else {
            stages.push(self.stage(name.clone(), None, line, table, scope));
            return;
        };
        let Some(variants) = self.variants(matrix, &of) else { return };
        // A stage with an invalid name, which has been reported, is read for its other problems.
        let is_valid = StageName::parse(name.as_str()).is_some();
        let mut names = BTreeMap::new();
        for variant in variants {
            let text =
                variant.iter().map(|(_, value)| name_part(value)).collect::<Vec<_>>().join("-");
            let full = format!("{name}@{text}");
            let full = match StageName::parse(&full) {
                Some(full) => full,
                None if !is_valid => StageName::invalid(&full),
                None => {
                    self.problem(matrix, format!("stage name `{full}` is longer than 100 bytes"));
                    continue;
                }
            };
            if names.insert(full.clone(), ()).is_some() {
                self.problem(
                    matrix,
                    format!("two combinations of the matrix of {of} have the same name `{full}`"),
                );
                continue;
            }
            let templates = scope.templates.with_matrix(&variant);
            let scope = Scope { templates: &templates, ..scope };
            stages.push(self.stage(full, Some(name.clone()), line, table, scope));
        }
        if names.is_empty() {
            self.problem(matrix, format!("the matrix of {of} has no combinations"));
        }
    }

    /// Returns the combinations of the axes that are not excluded; the first axis varies slowest.
    /// `None` if an axis is invalid.
    fn variants(&mut self, matrix: &Value<'_>, of: &str) -> Option<Vec<Vec<(String, ParamValue)>>> {
        let table = self.table(matrix, &format!("`matrix` of {of}"))?;
        // The parser does not keep the order of a table.
        let mut axes: Vec<_> = table.iter().filter(|(name, _)| name.get_ref() != EXCLUDE).collect();
        axes.sort_by_key(|(name, _)| name.span().start);
        let mut variants: Vec<Vec<(String, ParamValue)>> = vec![Vec::new()];
        for (name, value) in axes {
            let axis = name.get_ref().to_string();
            let what = format!("matrix.{axis}");
            let list = self.param_value(value, &what).and_then(|value| value.as_array().cloned());
            let scalar = |value: &ParamValue| !value.is_array() && !value.is_object();
            let is_empty = list.as_ref().is_some_and(Vec::is_empty);
            let Some(list) = list.filter(|list| !is_empty && list.iter().all(scalar)) else {
                let what = format!("`{axis}` in the matrix of {of}");
                let must = "must be a list of strings, numbers or booleans";
                self.problem(
                    value,
                    match value.get_ref().as_array() {
                        Some(_) if is_empty => format!("{what} is empty"),
                        Some(_) => format!("{what} {must}"),
                        None => format!("{what} {must}, not {}", kind(value)),
                    },
                );
                return None;
            };
            if variants.len() * list.len() > MAX_VARIANTS {
                self.problem(
                    value,
                    format!("the matrix of {of} has more than {MAX_VARIANTS} combinations"),
                );
                return None;
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
        let all = variants.clone();
        for Exclusion { line, axes } in self.exclusions(table.get(EXCLUDE), of) {
            let fits = |variant: &Vec<(String, ParamValue)>| {
                axes.iter().all(|(axis, value, _)| {
                    variant.iter().any(|(name, is)| name == axis && is == value)
                })
            };
            let is_unknown = |axis: &str| axis == EXCLUDE || table.get(axis).is_none();
            for (axis, _, line) in axes.iter().filter(|(axis, ..)| is_unknown(axis)) {
                let what =
                    format!("`exclude` of {of} uses axis `{axis}`, which is not in the matrix");
                self.problems.push(Problem::new(*line, what));
            }
            if !axes.iter().any(|(axis, ..)| is_unknown(axis)) && !all.iter().any(fits) {
                let what = format!("an entry of `exclude` of {of} fits no combination");
                let problem = Problem::new(line, what);
                self.problems.push(match axes.iter().find_map(|axis| other_value(axis, &all)) {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
            variants.retain(|variant| !fits(variant));
        }
        Some(variants)
    }

    fn exclusions(&mut self, exclude: Option<&Value<'_>>, of: &str) -> Vec<Exclusion> {
        let Some(value) = exclude else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.problem(
                value,
                format!("`exclude` of {of} must be a list of tables, not {}", kind(value)),
            );
            return Vec::new();
        };
        let mut exclusions = Vec::new();
        for entry in list {
            let Some(table) = self.table(entry, &format!("an entry of `exclude` of {of}")) else {
                continue;
            };
            if table.is_empty() {
                self.problem(entry, format!("an entry of `exclude` of {of} is empty"));
            }
            let found = self.problems.len();
            let axes = table.iter().filter_map(|(name, value)| {
                let line = self.line(name);
                Some((name.get_ref().to_string(), self.param_value(value, name.get_ref())?, line))
            });
            let axes: Vec<_> = axes.collect();
            if !axes.is_empty() && self.problems.len() == found {
                exclusions.push(Exclusion { line: self.line(entry), axes });
            }
        }
        exclusions
    }
}

/// An entry of `exclude`.
struct Exclusion {
    line: usize,
    /// The axes with the values to leave out, and their lines.
    axes: Vec<(String, ParamValue, usize)>,
}

/// Returns a hint for a value that its axis does not have: one that looks the same, or all.
fn other_value(
    (axis, value, _): &(String, ParamValue, usize),
    variants: &[Vec<(String, ParamValue)>],
) -> Option<String> {
    let mut values: Vec<&ParamValue> = Vec::new();
    for (_, other) in variants.iter().flatten().filter(|(name, _)| name == axis) {
        if !values.contains(&other) {
            values.push(other);
        }
    }
    if values.contains(&value) {
        return None;
    }
    let looks_same = |other: &&&ParamValue| name_part(other) == name_part(value);
    match values.iter().find(looks_same) {
        Some(other) => Some(format!("write `{axis} = {other}`, not `{value}`")),
        None => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            Some(format!("the values of `{axis}` are {}", values.join(", ")))
        }
    }
}

/// Formats a value as part of a stage's name.
fn name_part(value: &ParamValue) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}
