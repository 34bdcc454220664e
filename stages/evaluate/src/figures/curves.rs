//! Draws the learning curves: loss, accuracy and macro F1 by epoch, for training and validation.

use anyhow::{Context as _, Result};
use kit::csv::Table;

use crate::plot::{Plot, range};
use crate::svg::{BLUE, GREY, NOTE, ORANGE, Svg, TEXT};

const PANELS: [(&str, &str); 3] =
    [("loss", "Loss"), ("accuracy", "Accuracy"), ("macro_f1", "Macro F1")];
const PARTS: [(&str, &str, &str); 2] = [("train", "training", ORANGE), ("val", "validation", BLUE)];
const PANEL: [f64; 2] = [270.0, 200.0];
const GAP: f64 = 62.0;
const LEFT: f64 = 54.0;
const TOP: f64 = 106.0;
/// Style of the line at the kept epoch.
const KEPT: &str = "stroke=\"#52606d\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\"";

/// Draws a table with the columns `epoch`, `train_loss`, `val_loss`, `train_accuracy` and so on.
///
/// A dashed line marks the epoch `kept`, whose weights were kept. Cells that are empty or not a
/// finite number are skipped.
///
/// # Errors
/// If a column is missing.
pub(crate) fn draw(table: &Table, kept: Option<usize>) -> Result<String> {
    let epochs = numbers(table, "epoch")?;
    let width = LEFT + PANELS.len() as f64 * (PANEL[0] + GAP);
    let mut svg = Svg::new("Learning curves", [width, TOP + PANEL[1] + 56.0]);
    let last = epochs.iter().flatten().copied().fold(0.0, f64::max);
    let plural = if last == 1.0 { "" } else { "s" };
    svg.heading(LEFT, "Learning curves", &format!("{last} epoch{plural}"));
    if let Some(kept) = kept {
        let x = 460.0;
        svg.line([[x, 52.0], [x + 24.0, 52.0]], KEPT);
        let name = format!("epoch {kept}, whose weights were kept");
        svg.text([x + 30.0, 56.0], TEXT, &format!("fill=\"{GREY}\""), &name);
    }
    for ((_, name, colour), x) in PARTS.into_iter().zip([180.0, 320.0]) {
        svg.line(
            [[x, 52.0], [x + 24.0, 52.0]],
            &format!("stroke=\"{colour}\" stroke-width=\"2.5\""),
        );
        svg.text([x + 30.0, 56.0], TEXT, &format!("fill=\"{GREY}\""), name);
    }
    for (index, (key, name)) in PANELS.into_iter().enumerate() {
        let lines = PARTS.map(|(part, ..)| numbers(table, &format!("{part}_{key}")));
        let [train, val] = lines;
        let lines = [train?, val?];
        let top = if key == "loss" {
            range(0.0, lines.iter().flatten().flatten().copied())
        } else {
            [0.0, 1.0]
        };
        let corner = [LEFT + index as f64 * (PANEL[0] + GAP), TOP];
        let plot = Plot { corner, size: PANEL, x: range(1.0, [last]), y: top };
        svg.text([corner[0], TOP - 10.0], TEXT, "font-weight=\"600\"", name);
        plot.frame(&mut svg, ["Epoch", ""]);
        if let Some(kept) = kept {
            let x = kept as f64;
            svg.line([plot.position(x, top[0]), plot.position(x, top[1])], KEPT);
        }
        for (line, (_, _, colour)) in lines.iter().zip(PARTS) {
            curve(&mut svg, &plot, &epochs, line, colour);
        }
    }
    Ok(svg.finish())
}

/// Draws one line, with its last value next to its end.
fn curve(svg: &mut Svg, plot: &Plot, epochs: &[Option<f64>], values: &[Option<f64>], colour: &str) {
    let points: Vec<[f64; 2]> =
        epochs.iter().zip(values).filter_map(|(x, y)| Some([(*x)?, (*y)?])).collect();
    let Some([x, y]) = points.last().copied() else { return };
    let positions = points.iter().map(|[x, y]| plot.position(*x, *y));
    let style = format!(
        "stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke-linecap=\"round\""
    );
    svg.line(positions, &style);
    let [right, height] = plot.position(x, y);
    svg.text([right + 5.0, height + 4.0], NOTE, &format!("fill=\"{colour}\""), &format!("{y:.2}"));
}

/// Parses a column; `None` for a cell without a finite number.
fn numbers(table: &Table, name: &str) -> Result<Vec<Option<f64>>> {
    let column = table.column(name)?;
    let number = |row: &Vec<String>| {
        let cell = row.get(column).context("BUG: a row shorter than the header")?;
        Ok(cell.parse::<f64>().ok().filter(|value| value.is_finite()))
    };
    table.rows.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 7]]) -> Table {
        let header = [
            "epoch",
            "train_loss",
            "train_accuracy",
            "train_macro_f1",
            "val_loss",
            "val_accuracy",
            "val_macro_f1",
        ];
        let owned = |cells: &[&str; 7]| cells.map(str::to_owned).to_vec();
        Table { header: owned(&header), rows: rows.iter().map(owned).collect() }
    }

    #[test]
    fn draws_last_values() {
        let svg = draw(
            &table(&[
                ["1", "2", "0.25", "0.125", "1.5", "0.5", "0.25"],
                ["2", "1", "0.5", "0.3", "1.25", "0.75", "0.6"],
            ]),
            Some(2),
        )
        .unwrap();
        assert!(svg.contains("epoch 2, whose weights were kept"), "{svg}");
        // The legend and three panels, each at its right edge.
        assert_eq!(svg.matches(KEPT).count(), 4, "{svg}");
        assert!(
            svg.contains(&format!(
                "points=\"{0},{1} {0},{TOP}\" ",
                LEFT + PANEL[0],
                TOP + PANEL[1]
            )),
            "{svg}"
        );
        for value in [">1.00<", ">0.50<", ">0.30<", ">1.25<", ">0.75<", ">0.60<", "2 epochs"] {
            assert!(svg.contains(value), "{value}: {svg}");
        }
        // The loss axis ends at 2, the first training loss, so the line starts in that corner.
        assert!(svg.contains(&format!("points=\"{LEFT},{TOP} ")), "{svg}");
    }

    #[test]
    fn skips_cells_without_number() {
        let svg = draw(&table(&[["1", "NaN", "0.25", "inf", "", "", ""]]), None).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
        assert_eq!(svg.matches("stroke-linejoin").count(), 1);
        let error = draw(&Table { header: vec!["epoch".to_owned()], rows: vec![] }, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no column `train_loss`"), "{error}");
    }
}
