//! Keeps the documentation true: runs its examples, resolves its links, finds the source files it
//! names, measures its lines.
//!
//! `UPDATE_DOCS=1 cargo test --release -p repro --test docs` writes the present outputs of the
//! commands into the pages; `DOCS_PAGE=tutorial` runs only pages with that text in their path.
//! CONTRIBUTING.md describes how a page declares what to do with a block.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod expected;
mod markdown;
mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use markdown::Page;
use project::{Project, Report};

const MAX_WIDTH: usize = 100;
/// Folders with contents that are not ours, or not in git.
const SKIPPED: [&str; 4] = ["target", "node_modules", "fixtures", ".git"];

/// Pages for contributors, which name source files.
const SOURCE_PAGES: [&str; 2] = ["ARCHITECTURE.md", "CONTRIBUTING.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every Markdown page of the repository, relative to its root.
fn pages() -> Vec<Page> {
    let wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || (!name.starts_with('.') && !SKIPPED.contains(&name.as_ref()))
    };
    let files = walkdir::WalkDir::new(root()).sort_by_file_name().into_iter();
    let paths: Vec<PathBuf> = files
        .filter_entry(wanted)
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| path.strip_prefix(root()).unwrap().to_owned())
        .filter(|path| is_source(path))
        .collect();
    paths.iter().map(|path| Page::read(root(), path).unwrap()).collect()
}

/// Reports whether a page is a source. Stages write into some folders; only their README is one.
fn is_source(path: &Path) -> bool {
    let made = ["cache", "data", "metrics", "models", "runs"];
    !made
        .iter()
        .any(|folder| path.starts_with(folder) && path != Path::new(folder).join("README.md"))
}

/// Returns `PATH` with `repro`, and with the interpreter behind any shim for `python3`.
fn search_path() -> OsString {
    let repro = Path::new(env!("CARGO_BIN_EXE_repro")).parent().unwrap().to_owned();
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let python = python.expect("the examples of the docs need python3");
    let python = PathBuf::from(String::from_utf8(python.stdout).unwrap().trim());
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = [repro, python.parent().unwrap().to_owned()];
    env::join_paths(folders.into_iter().chain(env::split_paths(&inherited))).unwrap()
}

#[test]
fn examples() {
    let pages = pages();
    let chosen = env::var("DOCS_PAGE").unwrap_or_default();
    let wanted = |page: &&Page| page.path.to_string_lossy().contains(&chosen);
    let pages: Vec<&Page> =
        pages.iter().filter(wanted).filter(|page| page.blocks().next().is_some()).collect();
    let reports = run_all(&pages, &search_path());
    let commands: usize = reports.values().map(|report| report.commands).sum();
    let not_run: Vec<&String> = reports.values().flat_map(|report| &report.not_run).collect();
    let mut faults: Vec<&String> = reports.values().flat_map(|report| &report.faults).collect();
    println!("{} pages, {commands} commands run, {} blocks not run:", pages.len(), not_run.len());
    not_run.iter().for_each(|note| println!("  {note}"));
    if env::var_os("UPDATE_DOCS").is_some() {
        for (page, report) in pages.iter().zip(reports.values()) {
            update(page, report);
        }
        faults.retain(|fault| !fault.contains(" printed\n"));
    }
    let count = faults.len();
    let text = faults.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n\n");
    let hint = "UPDATE_DOCS=1 writes new outputs into the pages";
    assert!(count == 0, "{count} faults; {hint}\n\n{text}");
}

/// Runs each page, several at a time. The result has one report per page, in the same order.
fn run_all(pages: &[&Page], path: &OsString) -> BTreeMap<usize, Report> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ix = pages.iter().position(|other| std::ptr::eq(*other, *page)).unwrap();
            let report = Project::run(root(), page, path);
            reports.lock().unwrap().insert(ix, report);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    reports.into_inner().unwrap()
}

fn update(page: &Page, report: &Report) {
    if report.updates.is_empty() {
        return;
    }
    let mut lines = page.lines.clone();
    for (first, text) in report.updates.iter().rev() {
        let end = (*first..lines.len()).find(|at| lines[*at].trim_end() == "```").unwrap();
        lines.splice(*first..end, text.lines().map(str::to_owned));
    }
    fs::write(root().join(&page.path), lines.join("\n") + "\n").unwrap();
    println!("updated {}", page.path.display());
}

#[test]
fn links_resolve() {
    let pages = pages();
    let anchors: BTreeMap<&Path, &[String]> =
        pages.iter().map(|page| (page.path.as_path(), page.anchors.as_slice())).collect();
    let mut faults = Vec::new();
    for page in &pages {
        for (line, target) in page.links.iter().filter(|(_, target)| !is_external(target)) {
            if let Err(what) = resolve(page, target, &anchors) {
                faults.push(format!("{}:{line}: `{target}` {what}", page.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn named_sources_exist() {
    let mut faults = Vec::new();
    for page in SOURCE_PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for (line, text) in text.lines().enumerate() {
            for path in source_paths(text).filter(|path| !path.contains("NAME")) {
                if !exists_in_root_or_src(path) {
                    faults.push(format!("{page}:{}: `{path}` does not exist", line + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the paths of source files and folders in a line of text.
fn source_paths(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let words = text.split(move |c| !is_part(c)).map(|word| word.trim_end_matches('.'));
    let folders = ["benches/", "conf/", "docs/", "examples/", "src/", "stages/", "tests/"];
    words.filter(move |word| {
        word.ends_with(".rs") || folders.iter().any(|folder| word.starts_with(folder))
    })
}

/// ARCHITECTURE.md names modules of the engine by their path in `src/`.
fn exists_in_root_or_src(path: &str) -> bool {
    root().join(path).exists() || root().join("src").join(path).exists()
}

#[test]
fn source_paths_in_text() {
    let text = "| `src/a/`, tests/b.rs | see `plan/c.rs`. and/or `docs/d.md`... (stages/e) |";
    let found: Vec<&str> = source_paths(text).collect();
    assert_eq!(found, ["src/a/", "tests/b.rs", "plan/c.rs", "docs/d.md", "stages/e"]);
}

fn is_external(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Returns the page that a link leads to, if it leads to a page.
fn resolve(
    page: &Page,
    target: &str,
    anchors: &BTreeMap<&Path, &[String]>,
) -> Result<Option<PathBuf>, String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        "" => page.path.clone(),
        path => normalised(&page.path.parent().unwrap().join(path)),
    };
    if !root().join(&path).exists() {
        return Err("does not exist".to_owned());
    }
    let known = anchors.get(path.as_path());
    if !anchor.is_empty() && !known.is_some_and(|all| all.iter().any(|one| one == anchor)) {
        return Err("has no such heading".to_owned());
    }
    Ok(known.map(|_| path))
}

fn normalised(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut all, part| {
        match part {
            Component::ParentDir => drop(all.pop()),
            Component::CurDir => {}
            other => all.push(other),
        }
        all
    })
}

/// A reader who starts at the index can reach every page of the book.
#[test]
fn every_page_is_linked() {
    let pages = pages();
    let anchors: BTreeMap<&Path, &[String]> =
        pages.iter().map(|page| (page.path.as_path(), page.anchors.as_slice())).collect();
    let mut reached = BTreeSet::new();
    let mut waiting = vec![PathBuf::from("docs/README.md")];
    while let Some(path) = waiting.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let page = pages.iter().find(|page| page.path == path).unwrap();
        let targets = page.links.iter().map(|(_, target)| target);
        waiting.extend(
            targets
                .filter(|target| !is_external(target))
                .filter_map(|target| resolve(page, target, &anchors).ok().flatten()),
        );
    }
    let docs = pages.iter().map(|page| &page.path).filter(|path| path.starts_with("docs"));
    let lost: Vec<&PathBuf> = docs.filter(|path| !reached.contains(*path)).collect();
    assert!(lost.is_empty(), "not reachable from docs/README.md: {lost:?}");
}

#[test]
fn prose_width() {
    let mut faults = Vec::new();
    for page in pages() {
        for (line, text) in &page.prose {
            let width = text.chars().count();
            let can_wrap = text.trim().contains(' ');
            if width > MAX_WIDTH && can_wrap {
                faults.push(format!("{}:{line}: {width} columns", page.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "wider than {MAX_WIDTH} columns:\n{}", faults.join("\n"));
}
