//! Checks the layers: a module imports only from layers below it, the pure core does no I/O, and
//! neither the engine nor a stage crate depends on the other.

#![allow(clippy::unwrap_used)]

mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from top to bottom. Modules in one row do not import each other.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["terminal", "plots", "serve", "import"],
    &["report"],
    &["engine"],
    &["workspace", "cache", "exec", "runs", "remote"],
    &["schedule"],
    &["event"],
    &["plan", "filter", "sweep"],
    &["pipeline"],
    &["digest", "repo_path", "number", "data"],
    &["error", "unique", "plural", "escape", "percent", "svg_text"],
    &["clock", "parallel", "lossless", "regular_file", "state_folder", "tar", "vendor"],
];

/// The modules without side effects.
const PURE: &[&str] = &[
    "schedule",
    "event",
    "plan",
    "filter",
    "sweep",
    "pipeline",
    "digest",
    "repo_path",
    "number",
    "data",
    "error",
    "plural",
    "escape",
    "percent",
    "svg_text",
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(dir)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect();
    files.sort();
    files
}

/// Returns the code of a file: everything before the unit tests, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn stage_crates() -> Vec<String> {
    fs::read_dir("stages")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new("stages").join(name).join("Cargo.toml").exists())
        .collect()
}

fn module_of(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_lower_layers() {
    let rank = |module: &str| LAYERS.iter().position(|row| row.contains(&module));
    let mut broken = Vec::new();
    let mut seen = 0;
    for path in sources(Path::new("src")) {
        let module = module_of(&path);
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let own =
            rank(&module).unwrap_or_else(|| panic!("`{module}` has no layer: add it to LAYERS"));
        let code = code(&path);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let other: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(theirs) = rank(&other) else { continue };
            seen += 1;
            if other != module && theirs <= own {
                broken.push(format!("{}: {module} imports {other}", path.display()));
            }
        }
    }
    assert!(seen > 100, "found only {seen} imports: the search pattern may be outdated");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn core_has_no_side_effects() {
    let effects = [
        "std::fs",
        "std::process",
        "std::thread",
        "std::net",
        "std::env",
        "SystemTime::now",
        "Instant::now",
        "crate::clock",
        "rayon::",
    ];
    let mut broken = Vec::new();
    for path in sources(Path::new("src"))
        .into_iter()
        .filter(|path| PURE.contains(&module_of(path).as_str()))
    {
        let code = code(&path);
        broken.extend(
            effects
                .iter()
                .filter(|effect| code.contains(*effect))
                .map(|effect| format!("{}: {effect}", path.display())),
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn engine_and_stages_are_independent() {
    let stages = stage_crates();
    assert!(stages.len() >= 10, "{stages:?}");
    let engine: toml_edit::DocumentMut = fs::read_to_string("Cargo.toml").unwrap().parse().unwrap();
    for table in ["dependencies", "dev-dependencies"] {
        for (name, _) in engine[table].as_table().unwrap() {
            assert!(
                !stages.iter().any(|stage| stage == name),
                "the engine depends on stage `{name}`"
            );
        }
    }
    for stage in &stages {
        let text = fs::read_to_string(Path::new("stages").join(stage).join("Cargo.toml")).unwrap();
        let manifest: toml_edit::DocumentMut = text.parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(|table| table.as_table());
        assert!(
            !dependencies.is_some_and(|table| table.contains_key("repro")),
            "stage `{stage}` depends on the engine"
        );
    }
}

#[test]
fn every_module_has_a_doc() {
    let mut files = sources(Path::new("src"));
    files.extend(
        sources(Path::new("stages"))
            .into_iter()
            .filter(|path| !path.components().any(|part| part.as_os_str() == "tests")),
    );
    let undocumented: Vec<_> =
        files.iter().filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(undocumented.is_empty(), "{undocumented:#?}");
}

#[test]
fn no_import_cycles() {
    let mut roots = vec![PathBuf::from("src")];
    roots.extend(stage_crates().iter().map(|name| Path::new("stages").join(name).join("src")));
    let cycles: Vec<String> =
        roots.iter().flat_map(|root| imports::cycles(&imports::graph(root))).collect();
    assert!(cycles.is_empty(), "these files import each other:\n{}", cycles.join("\n"));
}

#[test]
fn import_cycles_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\n");
    write("a.rs", "use crate::b::{self, B};\npub struct A;\n");
    write("b.rs", "mod inner;\nuse self::inner::Inner;\npub struct B;\n");
    write("b/inner.rs", "pub struct Inner(super::super::c::C);\n");
    write("c.rs", "pub struct C;\n");
    let found = || imports::cycles(&imports::graph(dir.path()));
    assert_eq!(found(), Vec::<String>::new());
    for (cause, text) in [
        ("a re-export", "use crate::A;\npub struct C(A);\n"),
        ("braces", "use crate::{\n    a::{A},\n};\npub struct C(A);\n"),
        ("super", "use super::b::B;\npub struct C(B);\n"),
        ("an inline path", "pub struct C(crate::b::B);\n"),
    ] {
        write("c.rs", text);
        assert_eq!(found().len(), 1, "{cause}");
    }
}
