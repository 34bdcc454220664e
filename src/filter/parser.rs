//! Tokens to a filter.

use super::attribute::Attribute;
use super::dialect::{Dialect, Form, Type};
use super::expression::{Case, Comparison, Field, Filter, Op, Test, Value};
use super::fault::Fault;
use super::lexer::{Kind, Token, tokens};
use super::value;
use crate::error::did_you_mean;

const PREFIXES: [&str; 12] = [
    "metrics",
    "metric",
    "params",
    "param",
    "parameters",
    "parameter",
    "tags",
    "tag",
    "attributes",
    "attribute",
    "attr",
    "run",
];

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Filter, Fault> {
        let tokens = tokens(text, dialect)?;
        let mut parser = Parser { tokens: &tokens, next: 0, dialect };
        let mut comparisons = Vec::new();
        if parser.peek().kind != Kind::End {
            loop {
                comparisons.push(parser.comparison()?);
                if parser.peek().kind == Kind::End {
                    break;
                }
                parser.and()?;
            }
        }
        Ok(Filter { comparisons })
    }
}

/// Parses the name of a field, as columns and orders use it. All of the text must be the name.
pub(super) fn field(text: &str, dialect: Dialect) -> Result<Field, Fault> {
    let tokens = tokens(text, dialect)?;
    let mut parser = Parser { tokens: &tokens, next: 0, dialect };
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

    fn comparison(&mut self) -> Result<Comparison, Fault> {
        let field = self.field()?;
        let of = match &field {
            Field::Attribute(attribute) => attribute.of(),
            Field::Metric(_) => Type::Number,
            Field::Param(_) => Type::Param,
            Field::Tag(_) => Type::Tag,
        };
        let test = self.test(&field, of)?;
        Ok(Comparison { field, test })
    }

    fn field(&mut self) -> Result<Field, Fault> {
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
            Kind::Number(_) | Kind::Text(_) => {
                return Err(unexpected(token, "the name of a field")
                    .hint("the field comes first: metrics.accuracy > 0.7"));
            }
            _ => {
                return Err(unexpected(token, "the name of a field")
                    .hint("such as metrics.accuracy, params.epochs, tags.team or status"));
            }
        };
        let name = name.clone();
        match prefix {
            None | Some("attributes" | "attribute" | "attr" | "run") => {
                let found = Attribute::find(&name, self.dialect);
                found.map(Field::Attribute).map_err(|hint| {
                    let fault = Fault::new(token.at, format!("there is no attribute `{name}`"));
                    fault.hint(hint).about(name)
                })
            }
            Some("metrics" | "metric") => Ok(Field::Metric(name)),
            Some("params" | "param" | "parameters" | "parameter") => Ok(Field::Param(name)),
            Some("tags" | "tag") => Ok(Field::Tag(name)),
            Some("datasets" | "dataset") => Err(Fault::new(token.at, "datasets are not recorded")),
            Some(prefix) => Err(unknown_prefix(token.at, prefix, &name)),
        }
    }

    fn test(&mut self, field: &Field, of: Type) -> Result<Test, Fault> {
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
            Kind::Text(text) => Ok(Test::Like(case, text.clone())),
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
            Kind::Number(number) => value::number(token.at, *number, of, self.dialect),
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

fn unknown_prefix(at: usize, prefix: &str, name: &str) -> Fault {
    if let Some(meant) = did_you_mean(&prefix.to_lowercase(), PREFIXES) {
        return Fault::new(at, format!("there is no prefix `{prefix}`"))
            .hint(format!("did you mean `{meant}.{name}`?"));
    }
    Fault::new(at, format!("`{prefix}.{name}` lacks a prefix that says what it is"))
        .hint(format!(
            "write `metrics.{prefix}.{name}`, `params.{prefix}.{name}` or `tags.{prefix}.{name}`"
        ))
        .about(format!("{prefix}.{name}"))
}

fn unexpected(token: &Token, expected: &str) -> Fault {
    let found = match &token.kind {
        Kind::Word(word) => format!("`{word}`"),
        Kind::Name { prefix: Some(prefix), name } => format!("`{prefix}.{name}`"),
        Kind::Name { prefix: None, name } => format!("`{name}`"),
        Kind::Text(text) => format!("the text `{text}`"),
        Kind::Number(number) => format!("the number {number}"),
        Kind::Op(op) => format!("`{}`", op.symbol()),
        Kind::Open => "`(`".to_owned(),
        Kind::Close => "`)`".to_owned(),
        Kind::Comma => "`,`".to_owned(),
        Kind::End => "the end".to_owned(),
    };
    Fault::new(token.at, format!("expected {expected}, found {found}"))
}
