//! A table of trials: CSV with a param in each column and a trial in each row.

use super::space::{Axis, BadSpace};
use crate::data::csv_rows;
use crate::pipeline::Override;

/// Parses a table. An empty cell leaves its param alone.
///
/// # Errors
/// The table is malformed; names the line.
pub fn rows(text: &str, separator: char) -> Result<Axis, BadSpace> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = csv_rows(text, separator).map_err(|fault| BadSpace {
        what: format!("line {}: {}", fault.line.unwrap_or(1), fault.what),
        hint: fault.hint,
    })?;
    let Some(((_, names), rows)) = rows.split_first().filter(|(_, rows)| !rows.is_empty()) else {
        return Err(BadSpace::new("it has no trials")
            .hint("write the keys of params into the first line, and one trial per line below"));
    };
    let mut trials = Vec::new();
    for (line, cells) in rows {
        if cells.len() != names.len() {
            let (count, expected) = (cells.len(), names.len());
            return Err(BadSpace::new(format!(
                "line {line}: {count} cells, but {expected} in the first line"
            )));
        }
        let cells = names.iter().zip(cells).filter(|(_, cell)| !cell.trim().is_empty());
        let parse = |(name, cell): (&String, &String)| {
            Override::parse(&format!("{}={}", name.trim(), cell.trim()))
                .map_err(|why| BadSpace::new(format!("line 1: `{}` {why}", name.trim())))
        };
        trials.push(cells.map(parse).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Axis::rows(trials))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Vec<Vec<String>> {
        let Ok(Axis::Rows(rows)) = super::rows(text, ',') else { panic!("{text}") };
        rows.iter().map(|row| row.iter().map(Override::typed).collect()).collect()
    }

    #[test]
    fn trials() {
        assert_eq!(
            typed("lr, model,+note\n0.1,small,\n0.2,large,\"a, b\"\n0.1,small,\n"),
            [vec!["lr=0.1", "model=small"], vec!["lr=0.2", "model=large", "+note=a, b"]]
        );
    }

    #[test]
    fn faults() {
        for (text, what) in [
            ("", "it has no trials"),
            ("lr\n", "it has no trials"),
            ("lr,b\n1\n", "line 2: 1 cells, but 2 in the first line"),
            (
                "l r\n1\n",
                "line 1: `l r` `l r` is not a valid param name: use letters, digits, `_` and `-`",
            ),
            ("lr\n\"1\n", "line 2: a quote is not closed"),
        ] {
            assert_eq!(super::rows(text, ',').unwrap_err().what, what, "{text}");
        }
    }
}
