//! Converts values of data files to JSON.

use crate::data::Value;
use crate::number::Number;

/// Converts a value. The depth of a value is limited by its parser.
pub(super) fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(list) => list.iter().map(json_of).collect::<Vec<_>>().into(),
        Value::Table(entries) => serde_json::Value::Object(
            entries.iter().map(|(key, value)| (key.clone(), json_of(value))).collect(),
        ),
        Value::Integer(integer) => match i64::try_from(*integer) {
            Ok(integer) => integer.into(),
            Err(_) => finite_or_text(Number::from(*integer)),
        },
        Value::Float(float) => finite_or_text(Number::from(*float)),
    }
}

fn finite_or_text(number: Number) -> serde_json::Value {
    serde_json::to_value(number).unwrap_or(serde_json::Value::Null)
}
