//! Lints that rustfmt and clippy do not have: line width, wording of comments and messages, length
//! of test names. The rules are in CONTRIBUTING.md.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

const MAX_WIDTH: usize = 100;
const MAX_WORDS_OF_A_TEST: usize = 5;
/// Limit for the tests of the genre pipeline, in `stages/`.
const MAX_WORDS_IN_STAGES: usize = 7;

/// First words that make a doc comment a clause instead of a sentence or a noun phrase.
const OPENINGS: [&str; 6] = ["What", "Whether", "How", "Those", "It", "Of"];

/// Phrases and what to write instead, for comments and messages.
const PHRASES: [(&str, &str); 12] = [
    ("is no JSON", "is not JSON"),
    ("is no directory", "is not a directory"),
    ("anew", "again"),
    ("knows nothing", "does not know about"),
    ("Knows nothing", "Unaware of"),
    ("lies there", "exists"),
    ("lie there", "exist"),
    ("is not there", "does not exist"),
    ("looked at", "checked, read or observed"),
    ("is told", "is reported"),
    ("are told", "are reported"),
    ("all the same", "anyway"),
];

struct Finding {
    line: usize,
    what: String,
}

fn sources(endings: &[&str]) -> Vec<PathBuf> {
    let folders = ["src", "stages", "tests", "benches", "python"];
    let files = folders.iter().flat_map(walkdir::WalkDir::new);
    let mut files: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| {
            path.extension().is_some_and(|ending| endings.iter().any(|other| ending == *other))
        })
        .collect();
    files.sort();
    assert!(files.len() > 10, "the test sees no sources: {files:?}");
    files
}

fn check(endings: &[&str], lint: impl Fn(&Path, &str) -> Vec<Finding>) {
    let mut findings = Vec::new();
    for path in sources(endings) {
        let text = fs::read_to_string(&path).unwrap();
        for Finding { line, what } in lint(&path, &text) {
            findings.push(format!("{}:{line}: {what}", path.display()));
        }
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Marks the lines inside a raw string or an inline snapshot, which `insta` writes as `@"` if the
/// text needs no escapes.
fn lines(text: &str) -> Vec<(usize, &str, bool)> {
    let (mut is_raw, mut is_snapshot) = (false, false);
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if is_snapshot || (!is_raw && line.ends_with("@\"")) {
            is_snapshot = !line.trim_start().starts_with("\")");
            lines.push((at + 1, line, true));
            continue;
        }
        let began_raw = is_raw;
        let mut rest = line;
        loop {
            let mark = if is_raw { "\"#" } else { "r#\"" };
            let Some(at) = rest.find(mark) else { break };
            rest = &rest[at + mark.len()..];
            is_raw = !is_raw;
        }
        lines.push((at + 1, line, began_raw || is_raw));
    }
    lines
}

fn too_wide(text: &str) -> Vec<Finding> {
    let wide = |line: &str| line.chars().count() > MAX_WIDTH;
    lines(text)
        .into_iter()
        .filter(|(_, line, is_raw)| !is_raw && wide(line))
        .map(|(line, ..)| Finding { line, what: format!("wider than {MAX_WIDTH} columns") })
        .collect()
}

/// Checks the first word of each doc comment, and of each paragraph in it. `It` may begin a later
/// paragraph, where the first one has named the subject.
fn bad_openings(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before = ("", "");
    for (line, text, is_raw) in lines(text) {
        let text = text.trim();
        let mark = ["///", "//!"].into_iter().find(|mark| text.starts_with(mark)).unwrap_or("");
        let prose = text[mark.len()..].trim();
        let is_doc = !mark.is_empty() && !is_raw;
        let is_first = mark != before.0;
        let begins_paragraph = before.1.is_empty() || before.1.starts_with('#');
        before = (mark, prose);
        let word = prose.split_whitespace().next().unwrap_or_default();
        let is_bad = OPENINGS.contains(&word) && (is_first || (begins_paragraph && word != "It"));
        if is_doc && is_bad {
            let what = format!("doc comment begins with `{word}`; begin with a verb or a noun");
            findings.push(Finding { line, what });
        }
    }
    findings
}

/// The prose of a line: its comment, and the texts in its string literals.
fn prose(line: &str) -> Vec<&str> {
    if let Some((_, comment)) = line.split_once("//") {
        return vec![comment];
    }
    line.split('"').skip(1).step_by(2).filter(|text| text.contains(' ')).collect()
}

fn odd_phrases(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text, _) in lines(text) {
        for text in prose(text) {
            for (phrase, instead) in PHRASES {
                let is_word = |at: usize| {
                    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
                    !text[..at].ends_with(is_letter)
                        && !text[at + phrase.len()..].starts_with(is_letter)
                };
                if text.match_indices(phrase).any(|(at, _)| is_word(at)) {
                    findings.push(Finding { line, what: format!("`{phrase}`: write `{instead}`") });
                }
            }
        }
    }
    findings
}

fn long_test_names(text: &str, max_words: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_test = false;
    for (line, text, _) in lines(text) {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("fn ").filter(|_| is_test) {
            let name = name.split('(').next().unwrap_or_default();
            if name.split('_').count() > max_words {
                let what = format!("test name `{name}` has more than {max_words} words");
                findings.push(Finding { line, what });
            }
        }
        is_test = text.starts_with("#[test]") || (is_test && text.starts_with("#["));
    }
    findings
}

#[test]
fn line_width() {
    check(&["rs", "py", "toml"], |_, text| too_wide(text));
}

#[test]
fn doc_comment_openings() {
    check(&["rs"], |_, text| bad_openings(text));
}

#[test]
fn wording() {
    let is_this = |path: &Path| path.ends_with("tests/style.rs");
    check(&["rs"], |path, text| if is_this(path) { Vec::new() } else { odd_phrases(text) });
}

#[test]
fn test_names() {
    check(&["rs"], |path, text| {
        let is_in_stages = path.starts_with("stages");
        let max_words = if is_in_stages { MAX_WORDS_IN_STAGES } else { MAX_WORDS_OF_A_TEST };
        long_test_names(text, max_words)
    });
}

#[test]
fn lints_find_faults() {
    let at = |findings: Vec<Finding>| -> Vec<usize> {
        findings.into_iter().map(|finding| finding.line).collect()
    };
    let wide = "x".repeat(MAX_WIDTH + 1);
    assert_eq!(at(too_wide(&format!("{wide}\nr#\"\n{wide}\n\"#\n{wide}"))), [1, 5]);
    assert_eq!(at(too_wide(&format!("f(g(), @\"\n{wide}\n\");\n{wide}"))), [4]);
    let docs =
        "/// Whether it is.\n/// How.\nfn f() {}\n/// Reports whether.\n//! It is.\n// Of this.";
    assert_eq!(at(bad_openings(docs)), [1, 5]);
    let paragraphs =
        "/// Reads.\n///\n/// It fails.\n///\n/// Those of f.\n/// # Errors\n/// Of kind.";
    assert_eq!(at(bad_openings(paragraphs)), [5, 7]);
    let text = "let anew = 1;\n// made anew\nerror(\"it is not there\");\n// renewed, anewly";
    assert_eq!(at(odd_phrases(text)), [2, 3]);
    let tests = "#[test]\nfn a_b() {}\n#[test]\n#[ignore]\nfn a_b_c() {}\nfn a_b_c() {}";
    assert_eq!(at(long_test_names(tests, 2)), [5]);
}
