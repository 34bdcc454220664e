//! Params: values under `[params]` by dotted key, and the resolution of short names.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// The value of a param, representable in both TOML and JSON.
pub type ParamValue = serde_json::Value;

/// The dotted key of a param, such as `train.epochs`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamKey(Box<str>);

impl ParamKey {
    pub fn new(dotted: impl Into<Box<str>>) -> ParamKey {
        ParamKey(dotted.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ParamKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ParamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for ParamKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ParamKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<ParamKey, D::Error> {
        String::deserialize(d).map(ParamKey::new)
    }
}

/// All params of a pipeline, by dotted key.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Params(BTreeMap<ParamKey, ParamValue>);

/// The reason that a name does not resolve to a param.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    Unknown {
        suggestion: Option<String>,
    },
    Ambiguous(Vec<ParamKey>),
    /// The name is a table of these params.
    Table(Vec<ParamKey>),
}

impl Params {
    pub fn insert(&mut self, key: ParamKey, value: ParamValue) {
        self.0.insert(key, value);
    }

    /// Inserts a param and removes the params that conflict with it: those inside a key that is now
    /// a value, and values whose key is now a table.
    pub fn replace(&mut self, key: ParamKey, value: ParamValue) {
        let clash = |other: &ParamKey| {
            let below =
                |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
            below(other.as_str(), key.as_str()) || below(key.as_str(), other.as_str())
        };
        if !self.0.contains_key(key.as_str()) {
            self.0.retain(|other, _| !clash(other));
        }
        self.0.insert(key, value);
    }

    pub fn remove(&mut self, key: &ParamKey) {
        self.0.remove(key.as_str());
    }

    pub fn get(&self, key: &str) -> Option<&ParamValue> {
        self.0.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ParamKey, &ParamValue)> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the params selected by a key or a prefix: the key itself and everything below it.
    pub fn named(&self, key_or_prefix: &str) -> BTreeMap<ParamKey, ParamValue> {
        let below =
            |key: &str| key.strip_prefix(key_or_prefix).is_some_and(|rest| rest.starts_with('.'));
        self.0
            .range::<str, _>((Bound::Included(key_or_prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(key_or_prefix))
            .filter(|(key, _)| key.as_str() == key_or_prefix || below(key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Resolves a name to a key: the full key, or the only key that ends in `.name`.
    ///
    /// # Errors
    /// The name is unknown (with a suggestion), ambiguous, or the name of a table.
    pub fn resolve(&self, name: &str) -> Result<&ParamKey, Unresolved> {
        if let Some((key, _)) = self.0.get_key_value(name) {
            return Ok(key);
        }
        let ends = |key: &str| key.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        let found: Vec<&ParamKey> = self.0.keys().filter(|key| ends(key.as_str())).collect();
        match found[..] {
            [key] => Ok(key),
            [] => {
                let below: Vec<ParamKey> = self.named(name).into_keys().collect();
                if !below.is_empty() {
                    return Err(Unresolved::Table(below));
                }
                Err(Unresolved::Unknown {
                    suggestion: self.suggestion(name).map(ToOwned::to_owned),
                })
            }
            _ => Err(Unresolved::Ambiguous(found.into_iter().cloned().collect())),
        }
    }

    /// Returns the key, or the last name of a key, that is most similar to `name`.
    pub fn suggestion(&self, name: &str) -> Option<&str> {
        let last = |key: &'_ ParamKey| key.as_str().rsplit('.').next().map(str::len).unwrap_or(0);
        let full = crate::error::did_you_mean(name, self.0.keys().map(ParamKey::as_str));
        full.or_else(|| {
            let short = self.0.keys().map(|key| &key.as_str()[key.as_str().len() - last(key)..]);
            crate::error::did_you_mean(name, short)
        })
    }
}

/// Builds the nested object that a stage's process gets: `{"seed": 42, "train": {"epochs": 10}}`.
pub fn nested(params: &BTreeMap<ParamKey, ParamValue>) -> ParamValue {
    let mut root = serde_json::Map::new();
    for (key, value) in params {
        let mut table = &mut root;
        let mut names = key.as_str().split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                table.insert(name.to_owned(), value.clone());
                break;
            }
            let entry =
                table.entry(name).or_insert_with(|| ParamValue::Object(serde_json::Map::new()));
            let ParamValue::Object(inner) = entry else {
                panic!("BUG: param `{key}` is below a param that is not a table");
            };
            table = inner;
        }
    }
    ParamValue::Object(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn params(pairs: &[(&str, ParamValue)]) -> Params {
        Params(pairs.iter().map(|(key, value)| (ParamKey::new(*key), value.clone())).collect())
    }

    #[test]
    fn short_name_resolution() {
        let params = params(&[
            ("seed", json!(1)),
            ("train.epochs", json!(10)),
            ("train.lr", json!(0.1)),
            ("fine.lr", json!(0.2)),
        ]);
        let key = |name: &str| params.resolve(name).map(|key| key.as_str().to_owned());
        assert_eq!(key("epochs").as_deref(), Ok("train.epochs"));
        assert_eq!(key("train.epochs").as_deref(), Ok("train.epochs"));
        assert_eq!(key("seed").as_deref(), Ok("seed"));
        assert_eq!(
            key("lr"),
            Err(Unresolved::Ambiguous(vec![ParamKey::new("fine.lr"), ParamKey::new("train.lr")]))
        );
        assert_eq!(key("epoch"), Err(Unresolved::Unknown { suggestion: Some("epochs".into()) }));
        assert_eq!(key("pochs"), Err(Unresolved::Unknown { suggestion: Some("epochs".into()) }));
        assert!(matches!(key("train"), Err(Unresolved::Table(below)) if below.len() == 2));
    }

    #[test]
    fn prefix_selects_whole_names() {
        let params = params(&[
            ("train", json!(0)),
            ("train.a", json!(1)),
            ("train-x", json!(2)),
            ("trainer.b", json!(3)),
        ]);
        let names: Vec<String> =
            params.named("train").into_keys().map(|key| key.to_string()).collect();
        assert_eq!(names, ["train", "train.a"]);
    }

    #[test]
    fn nested_object() {
        let params = params(&[("seed", json!(1)), ("a.b.c", json!([1, 2])), ("a.d", json!("x"))]);
        assert_eq!(nested(&params.0), json!({"seed": 1, "a": {"b": {"c": [1, 2]}, "d": "x"}}));
    }
}
