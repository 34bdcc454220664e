//! TOML.

use super::value::{Fault, Value};

pub(super) fn parse(text: &str) -> Result<Value, Fault> {
    let table: toml::Table = text.parse().map_err(|err: toml::de::Error| {
        let start = err.span().map(|span| span.start);
        let line = start.map(|at| 1 + text[..at].bytes().filter(|&byte| byte == b'\n').count());
        Fault::new(line, err.message().trim().replace('\n', ", "))
    })?;
    Ok(value(toml::Value::Table(table)))
}

fn value(value: toml::Value) -> Value {
    let below = |(key, inner)| (key, self::value(inner));
    match value {
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Integer(integer) => Value::Integer(integer.into()),
        toml::Value::Float(float) => Value::Float(float),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::Text(time.to_string()),
        toml::Value::Array(list) => Value::List(list.into_iter().map(self::value).collect()),
        toml::Value::Table(table) => Value::Table(table.into_iter().map(below).collect()),
    }
}
