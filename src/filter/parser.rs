//! Tokens to a filter.

use super::dialect::{Dialect, Form, Prefix, Type};
use super::experiment::ExperimentAttribute;
use super::expression::{Case, Comparison, DatasetField, Field, Filter, Op, Test, Value};
use super::fault::Fault;
use super::lexer::{Kind, Token, tokens};
use super::model::ModelAttribute;
use super::registered::{RegisteredAttribute, VersionAttribute};
use super::subject::{Subject, entry_of, find};
use super::value;
use crate::error::did_you_mean;

/// Maximum number of comparisons of a filter; SQLite has a limit of its own.
const MOST_COMPARISONS: usize = 200;
/// Maximum length of a pattern; SQLite has a limit of its own.
const LONGEST_PATTERN: usize = 10_000;
/// Maximum number of values in the lists of a filter.
const MOST_VALUES: usize = 20_000;

impl Filter {
    /// Parses a filter of runs.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Filter, Fault> {
        filter(text, dialect)
    }
}

impl Filter<ExperimentAttribute> {
    /// Parses a filter of experiments.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse_experiments(text: &str) -> Result<Filter<ExperimentAttribute>, Fault> {
        filter(text, Dialect::Experiments)
    }
}

impl Filter<ModelAttribute> {
    /// Parses a filter of logged models.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse_models(text: &str) -> Result<Filter<ModelAttribute>, Fault> {
        filter(text, Dialect::Models)
    }
}

impl Filter<RegisteredAttribute> {
    /// Parses a filter of registered models.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse_registered(text: &str) -> Result<Filter<RegisteredAttribute>, Fault> {
        filter(text, Dialect::Registry)
    }
}

impl Filter<VersionAttribute> {
    /// Parses a filter of versions of registered models.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse_versions(text: &str) -> Result<Filter<VersionAttribute>, Fault> {
        filter(text, Dialect::Registry)
    }
}

fn filter<A: Subject>(text: &str, dialect: Dialect) -> Result<Filter<A>, Fault> {
    if dialect.is_mlflow() && !text.is_empty() && text.trim().is_empty() {
        return Err(Fault::new(0, "the filter is blank"));
    }
    let tokens = tokens(text, dialect)?;
    let mut parser = Parser { tokens: &tokens, next: 0, dialect, values: 0 };
    let mut comparisons = Vec::new();
    let mut is_first = true;
    loop {
        if dialect.is_mlflow() {
            while parser.keyword("and") {}
        }
        let is_end = parser.peek().kind == Kind::End;
        if is_end && (is_first || dialect.is_mlflow()) {
            return Ok(Filter { comparisons });
        }
        if comparisons.len() == MOST_COMPARISONS {
            let fault = Fault::new(parser.peek().at, "the filter is too long");
            return Err(fault.hint(format!("it can have {MOST_COMPARISONS} comparisons")));
        }
        comparisons.push(parser.comparison()?);
        is_first = false;
        match parser.peek().kind {
            Kind::End => return Ok(Filter { comparisons }),
            _ if dialect.is_mlflow() && parser.begins_field() => {}
            _ => parser.and()?,
        }
    }
}

/// Parses the name of a field, as columns and orders use it. All of the text must be the name.
pub(super) fn field<A: Subject>(text: &str, dialect: Dialect) -> Result<Field<A>, Fault> {
    let tokens = tokens(text, dialect)?;
    let mut parser = Parser { tokens: &tokens, next: 0, dialect, values: 0 };
    let field = parser.field()?;
    match parser.peek() {
        Token { kind: Kind::End, .. } => Ok(field),
        token => Err(unexpected(token, "nothing more")),
    }
}

struct Parser<'t> {
    /// Ends with [`Kind::End`], which is never passed.
    tokens: &'t [Token],
    next: usize,
    dialect: Dialect,
    /// Number of values in lists so far.
    values: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &'t Token {
        &self.tokens[self.next]
    }

    fn take(&mut self) -> &'t Token {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes the next token if it is this keyword, in any case.
    fn keyword(&mut self, word: &str) -> bool {
        let found = is_keyword(self.peek(), word);
        if found {
            self.take();
        }
        found
    }

    /// Reports whether a comparison begins here, in MLflow's grammar after another one.
    fn begins_field(&self) -> bool {
        match &self.peek().kind {
            Kind::Word(word) => !["or", "not"].iter().any(|it| word.eq_ignore_ascii_case(it)),
            Kind::Name { .. } => true,
            _ => false,
        }
    }

    fn and(&mut self) -> Result<(), Fault> {
        if self.keyword("and") {
            return Ok(());
        }
        let token = self.peek();
        let fault = unexpected(token, "`and`");
        Err(match is_keyword(token, "or") {
            true => Fault::new(token.at, "comparisons cannot be joined by `or`")
                .hint("for several values of one field, write `IN ('a', 'b')`"),
            false => fault,
        })
    }

    fn comparison<A: Subject>(&mut self) -> Result<Comparison<A>, Fault> {
        let field = self.field()?;
        let of = match &field {
            Field::Attribute(attribute) => entry_of(*attribute).of,
            Field::Metric(_) => Type::Number,
            Field::Param(_) => Type::Param,
            Field::Tag(_) => Type::Tag,
            Field::Dataset(_) => Type::Dataset,
        };
        let test = self.test(&field, of)?;
        Ok(Comparison { field, test })
    }

    fn field<A: Subject>(&mut self) -> Result<Field<A>, Fault> {
        let token = self.take();
        let (prefix, name) = match &token.kind {
            Kind::Word(word) if word.eq_ignore_ascii_case("not") => {
                return Err(Fault::new(token.at, "a comparison cannot be negated")
                    .hint("write `!=`, `NOT IN` or `IS NOT NULL`"));
            }
            Kind::Word(word) if ["and", "or"].iter().any(|it| word.eq_ignore_ascii_case(it)) => {
                return Err(unexpected(token, "the name of a field"));
            }
            Kind::Word(name) => (None, name),
            Kind::Name { prefix, name } => (prefix.as_deref(), name),
            Kind::Open => {
                return Err(Fault::new(token.at, "the grammar has no parentheses")
                    .hint("all comparisons are joined by `and`"));
            }
            // MLflow takes the quotes of an attribute's name for those of SQL.
            Kind::Text(name)
                if self.dialect.is_mlflow() && find::<A>(name, self.dialect).is_ok() =>
            {
                (None, name)
            }
            Kind::Number(..) | Kind::Text(_) => {
                return Err(unexpected(token, "the name of a field")
                    .hint("the field comes first: metrics.accuracy > 0.7"));
            }
            _ => {
                return Err(unexpected(token, "the name of a field")
                    .hint("such as metrics.accuracy, params.epochs, tags.team or status"));
            }
        };
        let (at, name) = (token.at, name.clone());
        let prefixes = self.dialect.prefixes();
        let prefix = match prefix {
            None => Prefix::Attribute,
            Some(prefix) => match prefixes.iter().find(|(word, _)| *word == prefix) {
                Some((_, found)) => *found,
                None => return Err(unknown_prefix(at, prefix, &name, self.dialect)),
            },
        };
        Ok(match prefix {
            Prefix::Attribute => Field::Attribute(find(&name, self.dialect).map_err(|hint| {
                let fault = Fault::new(at, format!("there is no attribute `{name}`"));
                fault.hint(hint).about(name)
            })?),
            Prefix::Metric => Field::Metric(name),
            Prefix::Param => Field::Param(name),
            Prefix::Tag => Field::Tag(name),
            Prefix::Dataset => {
                let found = DatasetField::ALL.into_iter().find(|field| field.name() == name);
                Field::Dataset(found.ok_or_else(|| {
                    Fault::new(at, format!("a dataset has no `{name}`"))
                        .hint("it has name, digest and context")
                })?)
            }
        })
    }

    fn test<A: Subject>(&mut self, field: &Field<A>, of: Type) -> Result<Test, Fault> {
        let token = self.take();
        let (at, field, forms) = (token.at, field.to_string(), self.dialect.forms(of));
        let allow = |form: Form, shown: &str| match forms {
            forms if forms.contains(&form) => Ok(()),
            forms => {
                let operators: Vec<&str> = forms.iter().map(|form| form.operators()).collect();
                Err(Fault::new(at, format!("`{field}` cannot be compared by `{shown}`"))
                    .hint(format!("its operators are {}", operators.join(", "))))
            }
        };
        if let Kind::Op(op) = token.kind {
            let form = if matches!(op, Op::Eq | Op::Ne) { Form::Equality } else { Form::Order };
            allow(form, op.symbol())?;
            return Ok(Test::Compare(op, self.value(of, form)?));
        }
        for (word, case) in [("like", Case::Sensitive), ("ilike", Case::Ignored)] {
            if is_keyword(token, word) {
                allow(Form::Like, &word.to_uppercase())?;
                return self.pattern(case);
            }
        }
        if is_keyword(token, "in") {
            allow(Form::In, "IN")?;
            return self.list(of).map(Test::In);
        }
        if is_keyword(token, "not") {
            if !self.keyword("in") {
                return Err(unexpected(self.peek(), "`IN` after `NOT`"));
            }
            allow(Form::In, "NOT IN")?;
            return self.list(of).map(Test::NotIn);
        }
        if is_keyword(token, "is") {
            allow(Form::Null, "IS")?;
            let negated = self.keyword("not");
            if !self.keyword("null") {
                return Err(unexpected(self.peek(), "`NULL`"));
            }
            return Ok(if negated { Test::NotNull } else { Test::Null });
        }
        Err(unexpected(token, &format!("an operator after `{field}`")))
    }

    fn pattern(&mut self, case: Case) -> Result<Test, Fault> {
        let token = self.take();
        match &token.kind {
            Kind::Text(text) if text.len() > LONGEST_PATTERN => {
                Err(Fault::new(token.at, "the pattern is too long")
                    .hint(format!("it can have {LONGEST_PATTERN} bytes")))
            }
            Kind::Text(text) => Ok(Test::Like(case, text.clone())),
            Kind::Number(_, text) if self.dialect == Dialect::Models => {
                Ok(Test::Like(case, text.clone()))
            }
            _ => {
                Err(unexpected(token, "a pattern in quotes")
                    .hint("`%` stands for any text: 'resnet%'"))
            }
        }
    }

    fn list(&mut self, of: Type) -> Result<Vec<Value>, Fault> {
        let token = self.take();
        if token.kind != Kind::Open {
            return Err(unexpected(token, "`(`").hint("write a list: ('a', 'b')"));
        }
        let mut values = Vec::new();
        loop {
            let is_closed = !values.is_empty() && self.peek().kind == Kind::Close;
            if is_closed && self.dialect.is_mlflow() {
                self.take();
                return Ok(values);
            }
            self.values += 1;
            if self.values > MOST_VALUES {
                return Err(Fault::new(self.peek().at, "the list is too long")
                    .hint(format!("the lists of a filter can have {MOST_VALUES} values")));
            }
            values.push(self.value(of, Form::In)?);
            let token = self.take();
            match token.kind {
                Kind::Comma => {}
                Kind::Close => return Ok(values),
                _ => return Err(unexpected(token, "`,` or `)`")),
            }
        }
    }

    fn value(&mut self, of: Type, form: Form) -> Result<Value, Fault> {
        let token = self.take();
        match &token.kind {
            Kind::Text(text) => value::text(token.at, text.clone(), of, form, self.dialect),
            Kind::Number(number, text) => value::number(token.at, *number, text, of, self.dialect),
            Kind::Word(word)
                if of == Type::Param
                    && form != Form::Order
                    && self.dialect == Dialect::Repro
                    && matches!(word.as_str(), "true" | "false") =>
            {
                Ok(Value::Text(word.clone()))
            }
            kind => {
                let expected = if of == Type::Number { "a number" } else { "a value" };
                let fault = unexpected(token, expected);
                Err(match kind {
                    Kind::Word(word) if word.eq_ignore_ascii_case("null") => {
                        fault.hint("write `IS NULL` or `IS NOT NULL`")
                    }
                    Kind::Word(name) | Kind::Name { prefix: None, name } if of != Type::Number => {
                        fault.hint(format!("put a text in quotes: '{name}'"))
                    }
                    _ => fault,
                })
            }
        }
    }
}

fn is_keyword(token: &Token, word: &str) -> bool {
    matches!(&token.kind, Kind::Word(found) if found.eq_ignore_ascii_case(word))
}

fn unknown_prefix(at: usize, prefix: &str, name: &str, dialect: Dialect) -> Fault {
    let prefixes = dialect.prefixes().iter().map(|(word, _)| *word);
    if let Some(meant) = did_you_mean(&prefix.to_lowercase(), prefixes.clone()) {
        return Fault::new(at, format!("there is no prefix `{prefix}`"))
            .hint(format!("did you mean `{meant}.{name}`?"));
    }
    let fault = Fault::new(at, format!("`{prefix}.{name}` lacks a prefix that says what it is"));
    match dialect {
        Dialect::Repro | Dialect::Mlflow => fault.hint(format!(
            "write `metrics.{prefix}.{name}`, `params.{prefix}.{name}` or `tags.{prefix}.{name}`"
        )),
        Dialect::Experiments | Dialect::Models | Dialect::Registry => {
            fault.hint(format!("the prefixes are {}", prefixes.collect::<Vec<_>>().join(", ")))
        }
    }
    .about(format!("{prefix}.{name}"))
}

fn unexpected(token: &Token, expected: &str) -> Fault {
    let found = match &token.kind {
        Kind::Word(word) => format!("`{word}`"),
        Kind::Name { prefix: Some(prefix), name } => format!("`{prefix}.{name}`"),
        Kind::Name { prefix: None, name } => format!("`{name}`"),
        Kind::Text(text) => format!("the text `{text}`"),
        Kind::Number(_, text) => format!("the number {text}"),
        Kind::Op(op) => format!("`{}`", op.symbol()),
        Kind::Open => "`(`".to_owned(),
        Kind::Close => "`)`".to_owned(),
        Kind::Comma => "`,`".to_owned(),
        Kind::End => "the end".to_owned(),
    };
    Fault::new(token.at, format!("expected {expected}, found {found}"))
}
