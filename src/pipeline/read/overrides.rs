//! `-p`: changes to the params for one run, with the rules of Hydra. A table is merged into an
//! existing one at every depth, as if each of its params were given by itself.

use super::config::Composed;
use crate::pipeline::params_edit::{self, Literal};
use crate::pipeline::problem::Place;
use crate::pipeline::{
    BadName, Operation, Override, ParamKey, ParamValue, Problem, Unresolved, check_name,
};

/// The part of a problem besides its place.
struct Refusal {
    what: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(what: impl Into<String>) -> Refusal {
        Refusal { what: what.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }

    fn bad_name(bad: BadName) -> Refusal {
        Refusal::new(bad.to_string()).hint(BadName::HINT)
    }
}

impl Composed {
    /// Applies one override and returns the params that it set.
    pub(super) fn apply(&mut self, given: &Override) -> Result<Vec<ParamKey>, Problem> {
        let applied = match given.operation {
            Operation::Remove | Operation::RemoveEqual => self.remove(given).map(|()| Vec::new()),
            Operation::Set | Operation::Add | Operation::Put => self.put(given),
        };
        applied.map_err(|Refusal { what, hint }| Problem {
            place: Place::Override(given.typed()),
            what,
            hint,
        })
    }

    fn put(&mut self, given: &Override) -> Result<Vec<ParamKey>, Refusal> {
        let found = self.params.resolve(&given.key).cloned();
        let is_table = matches!(found, Err(Unresolved::Table(_)));
        let leaves = match params_edit::table(&given.raw) {
            Some(leaves) if is_table || given.operation != Operation::Set => leaves,
            _ if is_table => {
                // A list or table that is not TOML is no value either.
                params_edit::parse_value(&given.raw)
                    .map_err(|(what, hint)| Refusal { what, hint })?;
                return Err(self.not_a_param(given));
            }
            _ => {
                let key = match (given.operation, found) {
                    (Operation::Set, Err(why)) => return Err(unresolved(given, why)),
                    (_, Ok(key)) => key,
                    (_, Err(_)) => parse(&given.key)?,
                };
                self.put_one(given, &key, &given.raw)?;
                return Ok(vec![key]);
            }
        };
        let mut keys = Vec::new();
        for (below, raw) in leaves {
            below.iter().try_for_each(|name| check_name(name)).map_err(Refusal::bad_name)?;
            let dotted: Vec<String> = std::iter::once(given.key.clone()).chain(below).collect();
            let key = parse(&dotted.join("."))?;
            self.put_one(given, &key, &raw)?;
            keys.push(key);
        }
        Ok(keys)
    }

    /// Sets the param with this full key, as far as the operation allows it.
    fn put_one(&mut self, given: &Override, key: &ParamKey, raw: &str) -> Result<(), Refusal> {
        if let Some(value) = self.params.value_above(key) {
            let what = format!("`{value}` is a param, not a table of params");
            return Err(Refusal::new(what).hint(format!("remove it first: -p '~{value}'")));
        }
        let value = match (self.params.resolve(key.as_str()), given.operation) {
            (Ok(known), Operation::Add) => {
                let without_plus = given.typed();
                return Err(Refusal::new(format!("param `{known}` already exists")).hint(format!(
                    "to change it, omit the `+`: {}",
                    without_plus.trim_start_matches('+')
                )));
            }
            (Ok(known), _) if known == key => self.typed(key, raw)?,
            (Err(Unresolved::Table(below)), _) if !below.is_empty() => {
                // An empty table changes nothing.
                return match params_edit::table(raw) {
                    Some(_) => Ok(()),
                    None => Err(Refusal::new(format!("`{key}` is a table of params, not a param"))
                        .hint("give a table: {a = 1}")),
                };
            }
            (_, Operation::Set) => {
                let what = format!("there is no param `{key}`");
                return Err(Refusal::new(what).hint(self.params.similar_in_table(key)));
            }
            _ => params_edit::parse_value(raw).map_err(|(what, hint)| Refusal { what, hint })?,
        };
        self.params.replace(key.clone(), value);
        Ok(())
    }

    /// Parses a new value for an existing param, which keeps its type.
    fn typed(&self, key: &ParamKey, raw: &str) -> Result<ParamValue, Refusal> {
        let old = self.params.get(key.as_str()).cloned().unwrap_or_default();
        match Literal::typed(raw, &old) {
            Ok(literal) => Ok(literal.value().clone()),
            Err(wrong) => {
                let hint = wrong.hint().unwrap_or_else(|| format!("the current value is {old}"));
                Err(Refusal::new(format!("param `{key}` {wrong}")).hint(hint))
            }
        }
    }

    fn remove(&mut self, given: &Override) -> Result<(), Refusal> {
        match self.params.resolve(&given.key).cloned() {
            Ok(key) => {
                if given.operation == Operation::RemoveEqual {
                    let present = self.params.get(key.as_str()).cloned().unwrap_or_default();
                    if self.typed(&key, &given.raw)? != present {
                        let what = format!("param `{key}` is {present}, not {}", given.raw.trim());
                        let hint = format!("to remove it whatever its value, write `~{key}`");
                        return Err(Refusal::new(what).hint(hint));
                    }
                }
                self.params.remove(&key);
                Ok(())
            }
            Err(Unresolved::Table(_)) if given.operation == Operation::RemoveEqual => {
                let what = format!("`{}` is a table of params, not a param", given.key);
                Err(Refusal::new(what).hint(format!("remove it as a whole: `~{}`", given.key)))
            }
            Err(Unresolved::Table(keys)) => {
                keys.iter().for_each(|key| self.params.remove(key));
                self.params.remove(&parse(&given.key)?);
                Ok(())
            }
            Err(why) => Err(unresolved(given, why)),
        }
    }

    /// Refuses to put a value in the place of a table.
    fn not_a_param(&self, given: &Override) -> Refusal {
        let Override { key, raw, .. } = given;
        let what = format!("`{key}` is a table of params, not a param");
        if self.groups.contains_key(key) {
            return Refusal::new(format!("`{key}` is a group, whose option is chosen already"))
                .hint(format!("to choose another one, omit the `+`: {key}={raw}"));
        }
        if given.operation == Operation::Add {
            return Refusal::new(format!("`{key}` already exists, as a table of params"))
                .hint(format!("add a param to it: `-p +{key}.NAME={raw}`"));
        }
        Refusal::new(what).hint("set one of its params, or give a table: {a = 1}")
    }
}

fn parse(key: &str) -> Result<ParamKey, Refusal> {
    ParamKey::parse(key).map_err(Refusal::bad_name)
}

fn unknown(given: &Override, key: &str, suggestion: Option<String>) -> Refusal {
    let suggestion = suggestion.or_else(|| key.strip_prefix("params.").map(str::to_owned));
    Refusal::new(format!("there is no param `{key}`")).hint(match suggestion {
        Some(suggestion) => format!("did you mean `{suggestion}`?"),
        None if given.operation == Operation::Set => format!("add it with `-p +{}`", given.typed()),
        None => "`repro params show` lists them".to_owned(),
    })
}

fn unresolved(given: &Override, why: Unresolved) -> Refusal {
    match why {
        Unresolved::Ambiguous(keys) => {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            Refusal::new(format!("param `{}` is ambiguous", given.key))
                .hint(format!("write one of {}", keys.join(", ")))
        }
        Unresolved::Unknown { suggestion } => unknown(given, &given.key, suggestion),
        Unresolved::Table(_) => panic!("BUG: a table is not handled here"),
    }
}
