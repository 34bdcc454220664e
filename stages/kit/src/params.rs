//! Params of a stage: the file that `REPRO_PARAMS` names, then overrides from the command line.
//!
//! Defaults are in the structs of the stages.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Params as one nested JSON object, addressed by dotted keys such as `train.epochs`.
#[derive(Debug, Default)]
pub struct Params {
    values: Map<String, Value>,
    overrides: Vec<String>,
    read: Mutex<BTreeSet<String>>,
}

impl Params {
    /// Reads the file that `REPRO_PARAMS` names, if it is set, and applies `KEY=VALUE` overrides.
    ///
    /// # Errors
    /// The file cannot be read or is not a JSON object, or an override has no `=`, has an empty key
    /// segment, or is nested under a key with a plain value.
    pub fn load(overrides: &[String]) -> Result<Params> {
        match std::env::var_os("REPRO_PARAMS").filter(|path| !path.is_empty()) {
            Some(path) => Params::read(Path::new(&path), overrides),
            None => Params::from_values(Map::new(), overrides),
        }
    }

    /// Deserializes the section `name`. Missing keys take the struct's serde defaults.
    ///
    /// # Errors
    /// A value has the wrong type or a key is unknown; the message has the full name of the key.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.note_read(name);
        let mut keys = name.split('.');
        let first = keys.next().and_then(|key| self.values.get(key));
        let found = keys.try_fold(first, |value, key| Some(value?.get(key))).flatten();
        let value = found.cloned().unwrap_or_else(|| Value::Object(Map::new()));
        serde_path_to_error::deserialize(value).map_err(|error| {
            let full = match error.path().to_string().as_str() {
                "." => name.to_owned(),
                path => format!("{name}.{path}"),
            };
            anyhow!("param `{full}`: {}", error.into_inner())
        })
    }

    /// Returns the param `seed`, 42 by default.
    ///
    /// # Errors
    /// The seed is not an integer from 0 to 2^64 - 1.
    pub fn seed(&self) -> Result<u64> {
        self.note_read("seed");
        match self.values.get("seed") {
            None => Ok(42),
            Some(value) => value
                .as_u64()
                .ok_or_else(|| anyhow!("param `seed` must be a non-negative integer, not {value}")),
        }
    }

    /// Rejects overrides of params that were not read, so that a misspelt `-p` is not ignored.
    ///
    /// Call it after the last [`Params::section`].
    ///
    /// # Errors
    /// Names the override and the params that this stage reads.
    pub fn reject_unread_overrides(&self) -> Result<()> {
        let read = self.read.lock().unwrap_or_else(|poison| poison.into_inner());
        for key in &self.overrides {
            if !read.iter().any(|name| is_prefix(name, key) || is_prefix(key, name)) {
                let known: Vec<_> = read.iter().map(|name| format!("`{name}`")).collect();
                bail!("there is no param `{key}` here; this stage reads {}", known.join(", "));
            }
        }
        Ok(())
    }

    fn read(path: &Path, overrides: &[String]) -> Result<Params> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the params in `{shown}` (REPRO_PARAMS)"))?;
        match serde_json::from_str(&text).with_context(|| format!("`{shown}` is not JSON"))? {
            Value::Object(values) => Params::from_values(values, overrides),
            _ => bail!("`{shown}` (REPRO_PARAMS) is not a JSON object"),
        }
    }

    fn from_values(values: Map<String, Value>, overrides: &[String]) -> Result<Params> {
        let mut params = Params { values, ..Params::default() };
        for text in overrides {
            let key = params.apply(text).with_context(|| format!("override `{text}`"))?;
            params.overrides.push(key);
        }
        Ok(params)
    }

    fn apply(&mut self, text: &str) -> Result<String> {
        let (key, value) = text.split_once('=').context("there is no `=`; write KEY=VALUE")?;
        let key = key.trim();
        let value = parse_value(value)?;
        let (path, last) =
            key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
        if key.split('.').any(str::is_empty) {
            bail!("`{key}` is not a dotted key such as `train.epochs`");
        }
        let mut object = &mut self.values;
        for part in path.into_iter().flat_map(|path| path.split('.')) {
            object = object
                .entry(part)
                .or_insert_with(|| Value::Object(Map::new()))
                .as_object_mut()
                .with_context(|| {
                    format!("`{part}` has a plain value and cannot contain other keys")
                })?;
        }
        object.insert(last.to_owned(), value);
        Ok(key.to_owned())
    }

    fn note_read(&self, name: &str) {
        let mut read = self.read.lock().unwrap_or_else(|poison| poison.into_inner());
        read.insert(name.to_owned());
    }
}

fn is_prefix(name: &str, key: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Parses the text as a TOML value (`2e-4`, `true`, `"a"`, `[1, 2]`), or else takes it as a string
/// (`cpu`).
fn parse_value(text: &str) -> Result<Value> {
    let text = text.trim();
    match text.parse::<toml::Value>() {
        Ok(value) => to_json(value),
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

fn to_json(value: toml::Value) -> Result<Value> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => match serde_json::Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => bail!("{number} is not a finite number"),
        },
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => values.into_iter().map(to_json).collect::<Result<_>>()?,
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| Ok((key, to_json(value)?)))
            .collect::<Result<Map<_, _>>>()?
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Train {
        epochs: u32,
        rate: f64,
        device: String,
    }

    impl Default for Train {
        fn default() -> Self {
            Train { epochs: 10, rate: 0.5, device: "cpu".to_owned() }
        }
    }

    fn given(json: &str, overrides: &[&str]) -> Result<Params> {
        let Value::Object(values) = serde_json::from_str(json).unwrap() else {
            panic!("an object")
        };
        let overrides: Vec<_> = overrides.iter().map(ToString::to_string).collect();
        Params::from_values(values, &overrides)
    }

    fn error_of<T: std::fmt::Debug>(result: Result<T>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn defaults_of_missing_keys_and_sections() {
        let params = given(r#"{"train": {"epochs": 3}}"#, &[]).unwrap();
        let expected = Train { epochs: 3, ..Train::default() };
        assert_eq!(params.section::<Train>("train").unwrap(), expected);
        assert_eq!(params.section::<Train>("absent").unwrap(), Train::default());
        assert_eq!(params.seed().unwrap(), 42);
    }

    #[test]
    fn overrides_win_over_file() {
        let overrides = ["train.epochs=7", "train.rate = 2e-4", "train.device=wgpu", "seed=9"];
        let params = given(r#"{"train": {"epochs": 3}, "seed": 1}"#, &overrides).unwrap();
        let expected = Train { epochs: 7, rate: 2e-4, device: "wgpu".to_owned() };
        assert_eq!(params.section::<Train>("train").unwrap(), expected);
        assert_eq!(params.seed().unwrap(), 9);
        params.reject_unread_overrides().unwrap();
    }

    #[test]
    fn override_values_parse_as_toml() {
        for (text, json) in [
            ("3", "3"),
            ("-1.5", "-1.5"),
            ("true", "true"),
            ("\"3\"", "\"3\""),
            ("'a b'", "\"a b\""),
            ("[1, 2]", "[1,2]"),
            ("{ a = 1 }", r#"{"a":1}"#),
            ("", "\"\""),
            ("../clips dir", "\"../clips dir\""),
            ("https://host/a.zip?x=1", "\"https://host/a.zip?x=1\""),
            ("1\nx = 2", "\"1\\nx = 2\""),
            ("2024-01-02", "\"2024-01-02\""),
        ] {
            assert_eq!(parse_value(text).unwrap().to_string(), json, "{text}");
        }
    }

    #[test]
    fn errors_name_full_key() {
        let unknown = given(r#"{"train": {"epoch": 3}}"#, &[]).unwrap();
        let message = error_of(unknown.section::<Train>("train"));
        assert!(message.starts_with("param `train.epoch`: unknown field `epoch`"), "{message}");

        let mistyped = given("{}", &["train.epochs=many"]).unwrap();
        let message = error_of(mistyped.section::<Train>("train"));
        assert!(message.starts_with("param `train.epochs`: invalid type: string"), "{message}");

        let plain = given(r#"{"train": 3}"#, &[]).unwrap();
        assert!(error_of(plain.section::<Train>("train")).starts_with("param `train`: "));
        assert!(
            error_of(given(r#"{"seed": -1}"#, &[]).unwrap().seed())
                .contains("`seed` must be a non-negative integer, not -1")
        );
    }

    #[test]
    fn invalid_overrides() {
        for (text, part) in [
            ("epochs", "no `=`"),
            ("=3", "not a dotted key"),
            ("train..epochs=3", "not a dotted key"),
            ("train.epochs.x=3", "cannot contain other keys"),
            ("train.rate=inf", "not a finite number"),
        ] {
            let message = error_of(given(r#"{"train": {"epochs": 3}}"#, &[text]));
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn misspelt_override() {
        let params = given("{}", &["trian.epochs=3"]).unwrap();
        params.section::<Train>("train").unwrap();
        let message = error_of(params.reject_unread_overrides());
        assert_eq!(message, "there is no param `trian.epochs` here; this stage reads `train`");
    }
}
