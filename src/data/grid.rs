//! Reads a data file as one table of columns and rows, for charts.

use super::value::{Fault, Value};
use super::{Format, csv, parse};

/// A table: the names of the columns, and rows with one value per column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

impl Grid {
    /// Parses a text as a table.
    ///
    /// CSV has a heading line. In the other formats a table is a list of records, a record of
    /// equally long lists, or `{labels, matrix}`, which counts pairs of labels. A list of records
    /// may be the value of a key, as DVC writes it. Any other record is a table of keys and values.
    ///
    /// # Errors
    /// The text is not valid, or a row has another number of cells than the first.
    pub fn parse(format: Format, text: &str) -> Result<Grid, Fault> {
        if let Format::Csv(separator) = format {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let (columns, rows) = csv::table(text, separator)?;
            return Ok(Grid { columns, rows });
        }
        Ok(Grid::from(parse(format, text)?))
    }

    /// Returns the position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// Returns the values of a column.
    pub fn column(&self, at: usize) -> impl Iterator<Item = &Value> + Clone {
        self.rows.iter().map(move |row| row.get(at).unwrap_or(&Value::Null))
    }
}

/// Arranges a value as [`Grid::parse`] describes.
impl From<Value> for Grid {
    fn from(value: Value) -> Grid {
        match value {
            Value::List(list) => records(&list),
            Value::Table(entries) => of_record(entries),
            scalar => Grid { columns: vec!["value".into()], rows: vec![vec![scalar]] },
        }
    }
}

fn of_record(entries: Vec<(String, Value)>) -> Grid {
    if let Some(pairs) = labelled_matrix(&entries) {
        return pairs;
    }
    if let Some(columns) = equal_lists(&entries) {
        return columns;
    }
    let is_records = |value: &Value| match value {
        Value::List(list) => {
            !list.is_empty() && list.iter().all(|one| matches!(one, Value::Table(_)))
        }
        _ => false,
    };
    match entries.iter().find(|(_, value)| is_records(value)) {
        Some((_, Value::List(list))) => records(list),
        _ => {
            let mut rows = Vec::new();
            flatten("", Value::Table(entries), &mut rows);
            Grid { columns: vec!["key".into(), "value".into()], rows }
        }
    }
}

/// Turns a list into a row per entry. The columns are all keys, in the order of their appearance.
fn records(list: &[Value]) -> Grid {
    let mut grid = Grid::default();
    for entry in list {
        let mut row = vec![Value::Null; grid.columns.len()];
        let cells: Vec<(String, Value)> = match entry {
            Value::Table(cells) => cells.clone(),
            Value::List(cells) => {
                cells.iter().enumerate().map(|(at, cell)| (at.to_string(), cell.clone())).collect()
            }
            scalar => vec![("value".to_owned(), scalar.clone())],
        };
        for (key, value) in cells {
            match grid.position(&key) {
                Some(at) => row[at] = value,
                None => {
                    grid.columns.push(key);
                    row.push(value);
                }
            }
        }
        grid.rows.push(row);
    }
    let width = grid.columns.len();
    grid.rows.iter_mut().for_each(|row| row.resize(width, Value::Null));
    grid
}

/// Reads `{"labels": ["a", …], "matrix": [[3, …], …]}`, whose rows are the actual classes.
fn labelled_matrix(entries: &[(String, Value)]) -> Option<Grid> {
    let list = |key: &str| match entries.iter().find(|(name, _)| name == key)? {
        (_, Value::List(list)) => Some(list),
        _ => None,
    };
    let (labels, matrix) = (list("labels")?, list("matrix")?);
    let mut rows = Vec::new();
    for (actual, counts) in labels.iter().zip(matrix) {
        let Value::List(counts) = counts else { return None };
        if counts.len() != labels.len() {
            return None;
        }
        let pairs = labels.iter().zip(counts);
        rows.extend(pairs.map(|(other, n)| vec![actual.clone(), other.clone(), n.clone()]));
    }
    let columns = ["actual", "predicted", "count"].map(str::to_owned).to_vec();
    (matrix.len() == labels.len()).then_some(Grid { columns, rows })
}

/// Reads a record whose values are lists of scalars of one length above 1.
fn equal_lists(entries: &[(String, Value)]) -> Option<Grid> {
    let scalar = |value: &Value| !matches!(value, Value::List(_) | Value::Table(_));
    let lists: Vec<&Vec<Value>> = entries
        .iter()
        .map(|(_, value)| match value {
            Value::List(list) if list.iter().all(scalar) => Some(list),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let length = lists.first()?.len();
    if length < 2 || lists.iter().any(|list| list.len() != length) {
        return None;
    }
    let rows = (0..length).map(|at| lists.iter().map(|list| list[at].clone()).collect());
    Some(Grid {
        columns: entries.iter().map(|(key, _)| key.clone()).collect(),
        rows: rows.collect(),
    })
}

/// Adds a row per scalar with its dotted key. The depth of a value is limited by its parser.
fn flatten(key: &str, value: Value, rows: &mut Vec<Vec<Value>>) {
    let mut below = |name: &str, value| {
        let dot = if key.is_empty() { "" } else { "." };
        flatten(&format!("{key}{dot}{name}"), value, rows);
    };
    match value {
        Value::Table(entries) => entries.into_iter().for_each(|(name, value)| below(&name, value)),
        Value::List(list) => {
            list.into_iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value));
        }
        scalar => rows.push(vec![Value::Text(key.to_owned()), scalar]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shapes_of_tables() {
        for (format, text, columns, rows) in [
            (
                Format::Csv(','),
                "epoch,loss\n1,0.5\n2,nan\n",
                "epoch loss",
                "[[Integer(1), Float(0.5)], [Integer(2), Float(NaN)]]",
            ),
            (
                Format::Json,
                r#"[{"a": 1}, {"b": true, "a": 2}]"#,
                "a b",
                "[[Integer(1), Null], [Integer(2), Bool(true)]]",
            ),
            (Format::Json, r#"{"roc": [{"x": 1}], "n": 3}"#, "x", "[[Integer(1)]]"),
            (
                Format::Yaml,
                "x: [0, 1]\ny: [2, 3]\n",
                "x y",
                "[[Integer(0), Integer(2)], [Integer(1), Integer(3)]]",
            ),
            (
                Format::Json,
                r#"{"labels": ["a", "b"], "matrix": [[3, 0], [1, 2]]}"#,
                "actual predicted count",
                "[[Text(\"a\"), Text(\"a\"), Integer(3)], [Text(\"a\"), Text(\"b\"), Integer(0)], \
                 [Text(\"b\"), Text(\"a\"), Integer(1)], [Text(\"b\"), Text(\"b\"), Integer(2)]]",
            ),
            (
                Format::Toml,
                "a = 1\n[b]\nc = 'x'\n",
                "key value",
                "[[Text(\"a\"), Integer(1)], [Text(\"b.c\"), Text(\"x\")]]",
            ),
            (
                Format::Json,
                "[[1, 2], [3, 4]]",
                "0 1",
                "[[Integer(1), Integer(2)], \
                [Integer(3), Integer(4)]]",
            ),
            (Format::Json, "7", "value", "[[Integer(7)]]"),
        ] {
            let grid = Grid::parse(format, text).unwrap();
            assert_eq!(grid.columns.join(" "), columns, "{text}");
            assert_eq!(format!("{:?}", grid.rows), rows, "{text}");
        }
        let fault = Grid::parse(Format::Csv(','), "a,b\n1\n").unwrap_err();
        assert_eq!((fault.line, &*fault.what), (Some(2), "1 cells, but 2 in the first line"));
    }

    proptest! {
        #[test]
        fn rows_have_all_columns(text in r#"([-a1.:,\[\]{}"' \n]|labels|matrix|\PC){0,40}"#) {
            for format in [Format::Json, Format::Yaml, Format::Csv(',')] {
                if let Ok(grid) = Grid::parse(format, &text) {
                    prop_assert!(grid.rows.iter().all(|row| row.len() == grid.columns.len()));
                }
            }
        }
    }
}
