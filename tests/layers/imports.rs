//! The import graph of a crate, read from its text: each file and the files whose items it names.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) type Graph = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

struct Crate {
    files: BTreeMap<Vec<String>, PathBuf>,
    /// Per module, the names it re-exports and the path each comes from.
    exports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

pub(crate) fn graph(root: &Path) -> Graph {
    let mut files = BTreeMap::new();
    for path in crate::sources(root) {
        if path.file_name().is_some_and(|name| name != "tests.rs") {
            files.insert(module_path(root, &path), path);
        }
    }
    let mut this = Crate { files, exports: BTreeMap::new() };
    let code: Vec<(Vec<String>, String)> =
        this.files.iter().map(|(module, path)| (module.clone(), crate::code(path))).collect();
    for (module, text) in &code {
        let exported = uses(text).into_iter().filter(|(is_public, _)| *is_public);
        let names = exported
            .filter_map(|(_, path)| Some((path.last()?.clone(), this.absolute(module, &path)?)));
        let names = names.collect();
        this.exports.insert(module.clone(), names);
    }
    let mut graph = Graph::new();
    for (module, text) in &code {
        // A re-export alone is not an import: the name must also be used in the file.
        let is_used = |path: &[String]| path.last().is_some_and(|name| uses_name(text, name));
        let imported = uses(text).into_iter().filter(|(public, path)| !public || is_used(path));
        let paths = imported.map(|(_, path)| path).chain(inline(text));
        let targets = paths
            .filter_map(|path| this.absolute(module, &path))
            .filter_map(|path| this.file(&path, 0))
            .filter(|file| file != &this.files[module])
            .collect();
        graph.insert(this.files[module].clone(), targets);
    }
    graph
}

fn module_path(root: &Path, file: &Path) -> Vec<String> {
    let below = file.strip_prefix(root).unwrap().with_extension("");
    let mut names: Vec<String> =
        below.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if matches!(names.last().map(String::as_str), Some("mod"))
        || names == ["lib"]
        || (names == ["main"] && !root.join("lib.rs").exists())
    {
        names.pop();
    }
    names
}

impl Crate {
    /// The path from the crate's root; `None` if it starts in another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut base = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {}
            child => {
                base.push(child.to_owned());
                if !self.files.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        while rest.first().is_some_and(|name| name == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file that defines what `path` names, through re-exports.
    fn file(&self, path: &[String], depth: usize) -> Option<PathBuf> {
        let depth_limit = 8;
        let at = (0..=path.len()).rev().find(|&at| self.files.contains_key(&path[..at]))?;
        if let Some(name) = path.get(at)
            && let Some(origin) = self.exports[&path[..at]].get(name)
            && depth < depth_limit
            && origin[..] != *path
        {
            return self.file(origin, depth + 1);
        }
        Some(self.files[&path[..at]].clone())
    }
}

/// Reports whether a name occurs outside of `use` declarations.
fn uses_name(code: &str, name: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let statements = code.split(';').filter(|statement| start_of_use(statement).is_none());
    statements.flat_map(|text| text.split(|c: char| !is_name(c))).any(|word| word == name)
}

/// The paths of all `use` declarations, braces expanded, and whether each is public.
fn uses(code: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(at) = start_of_use(statement) else { continue };
        let is_public = statement[..at].trim_end().ends_with("pub")
            || statement[..at].trim_end().ends_with(')');
        let mut paths = Vec::new();
        expand(statement[at + 4..].trim(), &mut Vec::new(), &mut paths);
        found.extend(paths.into_iter().map(|path| (is_public, path)));
    }
    found
}

fn start_of_use(statement: &str) -> Option<usize> {
    statement.match_indices("use ").map(|(at, _)| at).find(|&at| {
        let line = statement[..at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'))
    })
}

fn expand(text: &str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let text = text.trim();
    let depth = prefix.len();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once("::") {
        if name.contains(['{', ',']) {
            break;
        }
        prefix.push(name.trim().to_owned());
        rest = tail;
    }
    if let Some(inner) = rest.trim().strip_prefix('{') {
        let inner = inner.trim_end().trim_end_matches('}');
        let (mut level, mut start) = (0, 0);
        for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => level += 1,
                '}' => level -= 1,
                ',' if level == 0 => {
                    if !inner[start..at].trim().is_empty() {
                        let part = balanced(&inner[start..at]);
                        expand(&part, prefix, paths);
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else {
        let name = rest.split(" as ").next().unwrap_or_default().trim();
        if !matches!(name, "self" | "*" | "") {
            prefix.push(name.to_owned());
        }
        paths.push(prefix.clone());
    }
    prefix.truncate(depth);
}

/// Restores the closing braces that trimming the outer list may have taken.
fn balanced(text: &str) -> String {
    let open = text.matches('{').count();
    let closed = text.matches('}').count();
    format!("{text}{}", "}".repeat(open.saturating_sub(closed)))
}

/// Paths in the program text, such as `super::print(…)` and `child::run(…)`.
fn inline(code: &str) -> Vec<Vec<String>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut paths = Vec::new();
    for line in code.lines().filter(|line| start_of_use(line).is_none()) {
        let mut rest = line;
        while let Some(at) = rest.find("::") {
            let before = rest[..at].trim_end_matches(is_name);
            let mut path = vec![rest[before.len()..at].to_owned()];
            // `pub(in PATH)` says who may import, and imports nothing.
            let is_start = !before.ends_with(':') && !before.ends_with("pub(in ");
            rest = &rest[at..];
            while let Some(tail) = rest.strip_prefix("::") {
                let end = tail.find(|c| !is_name(c)).unwrap_or(tail.len());
                path.push(tail[..end].to_owned());
                rest = &tail[end..];
                if end == 0 {
                    break;
                }
            }
            if is_start && !path[0].is_empty() {
                paths.push(path);
            }
        }
    }
    paths
}

/// Returns the cycles, each as the imports between the files of a strongly connected component.
pub(crate) fn cycles(graph: &Graph) -> Vec<String> {
    let reaches = |from: &PathBuf| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&PathBuf> = graph[from].iter().collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(&graph[file]);
            }
        }
        seen
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        graph.keys().map(|file| (file, reaches(file))).collect();
    let mut told = BTreeSet::new();
    let mut cycles = Vec::new();
    for file in graph.keys().filter(|file| reached[file].contains(file)) {
        let members: Vec<&PathBuf> = graph
            .keys()
            .filter(|other| reached[file].contains(other) && reached[other].contains(file))
            .collect();
        if told.insert(members.clone()) {
            let edges = members.iter().flat_map(|from| {
                let inside = graph[*from].iter().filter(|to| members.contains(to));
                inside.map(move |to| format!("{} -> {}", from.display(), to.display()))
            });
            cycles.push(edges.collect::<Vec<_>>().join("\n"));
        }
    }
    cycles
}
