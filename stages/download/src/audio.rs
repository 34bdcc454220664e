//! Limits the clips per class, and counts clips.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Number of clips to take of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    All,
    First(u32),
}

impl Amount {
    /// Keeps the wanted clips of each class; `clips` must be sorted by class.
    pub(crate) fn take<T>(self, clips: Vec<T>, class: impl Fn(&T) -> &str) -> Vec<T> {
        let Amount::First(count) = self else { return clips };
        let (mut current, mut taken) = (None, 0);
        clips
            .into_iter()
            .filter(|clip| {
                if current.as_deref() != Some(class(clip)) {
                    (current, taken) = (Some(class(clip).to_owned()), 0);
                }
                taken += 1;
                taken <= count
            })
            .collect()
    }
}

/// Parses the param: a number, or `"all"`; 0 also means all.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a non-negative integer, or `all`")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<Amount, E> {
                match u32::try_from(count) {
                    Ok(0) => Ok(Amount::All),
                    Ok(count) => Ok(Amount::First(count)),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(count), &self)),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                match text {
                    "all" => Ok(Amount::All),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// Number of clips and classes that a source provided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: usize,
    pub(crate) classes: usize,
}

impl Tally {
    /// Counts clips, given the class of each.
    pub(crate) fn of<'a>(classes: impl IntoIterator<Item = &'a str>) -> Tally {
        let (mut files, mut names) = (0, BTreeSet::new());
        for class in classes {
            files += 1;
            names.insert(class);
        }
        Tally { files, classes: names.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_limits_each_class() {
        let clips = ["a1", "a2", "a3", "b1", "c1", "c2", "c3"].map(str::to_owned).to_vec();
        let taken = |amount: Amount| amount.take(clips.clone(), |clip| &clip[..1]);
        assert_eq!(taken(Amount::First(2)), ["a1", "a2", "b1", "c1", "c2"]);
        assert_eq!(taken(Amount::All), clips);
        assert_eq!(Tally::of(["a", "a", "b"]), Tally { files: 3, classes: 2 });
    }

    #[test]
    fn parses_amount() {
        for (json, amount) in [
            ("5", Amount::First(5)),
            ("0", Amount::All),
            ("\"all\"", Amount::All),
            ("100", Amount::First(100)),
        ] {
            assert_eq!(serde_json::from_str::<Amount>(json).unwrap(), amount, "{json}");
        }
        for json in ["-1", "1.5", "\"some\"", "4294967296", "true"] {
            let error = serde_json::from_str::<Amount>(json).unwrap_err().to_string();
            assert!(error.contains("expected a non-negative integer, or `all`"), "{error}");
        }
    }
}
