//! Names of runs, and the legend of figures that show several.

use super::canvas::{Anchor, Canvas, DIM, FONT, INK, color, dashes, width};
use crate::report::plots::figure::Runs;
use crate::svg_text::cut;

/// Width of charts and bars.
pub(super) const WIDTH: f64 = 640.0;
const MARGIN: f64 = 16.0;
/// Maximum number of entries of a legend.
const MOST_ENTRIES: usize = 24;
/// Longest name in a legend, in characters.
const LONGEST: usize = 40;

/// Names runs in a label: `run-1, run-2`, or how many there are.
pub(super) fn names(of: &Runs, runs: &[String]) -> String {
    let names: Vec<&str> = of.iter().filter_map(|&at| runs.get(at)).map(String::as_str).collect();
    if names.len() > 3 { format!("{} runs", names.len()) } else { names.join(", ") }
}

/// Returns the label of a line or a group of bars.
pub(super) fn label(of: &Runs, name: Option<&str>, runs: &[String]) -> String {
    let runs = names(of, runs);
    name.map_or_else(|| runs.clone(), |name| format!("{runs} · {name}"))
}

/// Draws the legend below the title, in rows, and returns its lower end.
pub(super) fn draw_legend(canvas: &mut Canvas, labels: &[String]) -> f64 {
    let (mut x, mut y) = (16.0, 42.0);
    if labels.len() < 2 && labels.iter().all(|label| !label.contains(" · ")) {
        return y - 16.0;
    }
    for (at, text) in labels.iter().take(MOST_ENTRIES).enumerate() {
        let text = cut(text, LONGEST);
        let needed = 26.0 + width(&text) + 14.0;
        if x > 16.0 && x + needed > WIDTH - MARGIN {
            (x, y) = (16.0, y + FONT + 5.0);
        }
        canvas.path(&[vec![[x, y - 4.0], [x + 20.0, y - 4.0]]], color(at), dashes(at));
        canvas.text([x + 26.0, y], Anchor::Start, INK, &text);
        x += needed;
    }
    if labels.len() > MOST_ENTRIES {
        let more = format!("and {} more", labels.len() - MOST_ENTRIES);
        y += FONT + 5.0;
        canvas.text([16.0, y], Anchor::Start, DIM, &more);
    }
    y
}
