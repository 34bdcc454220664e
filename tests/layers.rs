//! Holds the order of the layers: a module imports only from those below it, the pure core
//! does no IO, the engine knows no stage crate and no stage crate knows the engine.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Modules of one row do not import each other.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["terminal"],
    &["engine"],
    &["workspace", "cache", "exec", "runs"],
    &["schedule"],
    &["event"],
    &["plan"],
    &["pipeline"],
    &["digest", "repo_path"],
    &["error", "unique"],
];

/// The modules that compute and nothing else.
const PURE: &[&str] = &["schedule", "event", "plan", "pipeline", "digest", "repo_path", "error"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(dir)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect();
    files.sort();
    files
}

/// The program text alone: up to the tests, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn module_of(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap().components().next().unwrap();
    below.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn a_module_imports_only_from_below() {
    let rank = |module: &str| LAYERS.iter().position(|row| row.contains(&module));
    let mut broken = Vec::new();
    let mut seen = 0;
    for path in sources(Path::new("src")) {
        let module = module_of(&path);
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let own = rank(&module)
            .unwrap_or_else(|| panic!("`{module}` has no layer: give it one in LAYERS"));
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
    assert!(seen > 100, "the test sees no imports any more ({seen})");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_core_is_pure() {
    let effects = [
        "std::fs",
        "std::process",
        "std::thread",
        "std::net",
        "std::env",
        "SystemTime::now",
        "Instant::now",
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
fn engine_and_stages_do_not_know_each_other() {
    let stages: Vec<String> = fs::read_dir("stages")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new("stages").join(name).join("Cargo.toml").exists())
        .collect();
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
fn every_module_says_what_it_is() {
    let mut files = sources(Path::new("src"));
    files.extend(
        sources(Path::new("stages"))
            .into_iter()
            .filter(|path| !path.components().any(|part| part.as_os_str() == "tests")),
    );
    let silent: Vec<_> =
        files.iter().filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}
