//! The state of the scanner of commands.

use std::collections::VecDeque;

/// A construct that encloses the present place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Single,
    Double,
    Comment,
    /// `(…)`.
    Group,
    /// `name=(…)`.
    Array,
    /// `$(…)`.
    Command,
    /// `$((…))`, up to the last bracket.
    Arithmetic,
    /// `(…)` in it, and its own inner brackets.
    Term,
    /// `${…}`.
    Brace,
    Backquote,
}

/// A here-document, from its `<<` on.
#[derive(Debug, Default)]
pub(super) struct HereDoc {
    pub(super) end: String,
    /// The end is quoted, so the body is literal.
    pub(super) is_literal: bool,
    /// `<<-`: tabs before the end are ignored.
    pub(super) skips_tabs: bool,
    /// The quote in which the end is being read.
    pub(super) quote: Option<char>,
    /// Number of constructs around the `<<`.
    pub(super) depth: usize,
}

/// The body of a here-document that is being read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) document: HereDoc,
    /// The present line.
    pub(super) line: String,
    /// The end of the substitution that is being read.
    pub(super) until: Option<char>,
}

impl Body {
    pub(super) fn of(document: HereDoc) -> Body {
        Body { document, line: String::new(), until: None }
    }

    pub(super) fn is_end(&self, line: &str) -> bool {
        let tabs = if self.document.skips_tabs { '\t' } else { '\n' };
        line.trim_start_matches(tabs) == self.document.end
    }
}

/// The state of the shell's parser after some text.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Scanner {
    pub(super) frames: Vec<Frame>,
    pub(super) is_escaped: bool,
    /// The last character was a line end after a backslash.
    pub(super) is_continued: bool,
    /// The construct after which the place is no longer known.
    pub(super) lost: Option<&'static str>,
    /// The last character; `None` at the start, `x` for any in a word that has no meaning.
    pub(super) last: Option<char>,
    pub(super) word: String,
    /// `name[` has no `]` yet.
    pub(super) is_subscript: bool,
    /// Number of `<` in a row.
    pub(super) angles: usize,
    /// The here-document whose end is being read.
    pub(super) announced: Option<HereDoc>,
    pub(super) pending: VecDeque<HereDoc>,
    pub(super) body: Option<Body>,
}

/// Puts a backslash before each of the special characters.
pub(super) fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
