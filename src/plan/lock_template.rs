//! Lock templates: the lock block expected of an up-to-date stage, without the digests.
//!
//! Mechanism: a stage is up to date if its block in the lock equals the block that a run would
//! write now. The template is that block with the contents of deps and outs left out. Comparing it
//! line by line with the lock, and filling in the present contents, decides freshness without
//! parsing the stage's declaration or its trace.
//!
//! Invariants: the lines are those of [`record`], in the same order. Each `dep` or `out` line takes
//! one content, in the order of the lines. All other lines must match exactly; only blank lines and
//! `accepted` lines may follow.
//!
//! Known limits: a stage has a template only if texts and contents alone decide whether it is up to
//! date, so not with globs, tools or `always`. An absent path never matches, so a stage that left
//! out an optional out is loaded in full. A mismatch gives no reason;
//! [`decide`](crate::plan::decide()) finds it.
//!
//! ```text
//! cmd "cargo run --release -p train"
//! dep data/spectrograms
//! param train.epochs 10
//! out models/genre.mpk
//! ```

use crate::digest::Content;
use crate::plan::{Fingerprint, record};

/// Renders the template of a stage. The contents of the fingerprint's deps are ignored.
pub fn render(fingerprint: &Fingerprint) -> String {
    let mut text = String::new();
    record::write_fingerprint(&mut text, fingerprint);
    let dep_path = |line: &str| line.strip_prefix("dep ")?.splitn(3, ' ').nth(2).map(str::to_owned);
    let lines = text.lines().map(|line| match dep_path(line) {
        Some(path) => format!("dep {path}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Returns the paths of the deps and outs in a template.
pub fn paths(template: &str) -> impl Iterator<Item = &str> {
    template.lines().filter_map(path_line).map(|(_, path)| path)
}

/// Returns the paths of the outs in a template.
pub fn outs(template: &str) -> impl Iterator<Item = &str> {
    template.lines().filter_map(|line| line.strip_prefix("out "))
}

/// Formats a content as the lock writes it before the path.
pub fn content_prefix(content: &Content) -> String {
    format!("{} {} ", content.kind(), content.digest())
}

/// Reports whether `block`, the lines of a stage in the lock, is the block that would be written
/// now.
///
/// `contents` are the present contents, formatted by [`content_prefix`], of the template's [paths]
/// in their order; `None` for an absent path.
pub fn matches<'c>(
    template: &str,
    block: &str,
    mut contents: impl Iterator<Item = Option<&'c str>>,
) -> bool {
    let mut lines = block.lines();
    let mut line_matches = |expected: &str, line: &str| match path_line(expected) {
        None => line == expected,
        Some((word, path)) => contents.next().flatten().is_some_and(|content| {
            let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            rest.and_then(|rest| rest.strip_prefix(content)) == Some(path)
        }),
    };
    template.lines().all(|expected| lines.next().is_some_and(|line| line_matches(expected, line)))
        && lines.all(|line| line.is_empty() || line.starts_with("accepted "))
}

/// Splits a template line `dep PATH` or `out PATH`.
fn path_line(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ').filter(|(word, _)| matches!(*word, "dep" | "out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn block_matches_template() {
        let content = |text: &str| content_prefix(&Content::File(Digest::of(text.as_bytes())));
        let (one, two) = (content("1"), content("2"));
        let template = "cmd \"x\"\ndep in\nparam a 1\nout o\n";
        let block = format!("cmd \"x\"\ndep {one}in\nparam a 1\nout {two}o\n\n");
        let check = |block: &str, contents: [Option<&str>; 2]| {
            matches(template, block, contents.into_iter())
        };
        assert!(check(&block, [Some(&one), Some(&two)]));
        assert!(check(&format!("{block}accepted \"why\"\n"), [Some(&one), Some(&two)]));
        let others = [
            [Some(&one), None],
            [None, Some(&two)],
            [Some(&two), Some(&two)],
            [Some(&one), Some(&one)],
        ];
        for contents in others {
            assert!(
                !check(&block, contents.map(|content| content.map(String::as_str))),
                "{contents:?}"
            );
        }
        let edits = [
            ("x", "y"),
            ("file", "exec"),
            (" in", " i"),
            ("a 1", "a 2"),
            ("out", "dep"),
            ("param a 1\n", ""),
            ("\n\n", "\nout z\n"),
        ];
        for (from, to) in edits {
            assert!(
                !check(&block.replacen(from, to, 1), [Some(&one), Some(&two)]),
                "{from} → {to}"
            );
        }
    }
}
