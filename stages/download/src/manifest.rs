//! Parses a manifest: a table of clips with `url,label` and optionally `blake3` and `path`.
//!
//! A URL may be relative to the manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use features::is_audio;
use kit::csv::Table;

/// A valid row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// Class, the name of the folder.
    pub(crate) label: String,
    /// Path below the class folder; by default the URL's file name.
    pub(crate) path: String,
    pub(crate) url: String,
    /// BLAKE3 digest, in hexadecimal.
    pub(crate) digest: Option<String>,
}

/// Returns the rows, sorted by class, then path.
///
/// # Errors
/// If a column is missing, a label or path is not valid, or two rows have the same label and path,
/// apart from the extension.
pub(crate) fn items(table: &Table) -> Result<Vec<Item>> {
    let (url_at, label_at) = (table.column("url")?, table.column("label")?);
    let (digest_at, path_at) = (table.column("blake3").ok(), table.column("path").ok());
    let mut places: BTreeMap<PathBuf, &str> = BTreeMap::new();
    let mut items = Vec::new();
    for (row, line) in table.rows.iter().zip(2..) {
        let cell = |at: Option<usize>| at.map(|at| row[at].trim()).filter(|text| !text.is_empty());
        let mut item = || -> Result<Item> {
            let url = cell(Some(url_at)).context("it has no URL")?;
            let label = cell(Some(label_at)).context("it has no label")?;
            let path = cell(path_at).unwrap_or_else(|| file_name(url));
            ensure!(
                is_plain(label) && !label.contains('/'),
                "the label `{label}` is not a valid folder name"
            );
            ensure!(is_plain(path), "the path `{path}` is not inside the class folder");
            ensure!(
                is_audio(Path::new(path)),
                "`{path}` does not have an audio extension; set one in a column `path`"
            );
            let digest = cell(digest_at).map(str::to_ascii_lowercase);
            let is_digest = |text: &String| {
                text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            ensure!(
                digest.as_ref().is_none_or(is_digest),
                "`blake3` must be 64 hexadecimal digits"
            );
            // Spectrograms are named without the extension.
            let place = Path::new(label).join(path).with_extension("");
            if let Some(earlier) = places.insert(place, path) {
                let extension = if earlier == path { "" } else { " but for the extension" };
                bail!(
                    "`{label}/{path}` occurs in an earlier row{extension}; add a column `path` \
                     with unique paths"
                );
            }
            Ok(Item { label: label.to_owned(), path: path.to_owned(), url: url.to_owned(), digest })
        };
        items.push(item().with_context(|| format!("line {line}"))?);
    }
    ensure!(!items.is_empty(), "it has no rows");
    items.sort();
    Ok(items)
}

fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

/// Reports whether all components are plain names: not empty, hidden or `..`, without `\` and
/// control characters.
fn is_plain(path: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('\\');
    !path.contains(char::is_control) && path.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header: &[&str], rows: &[&[&str]]) -> Table {
        let owned =
            |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        Table { header: owned(header), rows: rows.iter().map(|row| owned(row)).collect() }
    }

    #[test]
    fn items_are_sorted_by_path() {
        let digest = "A".repeat(64);
        let rows: &[&[&str]] = &[
            &["https://h/b.wav?sig=1", "rock", "", ""],
            &["c/a.ogg", "blues", &digest, "cd 1/x.ogg"],
        ];
        let items = items(&table(&["url", "label", "blake3", "path"], rows)).unwrap();
        let shown: Vec<_> = items
            .iter()
            .map(|item| (item.label.as_str(), item.path.as_str(), item.url.as_str()))
            .collect();
        assert_eq!(
            shown,
            [("blues", "cd 1/x.ogg", "c/a.ogg"), ("rock", "b.wav", "https://h/b.wav?sig=1")]
        );
        assert_eq!(items[0].digest, Some("a".repeat(64)));
        assert_eq!(items[1].digest, None);
    }

    #[test]
    fn invalid_rows() {
        let header = ["url", "label", "path", "blake3"];
        for (row, part) in [
            (["", "a", "", ""], "no URL"),
            (["x.wav", "", "", ""], "no label"),
            (["x.wav", "../a", "", ""], "the label `../a`"),
            (["x.wav", "a/b", "", ""], "the label `a/b`"),
            (["x.wav", ".a", "", ""], "the label `.a`"),
            (["x.wav", "a", "../x.wav", ""], "the path `../x.wav`"),
            (["x.wav", "a", "/x.wav", ""], "the path `/x.wav`"),
            (["x.wav", "a", "b\\x.wav", ""], "the path `b\\x.wav`"),
            (["x.wav", "a\nb", "", ""], "the label `a"),
            (["https://h/get?id=1", "a", "", ""], "`get` does not have an audio extension"),
            (["https://h/", "a", "", ""], "the path ``"),
            (["x.wav", "a", "", "123"], "64 hexadecimal digits"),
        ] {
            let error = format!("{:#}", items(&table(&header, &[&row])).unwrap_err());
            assert!(error.starts_with("line 2: ") && error.contains(part), "{error}");
        }
        let rows: &[&[&str]] = &[&["d/x.wav", "a"], &["e/x.wav", "a"]];
        let error = format!("{:#}", items(&table(&header[..2], rows)).unwrap_err());
        assert!(error.starts_with("line 3: `a/x.wav` occurs in an earlier row"), "{error}");
        let rows: &[&[&str]] = &[&["x.wav", "a"], &["x.mp3", "a"]];
        let error = format!("{:#}", items(&table(&header[..2], rows)).unwrap_err());
        assert!(error.contains("`a/x.mp3` occurs in an earlier row but for the ext"), "{error}");
        assert!(items(&table(&["url"], &[])).is_err());
        assert!(items(&table(&header, &[])).is_err());
    }
}
