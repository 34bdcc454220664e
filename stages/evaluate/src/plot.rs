//! A plot area with two linear axes.

use crate::svg::{FAINT, GREY, NOTE, OUTLINE, Svg, TEXT};

/// Approximate number of ticks per axis.
const TICKS: f64 = 5.0;

/// Position of a plot area and the ranges of its axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plot {
    /// Upper left corner, in pixels.
    pub(crate) corner: [f64; 2],
    /// Width and height, in pixels.
    pub(crate) size: [f64; 2],
    /// Values at the left and the right edge.
    pub(crate) x: [f64; 2],
    /// Values at the lower and the upper edge.
    pub(crate) y: [f64; 2],
}

impl Plot {
    /// Returns the pixel position of a pair of values.
    pub(crate) fn position(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, top] = self.corner;
        let [width, height] = self.size;
        [left + width * fraction(x, self.x), top + height * (1.0 - fraction(y, self.y))]
    }

    /// Draws the frame, the ticks, and the names of the axes.
    pub(crate) fn frame(&self, svg: &mut Svg, names: [&str; 2]) {
        let [left, top] = self.corner;
        let [width, height] = self.size;
        let (grid, note) = (format!("stroke=\"{FAINT}\""), format!("fill=\"{GREY}\""));
        for tick in ticks(self.y) {
            let [_, y] = self.position(self.x[0], tick);
            svg.line([[left, y], [left + width, y]], &grid);
            svg.text(
                [left - 6.0, y + 4.0],
                NOTE,
                &format!("{note} text-anchor=\"end\""),
                &number(tick),
            );
        }
        for tick in ticks(self.x) {
            let [x, _] = self.position(tick, self.y[0]);
            svg.line(
                [[x, top + height], [x, top + height + 4.0]],
                &format!("stroke=\"{OUTLINE}\""),
            );
            let style = format!("{note} text-anchor=\"middle\"");
            svg.text([x, top + height + 17.0], NOTE, &style, &number(tick));
        }
        svg.rect(self.corner, self.size, &format!("fill=\"none\" stroke=\"{OUTLINE}\""), "");
        let style = "text-anchor=\"middle\" font-weight=\"600\"";
        svg.text([left + width / 2.0, top + height + 38.0], TEXT, style, names[0]);
        if !names[1].is_empty() {
            svg.rotated([left - 44.0, top + height / 2.0], -90.0, style, names[1]);
        }
    }
}

/// Maps a value to 0 at the start of a range and 1 at its end.
fn fraction(value: f64, [from, to]: [f64; 2]) -> f64 {
    (value - from) / (to - from)
}

/// Returns a range that starts at `from`, contains all finite `values` and is never empty.
pub(crate) fn range(from: f64, values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let most = values.into_iter().filter(|value| value.is_finite()).fold(from, f64::max);
    [from, if most > from { most } else { from + 1.0 }]
}

/// Returns round numbers in a range: multiples of 1, 2 or 5 times a power of ten.
fn ticks([from, to]: [f64; 2]) -> Vec<f64> {
    let rough = (to - from) / TICKS;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (first, last) = ((from / step - 1e-9).ceil() as i64, (to / step + 1e-9).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Formats a tick without floating-point noise.
fn number(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_in_range() {
        for (range, expected) in [
            ([0.0, 1.0], vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            ([0.0, 2.3], vec!["0", "0.5", "1", "1.5", "2"]),
            ([1.0, 60.0], vec!["20", "40", "60"]),
            ([0.5, 2.5], vec!["0.5", "1", "1.5", "2", "2.5"]),
        ] {
            assert_eq!(
                ticks(range).into_iter().map(number).collect::<Vec<_>>(),
                expected,
                "{range:?}"
            );
        }
    }

    #[test]
    fn positions_and_ranges() {
        let plot = Plot { corner: [10.0, 20.0], size: [100.0, 50.0], x: [1.0, 3.0], y: [0.0, 1.0] };
        assert_eq!(plot.position(1.0, 0.0), [10.0, 70.0]);
        assert_eq!(plot.position(2.0, 1.0), [60.0, 20.0]);
        assert_eq!(range(0.0, [0.5, f64::NAN, 2.0]), [0.0, 2.0]);
        assert_eq!(range(0.0, []), [0.0, 1.0]);
    }
}
