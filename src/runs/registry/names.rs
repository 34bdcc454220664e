//! The rules for names of registered models and their aliases. They are MLflow's, so that its
//! clients can name whatever is registered.

use crate::error::{Error, Result};

const MAX_NAME: usize = 250;
const MAX_ALIAS: usize = 255;

/// Checks the name of a registered model.
///
/// # Errors
/// A URI such as `models:/genre/3` could not contain it.
pub fn check_model_name(name: &str) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::usage(format!("`{}` cannot name a model: {what}", name.escape_debug()))
            .hint("choose a name such as `genre`"))
    };
    match name {
        _ if name.trim().is_empty() => refused("it is empty"),
        "." | ".." => refused("it is a path"),
        _ if name.contains(['/', ':', '@']) => refused("it contains `/`, `:` or `@`"),
        _ if name.chars().any(char::is_control) => refused("it contains a control character"),
        _ if name.len() > MAX_NAME => refused(&format!("it is longer than {MAX_NAME} bytes")),
        _ => Ok(()),
    }
}

/// Checks an alias.
///
/// # Errors
/// The text is not a name, or means something else: `latest` and `v3`.
pub fn check_alias(alias: &str) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::usage(format!("`{}` cannot be an alias: {what}", alias.escape_debug()))
            .hint("choose an alias such as `production`"))
    };
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let digits = alias.strip_prefix(['v', 'V']);
    let is_version = digits.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    match alias {
        "" => refused("it is empty"),
        _ if !alias.chars().all(is_plain) => {
            refused("it contains other characters than letters, digits, `_` and `-`")
        }
        _ if alias.eq_ignore_ascii_case("latest") => refused("it stands for the latest version"),
        _ if is_version => refused("it stands for a version"),
        _ if alias.len() > MAX_ALIAS => refused(&format!("it is longer than {MAX_ALIAS} bytes")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models() {
        for name in ["genre", "a b", "ünï", "v1", "latest", "a.b"] {
            assert!(check_model_name(name).is_ok(), "{name}");
        }
        for name in ["", " ", "a/b", "a:b", "a@b", ".", "..", "a\nb", &"x".repeat(251)] {
            assert!(check_model_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn reserved_aliases() {
        for alias in ["production", "v", "v1a", "ü-1_", "1"] {
            assert!(check_alias(alias).is_ok(), "{alias}");
        }
        for alias in ["", "latest", "Latest", "v1", "V20", "a b", "a/b", "@", &"x".repeat(256)] {
            assert!(check_alias(alias).is_err(), "{alias:?}");
        }
    }
}
