//! Final metrics: the numbers in the JSON files that stages declare under `metrics`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::pipeline::{Role, Stage};

/// Returns the numbers by dotted key. A missing file has none; a file that is not JSON has none and
/// is reported through `complain`.
pub(super) fn read(
    root: &Path,
    stage: &Stage,
    mut complain: impl FnMut(String),
) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    for out in stage.outs.iter().filter(|out| out.role == Role::Metrics) {
        let Ok(text) = std::fs::read_to_string(out.path.to_path(root)) else {
            continue;
        };
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => flatten(&value, String::new(), &mut numbers),
            Err(err) => {
                complain(format!(
                    "`{}` is not valid JSON, so its metrics are not recorded: {err}",
                    out.path
                ));
            }
        }
    }
    numbers
}

fn flatten(value: &Value, key: String, numbers: &mut BTreeMap<String, f64>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Number(number) => numbers.extend(number.as_f64().map(|number| (key, number))),
        Value::Bool(flag) => numbers.extend(Some((key, f64::from(u8::from(*flag))))),
        Value::Object(entries) => {
            entries.iter().for_each(|(name, value)| flatten(value, below(name), numbers));
        }
        // A list, such as a confusion matrix, is data and not a metric.
        Value::Array(_) | Value::String(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_dotted_keys() {
        let value =
            serde_json::json!({"a": 1, "b": {"c": 0.5, "ok": true}, "list": [1], "text": "x"});
        let mut numbers = BTreeMap::new();
        flatten(&value, String::new(), &mut numbers);
        let expected = [("a", 1.0), ("b.c", 0.5), ("b.ok", 1.0)];
        assert_eq!(numbers, expected.map(|(key, number)| (key.to_owned(), number)).into());
    }
}
