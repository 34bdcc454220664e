//! Horizontal bars: a group per category.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, INK, color, width};
use super::legend::{WIDTH, draw_legend, label};
use crate::report::plots::figure::{Bars, Scale};
use crate::svg_text::cut;

const BAR: f64 = 12.0;
const GAP: f64 = 8.0;

/// Returns the bars as a document.
pub(super) fn draw(bars: &Bars, runs: &[String]) -> String {
    let mut canvas = Canvas::new(&bars.title);
    canvas.text([16.0, 22.0], Anchor::Start, INK, &cut(&bars.title, 90));
    let labels: Vec<String> =
        bars.groups.iter().map(|group| label(&group.runs, group.name.as_deref(), runs)).collect();
    let top = draw_legend(&mut canvas, &labels) + 12.0;
    let names: Vec<String> = bars.categories.iter().map(|name| cut(name, 30)).collect();
    let left = 22.0 + names.iter().map(|name| width(name)).fold(20.0, f64::max);
    let each = BAR * bars.groups.len() as f64 + GAP;
    let bottom = top + each * names.len() as f64 + GAP;
    let values = bars.groups.iter().flat_map(|group| group.values.iter().flatten());
    // Bars begin at zero.
    let values = values.map(|value| value.to_f64()).chain([0.0]);
    let x = Axis::new(Scale::Linear, values, 0.0).between(left, WIDTH - 24.0);
    x.draw_x(&mut canvas, top, bottom, &cut(&bars.y, 80));
    for (at, name) in names.iter().enumerate() {
        let y = top + GAP + each * at as f64;
        canvas.text([left - 8.0, y + (each - GAP) / 2.0 + 4.0], Anchor::End, INK, name);
        for (place, group) in bars.groups.iter().enumerate() {
            let Some(value) = group.values[at].filter(|value| value.is_finite()) else { continue };
            let [from, to] = [x.place(0.0), x.place(value.to_f64())];
            let y = y + BAR * place as f64;
            canvas.rect([from.min(to), y], [(to - from).abs(), BAR - 1.0], color(place));
        }
    }
    canvas.finish(WIDTH, bottom + 44.0)
}
