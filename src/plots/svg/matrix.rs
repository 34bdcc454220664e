//! Confusion matrices.

use super::axis::minus;
use super::canvas::{Anchor, Canvas, DIM, INK, width};
use crate::number::Number;
use crate::report::plots::figure::Matrix;
use crate::svg_text::cut;

const CELL: f64 = 30.0;
/// Color of a full cell, in the middle of which texts are white.
const HEAT: [f64; 3] = [0.0, 114.0, 178.0];

/// Returns the matrix as a document; `of` names its runs.
pub(super) fn draw(matrix: &Matrix, of: &str) -> String {
    let mut canvas = Canvas::new(&format!("{}, {of}", matrix.title));
    let title = cut(&format!("{} ({of})", matrix.title), 90);
    canvas.text([16.0, 22.0], Anchor::Start, INK, &title);
    let names: Vec<String> = matrix.classes.iter().map(|name| cut(name, 24)).collect();
    let longest = names.iter().map(|name| width(name)).fold(20.0, f64::max);
    let widest = matrix.cells.iter().flatten().map(|cell| width(&text(*cell)));
    let cell = widest.fold(CELL, |widest, text| widest.max(text + 8.0));
    let (left, top) = (34.0 + longest, 52.0 + longest);
    let size = cell * names.len() as f64;
    canvas.text([left + size / 2.0, 42.0], Anchor::Middle, DIM, &cut(&matrix.x, 40));
    canvas.turned([18.0, top + size / 2.0], Anchor::Middle, DIM, -90, &cut(&matrix.y, 40));
    for (at, name) in names.iter().enumerate() {
        let middle = (at as f64 + 0.5) * cell;
        canvas.text([left - 6.0, top + middle + 4.0], Anchor::End, INK, name);
        canvas.turned([left + middle + 4.0, top - 6.0], Anchor::Start, INK, -90, name);
    }
    for (row, cells) in matrix.cells.iter().enumerate() {
        let sum: f64 = cells.iter().map(|cell| cell.to_f64()).sum();
        for (column, count) in cells.iter().enumerate() {
            let share = if sum > 0.0 { count.to_f64() / sum } else { 0.0 };
            let [x, y] = [left + cell * column as f64, top + cell * row as f64];
            canvas.rect([x, y], [cell - 1.0, cell - 1.0], &shade(share));
            let ink = match () {
                () if share > 0.5 => "#ffffff",
                () if count.to_f64() == 0.0 => "#a0a7ae",
                () => INK,
            };
            let place = [x + cell / 2.0 - 0.5, y + cell / 2.0 + 4.0];
            canvas.text(place, Anchor::Middle, ink, &text(*count));
        }
    }
    let width = (left + size + 20.0).max(32.0 + width(&title));
    canvas.finish(width, top + size + 20.0)
}

fn text(count: Number) -> String {
    match count.integer() {
        Some(integer) => minus(&integer.to_string()),
        None => minus(&count.to_f64().to_string()),
    }
}

/// Returns the color of a cell by its share of the row.
fn shade(share: f64) -> String {
    let [red, green, blue] = HEAT.map(|full| {
        let empty = 246.0;
        (empty + (full - empty) * share.clamp(0.0, 1.0)).round() as u8
    });
    format!("#{red:02x}{green:02x}{blue:02x}")
}
