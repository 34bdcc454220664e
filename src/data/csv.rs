//! CSV and TSV: a heading line, and rows of cells.
//!
//! A single row becomes a table of its cells by column name. Several rows whose first cell is a
//! name become one table per name. Any other table is a series or a list, not a set of named
//! values.

use super::value::{Fault, Value, not_finite};

pub(super) fn parse(text: &str, separator: char) -> Result<Value, Fault> {
    let mut rows = rows(text, separator)?;
    if rows.is_empty() {
        return Err(Fault::new(None, "is empty"));
    }
    let (_, names) = rows.remove(0);
    if let Some((line, row)) = rows.iter().find(|(_, row)| row.len() != names.len()) {
        return Err(wrong_length(*line, row.len(), names.len()));
    }
    // The column of row numbers that pandas writes has no name.
    let named = |row: Vec<Value>| {
        let cells = names.iter().cloned().zip(row);
        cells.filter(|(name, _)| !name.is_empty()).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<Value>> =
        rows.into_iter().map(|(_, row)| row.iter().map(|text| cell(text)).collect()).collect();
    match rows.len() {
        0 => Ok(Value::Table(Vec::new())),
        1 => Ok(Value::Table(named(rows.remove(0)))),
        _ => {
            let mut tables = Vec::new();
            for mut row in rows {
                let Value::Text(name) = std::mem::replace(&mut row[0], Value::Null) else {
                    return Err(several_rows());
                };
                tables.push((name, Value::Table(named(row))));
            }
            Ok(Value::Table(tables))
        }
    }
}

/// Returns the names of the columns and the rows of cells.
pub(super) fn table(text: &str, separator: char) -> Result<(Vec<String>, Vec<Vec<Value>>), Fault> {
    let mut rows = rows(text, separator)?.into_iter();
    let Some((_, names)) = rows.next() else { return Err(Fault::new(None, "is empty")) };
    let rows = rows.map(|(line, row)| match row.len() == names.len() {
        true => Ok(row.iter().map(|text| cell(text)).collect()),
        false => Err(wrong_length(line, row.len(), names.len())),
    });
    let rows = rows.collect::<Result<_, _>>()?;
    Ok((names, rows))
}

fn wrong_length(line: usize, found: usize, expected: usize) -> Fault {
    Fault::new(Some(line), format!("{found} cells, but {expected} in the first line"))
}

fn several_rows() -> Fault {
    Fault::new(None, "several rows without names").hint(
        "write one row with the final values, or a name in the first cell of each row; a stage \
         reports a series through `$REPRO_EVENTS`, and a table of curves belongs to `plots`",
    )
}

fn cell(text: &str) -> Value {
    let text = text.trim();
    if text.is_empty() {
        return Value::Null;
    }
    let float = || {
        let is_number = text.bytes().any(|byte| byte.is_ascii_digit());
        not_finite(text).or_else(|| text.parse().ok().filter(|_| is_number))
    };
    match text.parse::<i128>() {
        Ok(integer) => Value::Integer(integer),
        Err(_) => float().map_or_else(|| Value::Text(text.to_owned()), Value::Float),
    }
}

/// Returns the rows with the lines on which they begin. Blank lines are left out.
///
/// # Errors
/// A quote is not closed.
pub fn rows(text: &str, separator: char) -> Result<Vec<(usize, Vec<String>)>, Fault> {
    let mut rows = Vec::new();
    let (mut row, mut cell) = (Vec::new(), String::new());
    let (mut line, mut begin) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if cell.is_empty() => loop {
                match chars.next() {
                    Some('"') if chars.peek() == Some(&'"') => {
                        chars.next();
                        cell.push('"');
                    }
                    Some('"') => break,
                    Some(c) => {
                        line += usize::from(c == '\n');
                        cell.push(c);
                    }
                    None => return Err(Fault::new(Some(begin), "a quote is not closed")),
                }
            },
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                line += 1;
                if !row.is_empty() || !cell.trim().is_empty() {
                    row.push(std::mem::take(&mut cell));
                    rows.push((begin, std::mem::take(&mut row)));
                }
                cell.clear();
                begin = line;
            }
            c if c == separator => row.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if !row.is_empty() || !cell.trim().is_empty() {
        row.push(cell);
        rows.push((begin, row));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_name() {
        for (text, expected) in [
            ("acc,loss\n0.5,3\n", r#"[("acc", Float(0.5)), ("loss", Integer(3))]"#),
            (
                ",acc,note\r\n0,nan,\"a, \"\"b\"\"\n\"\r\n\r\n",
                r#"[("acc", Float(NaN)), ("note", Text("a, \"b\""))]"#,
            ),
            ("acc,loss\n0.5,", r#"[("acc", Float(0.5)), ("loss", Null)]"#),
            (
                "class,precision\nrock,0.5\nblues,1\n",
                "[(\"rock\", Table([(\"class\", Null), (\"precision\", Float(0.5))])), \
                 (\"blues\", Table([(\"class\", Null), (\"precision\", Integer(1))]))]",
            ),
            ("acc\n", "[]"),
        ] {
            let Ok(Value::Table(entries)) = parse(text, ',') else { panic!("{text}") };
            assert_eq!(format!("{entries:?}"), expected, "{text}");
        }
        assert_eq!(parse("a\tb\n1\t2", '\t'), parse("a,b\n1,2", ','));
    }

    #[test]
    fn faults() {
        for (text, line, what) in [
            ("", None, "is empty"),
            ("a,b\n1\n", Some(2), "1 cells, but 2 in the first line"),
            ("a\n\"1\n", Some(2), "a quote is not closed"),
            ("step,loss\n0,1\n1,2\n", None, "several rows without names"),
        ] {
            let fault = parse(text, ',').unwrap_err();
            assert_eq!((fault.line, fault.what.as_str()), (line, what), "{text}");
        }
    }
}
