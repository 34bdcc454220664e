//! Templates `{{ … }}`, rendered with the pipeline's params. An unknown name is an error.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};

use super::{ParamValue, Params};
use crate::error::did_you_mean;

/// Renders the texts of one pipeline.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    environment: Environment<'static>,
    params: minijinja::Value,
    matrix: Option<minijinja::Value>,
    item: Option<minijinja::Value>,
    /// The names that a template can use: `params.train.epochs` and the tables above it.
    names: BTreeSet<String>,
}

/// Hint for a text that is not a valid template.
const FORM: &str = "write a param as `{{ params.KEY }}`, \
                    and literal braces for the shell as `{{ '{{' }}`";

/// Error: a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unrendered {
    pub(super) why: String,
    pub(super) hint: String,
}

impl Templates {
    pub(super) fn new(params: &Params) -> Templates {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let all = params.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let nested = minijinja::Value::from(Serde(super::nested(&all)));
        let mut names = BTreeSet::from(["params".to_owned()]);
        for (key, _) in params.iter() {
            let ends =
                key.as_str().match_indices('.').map(|(at, _)| at).chain([key.as_str().len()]);
            names.extend(ends.map(|end| format!("params.{}", &key.as_str()[..end])));
        }
        Templates { environment, params: nested, matrix: None, item: None, names }
    }

    /// Returns templates that can also use `matrix.AXIS`.
    pub(super) fn with_matrix(&self, variant: &[(String, ParamValue)]) -> Templates {
        let mut templates = self.clone();
        let table: serde_json::Map<String, ParamValue> = variant.iter().cloned().collect();
        templates.matrix = Some(minijinja::Value::from(Serde(ParamValue::Object(table))));
        templates.names.insert("matrix".to_owned());
        templates.names.extend(variant.iter().map(|(axis, _)| format!("matrix.{axis}")));
        templates
    }

    /// Returns templates in which `item.path` and the other parts become placeholders.
    pub(super) fn with_item(&self) -> Templates {
        let mut templates = self.clone();
        let item: BTreeMap<&str, String> = super::items::placeholders().collect();
        templates.names.insert("item".to_owned());
        templates.names.extend(item.keys().map(|part| format!("item.{part}")));
        templates.item = Some(minijinja::Value::from(Serde(item)));
        templates
    }

    pub(super) fn render(&self, text: &str) -> Result<String, Unrendered> {
        // Most texts are not templates. Skipping them matters with thousands of stages.
        if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
            return Ok(text.to_owned());
        }
        let mut context = BTreeMap::from([("params", self.params.clone())]);
        context.extend(self.matrix.clone().map(|matrix| ("matrix", matrix)));
        context.extend(self.item.clone().map(|item| ("item", item)));
        self.environment.render_str(text, context).map_err(|error| self.explain(text, &error))
    }

    fn explain(&self, text: &str, error: &minijinja::Error) -> Unrendered {
        let used = self
            .environment
            .template_from_str(text)
            .map(|template| template.undeclared_variables(true));
        let mut unknown: Vec<String> = used
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !self.names.contains(name))
            .collect();
        unknown.sort();
        if let Some(name) = unknown.first() {
            return Unrendered { why: format!("there is no `{name}`"), hint: self.remedy(name) };
        }
        let detail = error.detail().unwrap_or_default();
        let unclosed = [
            ("expected end of variable block", ("{{", "}}")),
            ("expected end of block", ("{%", "%}")),
            ("unexpected end of comment", ("{#", "#}")),
        ];
        let unclosed = unclosed
            .iter()
            .find(|(end, _)| detail.starts_with("unexpected end of") && detail.ends_with(end));
        let why = match unclosed {
            Some((_, (start, end))) => format!("`{start}` has no `{end}`"),
            None if detail.is_empty() => error.kind().to_string(),
            None => format!("{}: {detail}", error.kind()),
        };
        Unrendered { why, hint: FORM.to_owned() }
    }

    /// Returns the hint for an unknown name: a similar name if there is one.
    fn remedy(&self, name: &str) -> String {
        let (root, rest) = name.split_once('.').unwrap_or(("", name));
        if (root == "item" || name == "item") && self.item.is_none() {
            return "`item` exists only in `cmd` and the outs of a stage with `each`".to_owned();
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let all = || self.names.iter().map(String::as_str).filter(|other| other.contains('.'));
        let ends = |other: &&str| other.rsplit('.').next() == Some(last);
        // The names differ after the table, so that only the rest is compared.
        let below = |other: &'_ str| other.split_once('.').map_or(0, |(table, _)| table.len() + 1);
        let similar = || {
            let names = || all().filter(|other| root.is_empty() || other.starts_with(root));
            let meant = did_you_mean(rest, names().map(|other| &other[below(other)..]))?;
            names().find(|other| &other[below(other)..] == meant)
        };
        let misspelled_table = || {
            let is_known = self.names.contains(root);
            if is_known { None } else { did_you_mean(name, all()) }
        };
        if let Some(meant) = all().find(ends).or_else(similar).or_else(misspelled_table) {
            return format!("did you mean `{meant}`?");
        }
        match root {
            "params" => format!("declare `{rest}` under `[params]`"),
            "matrix" if self.matrix.is_none() => {
                format!("declare `{rest}` in a `matrix` of the stage")
            }
            _ => {
                let prefix = format!("{root}.");
                let known = all().filter(|other| other.starts_with(&prefix));
                let known: Vec<String> = known.map(|other| format!("`{other}`")).collect();
                if known.is_empty() {
                    return FORM.to_owned();
                }
                format!("write one of {}", known.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ParamKey;

    #[test]
    fn render_params() {
        let mut params = Params::default();
        params.insert(ParamKey::new("top"), 5.into());
        params.insert(ParamKey::new("train.lr"), 0.5.into());
        let templates = Templates::new(&params);
        assert_eq!(templates.render("head -n {{ params.top }}").as_deref(), Ok("head -n 5"));
        assert_eq!(templates.render("x {{ params.train.lr }} {y}").as_deref(), Ok("x 0.5 {y}"));
        let unknown = templates.render("{{ params.train.rl }}").unwrap_err();
        assert_eq!(unknown.why, "there is no `params.train.rl`");
        assert_eq!(unknown.hint, "did you mean `params.train.lr`?");
        assert_eq!(templates.render("{{ nothing }}").unwrap_err().why, "there is no `nothing`");
        assert!(templates.render("{{ .Name }}").is_err());
    }

    #[test]
    fn hints_for_unknown_names() {
        let mut params = Params::default();
        let hint = |templates: &Templates, name: &str| {
            templates.render(&format!("{{{{ {name} }}}}")).unwrap_err().hint
        };
        assert_eq!(hint(&Templates::new(&params), "params.q"), "declare `q` under `[params]`");
        params.insert(ParamKey::new("seed"), 1.into());
        params.insert(ParamKey::new("train.epochs"), 1.into());
        let templates = Templates::new(&params);
        let matrix =
            templates.with_matrix(&[("model".into(), 1.into()), ("fold".into(), 1.into())]);
        let cases = [
            (&templates, "params.q", "declare `q` under `[params]`"),
            (&templates, "params.sed", "did you mean `params.seed`?"),
            (&templates, "seed", "did you mean `params.seed`?"),
            (&templates, "params.epochs", "did you mean `params.train.epochs`?"),
            (&templates, "param.seed", "did you mean `params.seed`?"),
            (&templates, "matrix.model", "declare `model` in a `matrix` of the stage"),
            (
                &templates,
                "item.name",
                "`item` exists only in `cmd` and the outs of a stage with `each`",
            ),
            (&matrix, "matrix.z", "write one of `matrix.fold`, `matrix.model`"),
            (&matrix, "matrix.modle", "did you mean `matrix.model`?"),
            (&matrix, "model", "did you mean `matrix.model`?"),
        ];
        for (templates, name, expected) in cases {
            assert_eq!(hint(templates, name), expected, "{name}");
        }
    }

    #[test]
    fn unclosed_templates() {
        let templates = Templates::new(&Params::default());
        let cases = [
            ("{{ 1", "`{{` has no `}}`"),
            ("{% if true", "`{%` has no `%}`"),
            ("{# x", "`{#` has no `#}`"),
        ];
        for (text, expected) in cases {
            assert_eq!(templates.render(text).unwrap_err().why, expected, "{text}");
        }
    }
}
