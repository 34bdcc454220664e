//! Params from files of JSON and YAML.

use super::reader::{Reader, header_hint};
use crate::data::{self, Fault, Format, Value};
use crate::pipeline::{BadName, ParamKey, ParamValue, Params, Problem, check_name};

impl Reader {
    /// Adds the params of a text; reports what cannot be one, with the line if it is known.
    pub(super) fn params_of_data(&mut self, format: Format, text: &str, params: &mut Params) {
        match data::parse(format, text) {
            Ok(Value::Table(entries)) => self.entries(entries, "", params),
            // An empty file, or one with comments only.
            Ok(Value::Null) => {}
            Ok(_) => self.fault("expected a table of params", "write `name: value` on each line"),
            Err(Fault { line, what, hint }) => {
                let what = format!("cannot be read as {}: {what}", format.name());
                self.problems.push(Problem { hint, ..Problem::new(line.unwrap_or(1), what) });
            }
        }
    }

    fn entries(&mut self, entries: Vec<(String, Value)>, prefix: &str, params: &mut Params) {
        for (name, value) in entries {
            if let Err(bad) = check_name(&name) {
                self.fault(&bad.to_string(), BadName::HINT);
                continue;
            }
            if let (Value::Table(_), "", Some(hint)) = (&value, prefix, header_hint(&name)) {
                self.fault(&format!("`{name}` has no meaning in a file of params"), hint);
                continue;
            }
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            if params.get(&key).is_some() || !params.named(&key).is_empty() {
                self.fault(&format!("param `{key}` occurs twice"), "remove one of them");
                continue;
            }
            match value {
                Value::Table(inner) if !inner.is_empty() => self.entries(inner, &key, params),
                value => match param(value) {
                    Ok(value) => params.insert(ParamKey::new(key), value),
                    Err(what) => self.fault(&format!("param `{key}` {what}"), ""),
                },
            }
        }
    }

    fn fault(&mut self, what: &str, hint: &str) {
        let problem = Problem::new(1, what);
        self.problems.push(if hint.is_empty() { problem } else { problem.hint(hint) });
    }
}

fn param(value: Value) -> Result<ParamValue, &'static str> {
    Ok(match value {
        Value::Null => ParamValue::Null,
        Value::Bool(flag) => flag.into(),
        Value::Text(text) => text.into(),
        Value::Integer(integer) => match i64::try_from(integer) {
            Ok(integer) => integer.into(),
            Err(_) => return Err("does not fit in 64 bits"),
        },
        Value::Float(float) => match serde_json::Number::from_f64(float) {
            Some(number) => number.into(),
            None => return Err("must be a finite number"),
        },
        Value::List(list) => list.into_iter().map(param).collect::<Result<_, _>>()?,
        Value::Table(entries) => {
            let mut table = serde_json::Map::new();
            for (name, value) in entries {
                if table.insert(name, param(value)?).is_some() {
                    return Err("has a key that occurs twice");
                }
            }
            ParamValue::Object(table)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> (Params, Vec<String>) {
        let (mut reader, mut params) = (Reader::new(text), Params::default());
        reader.params_of_data(Format::Yaml, text, &mut params);
        let problems = reader.problems.iter().map(ToString::to_string);
        (params, problems.map(|text| text.replace("pipeline.toml:", "")).collect())
    }

    #[test]
    fn params_of_yaml() {
        let (params, problems) =
            read("seed: 42\ntrain: {lr: 1e-3, layers: [1, {a: null}], note: ~}\nempty: {}\n");
        let found: Vec<_> =
            params.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let expected = [
            ("empty", json!({})),
            ("seed", json!(42)),
            ("train.layers", json!([1, {"a": null}])),
            ("train.lr", json!(0.001)),
            ("train.note", json!(null)),
        ];
        assert_eq!((found, problems), (expected.into(), Vec::new()));
        assert_eq!(read("# nothing"), (Params::default(), Vec::new()));
    }

    #[test]
    fn faulty_params_of_yaml() {
        for (text, problem) in [
            (
                "a: 1\nb: [",
                "2: cannot be read as YAML: while parsing a node, did not find expected node \
                 content",
            ),
            ("- 1", "1: expected a table of params"),
            ("a.b: 1", "1: `a.b` is not a valid param name"),
            ("a: 1\na: 2", "1: param `a` occurs twice"),
            ("a: {b: 1}\na: {c: 1}", "1: param `a` occurs twice"),
            ("stages: {a: 1}", "1: `stages` has no meaning in a file of params"),
            ("a: .nan", "1: param `a` must be a finite number"),
            ("a: [18446744073709551616]", "1: param `a` does not fit in 64 bits"),
        ] {
            assert_eq!(read(text).1, [problem], "{text}");
        }
    }
}
