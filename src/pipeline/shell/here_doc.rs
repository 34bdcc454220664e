//! The here-documents of a command.

use super::state::{Body, Frame, HereDoc, Scanner, escaped};

impl Scanner {
    /// Fails in the body of a here-document if the value could end it.
    pub(super) fn check_end(&self, value: &str) -> Result<(), &'static str> {
        let Some(body) = self.body.as_ref().filter(|_| !value.is_empty()) else { return Ok(()) };
        let end = &body.document.end;
        let whole = format!("{}{value}", body.line);
        let (lines, tail) = whole.rsplit_once('\n').unwrap_or(("", &whole));
        let tail = tail.trim_start_matches('\t');
        // The text after the value could complete its last line.
        if lines.split('\n').any(|line| line.trim_start_matches('\t') == end)
            || !tail.is_empty() && end.starts_with(tail)
        {
            return Err("in a here-document that it would end");
        }
        Ok(())
    }

    pub(super) fn escape_in_body(&self, body: &Body, value: &str) -> Result<String, &'static str> {
        if self.frames.contains(&Frame::Command) {
            return Err("in a here-document in `$(…)`");
        }
        if body.document.is_literal {
            return Ok(value.to_owned());
        }
        if body.until.is_some() {
            return Err("in a substitution in a here-document");
        }
        if self.last == Some('$') {
            return Err("after `$`");
        }
        Ok(escaped(value, &['\\', '$', '`']))
    }

    pub(super) fn step_in_end(&mut self, c: char) {
        let Some(document) = &mut self.announced else { return };
        let is_start = document.end.is_empty() && !document.is_literal;
        let after = |c| self.last == Some(c);
        let mut is_simple = true;
        match c {
            c if document.quote == Some(c) => document.quote = None,
            c if document.quote.is_some() => {
                is_simple = !"\\$`\n".contains(c);
                document.end.push(c);
            }
            // `<<<` begins a text, not a document.
            '<' if is_start && after('<') => self.announced = None,
            '-' if is_start && after('<') => document.skips_tabs = true,
            ' ' | '\t' if is_start => {}
            '\'' | '"' => {
                is_simple = !after('\\');
                document.is_literal = true;
                document.quote = Some(c);
            }
            '\\' => {
                is_simple = !after('\\');
                document.is_literal = true;
            }
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => {
                is_simple = !after('\\') && !document.end.is_empty();
                self.pending.extend(self.announced.take());
                self.angles = 0;
                if c == '\n' && !self.is_line_end() {
                    is_simple = false;
                }
                self.step_in_command(c);
            }
            c => {
                is_simple = c.is_alphanumeric() || "_-.".contains(c);
                document.end.push(c);
            }
        }
        if !is_simple {
            self.lose("after the end of this here-document");
        }
    }

    pub(super) fn step_in_body(&mut self, c: char) {
        let Some(body) = &mut self.body else { return };
        let last = self.last.replace(c);
        let after_dollar = last == Some('$');
        if !body.document.is_literal {
            if self.is_escaped {
                self.is_escaped = false;
                self.last = Some('x');
                if c == '\n' {
                    self.lost
                        .get_or_insert("after a here-document with a backslash before a line end");
                }
            } else if body.until == Some(c) {
                body.until = None;
                self.last = Some('x');
            } else if body.until.is_some() {
                // `${ command; }` is a substitution in some shells.
                let is_command = last == Some('{') && " \t|".contains(c);
                // The patterns of `case` end with a bracket, too.
                let word = body.line.rsplit(|c: char| !c.is_alphanumeric()).next();
                let is_case = word == Some("case") && !c.is_alphanumeric();
                if is_command || is_case || "'\"\\`#<({\n".contains(c) {
                    self.lost.get_or_insert("after this substitution in a here-document");
                }
            } else {
                match c {
                    '\\' => self.is_escaped = true,
                    '`' => body.until = Some('`'),
                    '(' if after_dollar => body.until = Some(')'),
                    '{' if after_dollar => body.until = Some('}'),
                    '[' if after_dollar => body.until = Some(']'),
                    '$' if after_dollar => self.last = Some('x'),
                    _ => {}
                }
            }
        }
        if c != '\n' {
            body.line.push(c);
        } else if body.is_end(&body.line) {
            self.is_escaped = false;
            self.body = self.pending.pop_front().map(Body::of);
        } else {
            body.line.clear();
        }
    }

    pub(super) fn begin_body(&mut self) {
        self.body = self.pending.pop_front().map(Body::of);
    }

    pub(super) fn note_here_document(&mut self, c: char) {
        if c == '<' && self.is_code() {
            self.angles += 1;
            let depth = self.frames.len();
            self.announced = (self.angles == 2).then(|| HereDoc { depth, ..HereDoc::default() });
        } else if !self.is_escaped {
            self.angles = 0;
        }
    }
}
