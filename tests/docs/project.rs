//! Runs the code blocks of a page in a temporary directory, in an environment of its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::expected;
use crate::markdown::{Block, Directive, Page, Step};

/// The directory in which the examples of a page run, and the findings so far.
pub struct Project<'a> {
    root: &'a Path,
    page: &'a Page,
    path: OsString,
    dir: tempfile::TempDir,
    home: tempfile::TempDir,
    /// The current directory, after the `cd`s so far.
    here: PathBuf,
    last_exit: i32,
    pub result: Report,
}

/// The result of checking a page.
#[derive(Debug, Default)]
pub struct Report {
    pub commands: usize,
    pub faults: Vec<String>,
    pub not_run: Vec<String>,
    /// New texts of blocks with changed output, each with the index of the first line after the
    /// fence.
    pub updates: Vec<(usize, String)>,
}

impl<'a> Project<'a> {
    pub fn run(root: &'a Path, page: &'a Page, path: &OsString) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        let home = tempfile::tempdir().unwrap();
        let result = Report::default();
        let path = path.clone();
        let mut project = Project { root, page, path, dir, home, here, last_exit: 0, result };
        for step in &page.steps {
            match step {
                Step::Block(block) => project.block(block),
                Step::Hidden { directive, line } => project.hidden(directive, *line),
            }
        }
        project.result
    }

    fn hidden(&mut self, directive: &Directive, line: usize) {
        match directive {
            Directive::Run(script) => {
                let (code, output) = self.shell(script);
                if code != 0 {
                    self.fault(line, &format!("the hidden script exited with {code}:\n{output}"));
                }
            }
            Directive::Copy(folder) => copy(&self.root.join(folder), &self.here),
            Directive::NewProject => {
                self.dir = tempfile::tempdir().unwrap();
                self.here = self.dir.path().canonicalize().unwrap();
            }
            other => unreachable!("{other:?} belongs to a block"),
        }
    }

    fn block(&mut self, block: &Block) {
        let mut exit = 0;
        let mut is_fragment = false;
        for directive in &block.directives {
            match directive {
                Directive::NotRun(reason) => {
                    let note = format!("{}:{}: {reason}", self.page.path.display(), block.line);
                    return self.result.not_run.push(note);
                }
                Directive::File(path) => return self.write(path, &block.text),
                Directive::Append(path) => {
                    let old = fs::read_to_string(self.here.join(path)).unwrap_or_default();
                    return self.write(path, &format!("{old}{}", block.text));
                }
                Directive::Merge(path) => {
                    let old = fs::read_to_string(self.here.join(path)).unwrap_or_default();
                    return self.write(path, &merge(&old, &block.text));
                }
                Directive::Exit(code) => exit = *code,
                Directive::Fragment => is_fragment = true,
                other => unreachable!("{other:?} belongs to no block"),
            }
        }
        match block.language.as_str() {
            "console" => self.console(block, exit),
            "sh" => self.script(block, exit),
            "toml" if is_fragment => self.toml(block),
            "toml" => self.pipeline(block),
            "json" => self.json(block),
            "text" | "csv" | "gitignore" => {}
            other => self.fault(
                block.line,
                &format!("nothing says how to check a block of `{other}`: see CONTRIBUTING.md"),
            ),
        }
    }

    fn write(&mut self, path: &str, text: &str) {
        let path = self.here.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs a block of commands (`$ …`), each followed by its output.
    fn console(&mut self, block: &Block, exit: i32) {
        let entries = entries(&block.text);
        let last = entries.len().saturating_sub(1);
        let mut shown = String::new();
        let mut differs = false;
        if entries.is_empty() {
            self.fault(block.line, "no line of the block begins with `$ `");
        }
        for (ix, Entry { command, line, output }) in entries.iter().enumerate() {
            let asks = |entry: &Entry| entry.command.contains("$?");
            let checked = entries.get(ix + 1).is_some_and(asks);
            let (code, actual) = self.shell(command);
            let wanted = if ix == last { exit } else { 0 };
            if code != wanted && !checked {
                let at = block.line + line + 1;
                self.fault(at, &format!("`{command}` exited with {code}:\n{actual}"));
            }
            shown.push_str(&command.lines().enumerate().fold(String::new(), |text, (at, line)| {
                text + if at == 0 { "$ " } else { "" } + line + "\n"
            }));
            if expected::matches(output, &actual) {
                shown.push_str(output);
            } else {
                differs = true;
                let updated = expected::updated(output, &actual);
                shown.push_str(&updated);
                let at = block.line + line + 1;
                let what = format!("`{command}` printed\n{actual}instead of\n{output}");
                self.fault(at, &what);
            }
        }
        if differs {
            self.result.updates.push((block.line, shown));
        }
    }

    fn script(&mut self, block: &Block, exit: i32) {
        let (code, output) = self.shell(&format!("set -e\n{}", block.text));
        if code != exit {
            self.fault(block.line, &format!("the script exited with {code}:\n{output}"));
        }
    }

    fn shell(&mut self, command: &str) -> (i32, String) {
        self.result.commands += 1;
        if let Some(folder) = command.strip_prefix("cd ") {
            self.here = self.here.join(folder.trim());
        }
        let script = format!("exec 2>&1\n(exit {})\n{command}", self.last_exit);
        let mut bash = Command::new("bash");
        bash.args(["-c", &script])
            .current_dir(if command.starts_with("cd ") { self.dir.path() } else { &self.here })
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.home.path())
            .env("REPOSITORY", self.root)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "init.defaultBranch")
            .env("GIT_CONFIG_VALUE_0", "main")
            .env("GIT_CONFIG_KEY_1", "advice.detachedHead")
            .env("GIT_CONFIG_VALUE_1", "false")
            .env("GIT_AUTHOR_NAME", "A Reader")
            .env("GIT_AUTHOR_EMAIL", "reader@example.org")
            .env("GIT_COMMITTER_NAME", "A Reader")
            .env("GIT_COMMITTER_EMAIL", "reader@example.org")
            .env("GIT_CEILING_DIRECTORIES", "/")
            .stdin(Stdio::null());
        let output = deadline::output(&mut bash);
        self.last_exit = output.status.code().unwrap_or(-1);
        let place = self.dir.path().canonicalize().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).replace(place.to_str().unwrap(), "~");
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        (self.last_exit, text + end)
    }

    fn toml(&mut self, block: &Block) {
        if let Err(err) = block.text.parse::<toml::Table>() {
            self.fault(block.line, &err.to_string());
        }
    }

    /// Checks a block as a whole `pipeline.toml`, in a directory that has the files it names.
    fn pipeline(&mut self, block: &Block) {
        let table: toml::Table = match block.text.parse() {
            Ok(table) => table,
            Err(err) => return self.fault(block.line, &err.to_string()),
        };
        let dir = tempfile::tempdir().unwrap();
        create_inputs(dir.path(), &table);
        fs::write(dir.path().join("pipeline.toml"), &block.text).unwrap();
        let (code, output) = self.shell(&format!("repro -C '{}' dag", dir.path().display()));
        if code != 0 {
            self.fault(block.line, &format!("this is not a valid pipeline:\n{output}"));
        }
    }

    /// Checks that a block is JSON, or that each of its lines is.
    fn json(&mut self, block: &Block) {
        type Value = serde_json::Value;
        let whole = serde_json::from_str::<Value>(&block.text);
        let by_line = || {
            block.text.lines().try_for_each(|line| serde_json::from_str(line).map(|_: Value| ()))
        };
        if let (Err(err), Err(_)) = (whole, by_line()) {
            self.fault(block.line, &format!("not JSON: {err}"));
        }
    }

    fn fault(&mut self, line: usize, what: &str) {
        self.result.faults.push(format!("{}:{line}: {what}", self.page.path.display()));
    }
}

struct Entry {
    command: String,
    /// Number of the command's line in the block, from 0.
    line: usize,
    output: String,
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut continues = false;
    for (line, shown) in text.lines().enumerate() {
        let command = shown.strip_prefix("$ ");
        match (entries.last_mut(), command) {
            (Some(last), _) if continues => {
                last.command.push('\n');
                last.command.push_str(shown);
                continues = shown.ends_with('\\');
            }
            (_, Some(command)) => {
                continues = command.ends_with('\\');
                entries.push(Entry { command: command.to_owned(), line, output: String::new() });
            }
            (Some(last), None) => {
                last.output.push_str(shown);
                last.output.push('\n');
            }
            (None, None) => {}
        }
    }
    entries
}

/// Replaces the tables of `old` that `new` has as well, and appends the others.
fn merge(old: &str, new: &str) -> String {
    let tables = |text: &str| {
        let mut tables: Vec<(String, String)> = vec![(String::new(), String::new())];
        for line in text.lines() {
            if line.starts_with('[') && line.trim_end().ends_with(']') {
                tables.push((line.trim().to_owned(), String::new()));
            }
            let (_, body) = tables.last_mut().unwrap();
            body.push_str(line);
            body.push('\n');
        }
        tables
    };
    let mut merged = tables(old);
    for (name, body) in tables(new).into_iter().filter(|(_, body)| !body.trim().is_empty()) {
        let body = format!("{}\n\n", body.trim_end());
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = body,
            None => {
                let (_, last) = merged.last_mut().unwrap();
                *last = format!("{}\n\n", last.trim_end());
                merged.push((name, body));
            }
        }
    }
    let text: String = merged.into_iter().map(|(_, body)| body).collect();
    format!("{}\n", text.trim())
}

/// Creates the deps that no stage makes, and the files of params with a param each.
fn create_inputs(dir: &Path, pipeline: &toml::Table) {
    let create = |path: &str| {
        let base = path.split(['*', '?', '[', '{']).next().unwrap_or_default();
        let path = dir.join(base);
        if path.exists() || base.is_empty() {
            return;
        }
        if base.ends_with('/') || path.extension().is_none() {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "placeholder = 1\n").unwrap();
        }
    };
    let strings = |value: Option<&toml::Value>| -> Vec<String> {
        match value {
            Some(toml::Value::String(text)) => vec![text.clone()],
            Some(toml::Value::Array(all)) => {
                all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        }
    };
    let table = |value: Option<&toml::Value>| value.and_then(toml::Value::as_table).cloned();
    let config = table(pipeline.get("config")).unwrap_or_default();
    strings(config.get("include")).iter().for_each(|path| create(path));
    for (group, option) in table(config.get("groups")).unwrap_or_default() {
        create(&format!("conf/{group}/{}.toml", option.as_str().unwrap_or_default()));
    }
    for (_, stage) in table(pipeline.get("stages")).unwrap_or_default() {
        let templated = |path: &&String| path.contains("{{");
        let deps = strings(stage.get("deps"));
        let each = strings(stage.get("each"));
        deps.iter().chain(&each).filter(|path| !templated(path)).for_each(|path| create(path));
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn console_entries() {
    let all = entries("$ a \\\n  b\nout\n$ c\n");
    let seen: Vec<_> = all.iter().map(|e| (e.command.as_str(), e.line, &e.output[..])).collect();
    assert_eq!(seen, [("a \\\n  b", 0, "out\n"), ("c", 3, "")]);
}

#[test]
fn table_merging() {
    let old = "# top\n\n[a]\nx = 1\n\n[b]\ny = 2\n";
    assert_eq!(
        merge(old, "[b]\ny = 3\n\n[c]\nz = 4\n"),
        "# top\n\n[a]\nx = 1\n\n[b]\ny = 3\n\n[c]\nz = 4\n"
    );
}
