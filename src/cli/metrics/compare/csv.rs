//! A comparison as CSV: a row for each param and metric, with all digits.

use crate::number::Number;
use crate::report::compare::ComparisonReport;
use crate::runs::compare::{Column, Verdict};

/// Returns the lines, of which the first names the columns.
pub(super) fn csv(report: &ComparisonReport) -> String {
    let compared = &report.comparison;
    let columns = &compared.columns;
    let with_spread = |column: &Column| column.members.len() > 1;
    let mut head = vec!["kind".to_owned(), "key".to_owned()];
    for column in columns {
        head.push(column.label.clone());
        if with_spread(column) {
            head.extend([format!("{} sd", column.label), format!("{} n", column.label)]);
        }
    }
    head.extend(["difference", "verdict"].map(str::to_owned));
    let mut rows = vec![head];
    for row in &compared.params {
        let mut cells = vec!["param".to_owned(), row.key.to_string()];
        for (value, column) in row.values.iter().zip(columns) {
            cells.push(value.as_ref().map_or_else(String::new, ToString::to_string));
            if with_spread(column) {
                cells.extend([String::new(), String::new()]);
            }
        }
        cells.extend([String::new(), String::new()]);
        rows.push(cells);
    }
    for row in &compared.metrics {
        let mut cells = vec!["metric".to_owned(), row.key()];
        for (value, column) in row.values.iter().zip(columns) {
            cells.push(value.map_or_else(String::new, |value| digits(value.mean)));
            if with_spread(column) {
                let sd = value.and_then(|value| value.sd).map(|sd| digits(sd.into()));
                let n = value.map_or(0, |value| value.n);
                cells.extend([sd.unwrap_or_default(), n.to_string()]);
            }
        }
        cells.push(row.difference.map_or_else(String::new, digits));
        cells.push(row.verdict.map_or("", Verdict::word).to_owned());
        rows.push(cells);
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
        format!("{}\n", cells.join(","))
    };
    rows.iter().map(line).collect()
}

/// Formats a number so that it can be read back exactly.
fn digits(number: Number) -> String {
    match number.integer() {
        Some(integer) => integer.to_string(),
        None => number.to_f64().to_string(),
    }
}

/// Quotes a cell if necessary, by RFC 4180.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        for (cell, expected) in [("a b", "a b"), ("a,b", "\"a,b\""), ("\"x\"", "\"\"\"x\"\"\"")] {
            assert_eq!(quoted(cell), expected);
        }
    }

    #[test]
    fn all_digits() {
        for (number, expected) in [
            (Number::from(0.1 + 0.2), "0.30000000000000004"),
            (Number::from(9_007_199_254_740_993_i128), "9007199254740993"),
            (Number::NAN, "NaN"),
            (Number::from(f64::NEG_INFINITY), "-inf"),
        ] {
            assert_eq!(digits(number), expected);
        }
    }
}
