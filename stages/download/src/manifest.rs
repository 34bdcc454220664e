//! A table of clips: `url,label` and, as one likes, `blake3` and `path`.
//!
//! A url may be relative to the manifest. Knows nothing about how a url is fetched.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kit::csv::Table;

use crate::audio::is_audio;

/// A row that can be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// The class folder.
    pub(crate) label: String,
    /// Below the class folder; the url's file name unless the manifest says otherwise.
    pub(crate) path: String,
    pub(crate) url: String,
    /// In hexadecimal digits.
    pub(crate) digest: Option<String>,
}

/// The rows, sorted by class, then path.
///
/// # Errors
/// A missing column; a row with a label or path that is no plain name, or with that of another row.
pub(crate) fn items(table: &Table) -> Result<Vec<Item>> {
    let (url_at, label_at) = (table.column("url")?, table.column("label")?);
    let (digest_at, path_at) = (table.column("blake3").ok(), table.column("path").ok());
    let mut places = BTreeSet::new();
    let mut items = Vec::new();
    for (row, line) in table.rows.iter().zip(2..) {
        let cell = |at: Option<usize>| at.map(|at| row[at].trim()).filter(|text| !text.is_empty());
        let mut item = || -> Result<Item> {
            let url = cell(Some(url_at)).context("it has no url")?;
            let label = cell(Some(label_at)).context("it has no label")?;
            let path = cell(path_at).unwrap_or_else(|| file_name(url));
            ensure!(
                is_plain(label) && !label.contains('/'),
                "the label `{label}` is no plain name of a folder"
            );
            ensure!(is_plain(path), "the path `{path}` is not one below the class folder");
            ensure!(
                is_audio(Path::new(path)),
                "`{path}` is no audio by its extension; a column `path` can name it"
            );
            let digest = cell(digest_at).map(str::to_ascii_lowercase);
            let is_digest = |text: &String| {
                text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            ensure!(
                digest.as_ref().is_none_or(is_digest),
                "the blake3 is not 64 hexadecimal digits"
            );
            ensure!(
                places.insert((label.to_owned(), path.to_owned())),
                "`{label}/{path}` is that of another row, too; a column `path` can tell them apart"
            );
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

/// Names that do not lead out, and that are not hidden, joined by `/`.
fn is_plain(path: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', '\0']);
    path.split('/').all(is_name)
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
    fn rows_become_items_in_the_order_of_their_places() {
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
    fn rows_that_cannot_be_used_are_named() {
        let header = ["url", "label", "path", "blake3"];
        for (row, part) in [
            (["", "a", "", ""], "no url"),
            (["x.wav", "", "", ""], "no label"),
            (["x.wav", "../a", "", ""], "the label `../a`"),
            (["x.wav", "a/b", "", ""], "the label `a/b`"),
            (["x.wav", ".a", "", ""], "the label `.a`"),
            (["x.wav", "a", "../x.wav", ""], "the path `../x.wav`"),
            (["x.wav", "a", "/x.wav", ""], "the path `/x.wav`"),
            (["x.wav", "a", "b\\x.wav", ""], "the path `b\\x.wav`"),
            (["https://h/get?id=1", "a", "", ""], "`get` is no audio"),
            (["https://h/", "a", "", ""], "the path ``"),
            (["x.wav", "a", "", "123"], "64 hexadecimal digits"),
        ] {
            let error = format!("{:#}", items(&table(&header, &[&row])).unwrap_err());
            assert!(error.starts_with("line 2: ") && error.contains(part), "{error}");
        }
        let rows: &[&[&str]] = &[&["d/x.wav", "a"], &["e/x.wav", "a"]];
        let error = format!("{:#}", items(&table(&header[..2], rows)).unwrap_err());
        assert!(error.starts_with("line 3: `a/x.wav` is that of another row"), "{error}");
        assert!(items(&table(&["url"], &[])).is_err());
        assert!(items(&table(&header, &[])).is_err());
    }
}
