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

/// Error: a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unrendered {
    pub(super) why: String,
    pub(super) suggestion: Option<String>,
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
        match unknown.first() {
            Some(name) => {
                let suggestion =
                    did_you_mean(name, self.names.iter().map(String::as_str)).map(str::to_owned);
                Unrendered { why: format!("there is no `{name}`"), suggestion }
            }
            None => {
                let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
                Unrendered { why: format!("{}{detail}", error.kind()), suggestion: None }
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
        assert_eq!(unknown.suggestion.as_deref(), Some("params.train.lr"));
        assert_eq!(templates.render("{{ nothing }}").unwrap_err().why, "there is no `nothing`");
        assert!(templates.render("{{ .Name }}").is_err());
    }
}
