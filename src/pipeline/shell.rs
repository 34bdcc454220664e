//! Quotes values for the shell that runs a command.
//!
//! Mechanism: a [`Scanner`] reads the text of the command up to a value and knows then how the
//! shell reads the next character: as a word, in quotes, in a comment or in a here-document. The
//! value is escaped accordingly, so that it stays one literal text.
//!
//! Invariants: a value without special characters is never changed, and neither is an empty one,
//! which may be a part of a word. Where the escape depends on more than the place (backquotes,
//! `${…}`, arithmetic, after a backslash), a value with special characters is an error.
//!
//! Known limits: `case` inside `"$(…)"` is not followed; values after it are errors, too.

use std::collections::VecDeque;

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
    /// `(…)` or `$(…)`.
    Command,
    /// `((…))` or `$((…))`.
    Arithmetic,
    /// `${…}`.
    Brace,
    Backquote,
}

/// A here-document, from its `<<` on.
#[derive(Debug, Default)]
struct HereDoc {
    end: String,
    /// The end is quoted, so the body is literal.
    is_literal: bool,
    /// `<<-`: tabs before the end are ignored.
    skips_tabs: bool,
    /// The quote in which the end is being read.
    quote: Option<char>,
}

/// The state of the shell's parser after some text.
#[derive(Debug)]
pub(super) struct Scanner {
    frames: Vec<Frame>,
    is_escaped: bool,
    /// The place is no longer known.
    is_lost: bool,
    last: char,
    word: String,
    /// Number of `<` in a row.
    angles: usize,
    /// The here-document whose end is being read.
    announced: Option<HereDoc>,
    pending: VecDeque<HereDoc>,
    /// The here-document whose body is being read, and its present line.
    body: Option<(HereDoc, String)>,
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner {
            frames: Vec::new(),
            is_escaped: false,
            is_lost: false,
            last: '\n',
            word: String::new(),
            angles: 0,
            announced: None,
            pending: VecDeque::new(),
            body: None,
        }
    }
}

impl Scanner {
    /// Reads text of the command.
    pub(super) fn read(&mut self, text: &str) {
        text.chars().for_each(|c| self.step(c));
    }

    /// Reports whether the next character is read as part of a word.
    pub(super) fn is_in_word(&self) -> bool {
        let unquoted = matches!(self.frames.last(), None | Some(Frame::Command));
        unquoted && self.body.is_none() && !self.is_escaped
    }

    /// Returns the value as the shell has to read it here to take it literally.
    ///
    /// # Errors
    /// The place where the value cannot be quoted, for a message.
    pub(super) fn value(&mut self, value: &str) -> Result<String, &'static str> {
        let written = if is_plain(value) { Ok(value.to_owned()) } else { self.escape(value) };
        if let Some((_, line)) = &mut self.body {
            line.push_str(value);
        }
        if !value.is_empty() {
            self.last = 'x';
            self.word.push('\'');
            self.is_escaped = false;
        }
        written
    }

    fn escape(&self, value: &str) -> Result<String, &'static str> {
        if let Some((document, _)) = &self.body {
            let ends = value.lines().any(|line| line.trim_start_matches('\t') == document.end);
            return match document.is_literal {
                _ if ends => Err("in a here-document that it would end"),
                true => Ok(value.to_owned()),
                false => Ok(escaped(value, &['\\', '$', '`'])),
            };
        }
        if self.is_escaped {
            return Err("after a backslash");
        }
        if self.is_lost || self.announced.is_some() {
            return Err("here");
        }
        for frame in &self.frames {
            match frame {
                Frame::Backquote => return Err("in backquotes"),
                Frame::Brace => return Err("in `${…}`"),
                Frame::Arithmetic => return Err("in an arithmetic expression"),
                _ => {}
            }
        }
        match self.frames.last() {
            Some(Frame::Single) => Ok(in_single_quotes(value)),
            Some(Frame::Double) => Ok(escaped(value, &['\\', '"', '$', '`'])),
            Some(Frame::Comment) if value.contains('\n') => Err("in a comment"),
            _ => Ok(quote(value)),
        }
    }

    fn step(&mut self, c: char) {
        if self.body.is_some() {
            return self.step_in_body(c);
        }
        if let Some(document) = &mut self.announced {
            let is_start = document.end.is_empty() && !document.is_literal;
            match c {
                c if document.quote == Some(c) => document.quote = None,
                c if document.quote.is_some() => document.end.push(c),
                // `<<<` begins a text, not a document.
                '<' if is_start && self.last == '<' => self.announced = None,
                '-' if is_start && self.last == '<' => document.skips_tabs = true,
                ' ' | '\t' if is_start => {}
                '\'' | '"' => {
                    document.is_literal = true;
                    document.quote = Some(c);
                }
                '\\' => document.is_literal = true,
                c if c.is_whitespace() || ";&|<>()".contains(c) => {
                    self.pending.extend(self.announced.take());
                    self.step_in_command(c);
                }
                c => document.end.push(c),
            }
        } else if self.is_escaped {
            self.is_escaped = false;
        } else {
            self.step_in_command(c);
        }
        self.last = c;
    }

    fn step_in_body(&mut self, c: char) {
        let Some((document, line)) = &mut self.body else { return };
        if c != '\n' {
            line.push(c);
            return;
        }
        let text = if document.skips_tabs { line.trim_start_matches('\t') } else { &**line };
        if text == document.end {
            self.body = self.pending.pop_front().map(|next| (next, String::new()));
            self.last = '\n';
        } else {
            line.clear();
        }
    }

    fn step_in_command(&mut self, c: char) {
        let after_dollar = self.last == '$';
        match (self.frames.last().copied(), c) {
            (Some(Frame::Single), '\'')
            | (Some(Frame::Double), '"')
            | (Some(Frame::Backquote), '`')
            | (Some(Frame::Brace), '}')
            | (Some(Frame::Command | Frame::Arithmetic), ')') => drop(self.frames.pop()),
            (Some(Frame::Single), _) => {}
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
            (_, '"') => self.frames.push(Frame::Double),
            (_, '\'') if !self.is_quoted_brace() => self.frames.push(Frame::Single),
            (top, '(') => {
                if let (Some(Frame::Command), '(') = (top, self.last) {
                    self.frames.pop();
                    self.frames.extend([Frame::Arithmetic, Frame::Arithmetic]);
                } else {
                    self.frames.push(Frame::Command);
                }
            }
            (None | Some(Frame::Command | Frame::Backquote), '#')
                if self.last.is_whitespace() || ";&|()`".contains(self.last) =>
            {
                self.frames.push(Frame::Comment);
            }
            (_, '\n') => self.begin_body(),
            _ => {}
        }
        self.note_here_document(c);
        self.note_case(c);
    }

    /// Reports whether the place is in `"${…}"`, where a single quote is a character.
    fn is_quoted_brace(&self) -> bool {
        matches!(self.frames[..], [.., Frame::Double, Frame::Brace])
    }

    fn begin_body(&mut self) {
        self.body = self.pending.pop_front().map(|document| (document, String::new()));
    }

    fn note_here_document(&mut self, c: char) {
        let is_code = matches!(self.frames.last(), None | Some(Frame::Command));
        if c == '<' && is_code {
            self.angles += 1;
            self.announced = (self.angles == 2).then(HereDoc::default);
        } else {
            self.angles = 0;
        }
    }

    fn note_case(&mut self, c: char) {
        if c.is_alphanumeric() {
            self.word.push(c);
            return;
        }
        let is_hidden = || self.frames.contains(&Frame::Double) && self.frames.len() > 1;
        self.is_lost |= self.word == "case" && is_hidden();
        self.word.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// Fills `@` in a command with a value.
    fn fill(command: &str, value: &str) -> Result<String, &'static str> {
        let mut scanner = Scanner::default();
        let mut filled = String::new();
        for (at, text) in command.split('@').enumerate() {
            if at > 0 {
                filled.push_str(&scanner.value(value)?);
            }
            scanner.read(text);
            filled.push_str(text);
        }
        Ok(filled)
    }

    fn output(command: &str) -> String {
        let output = deadline::output(Command::new("sh").args(["-c", command]));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Commands that print the value, and a line `end` after it.
    const PLACES: [&str; 14] = [
        "printf %s @; echo; echo end",
        "printf %s 'x @' | cut -c3-; echo end",
        "printf %s \"@\"; echo; echo end",
        "printf %s \"$(printf %s @)\"; echo; echo end",
        "printf %s \"$(printf %s \"@\")\"; echo; echo end",
        "# don't stop\nprintf %s @; echo; echo end",
        "printf %s 'it'\\''s' >/dev/null; printf %s @; echo; echo end",
        "printf %s a#b\\\" >/dev/null; printf %s @; echo; echo end",
        "cat <<E\n@\nE\necho end",
        "cat <<-'E'\n@\n\tE\necho end",
        "cat <<'A B' >/dev/null\nit's\nA B\nprintf %s @; echo; echo end",
        "cat <<\"A\" >/dev/null; cat <<B\nit's\nA\n@\nB\necho end",
        "echo $((1 << 2)) >/dev/null\nprintf %s @; echo; echo end",
        "(echo x) >/dev/null; case x in x) printf %s @; echo; echo end;; esac",
    ];

    #[test]
    fn literal_in_every_place() {
        for value in ["x; touch pwned #", "it's", "a \"b\" $HOME `id` \\", "*", "~", "a=$(id)", "é"]
        {
            for place in PLACES {
                let command = fill(place, value).unwrap();
                assert_eq!(output(&command), format!("{value}\nend\n"), "{command}");
            }
        }
    }

    #[test]
    fn plain_values_stay() {
        for value in ["", "a.b-c/d_e", "1e-5", "a=b:c,d", "é"] {
            for place in PLACES {
                assert_eq!(fill(place, value).unwrap(), place.replace('@', value));
            }
        }
    }

    #[test]
    fn places_without_an_escape() {
        for (command, place) in [
            ("echo `echo @`", "in backquotes"),
            ("echo ${x:-@}", "in `${…}`"),
            ("echo \"${x:-don't @}\"", "in `${…}`"),
            ("echo $((@))", "in an arithmetic expression"),
            ("echo \\@", "after a backslash"),
            ("echo \"$(case x in x) echo;; esac; echo @)\"", "here"),
        ] {
            assert_eq!(fill(command, "a b"), Err(place), "{command}");
            assert!(fill(command, "ab").is_ok(), "{command}");
        }
        assert_eq!(fill("# @", "a\nb"), Err("in a comment"));
        assert_eq!(fill("cat <<E\n@\nE", "a\nE"), Err("in a here-document that it would end"));
    }

    #[test]
    fn shells() {
        assert!(is_shell(["/usr/bin/env", "bash", "-c"]));
        assert!(is_shell(["sh", "-c"]));
        assert!(!is_shell(["python3", "-c"]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_value_is_literal(value in "[ -~\u{e9}\n]{0,12}", at in 0usize..14) {
            // Command substitution drops line ends, and `cut` splits lines.
            prop_assume!(!value.contains('\n') || ![1, 3, 4].contains(&at));
            if let Ok(command) = fill(PLACES[at], &value) {
                prop_assert_eq!(output(&command), format!("{value}\nend\n"), "{}", command);
            }
        }
    }
}
