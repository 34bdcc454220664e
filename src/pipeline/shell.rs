//! Quotes values for the shell that runs a command.
//!
//! Mechanism: a [`Scanner`] reads the text of the command up to a value and knows then how the
//! shell reads the next character: as a word, in quotes, in a comment or in a here-document. The
//! value is escaped accordingly, so that it stays one literal text.
//!
//! Invariants: a value without special characters is never changed, and neither is an empty one,
//! which may be a part of a word. Where the escape depends on more than the place (backquotes,
//! `${…}`, arithmetic, after a backslash), a value with special characters is an error. So is one
//! after a construct that shells read differently, such as `$'…'`: the scanner is lost from there.

mod here_doc;

use std::collections::VecDeque;

use self::here_doc::{Body, HereDoc};

/// The shells that quote as this module does.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];

/// Reports whether one of these words, which come before a command, is such a shell.
pub(super) fn is_shell<'w>(words: impl IntoIterator<Item = &'w str>) -> bool {
    let name = |word: &'w str| word.rsplit('/').next().unwrap_or(word);
    words.into_iter().any(|word| SHELLS.contains(&name(word)))
}

/// Reports whether the shell takes each character of the text literally.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "_-./@%+=:,^".contains(c))
}

/// Returns the text as one word, in quotes where that is necessary.
pub(super) fn quote(text: &str) -> String {
    // An empty text is not quoted: it may be within a word, as in `out{{ item.dir }}/x`.
    if is_plain(text) { text.to_owned() } else { format!("'{}'", in_single_quotes(text)) }
}

fn in_single_quotes(text: &str) -> String {
    text.replace('\'', r"'\''")
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A construct that encloses the present place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Single,
    Double,
    Comment,
    /// `(…)`.
    Group,
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

/// The state of the shell's parser after some text.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    frames: Vec<Frame>,
    is_escaped: bool,
    /// The last character was a line end after a backslash.
    is_continued: bool,
    /// The construct after which the place is no longer known.
    lost: Option<&'static str>,
    /// The last character; `None` at the start, `x` for any in a word that has no meaning.
    last: Option<char>,
    word: String,
    /// `name[` has no `]` yet.
    is_subscript: bool,
    /// Number of `<` in a row.
    angles: usize,
    /// The here-document whose end is being read.
    announced: Option<HereDoc>,
    pending: VecDeque<HereDoc>,
    body: Option<Body>,
}

impl Scanner {
    /// Reads text of the command.
    pub(super) fn read(&mut self, text: &str) {
        text.chars().for_each(|c| self.step(c));
    }

    /// Reports whether the next character is read as part of a word.
    pub(super) fn is_in_word(&self) -> bool {
        self.is_code() && self.body.is_none() && !self.is_escaped
    }

    /// Returns the value as the shell has to read it here to take it literally.
    ///
    /// # Errors
    /// The place where the value cannot be quoted, for a message.
    pub(super) fn value(&mut self, value: &str) -> Result<String, &'static str> {
        if is_plain(value) {
            self.read(value);
            return Ok(value.to_owned());
        }
        let written = self.escape(value)?;
        if let Some(body) = &mut self.body {
            let start = value.rfind('\n').map(|at| at + 1);
            if start.is_some() {
                body.line.clear();
            }
            body.line.push_str(&value[start.unwrap_or(0)..]);
        }
        self.last = Some('x');
        self.is_continued = false;
        self.angles = 0;
        self.word.push('\'');
        Ok(written)
    }

    fn escape(&self, value: &str) -> Result<String, &'static str> {
        if self.is_escaped {
            return Err("after a backslash");
        }
        for frame in &self.frames {
            match frame {
                Frame::Backquote => return Err("in backquotes"),
                Frame::Brace => return Err("in `${…}`"),
                Frame::Arithmetic => return Err("in an arithmetic expression"),
                _ => {}
            }
        }
        if let Some(place) = self.lost {
            return Err(place);
        }
        if self.announced.is_some() {
            return Err("in the end of a here-document");
        }
        if let Some(body) = &self.body {
            return self.escape_in_body(body, value);
        }
        if !self.pending.is_empty() && value.contains('\n') {
            return Err("before a here-document, as it has several lines");
        }
        let top = self.frames.last();
        match top {
            Some(Frame::Single) => return Ok(in_single_quotes(value)),
            Some(Frame::Comment) if value.contains('\n') => return Err("in a comment"),
            Some(Frame::Comment) => return Ok(quote(value)),
            // `$` and the value could be an expansion, or `$'…'`.
            _ if self.last == Some('$') => return Err("after `$`"),
            _ if self.is_subscript => return Err("in a subscript"),
            _ => {}
        }
        match top {
            Some(Frame::Double) => Ok(escaped(value, &['\\', '"', '$', '`'])),
            _ => Ok(quote(value)),
        }
    }

    fn lose(&mut self, place: &'static str) {
        self.lost.get_or_insert(place);
    }

    fn is_code(&self) -> bool {
        matches!(self.frames.last(), None | Some(Frame::Command | Frame::Group))
    }

    fn step(&mut self, c: char) {
        if self.body.is_some() {
            self.step_in_body(c);
            return;
        }
        if self.announced.is_some() {
            self.step_in_end(c);
        } else if self.is_escaped {
            self.is_escaped = false;
            // A line end after a backslash is removed before the text is read.
            self.is_continued = c == '\n';
            if c != '\n' {
                self.last = Some('x');
                self.angles = 0;
            }
            return;
        } else {
            if self.is_continued && "#({<'[".contains(c) {
                self.lose("after a token of two lines");
            }
            self.is_continued = false;
            if c == '\n' && !self.pending.is_empty() && !self.is_line_end() {
                self.lose("after a here-document that begins in quotes or brackets");
            }
            if self.step_in_command(c) {
                return;
            }
        }
        // `$$` is complete.
        self.last = Some(if c == '$' && self.last == Some('$') { 'x' } else { c });
    }

    /// Reports whether a line end here begins the bodies of the pending here-documents.
    fn is_line_end(&self) -> bool {
        let is_comment = self.frames.last() == Some(&Frame::Comment);
        let depth = self.frames.len() - usize::from(is_comment);
        (is_comment || self.is_code()) && self.pending.iter().all(|next| next.depth == depth)
    }

    /// Reads a character outside of here-documents. Reports whether it has set what comes last.
    fn step_in_command(&mut self, c: char) -> bool {
        let after_dollar = self.last == Some('$');
        let top = self.frames.last().copied();
        self.note_unclear(top, c);
        let mut is_closed = false;
        match (top, c) {
            (Some(Frame::Single), '\'')
            | (Some(Frame::Double), '"')
            | (Some(Frame::Backquote), '`')
            | (Some(Frame::Brace), '}')
            | (Some(Frame::Command | Frame::Arithmetic | Frame::Term), ')') => {
                self.frames.pop();
                is_closed = true;
            }
            (Some(Frame::Group), ')') => drop(self.frames.pop()),
            (Some(Frame::Single | Frame::Backquote), _) => {}
            (Some(Frame::Comment), '\n') => {
                self.frames.pop();
                self.begin_body();
            }
            (Some(Frame::Comment), _) => {}
            (_, '\\') => self.is_escaped = true,
            (_, '`') => self.frames.push(Frame::Backquote),
            (_, '{') if after_dollar => self.frames.push(Frame::Brace),
            (_, '(') if after_dollar => self.frames.push(Frame::Command),
            (Some(Frame::Double), _) => {}
            (Some(Frame::Command), '(') if self.last == Some('(') => {
                self.frames.pop();
                self.frames.extend([Frame::Arithmetic, Frame::Term]);
            }
            (Some(Frame::Term), '(') => self.frames.push(Frame::Term),
            (Some(Frame::Arithmetic | Frame::Term | Frame::Brace), _) => {}
            (_, '"') => self.frames.push(Frame::Double),
            (_, '\'') => self.frames.push(Frame::Single),
            (_, '(') => self.frames.push(Frame::Group),
            (_, '#') if self.begins_word() => self.frames.push(Frame::Comment),
            (_, '\n') => self.begin_body(),
            _ => {}
        }
        self.note_here_document(c);
        self.note_case(c);
        if is_closed || self.is_escaped {
            // What follows continues the word; a line end may still join `$` and `(`.
            self.last = if is_closed { Some('x') } else { self.last };
        }
        is_closed || self.is_escaped
    }

    /// Reports whether the next character is the first of a word.
    fn begins_word(&self) -> bool {
        self.last.is_none_or(|last| " \t\n;&|()".contains(last))
    }

    /// Notes constructs that shells read differently.
    fn note_unclear(&mut self, top: Option<Frame>, c: char) {
        let after = |chars: &str| self.last.is_some_and(|last| chars.contains(last));
        let unclear = match (top, c) {
            (Some(Frame::Single | Frame::Comment), _) => None,
            (_, '[') if after("$") => Some("after `$[`"),
            (Some(Frame::Double), _) => None,
            (Some(Frame::Backquote), '\'' | '"' | '\\' | '#' | '<' | '(' | '{') => {
                Some("after backquotes with quotes or brackets")
            }
            (Some(Frame::Backquote), _) => None,
            (_, '\'') if after("$") => Some("after `$'`"),
            (Some(Frame::Brace), '\'' | '"' | '\\' | '`') => Some("after `${…}` with quotes"),
            (Some(Frame::Brace), '(' | '{') if !after("$") => Some("after `${…}` with brackets"),
            (Some(Frame::Brace), ' ' | '\t' | '\n' | '|') if after("{") => Some("after `${ …}`"),
            (Some(Frame::Brace), _) => None,
            (Some(Frame::Arithmetic), c) if c != ')' => Some("after `$((…) …)`"),
            (Some(Frame::Term), '\'' | '"' | '\\' | '`' | '#' | ';' | '\n') => {
                Some("after an arithmetic expression with quotes")
            }
            (Some(Frame::Arithmetic | Frame::Term), _) => None,
            (Some(Frame::Group), '(') if after("(") => Some("after `((`"),
            (_, '(') if after("@!+*?^~") => Some("after a pattern with brackets"),
            (_, '#') if after("()<>") => Some("after `#` at a bracket"),
            (_, '#')
                if self.last.is_some_and(|last| !last.is_ascii() && last.is_whitespace())
                    || after("\r\u{b}\u{c}") =>
            {
                Some("after `#` at an unusual space")
            }
            (Some(Frame::Command), '#') if self.begins_word() => Some("after a comment in `$(…)`"),
            (_, ' ' | '\t' | '\n' | '<' | '#' | '(') if self.is_subscript => {
                Some("after this subscript")
            }
            _ => None,
        };
        if matches!(top, None | Some(Frame::Command | Frame::Group)) {
            let is_name = self.last.is_some_and(|last| last.is_alphanumeric() || last == '_');
            self.is_subscript = c == '[' && is_name || self.is_subscript && !" \t\n]".contains(c);
        }
        if let Some(place) = unclear {
            self.lose(place);
        }
    }

    /// Notes `case` in brackets, whose patterns end with a bracket, too.
    fn note_case(&mut self, c: char) {
        if c.is_alphanumeric() {
            self.word.push(c);
        } else if !self.is_escaped {
            if self.word == "case" && !self.frames.is_empty() {
                self.lose("after `case` in brackets");
            }
            self.word.clear();
        }
    }
}

#[cfg(test)]
mod tests;
