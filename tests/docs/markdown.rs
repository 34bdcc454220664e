//! Reads the parts of a Markdown page that the tests check: code blocks with their directives,
//! prose lines, headings and links. It covers what these pages use, not all of CommonMark.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A fenced code block.
#[derive(Debug)]
pub struct Block {
    /// The first word of the info string: `console`, `toml`, `python` …
    pub language: String,
    pub text: String,
    /// Number of the opening fence's line, from 1.
    pub line: usize,
    pub directives: Vec<Directive>,
}

/// An instruction to the tests, written as an HTML comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// `<!-- file: PATH -->`: writes the next block to PATH.
    File(String),
    /// `<!-- append: PATH -->`: appends the next block to PATH.
    Append(String),
    /// `<!-- merge: PATH -->`: replaces the TOML tables of PATH that the next block contains,
    /// and appends the others.
    Merge(String),
    /// `<!-- exit: CODE -->`: the last command of the next block exits with CODE.
    Exit(i32),
    /// `<!-- fragment -->`: the next block is TOML, but not a pipeline on its own.
    Fragment,
    /// `<!-- not run: REASON -->`: the next block is not checked.
    NotRun(String),
    /// `<!-- run: SCRIPT -->`: runs a script that the reader does not see.
    Run(String),
    /// `<!-- copy: FOLDER -->`: copies a folder of this repository into the project.
    Copy(String),
    /// `<!-- new project -->`: continues in an empty directory.
    NewProject,
}

/// A step of a page; the steps happen in order, in one project.
#[derive(Debug)]
pub enum Step {
    Block(Block),
    Hidden { directive: Directive, line: usize },
}

#[derive(Debug)]
pub struct Page {
    /// Relative to the repository's root.
    pub path: PathBuf,
    pub lines: Vec<String>,
    pub steps: Vec<Step>,
    /// Lines outside code blocks, comments and tables, with their numbers.
    pub prose: Vec<(usize, String)>,
    /// Targets of links, with their line numbers.
    pub links: Vec<(usize, String)>,
    pub anchors: Vec<String>,
}

impl Page {
    pub fn read(root: &Path, path: &Path) -> Result<Page, String> {
        let text = fs::read_to_string(root.join(path))
            .map_err(|err| format!("{}: {err}", path.display()))?;
        Page::parse(path, &text)
    }

    pub fn parse(path: &Path, text: &str) -> Result<Page, String> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut page = Page {
            path: path.to_owned(),
            steps: Vec::new(),
            prose: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
            lines,
        };
        let mut slugs = HashMap::new();
        let mut pending = Vec::new();
        let mut at = 0;
        while at < page.lines.len() {
            let line = page.lines[at].clone();
            if line.starts_with("```") {
                at = page.block(at, std::mem::take(&mut pending))?;
            } else if line.starts_with("<!--") {
                at = page.comment(at, &mut pending)?;
            } else {
                page.text(at, &line, &mut slugs);
                at += 1;
            }
        }
        Ok(page)
    }

    /// Reads the block whose fence is at `open`; returns the line after it.
    fn block(&mut self, open: usize, directives: Vec<Directive>) -> Result<usize, String> {
        let close = (open + 1..self.lines.len())
            .find(|at| self.lines[*at].trim_end() == "```")
            .ok_or_else(|| self.error(open, "the code block has no end"))?;
        let language = self.lines[open][3..].split_whitespace().next().unwrap_or_default();
        let text: String =
            self.lines[open + 1..close].iter().map(|line| format!("{line}\n")).collect();
        let block = Block { language: language.to_owned(), text, line: open + 1, directives };
        self.steps.push(Step::Block(block));
        Ok(close + 1)
    }

    /// Reads the comment that begins at `open`; returns the line after it.
    fn comment(&mut self, open: usize, pending: &mut Vec<Directive>) -> Result<usize, String> {
        let close = (open..self.lines.len())
            .find(|at| self.lines[*at].contains("-->"))
            .ok_or_else(|| self.error(open, "the comment has no end"))?;
        let text = self.lines[open..=close].join("\n");
        let body = text.trim_start_matches("<!--").split("-->").next().unwrap_or_default().trim();
        let directive = directive(body)
            .ok_or_else(|| self.error(open, &format!("unknown directive `{body}`")))?;
        match directive {
            Directive::Run(_) | Directive::Copy(_) | Directive::NewProject => {
                self.steps.push(Step::Hidden { directive, line: open + 1 });
            }
            other => pending.push(other),
        }
        Ok(close + 1)
    }

    fn text(&mut self, at: usize, line: &str, slugs: &mut HashMap<String, usize>) {
        self.links.extend(links(line).into_iter().map(|target| (at + 1, target)));
        if let Some(heading) = line.strip_prefix('#') {
            let slug = slug(heading.trim_start_matches('#').trim());
            let count = slugs.entry(slug.clone()).or_insert(0);
            let anchor = if *count == 0 { slug } else { format!("{slug}-{count}") };
            *count += 1;
            self.anchors.push(anchor);
        }
        let is_definition = line.starts_with('[') && line.contains("]: ");
        if !line.starts_with('|') && !is_definition {
            self.prose.push((at + 1, line.to_owned()));
        }
    }

    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.steps.iter().filter_map(|step| match step {
            Step::Block(block) => Some(block),
            Step::Hidden { .. } => None,
        })
    }

    fn error(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path.display(), at + 1)
    }
}

fn directive(body: &str) -> Option<Directive> {
    let (name, value) = match body.split_once(':') {
        Some((name, value)) => (name.trim(), value.trim().to_owned()),
        None => (body, String::new()),
    };
    Some(match (name, value.is_empty()) {
        ("fragment", true) => Directive::Fragment,
        ("new project", true) => Directive::NewProject,
        ("file", false) => Directive::File(value),
        ("append", false) => Directive::Append(value),
        ("merge", false) => Directive::Merge(value),
        ("exit", false) => Directive::Exit(value.parse().ok()?),
        ("not run", false) => Directive::NotRun(value),
        ("run", false) => Directive::Run(value),
        ("copy", false) => Directive::Copy(value),
        _ => return None,
    })
}

/// Returns the targets of the inline links and images of a line, outside of code spans.
fn links(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("](") {
        rest = &rest[at + 2..];
        let Some(end) = rest.find(')') else { break };
        found.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    if let (true, Some((_, target))) = (text.starts_with('['), text.split_once("]: ")) {
        found.push(target.trim().to_owned());
    }
    found
}

/// Returns the anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase);
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn page_parsing() {
    let text = "# A `b` c\n\n<!-- run: one\ntwo -->\n[x](y.md#z) and `[no](no)`\n\n\
                <!-- file: a.py -->\n<!-- exit: 3 -->\n```python\n1\n```\n| [t](u) |\n## A b c\n";
    let page = Page::parse(Path::new("p.md"), text).unwrap();
    assert_eq!(page.anchors, ["a-b-c", "a-b-c-1"]);
    let targets: Vec<&str> = page.links.iter().map(|(_, target)| target.as_str()).collect();
    assert_eq!(targets, ["y.md#z", "u"]);
    let block = page.blocks().next().unwrap();
    assert_eq!((block.line, block.text.as_str()), (9, "1\n"));
    assert_eq!(block.directives, [Directive::File("a.py".into()), Directive::Exit(3)]);
    let Step::Hidden { directive, line: 3 } = &page.steps[0] else { panic!("{:?}", page.steps) };
    assert_eq!(*directive, Directive::Run("one\ntwo".into()));
    assert!(Page::parse(Path::new("p.md"), "<!-- nonsense -->\n").is_err());
    assert!(Page::parse(Path::new("p.md"), "```sh\n").is_err());
}
