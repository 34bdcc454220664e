//! Templates `{{ … }}`, rendered with the pipeline's params. An unknown name is an error.
//!
//! In a command the values are quoted for the shell. The template engine does not know where in the
//! command a value goes, so it writes a mark in its place; when the text is complete, the marks are
//! replaced from left to right, each by its value as [`Scanner`] escapes it there.

mod lexer;
mod value;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Output, State, UndefinedBehavior};

pub(super) use self::value::Unrendered;
use self::value::{MARK, Written};
use super::shell::Scanner;
use super::{ParamKey, ParamValue, Params};
use crate::error::did_you_mean;

/// Renders the texts of one pipeline.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    environment: Environment<'static>,
    params: minijinja::Value,
    matrix: Option<minijinja::Value>,
    item: Option<minijinja::Value>,
    keys: Arc<[ParamKey]>,
    /// The params whose values cannot be used, with the reason.
    unusable: Arc<BTreeMap<ParamKey, Unrendered>>,
    /// The params that have no value yet.
    required: Arc<BTreeSet<ParamKey>>,
    /// The names that rendered texts used.
    used: Rc<RefCell<BTreeSet<String>>>,
    values: Values,
}

/// The values that the marks in a rendered command stand for; `None` for other texts, into which
/// the values are written at once.
type Values = Arc<Mutex<Option<Vec<Written>>>>;

/// Bound on the work of one text: about as many steps, or 64 times as many bytes.
const FUEL: u64 = 200_000;

/// Hint for a text that is not a valid expression.
const EXPRESSION_FORM: &str =
    "write a param as `params.KEY` and a text in quotes: `params.model == 'x'`";

/// Hint for a text that is not a valid template.
const FORM: &str = "write a param as `{{ params.KEY }}`, \
                    and literal braces for the shell as `{{ '{{' }}`";

impl Templates {
    pub(super) fn new(params: &Params) -> Templates {
        let values = Values::default();
        let all = params.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let nested = minijinja::Value::from(Serde(super::nested(&all)));
        let unusable = params
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value::unusable(key, value, params)?)));
        let required = params.iter().filter(|(_, value)| value::is_required(value));
        Templates {
            environment: environment(Arc::clone(&values)),
            params: nested,
            matrix: None,
            item: None,
            keys: params.iter().map(|(key, _)| key.clone()).collect(),
            unusable: Arc::new(unusable.collect()),
            required: Arc::new(required.map(|(key, _)| key.clone()).collect()),
            used: Rc::default(),
            values,
        }
    }

    /// Reports whether a rendered text used the param.
    pub(super) fn uses(&self, key: &ParamKey) -> bool {
        self.used.borrow().iter().any(|name| is_or_contains(name, key))
    }

    /// Returns the reason that no stage can use the param.
    pub(super) fn unusable(&self, key: &ParamKey) -> Option<&Unrendered> {
        self.unusable.get(key)
    }

    /// Returns the params without a value that a text uses.
    pub(super) fn required_by(&self, text: &str) -> Vec<ParamKey> {
        if self.required.is_empty() || !is_template(text) {
            return Vec::new();
        }
        let names = self.names_in(text);
        let is_used = |key: &&ParamKey| {
            names.iter().any(|name| name != "params" && is_or_contains(name, key))
        };
        self.required.iter().filter(is_used).cloned().collect()
    }

    /// Reports whether the param has no value yet.
    pub(super) fn is_required(&self, key: &ParamKey) -> bool {
        self.required.contains(key)
    }

    /// Returns templates that can also use `matrix.AXIS`.
    pub(super) fn with_matrix(&self, variant: &[(String, ParamValue)]) -> Templates {
        let mut templates = self.clone();
        let table: serde_json::Map<String, ParamValue> = variant.iter().cloned().collect();
        templates.matrix = Some(minijinja::Value::from(Serde(ParamValue::Object(table))));
        templates
    }

    /// Returns templates in which `item.path` and the other parts become placeholders.
    pub(super) fn with_item(&self) -> Templates {
        let mut templates = self.clone();
        let item: BTreeMap<&str, String> = super::items::placeholders().collect();
        templates.item = Some(minijinja::Value::from(Serde(item)));
        templates
    }

    /// Renders a text that is used as it is.
    pub(super) fn render(&self, text: &str) -> Result<String, Unrendered> {
        if is_template(text) { self.render_marked(text) } else { Ok(text.to_owned()) }
    }

    /// Renders a command for the shell: the values in it are quoted.
    pub(super) fn render_command(&self, text: &str) -> Result<String, Unrendered> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        if text.contains(MARK) {
            return Err(Unrendered {
                why: "it contains the control character U+0002".to_owned(),
                hint: "remove it".to_owned(),
            });
        }
        let values = |new| {
            let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *values, new)
        };
        values(Some(Vec::new()));
        let rendered = self.render_marked(text);
        let values = values(None).unwrap_or_default();
        let rendered = rendered?;
        let strings: Vec<String> =
            lexer::parts(text).iter().flat_map(lexer::Part::strings).collect();
        let mut scanner = Scanner::default();
        let mut command = String::with_capacity(rendered.len());
        for (at, piece) in rendered.split(MARK).enumerate() {
            if at % 2 == 0 {
                scanner.read(piece);
                command.push_str(piece);
                continue;
            }
            let value = piece.parse().ok().and_then(|number: usize| values.get(number));
            let Some(value) = value else { panic!("BUG: a mark without a value") };
            command.push_str(&value.quoted(&mut scanner, &strings)?);
        }
        Ok(command)
    }

    /// Returns the truth of an expression such as `params.train.epochs < 20`.
    pub(super) fn holds(&self, expression: &str) -> Result<bool, Unrendered> {
        let in_braces = format!("{{{{ {expression} }}}}");
        if let Some(why) = lexer::excess(&lexer::parts(&in_braces)) {
            return Err(Unrendered { why, hint: "write a shorter one".to_owned() });
        }
        let context = BTreeMap::from([("params", self.params.clone())]);
        let compiled = self.environment.compile_expression(expression);
        let value = compiled.and_then(|compiled| compiled.eval(context));
        let error = match value {
            Ok(value) if !value.is_undefined() => return Ok(value.is_true()),
            Ok(_) => minijinja::ErrorKind::UndefinedError.into(),
            Err(error) => error,
        };
        let Unrendered { why, hint } = self.explain(&in_braces, &error);
        let hint = if hint == FORM { EXPRESSION_FORM.to_owned() } else { hint };
        Err(Unrendered { why, hint })
    }

    fn render_marked(&self, text: &str) -> Result<String, Unrendered> {
        let parts = lexer::parts(text);
        if let Some(why) = lexer::excess(&parts) {
            let hint = "let the command compute the value".to_owned();
            return Err(Unrendered { why, hint });
        }
        if self.item.is_some() && parts.iter().any(lexer::Part::computes_with_item) {
            let why = "`item` is used in an expression, but its parts are known only when the \
                       stage runs";
            let hint = "write `{{ item.PART }}` and nothing else between the braces";
            return Err(Unrendered { why: why.to_owned(), hint: hint.to_owned() });
        }
        let mut context = BTreeMap::from([("params", self.params.clone())]);
        context.extend(self.matrix.clone().map(|matrix| ("matrix", matrix)));
        context.extend(self.item.clone().map(|item| ("item", item)));
        let rendered = self
            .environment
            .render_str(text, context)
            .map_err(|error| self.explain(text, &error))?;
        let names = self.names_in(text);
        let is_used = |key: &&ParamKey| {
            names.iter().any(|name| name != "params" && is_or_contains(name, key))
        };
        if let Some(key) = self.unusable.keys().find(is_used) {
            return Err(self.unusable[key].clone());
        }
        self.used.borrow_mut().extend(names);
        Ok(rendered)
    }

    /// Returns the names that a template uses from outside of it.
    pub(super) fn names_in(&self, text: &str) -> BTreeSet<String> {
        let template = self.environment.template_from_str(text);
        let names = template.map(|template| template.undeclared_variables(true));
        names.unwrap_or_default().into_iter().collect()
    }

    /// Returns the names that a template can use: `params.train.epochs`, the tables above it, and
    /// the names under `matrix` and `item`.
    fn known_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::from(["params".to_owned()]);
        for key in &*self.keys {
            let ends =
                key.as_str().match_indices('.').map(|(at, _)| at).chain([key.as_str().len()]);
            names.extend(ends.map(|end| format!("params.{}", &key.as_str()[..end])));
        }
        for (name, table) in [("matrix", &self.matrix), ("item", &self.item)] {
            let Some(table) = table else { continue };
            let keys = table.try_iter().into_iter().flatten();
            names.extend(keys.map(|key| format!("{name}.{key}")));
            names.insert(name.to_owned());
        }
        names
    }

    fn explain(&self, text: &str, error: &minijinja::Error) -> Unrendered {
        if error.kind() == minijinja::ErrorKind::OutOfFuel {
            let why = "it loops too often or becomes too long".to_owned();
            return Unrendered { why, hint: "let the command repeat the work".to_owned() };
        }
        let known = self.known_names();
        let unknown = self.names_in(text).into_iter().find(|name| !known.contains(name));
        if let Some(name) = unknown {
            let hint = self.remedy(&name, &known);
            return Unrendered { why: format!("there is no `{name}`"), hint };
        }
        let detail = error.detail().unwrap_or_default();
        let unclosed = [
            ("expected end of variable block", ("{{", "}}")),
            ("expected end of block", ("{%", "%}")),
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
    fn remedy(&self, name: &str, known: &BTreeSet<String>) -> String {
        let (root, rest) = name.split_once('.').unwrap_or(("", name));
        if (root == "item" || name == "item") && self.item.is_none() {
            return "`item` exists only in `cmd` and the outs of a stage with `each`".to_owned();
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let all = || known.iter().map(String::as_str).filter(|other| other.contains('.'));
        let ends = |other: &&str| other.rsplit('.').next() == Some(last);
        // The names differ after the table, so that only the rest is compared.
        let below = |other: &'_ str| other.split_once('.').map_or(0, |(table, _)| table.len() + 1);
        let similar = || {
            let names = || all().filter(|other| root.is_empty() || other.starts_with(root));
            let meant = did_you_mean(rest, names().map(|other| &other[below(other)..]))?;
            names().find(|other| &other[below(other)..] == meant)
        };
        let misspelled_table = || {
            if known.contains(root) { None } else { did_you_mean(name, all()) }
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

fn is_template(text: &str) -> bool {
    // Most texts are not templates. Skipping them matters with thousands of stages.
    ["{{", "{%"].iter().any(|mark| text.contains(mark))
}

/// Reports whether a name in a template is the param, a table above it, or inside its value.
pub(super) fn is_or_contains(name: &str, key: &ParamKey) -> bool {
    let param = format!("params.{key}");
    let above = |a: &str, b: &str| b.strip_prefix(a).is_some_and(|rest| rest.starts_with('.'));
    name == param || above(name, &param) || above(&param, name)
}

/// Creates the template engine, which writes values by way of `values`.
fn environment(values: Values) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("quote", value::quote);
    environment.add_filter("raw", value::raw);
    // `{#` does not start a comment: shells use it in `${#array[@]}`.
    let no_comments = SyntaxConfig::builder().comment_delimiters("\u{2}{#", "#}\u{2}").build();
    environment.set_syntax(no_comments.unwrap_or_else(|err| panic!("BUG: {err}")));
    environment.set_formatter(
        move |out: &mut Output<'_>, _: &mut State<'_, '_>, value: &minijinja::Value| {
            let written = Written::of(value)?;
            let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *values, written) {
                (Some(values), written @ (Written::Text(_) | Written::List { .. })) => {
                    write!(out, "{MARK}{}{MARK}", values.len())?;
                    values.push(written);
                }
                (_, written) => out.write_str(written.text())?,
            }
            Ok(())
        },
    );
    environment
}

#[cfg(test)]
mod tests;
