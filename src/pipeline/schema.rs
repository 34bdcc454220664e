//! The form of `pipeline.toml` as a JSON Schema, for editors. Says what can be written, not what holds between
//! declarations: that is the reader's to tell.

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
    fn the_schema_has_the_keys_of_the_reader() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &read::ROOT),
            ("/properties/pipeline", &read::PIPELINE),
            ("/properties/config", &read::CONFIG),
            ("/$defs/metric", &read::METRIC),
            ("/properties/cache", &read::CACHE),
            ("/$defs/stage", &stage::KEYS),
            ("/$defs/out/anyOf/1", &outs::OUT),
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
    fn every_key_is_described_and_every_reference_leads_somewhere() {
        let schema = schema();
        look(&schema, &schema, "");
    }

    fn look(value: &Value, schema: &Value, at: &str) {
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
                entries.iter().for_each(|(key, value)| look(value, schema, &format!("{at}/{key}")));
            }
            Value::Array(list) => list.iter().for_each(|value| look(value, schema, at)),
            _ => {}
        }
    }
}
