//! Finds `${NAME}` in texts: a variable of the shell, or a param in the spelling of DVC and Hydra.

use std::collections::BTreeSet;
use std::ops::Range;

/// An occurrence of `${NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    pub name: &'t str,
    /// The place of the whole `${NAME}` in the text.
    pub range: Range<usize>,
}

/// Returns every `${NAME}` in a text.
pub(super) fn references(text: &str) -> impl Iterator<Item = Reference<'_>> {
    text.match_indices("${").filter_map(|(at, _)| {
        let (name, _) = text[at + 2..].split_once('}')?;
        Some(Reference { name, range: at..at + 2 + name.len() + 1 })
    })
}

/// Returns the names in `${NAME}` that a shell would expand: not in single quotes or after a
/// backslash. Empty for a text with a here-document, whose quoting is not followed.
pub(super) fn expanded(text: &str) -> BTreeSet<&str> {
    if text.contains("<<") {
        return BTreeSet::new();
    }
    let live = live_dollars(text);
    references(text)
        .filter(|found| live.contains(&found.range.start))
        .map(|found| found.name)
        .collect()
}

/// Returns the offsets of each `$` that is neither in single quotes nor after a backslash.
fn live_dollars(text: &str) -> BTreeSet<usize> {
    let mut offsets = BTreeSet::new();
    let (mut single, mut double) = (false, false);
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' if !single => drop(chars.next()),
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '$' if !single => drop(offsets.insert(at)),
            _ => {}
        }
    }
    offsets
}

/// Reports whether a text may set a variable: it has the name as a word other than in `${NAME}` and
/// `$NAME`, such as in `for NAME in` or in `NAME=1` at the start of a command.
pub(super) fn may_set(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_use = before.ends_with('$') || before.ends_with("${");
        // An argument of a command: `train.py seed=${seed}`.
        let starts = [";", "&", "|", "(", "{", "\n", "do", "then", "else", "export", "local"];
        let command = before.trim_end_matches([' ', '\t']);
        let is_argument = after.starts_with('=')
            && !command.is_empty()
            && !starts.iter().any(|start| command.ends_with(start));
        !is_use && !is_argument && !before.ends_with(in_word) && !after.starts_with(in_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_references() {
        let names = |text| references(text).map(|found| found.name).collect::<Vec<_>>();
        assert_eq!(names("${a}-${b.c} $d ${"), ["a", "b.c"]);
        let text = "x ${ab}";
        let ranges: Vec<_> = references(text).map(|found| &text[found.range]).collect();
        assert_eq!(ranges, ["${ab}"]);
    }

    #[test]
    fn references_that_a_shell_expands() {
        for (text, names) in [
            ("echo ${a} \"${b}\" '${c}' \\${d}", vec!["a", "b"]),
            ("echo \"it's ${a}\" '\"' ${b}", vec!["a", "b"]),
            ("cat <<E\n${a}\nE", vec![]),
            ("echo ${a", vec![]),
        ] {
            assert_eq!(expanded(text).into_iter().collect::<Vec<_>>(), names, "{text}");
        }
    }

    #[test]
    fn words_that_may_set() {
        for (text, sets) in [
            ("for seed in 1 2; do echo ${seed}; done", true),
            ("seed=1; echo ${seed}", true),
            ("read seed; echo ${seed}", true),
            ("train.py seed=${seed}", false),
            ("echo ${seed} $seed", false),
            ("echo myseed-x ${seed}", false),
        ] {
            assert_eq!(may_set(text, "seed"), sets, "{text}");
        }
    }
}
