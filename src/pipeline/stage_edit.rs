//! Adds a tracked input to the text of `pipeline.toml`. The stage is appended and nothing else
//! changes.
//!
//! Does not access files, and does not check whether the edited pipeline is valid.

use std::collections::BTreeSet;

use toml_edit::{Document, DocumentMut, InlineTable, Item, TableLike, Value};

use super::{Origin, ProjectOrigin, StageName, UrlOrigin};
use crate::repo_path::RepoPath;

/// Returns the names of the declared stages; none if the text is not TOML.
pub fn declared(text: &str) -> BTreeSet<String> {
    let Ok(document) = Document::parse(text) else {
        return BTreeSet::new();
    };
    let stages = document.as_table().get("stages").and_then(Item::as_table_like);
    stages.into_iter().flat_map(TableLike::iter).map(|(name, _)| name.to_owned()).collect()
}

/// Chooses a stage name for the input at `path` that is not in `taken`.
///
/// The name is the path's last one, preceded by as many parent directories as needed, or else
/// numbered.
pub fn name_for(path: &RepoPath, taken: &BTreeSet<String>) -> StageName {
    let mut names: Vec<String> =
        path.as_str().split('/').map(slug).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        names.push("input".to_owned());
    }
    let with_parents = (0..names.len()).rev().map(|from| names[from..].join("-"));
    let shortest = names[names.len() - 1].clone();
    let numbered = (2_u64..).map(|number| format!("{shortest}-{number}"));
    with_parents
        .chain(numbered)
        .filter(|name| !taken.contains(name))
        .find_map(|name| StageName::parse(&name))
        .unwrap_or_else(|| panic!("BUG: no stage name is free"))
}

/// Turns a file name into a stage name: without extensions and invalid characters.
fn slug(name: &str) -> String {
    const MAX_LENGTH: usize = 60;
    let stem = name.trim_start_matches('.').split('.').next().unwrap_or_default();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let slug: String = stem.chars().map(allowed).take(MAX_LENGTH).collect();
    slug.trim_matches('-').to_owned()
}

/// Returns the text with an additional stage that tracks `path` or, with an origin, downloads it.
pub fn append(
    text: &str,
    name: &StageName,
    desc: Option<&str>,
    path: &RepoPath,
    origin: Option<&Origin>,
) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut edited = text.to_owned();
    if !text.is_empty() {
        let unfinished = if text.ends_with('\n') { "" } else { end };
        edited.push_str(&format!("{unfinished}{end}"));
    }
    // An unquoted dot would create a nested table, and `@` is not allowed in a bare key.
    let key =
        if name.as_str().contains(['.', '@']) { format!("\"{name}\"") } else { name.to_string() };
    edited.push_str(&format!("[stages.{key}]{end}"));
    if let Some(desc) = desc {
        edited.push_str(&format!("desc = {}{end}", Value::from(desc)));
    }
    let mut set = |key: &str, value: Value| edited.push_str(&format!("{key} = {value}{end}"));
    if let Some(Origin::Url(UrlOrigin { url, extract, sha256, md5 })) = origin {
        set("url", url.as_str().into());
        if *extract {
            set("extract", true.into());
        }
        for (key, sum) in [("sha256", sha256), ("md5", md5)] {
            if let Some(sum) = sum {
                set(key, sum.as_str().into());
            }
        }
    }
    if let Some(Origin::Project(ProjectOrigin { repo, path, rev })) = origin {
        let mut import = InlineTable::new();
        import.insert("repo", repo.as_str().into());
        import.insert("path", path.as_str().into());
        rev.iter().for_each(|rev| drop(import.insert("rev", rev.into())));
        set("import", import.into());
    }
    edited.push_str(&format!("outs = [{}]{end}", Value::from(path.as_str())));
    edited
}

/// Returns the text with another `rev` in the `import` of a stage; `None` if it has no such table.
pub fn with_rev(text: &str, stage: &StageName, rev: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let stages = document.get_mut("stages")?.as_table_like_mut()?;
    let table = stages.get_mut(stage.as_str())?.as_table_like_mut()?;
    let import = table.get_mut("import")?.as_table_like_mut()?;
    match import.get_mut("rev").and_then(Item::as_value_mut) {
        Some(value) => {
            let decor = value.decor().clone();
            *value = rev.into();
            *value.decor_mut() = decor;
        }
        None => drop(import.insert("rev", Item::Value(rev.into()))),
    }
    Some(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn name_from_path() {
        let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let cases: &[(&str, &[&str], &str)] = &[
            ("data/raw", &[], "raw"),
            ("labels.csv", &[], "labels"),
            ("a.tar.gz", &[], "a"),
            (".env.d", &[], "env"),
            ("data/Über uns.csv", &[], "ber-uns"),
            ("データ", &[], "input"),
            ("data/raw", &["raw"], "data-raw"),
            ("x/data/raw", &["raw", "data-raw"], "x-data-raw"),
            ("raw", &["raw", "raw-2"], "raw-3"),
        ];
        for (text, names, expected) in cases {
            assert_eq!(
                name_for(&path(text), &taken(names)).as_str(),
                *expected,
                "{text} {names:?}"
            );
        }
        let long = "x".repeat(300);
        assert_eq!(
            name_for(&path(&format!("{long}/{long}")), &BTreeSet::new()).as_str(),
            "x".repeat(60)
        );
    }

    #[test]
    fn revision_of_an_import() {
        let name = StageName::parse("x").unwrap();
        for (import, expected) in [
            ("{ repo = 'r', rev = \"a\" } # why", "{ repo = 'r', rev = \"b\" } # why"),
            ("{ repo = 'r', path = 'p' }", "{ repo = 'r', path = 'p' , rev = \"b\" }"),
        ] {
            let text = |import: &str| format!("# c\n[stages.x]\nimport = {import}\nouts = ['x']\n");
            assert_eq!(with_rev(&text(import), &name, "b"), Some(text(expected)));
        }
        assert_eq!(with_rev("[stages.x]\nurl = 'u'\n", &name, "b"), None);
    }

    #[test]
    fn append_keeps_the_text() {
        let name = StageName::parse("raw").unwrap();
        for (text, expected) in [
            ("", "[stages.raw]\nouts = [\"a b\"]\n"),
            ("# x", "# x\n\n[stages.raw]\nouts = [\"a b\"]\n"),
            ("a = 1 # x\n", "a = 1 # x\n\n[stages.raw]\nouts = [\"a b\"]\n"),
            ("a = 1\r\n", "a = 1\r\n\r\n[stages.raw]\r\nouts = [\"a b\"]\r\n"),
        ] {
            assert_eq!(append(text, &name, None, &path("a b"), None), expected);
        }
        let dotted =
            append("", &StageName::parse("v1.2").unwrap(), Some("say \"a\""), &path("it's"), None);
        assert_eq!(dotted, "[stages.\"v1.2\"]\ndesc = 'say \"a\"'\nouts = [\"it's\"]\n");
        assert_eq!(declared(&dotted).into_iter().collect::<Vec<_>>(), ["v1.2"]);
        assert!(declared("a = [").is_empty());
    }
}
