//! YAML 1.2 with its core schema, and the merge key `<<` of YAML 1.1.
//!
//! The parser gives events; this module builds values from them, without recursion. Aliases are
//! copied, up to a limit: ten short lines can stand for gigabytes.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::value::{Fault, MAX_DEPTH, Value, too_deep};

/// Maximum number of values that all aliases of a file may stand for.
const MAX_COPIES: usize = 1_000_000;

pub(super) fn parse(text: &str) -> Result<Value, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|err| {
            // The end of the text counts as a line of its own.
            let line = err.marker().line().min(text.lines().count());
            Fault::new(Some(line), err.info().to_owned())
        })?;
        builder.add(event, span)?;
    }
    Ok(builder.root.unwrap_or(Value::Null))
}

#[derive(Default)]
struct Builder {
    root: Option<Value>,
    /// Lists and tables that are not complete, from the outside in.
    open: Vec<Open>,
    /// Values by their anchors, with the number of values in each.
    anchors: HashMap<usize, (Value, usize)>,
    copies: usize,
}

struct Open {
    anchor: usize,
    content: Content,
    /// Number of values inside so far.
    size: usize,
}

enum Content {
    List(Vec<Value>),
    /// With the key whose value comes next, and the tables to merge.
    Table {
        entries: Vec<(String, Value)>,
        key: Option<String>,
        merged: Vec<Value>,
    },
}

impl Builder {
    fn add(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let line = Some(span.start.line());
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Fault::new(line, "a second document begins").hint("keep one document per file"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), line)?;
                self.complete(value, 1, anchor, line)
            }
            Event::Alias(anchor) => {
                // The parser refuses unknown aliases; this one is inside its own anchor.
                let Some((value, size)) = self.anchors.get(&anchor) else {
                    return Err(Fault::new(line, "an alias is inside the value that it names"));
                };
                let (size, value) = (*size, value);
                self.copies += size;
                if self.copies > MAX_COPIES {
                    let what = format!("aliases stand for more than {MAX_COPIES} values");
                    return Err(Fault::new(line, what));
                }
                let value = value.clone();
                self.complete(value, size, 0, line)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Content::List(Vec::new()), anchor, tag.as_deref(), "seq", line)
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Table { entries: Vec::new(), key: None, merged: Vec::new() };
                self.begin(content, anchor, tag.as_deref(), "map", line)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, content, size }) = self.open.pop() else { return Ok(()) };
                self.complete(content.close(line)?, size + 1, anchor, line)
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        plain: &str,
        line: Option<usize>,
    ) -> Result<(), Fault> {
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == plain)) {
            return Err(foreign(tag, line));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.open.push(Open { anchor, content, size: 0 });
        Ok(())
    }

    /// Adds a complete value to the innermost list or table.
    fn complete(
        &mut self,
        value: Value,
        size: usize,
        anchor: usize,
        line: Option<usize>,
    ) -> Result<(), Fault> {
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let Some(Open { content, size: outer, .. }) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        *outer += size;
        match content {
            Content::List(list) => list.push(value),
            Content::Table { entries, key, merged } => match key.take() {
                None => *key = Some(as_key(value, line)?),
                Some(name) if name == "<<" => match value {
                    Value::List(tables) => merged.extend(tables),
                    table => merged.push(table),
                },
                Some(name) => entries.push((name, value)),
            },
        }
        Ok(())
    }
}

impl Content {
    /// Returns the value; entries of merged tables count where the table has no such entry itself.
    fn close(self, line: Option<usize>) -> Result<Value, Fault> {
        let (mut entries, merged) = match self {
            Content::List(list) => return Ok(Value::List(list)),
            Content::Table { entries, merged, .. } => (entries, merged),
        };
        for table in merged {
            let Value::Table(others) = table else {
                return Err(Fault::new(line, "`<<` merges a value that is not a table"));
            };
            for (key, value) in others {
                if !entries.iter().any(|(name, _)| *name == key) {
                    entries.push((key, value));
                }
            }
        }
        Ok(Value::Table(entries))
    }
}

fn as_key(value: Value, line: Option<usize>) -> Result<String, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Integer(integer) => Ok(integer.to_string()),
        Value::Float(float) => Ok(float.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Ok("null".to_owned()),
        Value::List(_) | Value::Table(_) => {
            Err(Fault::new(line, "a list or a table is used as a key").hint("use texts as keys"))
        }
    }
}

fn foreign(tag: Option<&Tag>, line: Option<usize>) -> Fault {
    let tag = tag.map(|tag| {
        if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() }
    });
    Fault::new(line, format!("a value has the tag `{}`", tag.unwrap_or_default())).hint(
        "write plain numbers and texts; in Python, convert with `float(…)` before `yaml.dump`",
    )
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    line: Option<usize>,
) -> Result<Value, Fault> {
    let suffix = match tag {
        Some(tag) if tag.is_yaml_core_schema() => Some(tag.suffix.as_str()),
        // `!` alone says that the value is a text.
        Some(tag) if tag.suffix.is_empty() => Some("str"),
        Some(_) => return Err(foreign(tag, line)),
        None => None,
    };
    let value = match suffix {
        Some("str") => return Ok(Value::Text(text.to_owned())),
        None if style != ScalarStyle::Plain => return Ok(Value::Text(text.to_owned())),
        _ => plain(text),
    };
    match (suffix, value) {
        (Some("float"), Value::Integer(integer)) => Ok(Value::Float(integer as f64)),
        (None, value)
        | (Some("int"), value @ Value::Integer(_))
        | (Some("float"), value @ Value::Float(_))
        | (Some("bool"), value @ Value::Bool(_))
        | (Some("null"), value @ Value::Null) => Ok(value),
        _ => Err(foreign(tag, line)),
    }
}

/// Returns the value of a text without quotes by the core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Value::Float(sign * f64::INFINITY);
    }
    let integer = match text.get(..2) {
        Some("0x") => i128::from_str_radix(&text[2..], 16).ok(),
        Some("0o") => i128::from_str_radix(&text[2..], 8).ok(),
        _ => text.parse::<i128>().ok(),
    };
    if let Some(integer) = integer {
        return Value::Integer(integer);
    }
    // Leaves out `inf` and `infinity`, which the parser of floats also knows.
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(float) if is_number => Value::Float(float),
        _ => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars() {
        for (text, expected) in [
            ("1", Value::Integer(1)),
            ("-007", Value::Integer(-7)),
            ("0x1f", Value::Integer(31)),
            ("1e-3", Value::Float(0.001)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("inf", Value::Text("inf".to_owned())),
            ("yes", Value::Text("yes".to_owned())),
            ("1_000", Value::Text("1_000".to_owned())),
            ("'1'", Value::Text("1".to_owned())),
            ("!!str 1", Value::Text("1".to_owned())),
            ("!!float 1", Value::Float(1.0)),
            ("~", Value::Null),
            ("", Value::Null),
            ("# nothing", Value::Null),
            ("--- True", Value::Bool(true)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert!(matches!(parse(".nan"), Ok(Value::Float(nan)) if nan.is_nan()));
    }

    #[test]
    fn anchors_and_merges() {
        let text =
            "base: &b {lr: 1, n: 2}\na:\n  <<: *b\n  n: 3\nc: [*b, {<<: [*b, {lr: 7, x: 0}]}]";
        let same = "{\"base\": {\"lr\": 1, \"n\": 2}, \"a\": {\"n\": 3, \"lr\": 1}, \
                    \"c\": [{\"lr\": 1, \"n\": 2}, {\"lr\": 1, \"n\": 2, \"x\": 0}]}";
        assert_eq!(parse(text), super::super::json::parse(same));
    }

    #[test]
    fn faults() {
        for (text, line, what) in [
            ("a: 1\nb: [", 2, "while parsing a node, did not find expected node content"),
            ("a: 1\n---\nb: 1", 2, "a second document begins"),
            ("a: 1\nb: !!python/tuple [1]", 2, "a value has the tag `!!python/tuple`"),
            ("a: &x [*x]", 1, "an alias is inside the value that it names"),
            ("[1]: 2", 1, "a list or a table is used as a key"),
            ("a: {<<: 3}", 1, "`<<` merges a value that is not a table"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.line, fault.what.as_str()), (Some(line), what), "{text}");
        }
    }

    #[test]
    fn aliases_are_limited() {
        let mut text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..20 {
            let alias = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
        }
        let fault = parse(&text).unwrap_err();
        assert_eq!(fault.what, "aliases stand for more than 1000000 values");
    }
}
