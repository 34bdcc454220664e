//! Refusals in the words of MLflow's server, which programs search for.

use serde_json::Value;

use crate::serve::http::Refusal;

/// Refuses a request without a field that it needs.
pub(super) fn missing(path: &str) -> Refusal {
    Refusal::invalid(format!("Missing value for required parameter '{path}'."))
}

/// Refuses a value of another type than that of the field.
pub(super) fn wrong_type(path: &str, value: &Value) -> Refusal {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    invalid(path, value, &format!("Hint: Value was of type '{kind}'."))
}

/// Refuses a value for the reason `why`.
pub(super) fn invalid(path: &str, value: &Value, why: &str) -> Refusal {
    const MOST_SHOWN: usize = 300;
    let mut shown = value.to_string();
    if let Some((end, _)) = shown.char_indices().nth(MOST_SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    Refusal::invalid(format!("Invalid value {shown} for parameter '{path}' supplied: {why}"))
}

/// Reports that there is no run with an identity.
pub(super) fn no_run(id: &str) -> Refusal {
    Refusal::missing(format!("Run with id={} not found", id.escape_debug()))
}

/// Reports that there is no experiment with an id.
pub(super) fn no_experiment(id: &str) -> Refusal {
    Refusal::missing(format!("No Experiment with id={} exists", id.escape_debug()))
}
