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

/// The value of a param that must be given before a stage can use it.
pub const REQUIRED: &str = "???";

/// Error: a name in a key cannot name a param.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName(String);

impl BadName {
    pub const HINT: &str = "use letters, digits, `_` and `-`";
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a valid param name", self.0.escape_debug())
    }
}

/// Checks one name of a key. The rule is the same for files, the command line, the lock and the
/// cache: letters, digits, `_` and `-`.
///
/// # Errors
/// The name breaks the rule.
pub fn check_name(name: &str) -> Result<(), BadName> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(()),
        false => Err(BadName(name.to_owned())),
    }
}

impl ParamKey {
    /// Returns the statement that the param is still [`REQUIRED`], and the remedy.
    pub fn without_value(&self) -> (String, String) {
        (
            format!("param `{self}` has no value yet: it is `{REQUIRED}`"),
            format!("give it one: `-p {self}=VALUE` for a run, or in the file"),
        )
    }

    /// Checks a dotted key.
    ///
    /// # Errors
    /// The first name that is not valid; the whole key if a name is empty.
    pub fn parse(dotted: impl Into<Box<str>>) -> Result<ParamKey, BadName> {
        let dotted = dotted.into();
        match dotted.split('.').find_map(|name| check_name(name).err()) {
            Some(BadName(name)) if name.is_empty() => Err(BadName(dotted.into())),
            Some(bad) => Err(bad),
            None => Ok(ParamKey(dotted)),
        }
    }

    /// Returns a key that is known to be valid.
    ///
    /// # Panics
    /// If the key is not valid.
    pub fn new(dotted: impl Into<Box<str>>) -> ParamKey {
        ParamKey::parse(dotted).unwrap_or_else(|bad| panic!("BUG: {bad}"))
    }

    /// Keeps a key from the history as it was recorded, for display only.
    pub fn recorded(dotted: impl Into<Box<str>>) -> ParamKey {
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
        ParamKey::parse(String::deserialize(d)?).map_err(serde::de::Error::custom)
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
    /// a value, and values whose key is now a table. An empty table removes nothing.
    pub fn replace(&mut self, key: ParamKey, value: ParamValue) {
        if !self.0.contains_key(key.as_str()) {
            let below: Vec<ParamKey> =
                self.below(key.as_str()).map(|(key, _)| key.clone()).collect();
            if is_empty_table(&value) && !below.is_empty() {
                return;
            }
            for inner in &below {
                self.0.remove(inner.as_str());
            }
            for (at, _) in key.as_str().match_indices('.') {
                self.0.remove(&key.as_str()[..at]);
            }
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
        let own = self.0.get_key_value(key_or_prefix);
        own.into_iter()
            .chain(self.below(key_or_prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Returns the params inside the table `table`.
    fn below(&self, table: &str) -> impl Iterator<Item = (&ParamKey, &ParamValue)> {
        let prefix = format!("{table}.");
        self.0
            .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(&prefix))
    }

    /// Returns the value that stands where the table above `key` would be: `seed` for `seed.x`.
    pub fn value_above(&self, key: &ParamKey) -> Option<&ParamKey> {
        let above = key.as_str().match_indices('.').map(|(at, _)| &key.as_str()[..at]);
        let is_value = |(_, value): &(&ParamKey, &ParamValue)| !is_empty_table(value);
        above.filter_map(|above| self.0.get_key_value(above)).find(is_value).map(|(key, _)| key)
    }

    /// Resolves a name to a key: the full key, or the only key that ends in `.name`.
    ///
    /// # Errors
    /// The name is unknown (with a suggestion), ambiguous, or the name of a table.
    pub fn resolve(&self, name: &str) -> Result<&ParamKey, Unresolved> {
        if let Some((key, value)) = self.0.get_key_value(name) {
            return if is_empty_table(value) {
                Err(Unresolved::Table(Vec::new()))
            } else {
                Ok(key)
            };
        }
        let below: Vec<ParamKey> = self.below(name).map(|(key, _)| key.clone()).collect();
        if !below.is_empty() {
            return Err(Unresolved::Table(below));
        }
        let ends = |key: &str| key.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        let found: Vec<&ParamKey> = self.0.keys().filter(|key| ends(key.as_str())).collect();
        match found[..] {
            [key] => Ok(key),
            [] => Err(Unresolved::Unknown {
                suggestion: self.suggestion(name).map(ToOwned::to_owned),
            }),
            _ => Err(Unresolved::Ambiguous(found.into_iter().cloned().collect())),
        }
    }

    /// Returns a hint for an unknown key in an existing table: a similar param, or all of them.
    pub fn similar_in_table(&self, key: &ParamKey) -> String {
        let (table, name) = key.as_str().rsplit_once('.').unwrap_or(("", key.as_str()));
        let known: Vec<&str> =
            self.below(table).map(|(key, _)| &key.as_str()[table.len() + 1..]).collect();
        match crate::error::did_you_mean(name, known.iter().copied()) {
            Some(similar) => format!("did you mean `{table}.{similar}`?"),
            None if (1..=10).contains(&known.len()) => {
                format!("the params of `{table}` are {}", known.join(", "))
            }
            None => "`repro params show` lists them".to_owned(),
        }
    }

    /// Returns the key, the table, or else the last name of a key, that is most similar to `name`.
    pub fn suggestion(&self, name: &str) -> Option<&str> {
        let last = |key: &'_ ParamKey| key.as_str().rsplit('.').next().map(str::len).unwrap_or(0);
        let above = |key: &'_ ParamKey| key.as_str().rfind('.').unwrap_or(0);
        let tables = self.0.keys().map(|key| &key.as_str()[..above(key)]);
        let keys = self.0.keys().map(ParamKey::as_str);
        let full = crate::error::did_you_mean(name, keys.chain(tables));
        full.or_else(|| {
            let short = self.0.keys().map(|key| &key.as_str()[key.as_str().len() - last(key)..]);
            crate::error::did_you_mean(name, short)
        })
    }
}

/// Reports whether the value is a table without params, which is kept as a param of its own.
pub(super) fn is_empty_table(value: &ParamValue) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
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
        assert_eq!(key("TRAIN"), Err(Unresolved::Unknown { suggestion: Some("train".into()) }));
        assert_eq!(key("pochs"), Err(Unresolved::Unknown { suggestion: Some("epochs".into()) }));
        assert!(matches!(key("train"), Err(Unresolved::Table(below)) if below.len() == 2));
    }

    /// Each step looks only at the params that it can affect.
    #[test]
    fn many_params() {
        let count = 200_000;
        let params = deadline::within(move || {
            let mut params = Params::default();
            for number in 0..count {
                params.replace(ParamKey::new(format!("t{number}.a.b")), number.into());
            }
            params
        });
        assert_eq!(params.iter().count(), count);
    }

    #[test]
    fn replaced_params() {
        let mut all = params(&[("a.b", json!(1)), ("a.c.d", json!(2)), ("ab", json!(3))]);
        let keys = |all: &Params| all.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>();
        all.replace(ParamKey::new("a"), json!({}));
        assert_eq!(keys(&all), ["a.b", "a.c.d", "ab"]);
        all.replace(ParamKey::new("a.c"), json!(4));
        assert_eq!(keys(&all), ["a.b", "a.c", "ab"]);
        all.replace(ParamKey::new("a.c.d.e"), json!({}));
        assert_eq!(keys(&all), ["a.b", "a.c.d.e", "ab"]);
        assert_eq!(all.value_above(&ParamKey::new("a.b.x")).map(ParamKey::as_str), Some("a.b"));
        assert_eq!(all.value_above(&ParamKey::new("a.c.d.e.f")), None);
        all.replace(ParamKey::new("a"), json!(5));
        assert_eq!(keys(&all), ["a", "ab"]);
    }

    #[test]
    fn valid_keys() {
        for good in ["a", "a.b-c_d", "é.ü", "0"] {
            assert_eq!(ParamKey::parse(good).unwrap().as_str(), good);
        }
        for (bad, shown) in [
            ("", ""),
            ("a..b", "a..b"),
            (".a", ".a"),
            ("a b", "a b"),
            ("x.a\nb", "a\\nb"),
            ("a=b", "a=b"),
            ("x.\u{202e}", "\\u{202e}"),
        ] {
            let message = format!("`{shown}` is not a valid param name");
            assert_eq!(ParamKey::parse(bad).unwrap_err().to_string(), message);
        }
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
