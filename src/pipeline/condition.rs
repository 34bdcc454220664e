//! Conditions on params, such as `params.train.epochs < 20`: expressions of the templates.

use std::collections::BTreeSet;

use super::template::Templates;
use super::{ParamKey, Params};

/// An expression that holds for some values of the params.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(String);

/// Error: a condition cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCondition {
    pub what: String,
    pub hint: String,
}

impl Condition {
    pub fn new(text: impl Into<String>) -> Condition {
        Condition(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Evaluates the condition.
    ///
    /// # Errors
    /// The condition is malformed, or uses a param that does not exist.
    pub fn holds(&self, params: &Params) -> Result<bool, BadCondition> {
        Templates::new(params).holds(&self.0).map_err(|error| BadCondition {
            what: format!("cannot evaluate `{}`: {}", self.0, error.why),
            hint: error.hint,
        })
    }

    /// Reports whether the condition depends on a param.
    pub fn uses(&self, key: &ParamKey) -> bool {
        self.names().iter().any(|name| super::template::is_or_contains(name, key))
    }

    fn names(&self) -> BTreeSet<String> {
        Templates::new(&Params::default()).names_in(&format!("{{{{ {} }}}}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn params() -> Params {
        let mut params = Params::default();
        params.insert(ParamKey::new("train.epochs"), json!(10));
        params.insert(ParamKey::new("train.model"), json!("small"));
        params
    }

    #[test]
    fn truth() {
        for (text, expected) in [
            ("params.train.epochs < 20", true),
            ("params.train.model != 'small' or params.train.epochs > 20", false),
            ("params.train.model in ['small', 'large'] and not params.train.epochs == 3", true),
            ("params.train.epochs", true),
        ] {
            assert_eq!(Condition::new(text).holds(&params()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors() {
        let mut messages = String::new();
        for text in ["params.train.epocs < 20", "epochs < 20", "1 +"] {
            let BadCondition { what, hint } = Condition::new(text).holds(&params()).unwrap_err();
            messages.push_str(&format!("{what}\n  {hint}\n"));
        }
        insta::assert_snapshot!(messages, @r"
        cannot evaluate `params.train.epocs < 20`: there is no `params.train.epocs`
          did you mean `params.train.epochs`?
        cannot evaluate `epochs < 20`: there is no `epochs`
          did you mean `params.train.epochs`?
        cannot evaluate `1 +`: syntax error: unexpected end of input, expected expression
          write a param as `params.KEY` and a text in quotes: `params.model == 'x'`
        ");
    }

    #[test]
    fn names() {
        let condition = Condition::new("params.train.epochs < params.a");
        assert!(condition.uses(&ParamKey::new("train.epochs")));
        assert!(condition.uses(&ParamKey::new("a.b")));
        assert!(!condition.uses(&ParamKey::new("train.model")));
    }
}
