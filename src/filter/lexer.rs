//! The tokens of a filter, each with its place in the text.

use super::dialect::Dialect;
use super::expression::Op;
use super::fault::Fault;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// Byte at which the token begins.
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A word without a dot and without quotes: a keyword or the name of an attribute.
    Word(String),
    /// The name of a field with its prefix, or a name in backticks.
    Name {
        prefix: Option<String>,
        name: String,
    },
    /// A text in `'…'` or `"…"`.
    Text(String),
    /// A number, and as it is written.
    Number(f64, String),
    Op(Op),
    Open,
    Close,
    Comma,
    End,
}

/// Splits a text into tokens. The last one is [`Kind::End`].
pub(super) fn tokens(text: &str, dialect: Dialect) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { text, at: 0, dialect };
    let mut tokens = Vec::new();
    loop {
        lexer.take_while(char::is_whitespace);
        let at = lexer.at;
        let kind = lexer.next()?;
        let is_end = kind == Kind::End;
        tokens.push(Token { at, kind });
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
}

impl<'t> Lexer<'t> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    fn next(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let Some(c) = self.peek() else { return Ok(Kind::End) };
        match c {
            '\'' | '"' => self.quoted(c).map(Kind::Text),
            '(' | ')' | ',' => {
                self.at += 1;
                Ok(match c {
                    '(' => Kind::Open,
                    ')' => Kind::Close,
                    _ => Kind::Comma,
                })
            }
            '=' | '!' | '<' | '>' => self.op(),
            '`' => self.name(),
            c if c.is_alphabetic() || c == '_' => self.name(),
            c if c.is_ascii_digit() || matches!(c, '-' | '.') => self.number(),
            ';' => {
                Err(Fault::new(at, "`;` is not part of the grammar")
                    .hint("join comparisons by `and`"))
            }
            c => Err(Fault::new(at, format!("`{c}` is not part of the grammar"))),
        }
    }

    /// Reads up to the closing quote. Nothing is escaped.
    fn quoted(&mut self, quote: char) -> Result<String, Fault> {
        let begin = self.at;
        self.at += quote.len_utf8();
        let inner = self.take_while(|c| c != quote);
        if self.take(quote) {
            return Ok(inner.to_owned());
        }
        Err(Fault::new(begin, format!("the quote `{quote}` is not closed")))
    }

    fn op(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let symbol = self.take_while(|c| matches!(c, '=' | '!' | '<' | '>'));
        let found = Op::ALL.into_iter().find(|op| op.symbol() == symbol);
        found.map(Kind::Op).ok_or_else(|| {
            let fault = Fault::new(at, format!("`{symbol}` is not an operator"));
            match symbol {
                "==" => fault.hint("write `=`"),
                "<>" => fault.hint("write `!=`"),
                "=<" => fault.hint("write `<=`"),
                "=>" => fault.hint("write `>=`"),
                _ => fault.hint("the operators are `=`, `!=`, `<`, `<=`, `>`, `>=`"),
            }
        })
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let at = self.at;
        let bytes = self.text.as_bytes();
        let is_part = |at: usize| match bytes.get(at) {
            Some(b'+' | b'-') => at == self.at || matches!(bytes[at - 1], b'e' | b'E'),
            Some(byte) => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'),
            None => false,
        };
        let end = (at..).find(|at| !is_part(*at)).unwrap_or(at);
        self.at = end;
        let text = &self.text[at..end];
        let is_digits = text.bytes().any(|byte| byte.is_ascii_digit());
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() || (is_digits && self.dialect.is_mlflow()) => {
                Ok(Kind::Number(number, text.to_owned()))
            }
            Ok(_) => Err(Fault::new(at, format!("`{text}` is too large"))),
            Err(_) => Err(Fault::new(at, format!("`{text}` is not a number"))
                .hint(format!("put a text in quotes: '{text}'"))),
        }
    }

    /// Reads a name: parts between dots, each bare or in quotes.
    fn name(&mut self) -> Result<Kind, Fault> {
        let is_quoted = self.peek() == Some('`');
        let extra = self.dialect.extra_name_characters();
        let is_bare = move |c: char| c.is_alphanumeric() || c == '_' || extra.contains(c);
        let first = if is_quoted { self.quoted('`')? } else { self.take_while(is_bare).to_owned() };
        if !self.take('.') {
            return Ok(match is_quoted {
                true => Kind::Name { prefix: None, name: first },
                false => Kind::Word(first),
            });
        }
        let mut name = String::new();
        loop {
            let at = self.at;
            match self.peek() {
                Some(quote @ ('`' | '"' | '\'')) => name.push_str(&self.quoted(quote)?),
                _ => {
                    let part = self.take_while(is_bare);
                    if part.is_empty() {
                        return Err(Fault::new(at, "a name is missing after the dot")
                            .hint("put a name with special characters in backticks"));
                    }
                    name.push_str(part);
                }
            }
            if !self.take('.') {
                return Ok(Kind::Name { prefix: Some(first), name });
            }
            name.push('.');
        }
    }
}
