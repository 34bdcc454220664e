//! Texts with templates in the declaration of a stage, and the params that they use.

use super::reader::{Reader, Scope, Value};
use crate::pipeline::template::Unrendered;
use crate::pipeline::variables::references;
use crate::pipeline::{ParamKey, Problem};

/// The use of a rendered text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Decides about the graph, so params without a value cannot be used.
    Path,
    /// As it is.
    Text,
    /// A command for the shell: values are quoted.
    Command,
}

impl Reader {
    /// Reads a string and renders its templates.
    pub(super) fn rendered_string(
        &mut self,
        value: &Value<'_>,
        what: &str,
        scope: Scope<'_>,
        form: Form,
    ) -> Option<String> {
        let text = self.string(value, what)?;
        self.rendered(text, value, what, scope, form)
    }

    /// Renders a text that no shell reads. `${train.lr}` in it is an error, since nothing replaces
    /// it.
    pub(super) fn text_without_variables(
        &mut self,
        value: &Value<'_>,
        what: &str,
        scope: Scope<'_>,
        form: Form,
    ) -> Option<String> {
        let text = self.string(value, what)?;
        let mut names = references(text).map(|found| found.name);
        if let Some(name) = names.find(|name| scope.params.get(name).is_some()) {
            let problem = format!("{what} contains `${{{name}}}`, which nothing replaces");
            let hint = format!("write `{{{{ params.{name} }}}}`");
            self.problems.push(Problem::new(self.line(value), problem).hint(hint));
            return None;
        }
        self.rendered_string(value, what, scope, form)
    }

    pub(super) fn rendered(
        &mut self,
        text: &str,
        at: &Value<'_>,
        what: &str,
        scope: Scope<'_>,
        form: Form,
    ) -> Option<String> {
        let rendered = match form {
            Form::Path | Form::Text => scope.templates.render(text),
            Form::Command => scope.templates.render_command(text),
        };
        match rendered {
            // Arguments and environment variables of a process cannot contain it.
            Ok(text) if text.contains('\0') => {
                self.problem(at, format!("{what} contains a zero byte"));
                None
            }
            Ok(rendered) => self.with_values(text, rendered, at, what, scope, form),
            Err(Unrendered { why, hint }) => {
                let is_used = |key: &ParamKey| text.contains(&format!("params.{key}"));
                let hint = self.removed_hint(is_used).unwrap_or(hint);
                let problem = Problem::new(self.line(at), format!("cannot render {what}: {why}"));
                self.problems.push(problem.hint(hint));
                None
            }
        }
    }

    /// Returns the hint for a text that uses a param which the command line removes.
    pub(super) fn removed_hint(&self, is_used: impl Fn(&ParamKey) -> bool) -> Option<String> {
        let (key, typed) = self.removed.iter().find(|(key, _)| is_used(key))?;
        Some(format!("`-p '{typed}'` removes `{key}`, which the stage needs: set it instead"))
    }

    /// Returns the rendered text, unless it depends on a param without a value that it needs now.
    fn with_values(
        &mut self,
        text: &str,
        rendered: String,
        at: &Value<'_>,
        what: &str,
        scope: Scope<'_>,
        form: Form,
    ) -> Option<String> {
        let required = scope.templates.required_by(text);
        if let (Form::Path, Some(key)) = (form, required.first()) {
            let (why, hint) = key.without_value();
            let why = format!("cannot render {what}: {why}");
            self.problems.push(Problem::new(self.line(at), why).hint(hint));
            return None;
        }
        self.required.extend(required);
        Some(rendered)
    }
}
