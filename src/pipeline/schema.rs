//! The JSON Schema of `pipeline.toml`, for editors. Describes each declaration; the reader checks
//! the declarations against each other.

pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::SCHEMA;
    use crate::pipeline::read::{self, matrix, options, outs, stage};

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    #[test]
    fn schema_keys_match_reader() {
        let cases: [(&str, &[&str]); 14] = [
            ("", &read::reader::ROOT),
            ("/properties/pipeline", &read::reader::PIPELINE),
            ("/properties/config", &read::reader::CONFIG),
            ("/$defs/metric", &read::reader::METRIC),
            ("/properties/cache", &read::reader::CACHE),
            ("/properties/git", &read::reader::GIT),
            ("/properties/worktrees", &read::worktrees::KEYS),
            ("/$defs/remote", &read::remotes::KEYS),
            ("/$defs/sweep", &read::sweeps::KEYS),
            ("/$defs/stage", &stage::KEYS),
            ("/$defs/out/anyOf/1", &outs::OUT),
            ("/$defs/plot/anyOf/1", &outs::PLOT),
            ("/$defs/resources", &options::RESOURCES),
            ("/$defs/retries", &options::RETRIES),
        ];
        let schema = schema();
        for (at, keys) in cases {
            let object = schema.pointer(at).unwrap();
            assert_eq!(object["additionalProperties"], false, "{at}");
            let known: BTreeSet<&str> =
                object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(known, keys.iter().copied().collect::<BTreeSet<&str>>(), "{at}");
        }
        let axes = &schema["$defs"]["stage"]["properties"]["matrix"]["properties"];
        assert_eq!(axes.as_object().unwrap().keys().collect::<Vec<_>>(), [matrix::EXCLUDE]);
    }

    #[test]
    fn schema_descriptions_and_references() {
        let schema = schema();
        check(&schema, &schema, "");
    }

    fn check(value: &Value, schema: &Value, at: &str) {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            assert!(schema.pointer(&target[1..]).is_some(), "{at}: {target}");
        }
        if let Some(keys) = value.get("properties").and_then(Value::as_object) {
            for (key, described) in keys {
                let target =
                    described.get("$ref").and_then(|target| schema.pointer(&target.as_str()?[1..]));
                let text = [Some(described), target]
                    .into_iter()
                    .flatten()
                    .find_map(|it| it.get("description"));
                assert!(text.is_some_and(Value::is_string), "{at}/{key} has no description");
            }
        }
        match value {
            Value::Object(entries) => {
                entries
                    .iter()
                    .for_each(|(key, value)| check(value, schema, &format!("{at}/{key}")));
            }
            Value::Array(list) => list.iter().for_each(|value| check(value, schema, at)),
            _ => {}
        }
    }
}
