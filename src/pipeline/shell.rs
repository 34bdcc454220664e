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
mod state;

pub(super) use self::state::Scanner;
use self::state::{Frame, escaped};

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
        self.check_end(value)?;
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
        matches!(self.frames.last(), None | Some(Frame::Command | Frame::Group | Frame::Array))
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
            (Some(Frame::Group | Frame::Array), ')') => drop(self.frames.pop()),
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
            (_, '(') if self.last == Some('=') => self.frames.push(Frame::Array),
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
            // Bash reports a syntax error and goes on with the next line, wherever that is.
            (Some(Frame::Array), ';' | '&' | '|' | '<' | '>') => {
                Some("after an operator in an array")
            }
            (Some(Frame::Array), '(') if !after("$") => Some("after a bracket in an array"),
            // Bash 5.2 parses the text of `$(…)` twice, and the second time without these quotes.
            (_, '(') if after("=") && self.frames.contains(&Frame::Command) => {
                Some("after an array in `$(…)`")
            }
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
        if matches!(top, None | Some(Frame::Command | Frame::Group | Frame::Array)) {
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
mod tests {
    mod grammar;

    use self::grammar::{HOSTILE, SHAPES, shaped};
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
            ("echo \"$(case x in x) echo;; esac; echo @)\"", "after `case` in brackets"),
            ("echo $'it\\'s' @", "after `$'`"),
            ("echo \"$@\"", "after `$`"),
            ("echo $((echo a); @)", "in an arithmetic expression"),
            ("cat <<E$x\n@", "after the end of this here-document"),
            ("cat <<E\n$(echo @)\nE", "in a substitution in a here-document"),
            ("cat <<E\n\\@\nE", "after a backslash"),
            ("cat <<@\nx\n", "in the end of a here-document"),
            ("cat <<E\n$(echo \"x\")@\nE", "after this substitution in a here-document"),
            (
                "cat <<E\n$(case x in x) echo;; esac; echo @)\nE",
                "after this substitution in a here-document",
            ),
            ("a=(x; y); echo @", "after an operator in an array"),
            ("declare -a a=(x > @)", "after an operator in an array"),
            ("a+=((@))", "after a bracket in an array"),
            ("echo \"$(a=(x @); echo @)\"", "after an array in `$(…)`"),
            ("echo $(declare -a a=(x); echo @)", "after an array in `$(…)`"),
        ] {
            assert_eq!(fill(command, "a b"), Err(place), "{command}");
            assert!(fill(command, "ab").is_ok(), "{command}");
        }
        assert_eq!(fill("# @", "a\nb"), Err("in a comment"));
        for value in ["a\nE", "E"] {
            let end = Err("in a here-document that it would end");
            assert_eq!(fill("cat <<E\n@\nE", value), end, "{value:?}");
        }
    }

    #[test]
    fn arrays_take_values() {
        let command = fill("a=(x @ $(echo y) @); echo \"${a[1]},${a[2]},${a[3]}\"", "a\nb");
        let output = deadline::output(Command::new("bash").args(["-c", &command.unwrap()]));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a\nb,y,a\nb\n");
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
            // In a here-document, some versions of dash lose bytes of a line that begins with the
            // first letter of its end and is not ASCII.
            prop_assume!(value.is_ascii() || !PLACES[at].contains("<<"));
            if let Ok(command) = fill(PLACES[at], &value) {
                prop_assert_eq!(output(&command), format!("{value}\nend\n"), "{}", command);
            }
        }
    }

    /// Fills each `@` with the next of the values.
    fn filled(command: &str, values: &[&str]) -> Option<String> {
        let mut scanner = Scanner::default();
        let mut filled = String::new();
        for (at, text) in command.split('@').enumerate() {
            if at > 0 {
                filled.push_str(&scanner.value(values[at % values.len()]).ok()?);
            }
            scanner.read(text);
            filled.push_str(text);
        }
        Some(filled)
    }

    /// Reports whether a shell runs `touch pwned` when it runs the command.
    fn runs_value(command: &str) -> Option<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        // The function is called in place of the program; nothing else in the path can be run.
        let command =
            format!("PATH=/nowhere\ntouch() {{ : > {0}/$1; }}\n{command}", folder.path().display());
        ["sh", "bash"].into_iter().find(|shell| {
            let mut process = Command::new(shell);
            process.args(["-c", &command]).current_dir(&folder);
            process.stdin(std::process::Stdio::null());
            deadline::output(&mut process);
            folder.path().join("pwned").exists()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_value_is_run(
            command in shaped(),
            values in prop::collection::vec(prop::sample::select(HOSTILE), 1..4),
        ) {
            if let Some(command) = filled(&command, &values) {
                prop_assert_eq!(runs_value(&command), None, "{}", command);
            }
        }
    }

    #[test]
    fn no_value_runs_in_shapes() {
        for shape in SHAPES {
            for value in HOSTILE {
                if let Some(command) = filled(&shape.replace('%', "echo @"), &[value]) {
                    assert_eq!(runs_value(&command), None, "{command}");
                }
            }
        }
    }
}
