//! The names and lengths that MLflow allows.

use serde_json::Value;

use super::error::invalid;
use crate::serve::http::Refusal;

/// Maximum length of a key of a metric, param or tag in characters.
const LONGEST_KEY: usize = 250;
pub(super) const LONGEST_PARAM: usize = 6_000;
pub(super) const LONGEST_TAG: usize = 8_000;
pub(super) const LONGEST_EXPERIMENT_TAG: usize = 20_000;

const CHARACTERS: &str = "Names may only contain alphanumerics, underscores (_), dashes (-), \
                          periods (.), spaces ( ), colon(:) and slashes (/).";
const PATH: &str = "Names may be treated as files in certain cases, and must not resolve to other \
                    names when treated as such.";

/// Checks the name of a metric, param or tag. Clients make it the name of a file.
pub(super) fn check(path: &str, key: &str) -> Result<(), Refusal> {
    let refused = |why| Err(invalid(path, &Value::from(key), why));
    let is_allowed = |c: char| c.is_alphanumeric() || "_/.- :".contains(c);
    if !key.chars().all(is_allowed) {
        return refused(CHARACTERS);
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refused(PATH);
    }
    check_length(path, key, LONGEST_KEY)
}

/// Fails if a text is longer than `longest` characters.
pub(super) fn check_length(path: &str, text: &str, longest: usize) -> Result<(), Refusal> {
    // No character is shorter than a byte.
    if text.len() > longest && text.chars().count() > longest {
        return Err(Refusal::invalid(format!(
            "'{path}' exceeds the maximum length of {longest} characters"
        )));
    }
    Ok(())
}

/// Returns at most the first `longest` characters, as MLflow does with long values.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    text.char_indices().nth(longest).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics() {
        for key in ["a", "val/loss", "größe_1", "a b", "a:b", ".a", "a.", "...", "-", "日本"] {
            assert_eq!(check("key", key), Ok(()), "{key}");
        }
        let long = "x".repeat(LONGEST_KEY + 1);
        for key in ["../x", "/x", "a//b", ".", "..", "a/", "a/./b", "", "a@b", "a\n", &long] {
            assert_eq!(check("key", key).unwrap_err().status, 400, "{key}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(check_length("value", "äöü", 3), Ok(()));
        assert!(check_length("value", "äöü", 2).is_err());
    }
}
