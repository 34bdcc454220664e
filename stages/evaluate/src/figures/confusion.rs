//! Draws the confusion matrix, with counts and shares in the cells.
//!
//! Rows are true classes, columns are predicted classes. The colour and the percentage of a cell
//! show its share of the row, so that classes of different sizes are comparable.

use model::metrics::Confusion;

use crate::svg::{GREY, INK, NOTE, OUTLINE, Svg, TEXT, shorten, width_of};
use crate::verdict;
use crate::wilson::Interval;

/// Side length of a cell in pixels: the largest, and the smallest, which holds a number.
const CELL: [f64; 2] = [46.0, 22.0];
/// Side length of the matrix at which its cells begin to shrink.
const SIDE: f64 = 1100.0;
/// Side length of a cell that holds a percentage below its number.
const ROOMY: f64 = 40.0;
/// Upper edge of the matrix.
const TOP: f64 = 78.0;
/// Colour of a share of 0. The scale suits print and colour-blind readers.
const LIGHT: [f64; 3] = [247.0, 251.0, 255.0];
/// Colour of a share of 1.
const DARK: [f64; 3] = [8.0, 48.0, 107.0];

/// Draws the matrix, with the intervals of the accuracy and of the macro F1.
pub(crate) fn draw(
    labels: &[String],
    confusion: &Confusion,
    [accuracy, macro_f1]: [Interval; 2],
) -> String {
    let names: Vec<String> = labels.iter().map(|label| shorten(label)).collect();
    let label_space = names.iter().map(|name| width_of(name, TEXT)).fold(0.0, f64::max) + 14.0;
    let left = label_space + 34.0;
    let cell = (SIDE / labels.len().max(1) as f64).clamp(CELL[1], CELL[0]).floor();
    let side = labels.len() as f64 * cell;
    let slanted = label_space * 0.75 + 12.0;
    let (legend, height) = (left + side + 28.0, TOP + side + slanted + 34.0);

    let summary = format!(
        "{} clips · accuracy {} · macro F1 {}",
        confusion.total(),
        verdict::percent(confusion.accuracy(), accuracy),
        verdict::with_interval(confusion.macro_f1(), macro_f1)
    );
    let width = (legend + 120.0).max(left + width_of(&summary, TEXT));
    let mut svg = Svg::new("Confusion matrix", [width, height]);
    svg.heading(left, "Confusion matrix", &summary);
    for (label, name) in names.iter().enumerate() {
        let y = TOP + label as f64 * cell;
        svg.text([left - 10.0, y + cell / 2.0 + 5.0], TEXT, "text-anchor=\"end\"", name);
        row(&mut svg, ([left, y], cell), labels, label, confusion);
        let x = left + label as f64 * cell + cell / 2.0 + 4.0;
        svg.rotated([x, TOP + side + 18.0], -45.0, "text-anchor=\"end\"", name);
    }
    svg.rect([left, TOP], [side; 2], &format!("fill=\"none\" stroke=\"{OUTLINE}\""), "");
    let style = "text-anchor=\"middle\" font-weight=\"600\"";
    svg.text([left + side / 2.0, height - 14.0], TEXT, style, "Predicted class");
    svg.rotated([20.0, TOP + side / 2.0], -90.0, style, "True class");
    scale(&mut svg, legend, side);
    svg.finish()
}

/// Draws the cells of one true class.
fn row(
    svg: &mut Svg,
    ([left, y], cell): ([f64; 2], f64),
    labels: &[String],
    label: usize,
    confusion: &Confusion,
) {
    let total: u64 = confusion.row(label).iter().sum();
    for (prediction, count) in confusion.row(label).iter().enumerate() {
        let x = left + prediction as f64 * cell;
        let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
        let tooltip = format!("{} → {}: {count} of {total}", labels[label], labels[prediction]);
        let style = format!("fill=\"{}\" stroke=\"#ffffff\"", colour(share));
        svg.rect([x, y], [cell; 2], &style, &tooltip);
        if *count > 0 {
            let ink = if share > 0.5 { "#ffffff" } else { INK };
            let weight = if label == prediction { "600" } else { "400" };
            let style = format!("text-anchor=\"middle\" pointer-events=\"none\" fill=\"{ink}\"");
            let bold = format!("{style} font-weight=\"{weight}\"");
            let middle = x + cell / 2.0;
            let size = if cell < ROOMY { NOTE } else { TEXT };
            let below = if cell < ROOMY { 4.0 } else { 0.0 };
            svg.text([middle, y + cell / 2.0 + below], size, &bold, &count.to_string());
            if cell >= ROOMY {
                let percent = format!("{:.0} %", share * 100.0);
                svg.text([middle, y + cell / 2.0 + 15.0], NOTE, &style, &percent);
            }
        }
    }
}

/// Draws the colour scale next to the matrix.
fn scale(svg: &mut Svg, left: f64, side: f64) {
    svg.gradient("scale", &[1.0, 0.5, 0.0].map(colour));
    svg.rect([left, TOP], [14.0, side], &format!("fill=\"url(#scale)\" stroke=\"{OUTLINE}\""), "");
    let style = format!("fill=\"{GREY}\"");
    for (y, name) in [(9.0, "100 %"), (side / 2.0 + 4.0, "50 %"), (side, "0 %")] {
        svg.text([left + 20.0, TOP + y], NOTE, &style, name);
    }
    svg.text([left - 2.0, TOP - 10.0], NOTE, &style, "share of true class");
}

fn colour(share: f64) -> String {
    let channel = |at: usize| (LIGHT[at] + (DARK[at] - LIGHT[at]) * share).round() as u8;
    format!("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_counts_shares_labels_and_colours() {
        let labels = ["rock & roll".to_owned(), "<blues>".to_owned()];
        let interval = Interval { low: 0.25, high: 0.875 };
        let confusion = Confusion::of(2, [(0, 0), (0, 0), (0, 1), (0, 1), (1, 1)]);
        let svg = draw(&labels, &confusion, [interval; 2]);
        for expected in [
            "rock &amp; roll",
            "&lt;blues&gt;",
            "Predicted class",
            "True class",
            "share of true class",
            "5 clips · accuracy 60.0 % (25.0 to 87.5) · macro F1 0.583 (0.250 to 0.875)",
        ] {
            assert!(svg.contains(expected), "{expected}");
        }
        // Row 0 is split evenly between two cells; row 1 is in one cell.
        assert_eq!(svg.matches(&format!("fill=\"{}\"", colour(0.5))).count(), 2);
        assert_eq!(svg.matches(&format!("fill=\"{}\"", colour(1.0))).count(), 1);
        // The scale has one of each too.
        assert_eq!((svg.matches(">50 %<").count(), svg.matches(">100 %<").count()), (3, 2));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn draws_empty_class_and_long_name() {
        let svg = draw(
            &["x".repeat(500), String::new()],
            &Confusion::new(2),
            [Interval::wilson(0.0, 0.0); 2],
        );
        assert!(svg.len() < 8000 && !svg.contains("NaN"), "{svg}");
    }
}
