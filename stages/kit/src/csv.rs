//! Small CSV tables (RFC 4180) with a header line.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::files;

/// A table of text, as returned by [`read`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Column names.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns the index of column `name`.
    ///
    /// # Errors
    /// The column does not exist; the message lists the existing ones.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.header.iter().position(|column| column == name).with_context(|| {
            format!("there is no column `{name}`; the columns are: {}", self.header.join(", "))
        })
    }
}

/// Writes a header and rows atomically. Lines end in `\n`, and cells are quoted only if necessary.
///
/// # Errors
/// A row is not as long as the header, or the file system fails.
pub fn write<Row>(
    path: impl AsRef<Path>,
    header: &[&str],
    rows: impl IntoIterator<Item = Row>,
) -> Result<()>
where
    Row: IntoIterator<Item: AsRef<[u8]>>,
{
    let path = path.as_ref();
    let bytes = || -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        Ok(writer.into_inner()?)
    };
    files::write_atomic(
        path,
        bytes().with_context(|| format!("cannot write `{}`", path.display()))?,
    )
}

/// Reads a table with a header line.
///
/// # Errors
/// The file cannot be read or is not UTF-8, or a row is not as long as the header.
pub fn read(path: impl AsRef<Path>) -> Result<Table> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(&bytes).with_context(|| format!("`{}` is not a valid CSV table", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Table> {
    let mut reader = csv::Reader::from_reader(bytes);
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = cells(reader.headers()?);
    let rows = reader.records().map(|record| Ok(cells(&record?))).collect::<Result<_>>()?;
    Ok(Table { header, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_cells_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let rows = [["a,b.wav", "it said \"no\""], ["two\nlines", ""]];
        write(&path, &["file", "reason"], rows).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "file,reason\n\"a,b.wav\",\"it said \"\"no\"\"\"\n\"two\nlines\",\n");
        let table = read(&path).unwrap();
        assert_eq!(table.rows, rows);
        assert_eq!(table.column("reason").unwrap(), 1);
        assert!(table.column("label").is_err());
    }

    #[test]
    fn empty_table_keeps_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        write(&path, &["file", "reason"], [[""; 2]; 0]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "file,reason\n");
        assert_eq!(read(&path).unwrap().rows, Vec::<Vec<String>>::new());
    }

    #[test]
    fn ragged_rows_are_errors() {
        assert!(parse(b"a,b\n1,2,3\n").is_err());
        assert!(parse(b"a,b\n\xff,2\n").is_err());
        assert_eq!(parse(b"").unwrap(), Table::default());
        let dir = tempfile::tempdir().unwrap();
        assert!(write(dir.path().join("t.csv"), &["a", "b"], [["1"]]).is_err());
    }
}
