//! What the lock's block of a stage says while the stage is up to date, but for the contents. A stage is fresh if the block
//! that the lock has of it is the one that would be written now, so a text and the contents of some paths decide, and neither
//! the declaration nor the trace has to be understood.
//!
//! ```text
//! cmd "cargo run --release -p train"
//! dep data/spectrograms
//! param train.epochs 10
//! out models/genre.mpk
//! ```

use crate::digest::Content;
use crate::plan::{Fingerprint, record};

/// The template of a stage; of the fingerprint's deps, the paths count.
pub fn render(fingerprint: &Fingerprint) -> String {
    let mut text = String::new();
    record::write_fingerprint(&mut text, fingerprint);
    let path = |line: &str| line.strip_prefix("dep ")?.splitn(3, ' ').nth(2).map(str::to_owned);
    let lines = text.lines().map(|line| match path(line) {
        Some(path) => format!("dep {path}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// The paths of the deps and outs in an template.
pub fn paths(template: &str) -> impl Iterator<Item = &str> {
    template.lines().filter_map(path_line).map(|(_, path)| path)
}

/// The paths of the outs in an template.
pub fn outs(template: &str) -> impl Iterator<Item = &str> {
    template.lines().filter_map(|line| line.strip_prefix("out "))
}

/// A content as the lock writes it, before the path.
pub fn content_prefix(content: &Content) -> String {
    format!("{} {} ", content.kind(), content.digest())
}

/// Whether `block`, the lines of a stage in the lock, is what would be written of it now: with `contents`,
/// [as written](content_prefix), at the template's [paths]; `None` where nothing is.
pub fn matches<'c>(
    template: &str,
    block: &str,
    mut contents: impl Iterator<Item = Option<&'c str>>,
) -> bool {
    let mut lines = block.lines();
    let mut says = |expected: &str, line: &str| match path_line(expected) {
        None => line == expected,
        Some((word, path)) => contents.next().flatten().is_some_and(|content| {
            let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            rest.and_then(|rest| rest.strip_prefix(content)) == Some(path)
        }),
    };
    template.lines().all(|expected| lines.next().is_some_and(|line| says(expected, line)))
        && lines.all(|line| line.is_empty() || line.starts_with("accepted "))
}

fn path_line(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ').filter(|(word, _)| matches!(*word, "dep" | "out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_block_holds_while_every_line_is_what_would_be_written() {
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
