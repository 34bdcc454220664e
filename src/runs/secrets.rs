//! Keeps the values of secret variables out of the database. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::plan::Change;

/// Words in the names of variables whose values are taken for secrets.
const WORDS: [&str; 4] = ["TOKEN", "KEY", "SECRET", "PASSWORD"];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Returns the value of a variable as it is recorded: `blake3:…` in place of a secret, which still
/// shows whether the value is the same as in another run.
fn recorded(name: &str, value: &str) -> String {
    match is_secret(name) {
        true => format!("blake3:{}", Digest::of(value.as_bytes())),
        false => value.to_owned(),
    }
}

/// Returns the variables as they are recorded; `None` if unset.
pub(super) fn variables(env: &BTreeMap<String, Option<String>>) -> BTreeMap<&str, Option<String>> {
    let value =
        |name: &str, value: &Option<String>| value.as_deref().map(|value| recorded(name, value));
    env.iter().map(|(name, now)| (name.as_str(), value(name, now))).collect()
}

/// Returns a change as it is recorded.
pub(super) fn change(change: &Change) -> Cow<'_, Change> {
    match change {
        Change::Env { name, old, new } if is_secret(name) => {
            let hide = |value: &Option<String>| value.as_deref().map(|value| recorded(name, value));
            Cow::Owned(Change::Env { name: name.clone(), old: hide(old), new: hide(new) })
        }
        other => Cow::Borrowed(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names() {
        for name in ["API_TOKEN", "aws_secret_access_key", "Password", "PGPASSWORD", "KEYS"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["", "PATH", "SEED", "TOK", "CUDA_VISIBLE_DEVICES"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn changes_of_secrets() {
        let of = |name: &str| Change::Env {
            name: name.into(),
            old: None,
            new: Some("swordfish".into()),
        };
        assert_eq!(*change(&of("SEED")), of("SEED"));
        let text = change(&of("DB_PASSWORD")).to_string();
        assert!(text.contains("blake3:") && !text.contains("swordfish"), "{text}");
    }
}
