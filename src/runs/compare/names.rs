//! Patterns that select metrics by name.

use crate::error::{Error, Result, did_you_mean};

/// A selection of metrics; all if there are no patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricNames(pub Vec<String>);

impl MetricNames {
    /// Reports whether a pattern matches the full key of a metric, or the rest of it after a dot.
    pub fn select(&self, key: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, key))
    }

    /// Checks that each pattern matches one of `keys`.
    ///
    /// # Errors
    /// There are keys, and a pattern matches none of them; the hint names the key that was most
    /// likely meant.
    pub fn check<'k>(&self, keys: impl Iterator<Item = &'k str> + Clone) -> Result<()> {
        let is_unused = |pattern: &&String| !keys.clone().any(|key| matches(pattern, key));
        let pattern = self.0.iter().find(is_unused);
        let Some(pattern) = pattern.filter(|_| keys.clone().next().is_some()) else {
            return Ok(());
        };
        let error = Error::usage(format!("no metric matches `{pattern}`"));
        let ends = keys.clone().flat_map(endings);
        Err(match did_you_mean(pattern, ends) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("without `--metric`, all metrics are included"),
        })
    }
}

fn matches(pattern: &str, key: &str) -> bool {
    // A slash in a key, as in `val/loss`, is a character like any other.
    let plain = |text: &str| text.replace('/', "\u{1}");
    let pattern = plain(pattern);
    endings(key).any(|ending| fast_glob::glob_match(&pattern, plain(ending)))
}

/// Returns the key and the rests of it after each dot.
fn endings(key: &str) -> impl Iterator<Item = &str> {
    std::iter::once(key).chain(key.match_indices('.').map(|(at, _)| &key[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, key, expected) in [
            ("train.loss", "train.loss", true),
            ("loss", "train.loss", true),
            ("loss", "train.val_loss", false),
            ("*loss", "train.val_loss", true),
            ("train.*", "train.val/loss", true),
            ("val/*", "train.val/loss", true),
            ("eval@*.acc*", "eval@a-1.accuracy", true),
            ("eval@{a,b}.accuracy", "eval@b.accuracy", true),
            ("train", "train.loss", false),
            ("", "train.loss", false),
        ] {
            let names = MetricNames(vec![pattern.to_owned()]);
            assert_eq!(names.select(key), expected, "{pattern} {key}");
        }
        assert!(MetricNames::default().select("anything"));
    }

    #[test]
    fn unused_pattern() {
        let check = |pattern: &str| {
            let keys = ["train.loss", "eval.accuracy"].into_iter();
            MetricNames(vec!["loss".into(), pattern.to_owned()]).check(keys)
        };
        assert!(check("eval.*").is_ok());
        let error = check("acuracy").unwrap_err();
        assert_eq!(error.what, "no metric matches `acuracy`");
        assert_eq!(error.hint.as_deref(), Some("did you mean `accuracy`?"));
        let hint = check("zzz").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("without `--metric`, all metrics are included"));
    }
}
