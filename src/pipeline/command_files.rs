//! Finds the words of a shell command that may be paths of files that the command reads.
//!
//! Follows the shell roughly: quotes, comments, redirections, assignments, `cd`, substitutions and
//! here-documents. Leaves out words whose text is known only when the command runs, targets of
//! output redirections, and programs that the shell searches for. Whether a file exists at a path
//! is for the caller to check.

use crate::repo_path::{BadPath, RepoPath};

/// A part of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word; `None` if the shell replaces parts of it.
    Word(Option<String>),
    /// The end of a simple command.
    End,
    Open,
    Close,
    /// The next word is read from.
    Input,
    /// The next word is written to, or is not a file.
    Output,
}

/// Words that may stand before a program.
const PREFIXES: [&str; 17] = [
    "!", "{", "}", "if", "then", "else", "elif", "do", "while", "until", "time", "exec", "env",
    "nohup", "nice", "command", "sudo",
];

/// Programs that read none of the files that their arguments name.
const UNREAD: [&str; 10] =
    ["echo", "printf", "rm", "rmdir", "unlink", "mkdir", "mkfifo", "touch", "tee", "truncate"];

/// Returns the paths in the project that `cmd` names when it runs in `wdir`, each once.
pub fn named_paths(cmd: &str, wdir: Option<&RepoPath>) -> Vec<RepoPath> {
    read(cmd, wdir).found
}

/// Returns the relative paths in `cmd` that lead out of the project, as they are written.
pub fn outside_paths(cmd: &str, wdir: Option<&RepoPath>) -> Vec<String> {
    read(cmd, wdir).outside
}

fn read(cmd: &str, wdir: Option<&RepoPath>) -> Reader {
    let mut tokens = Vec::new();
    Lexer { rest: cmd, heredocs: Vec::new() }.read(&mut tokens);
    let mut reader = Reader {
        found: Vec::new(),
        outside: Vec::new(),
        folder: Folder::Known(wdir.cloned()),
        above: Vec::new(),
        place: Place::Program,
        redirection: None,
    };
    tokens.into_iter().for_each(|token| reader.take(token));
    reader
}

/// The folder in which a command runs.
#[derive(Debug, Clone)]
enum Folder {
    Known(Option<RepoPath>),
    Unknown,
}

/// The role of the next word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Program,
    Argument,
    /// The argument of `cd`.
    Folder,
    /// An argument that does not name a file to read.
    Unread,
}

struct Reader {
    found: Vec<RepoPath>,
    outside: Vec<String>,
    folder: Folder,
    /// The folders outside of the parentheses around.
    above: Vec<(Folder, Place)>,
    place: Place,
    redirection: Option<Token>,
}

impl Reader {
    fn take(&mut self, token: Token) {
        match token {
            Token::Open => {
                self.above.push((self.folder.clone(), self.place));
                self.place = Place::Program;
            }
            Token::Close => {
                if let Some((folder, place)) = self.above.pop() {
                    (self.folder, self.place) = (folder, place);
                }
            }
            Token::End => self.place = Place::Program,
            Token::Input | Token::Output => self.redirection = Some(token),
            Token::Word(word) => match (self.redirection.take(), word) {
                (Some(Token::Input), Some(word)) => self.add(&word),
                (Some(_), Some(word)) => self.note_outside(&word),
                (Some(_), None) => {}
                (None, Some(word)) => self.word(&word),
                (None, None) => {
                    if self.place == Place::Folder {
                        self.folder = Folder::Unknown;
                    }
                    if self.place != Place::Unread {
                        self.place = Place::Argument;
                    }
                }
            },
        }
    }

    fn word(&mut self, word: &str) {
        match self.place {
            Place::Argument => self.add(word),
            Place::Unread => {}
            Place::Folder => {
                self.note_outside(word);
                self.folder = self.below(word).map_or(Folder::Unknown, Folder::Known);
                self.place = Place::Argument;
            }
            Place::Program if PREFIXES.contains(&word) => {}
            Place::Program if word == "cd" => self.place = Place::Folder,
            Place::Program if UNREAD.contains(&word) => self.place = Place::Unread,
            Place::Program => match assigned(word) {
                Some(value) => self.add(value),
                None => {
                    if word.contains('/') {
                        self.add(word);
                    }
                    self.place = Place::Argument;
                }
            },
        }
    }

    /// Adds the path that a word names, as a whole or after a `=`.
    fn add(&mut self, word: &str) {
        let value = word.split_once('=').map(|(_, value)| value);
        let whole = (!word.starts_with('-')).then_some(word);
        for text in whole.into_iter().chain(value) {
            self.note_outside(text);
            if let Some(Some(path)) = self.below(text)
                && !self.found.contains(&path)
            {
                self.found.push(path);
            }
        }
    }

    /// Adds a path that leads out of the project.
    fn note_outside(&mut self, text: &str) {
        if matches!(self.parse(text), Some(Err(BadPath::Leaves))) {
            self.outside.push(text.to_owned());
        }
    }

    /// Returns the path that a text names in the present folder: `Some(None)` for the root, `None`
    /// if it is not known or not in the project.
    fn below(&self, text: &str) -> Option<Option<RepoPath>> {
        match self.parse(text)? {
            Ok(path) => Some(Some(path)),
            Err(BadPath::Root) => Some(None),
            Err(_) => None,
        }
    }

    /// Parses a relative path in the present folder; `None` if that is not known.
    fn parse(&self, text: &str) -> Option<Result<RepoPath, BadPath>> {
        let Folder::Known(folder) = &self.folder else { return None };
        if text.is_empty() || text.starts_with(['/', '-']) {
            return None;
        }
        let full = match folder {
            Some(folder) => format!("{folder}/{text}"),
            None => text.to_owned(),
        };
        Some(RepoPath::parse(&full))
    }
}

/// Returns the value of an assignment `NAME=VALUE`.
fn assigned(word: &str) -> Option<&str> {
    let (name, value) = word.split_once('=')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(value)
}

struct Lexer<'c> {
    rest: &'c str,
    /// Ends of here-documents that begin after this line.
    heredocs: Vec<String>,
}

impl<'c> Lexer<'c> {
    fn read(&mut self, tokens: &mut Vec<Token>) {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\n' => {
                    self.skip(1);
                    tokens.push(Token::End);
                    self.skip_heredocs();
                }
                _ if c.is_whitespace() => self.skip(c.len_utf8()),
                '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
                '&' if self.rest.starts_with("&>") => self.skip(1),
                ';' | '&' | '|' => self.operator(1, Token::End, tokens),
                '(' => self.operator(1, Token::Open, tokens),
                ')' => self.operator(1, Token::Close, tokens),
                '<' | '>' => self.redirection(tokens),
                _ => self.word(tokens),
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn operator(&mut self, bytes: usize, token: Token, tokens: &mut Vec<Token>) {
        self.skip(bytes);
        tokens.push(token);
    }

    fn redirection(&mut self, tokens: &mut Vec<Token>) {
        let rest = self.rest;
        let starts = |text: &str| rest.starts_with(text);
        match () {
            () if starts("<<<") => self.operator(3, Token::Output, tokens),
            () if starts("<<") => {
                self.skip(if starts("<<-") { 3 } else { 2 });
                self.skip(self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len());
                let mut end = Vec::new();
                self.word(&mut end);
                if let Some(Token::Word(Some(end))) = end.pop() {
                    self.heredocs.push(end);
                }
            }
            () if starts("<(") || starts(">(") => self.operator(2, Token::Open, tokens),
            () if starts("<&") || starts(">&") => self.operator(2, Token::Output, tokens),
            () if starts(">>") || starts(">|") => self.operator(2, Token::Output, tokens),
            () if starts("<") => self.operator(1, Token::Input, tokens),
            () => self.operator(1, Token::Output, tokens),
        }
    }

    fn skip_heredocs(&mut self) {
        for end in std::mem::take(&mut self.heredocs) {
            while !self.rest.is_empty() {
                let length = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
                let line = self.rest[..length].trim();
                self.skip(length);
                if line == end {
                    break;
                }
            }
        }
    }

    /// Reads a word. What it substitutes comes before it, in parentheses.
    fn word(&mut self, tokens: &mut Vec<Token>) {
        let (mut text, mut is_known, mut is_quoted) = (String::new(), true, false);
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\'' => {
                    let length = self.rest[1..].find('\'').unwrap_or(self.rest.len() - 1);
                    text.push_str(&self.rest[1..=length]);
                    self.skip((length + 2).min(self.rest.len()));
                    is_quoted = true;
                    continue;
                }
                '"' => {
                    is_known &= self.double_quoted(&mut text, tokens);
                    is_quoted = true;
                    continue;
                }
                '\\' => {
                    self.skip(1);
                    match self.rest.chars().next() {
                        Some('\n') | None => {}
                        Some(c) => text.push(c),
                    }
                }
                '$' | '`' => {
                    is_known = false;
                    self.substitution(tokens);
                    continue;
                }
                '*' | '?' | '[' => is_known = false,
                '~' if text.is_empty() => is_known = false,
                ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                _ if c.is_whitespace() => break,
                _ => text.push(c),
            }
            self.skip(self.rest.chars().next().map_or(0, char::len_utf8));
        }
        let is_descriptor = !is_quoted && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_descriptor && self.rest.starts_with(['<', '>']) {
            return;
        }
        let is_braced = !is_quoted && text.contains('{') && text.contains([',', '.']);
        tokens.push(Token::Word((is_known && !is_braced).then_some(text)));
    }

    /// Reads a text in double quotes; returns whether it contains no substitution.
    fn double_quoted(&mut self, text: &mut String, tokens: &mut Vec<Token>) -> bool {
        let mut is_known = true;
        self.skip(1);
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => {
                    self.skip(1);
                    break;
                }
                '$' | '`' => {
                    is_known = false;
                    self.substitution(tokens);
                    continue;
                }
                '\\' => {
                    self.skip(1);
                    text.extend(self.rest.chars().next());
                }
                _ => text.push(c),
            }
            self.skip(self.rest.chars().next().map_or(0, char::len_utf8));
        }
        is_known
    }

    /// Skips `$NAME`, or reads the command in `$(…)` or between backticks.
    fn substitution(&mut self, tokens: &mut Vec<Token>) {
        let (start, length) = match self.rest.strip_prefix("$(") {
            Some(inside) => (2, closing(inside)),
            None if self.rest.starts_with('`') => {
                (1, self.rest[1..].find('`').unwrap_or(self.rest.len() - 1))
            }
            None => return self.skip(1),
        };
        let inside: &'c str = &self.rest[start..start + length];
        tokens.push(Token::Open);
        Lexer { rest: inside, heredocs: Vec::new() }.read(tokens);
        tokens.push(Token::Close);
        self.skip((start + length + 1).min(self.rest.len()));
    }
}

/// Returns the offset of the parenthesis that closes `text`, or its length.
fn closing(text: &str) -> usize {
    let mut depth = 1usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return at,
            ')' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(cmd: &str, wdir: Option<&str>) -> String {
        let wdir = wdir.map(|wdir| RepoPath::parse(wdir).unwrap());
        let paths = named_paths(cmd, wdir.as_ref());
        paths.iter().map(RepoPath::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_in_commands() {
        for (cmd, expected) in [
            ("python src/train.py --epochs 3", "src/train.py 3"),
            ("python train.py > out.txt 2>> log 2>&1", "train.py"),
            ("./run.sh && cat a.txt|sort", "run.sh a.txt"),
            ("sort < in.txt 3<other", "in.txt other"),
            ("<in.txt sort -o x", "in.txt x"),
            ("CONFIG=conf.yaml LC_ALL=C python x", "conf.yaml C x"),
            ("train --config=c.yaml -ofile key=v.txt", "c.yaml key=v.txt v.txt"),
            ("cat 'a b.txt' \"c d\" e\\ f", "a b.txt c d e f"),
            ("cat $FILE \"$DIR/x\" *.csv ~/x /etc/passwd ../up", ""),
            ("echo $(cat version.txt) `sh v.sh`", "version.txt v.sh"),
            ("cd sub && python x.py", "sub/x.py"),
            ("(cd sub; cat x); cat y", "sub/x y"),
            ("cd $DIR; cat x", ""),
            ("cd ..; cat x", ""),
            ("cat <<EOF > out\nnot a/file\nEOF\ncat b", "b"),
            ("cat <<< word; cat c", "c"),
            ("# comment a.txt\ncat b # c", "b"),
            ("diff <(sort a) <(sort b)", "a b"),
            ("echo a $X b >> c; printf d | cat e", "e"),
            ("rm -rf a b && mkdir -p c; touch d; cat e | tee f", "e"),
            ("sudo rm a; rm b", ""),
            ("for f in a b; do cat c; done", "f in a b c"),
            ("if test -f a; then ./b; fi", "a b"),
            ("cat a &> out; cat b >| x", "a b"),
            ("python - <<'E'\nopen('x')\nE", ""),
            ("cat x{1,2}.txt {a}", "{a}"),
            ("cat './a//b/../c'", "a/c"),
            ("'", ""),
            ("$(", ""),
        ] {
            assert_eq!(named(cmd, None), expected, "{cmd}");
        }
        assert_eq!(named("python ../x.py y", Some("sub")), "x.py sub/y");
        assert_eq!(named("cd ..; cat x", Some("sub")), "x");
    }

    #[test]
    fn paths_out_of_project() {
        for (cmd, expected) in [
            ("cat ../up a/../b --file=../../x", "../up ../../x"),
            ("cd sub && cat ../a ../../b", "../../b"),
            ("cd ..; cat x", ".."),
            ("cat a >> ../log", "../log"),
            ("echo ../up; cat $X/../y /abs", ""),
        ] {
            assert_eq!(outside_paths(cmd, None).join(" "), expected, "{cmd}");
        }
    }

    proptest! {
        /// A quoted path is found, whatever surrounds it.
        #[test]
        fn quoted_path_is_found(name in "[a-z .$*#;&|<>(){}]{1,8}", before in "[a-z .=-]{0,8}") {
            if let Ok(path) = RepoPath::parse(&name)
                && !name.starts_with('-')
            {
                let found = named_paths(&format!("true {before} '{name}'; x"), None);
                prop_assert!(found.contains(&path), "{:?}", found);
            }
        }

        #[test]
        fn any_text_is_read(cmd in "[ab/ .'\"\\\\$`()<>&|;#\n{}=é~*-]{0,24}") {
            named_paths(&cmd, None);
        }
    }
}
