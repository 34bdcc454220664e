//! A frame with two axes, and lines in it.
//!
//! Knows nothing about what the lines mean.

use crate::svg::{FAINT, GREY, NOTE, OUTLINE, Svg, TEXT};

/// About how many marks an axis has.
const MARKS: f64 = 5.0;

/// Where a frame is and what its edges stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plot {
    /// The upper left corner, in pixels.
    pub(crate) corner: [f64; 2],
    /// Width and height, in pixels.
    pub(crate) size: [f64; 2],
    /// The values at the left and at the right edge.
    pub(crate) x: [f64; 2],
    /// The values at the lower and at the upper edge.
    pub(crate) y: [f64; 2],
}

impl Plot {
    /// Where a pair of values is.
    pub(crate) fn place(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, top] = self.corner;
        let [width, height] = self.size;
        [left + width * share(x, self.x), top + height * (1.0 - share(y, self.y))]
    }

    /// The frame, its marks, and the axes' names.
    pub(crate) fn frame(&self, svg: &mut Svg, names: [&str; 2]) {
        let [left, top] = self.corner;
        let [width, height] = self.size;
        let (grid, note) = (format!("stroke=\"{FAINT}\""), format!("fill=\"{GREY}\""));
        for mark in marks(self.y) {
            let [_, y] = self.place(self.x[0], mark);
            svg.line([[left, y], [left + width, y]], &grid);
            svg.text(
                [left - 6.0, y + 4.0],
                NOTE,
                &format!("{note} text-anchor=\"end\""),
                &number(mark),
            );
        }
        for mark in marks(self.x) {
            let [x, _] = self.place(mark, self.y[0]);
            svg.line(
                [[x, top + height], [x, top + height + 4.0]],
                &format!("stroke=\"{OUTLINE}\""),
            );
            let style = format!("{note} text-anchor=\"middle\"");
            svg.text([x, top + height + 17.0], NOTE, &style, &number(mark));
        }
        svg.rect(self.corner, self.size, &format!("fill=\"none\" stroke=\"{OUTLINE}\""), "");
        let style = "text-anchor=\"middle\" font-weight=\"600\"";
        svg.text([left + width / 2.0, top + height + 38.0], TEXT, style, names[0]);
        if !names[1].is_empty() {
            svg.turned([left - 44.0, top + height / 2.0], -90.0, style, names[1]);
        }
    }
}

/// From 0 at the first value of a range to 1 at its last.
fn share(value: f64, [from, to]: [f64; 2]) -> f64 {
    (value - from) / (to - from)
}

/// A range from `from` on that holds all of `values` and is never empty.
pub(crate) fn range(from: f64, values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let most = values.into_iter().filter(|value| value.is_finite()).fold(from, f64::max);
    [from, if most > from { most } else { from + 1.0 }]
}

/// Round numbers in a range: multiples of 1, 2 or 5 times a power of ten.
fn marks([from, to]: [f64; 2]) -> Vec<f64> {
    let rough = (to - from) / MARKS;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (first, last) = ((from / step - 1e-9).ceil() as i64, (to / step + 1e-9).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// A mark without the rounding of its sum.
fn number(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_inside() {
        for (range, expected) in [
            ([0.0, 1.0], vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            ([0.0, 2.3], vec!["0", "0.5", "1", "1.5", "2"]),
            ([1.0, 60.0], vec!["20", "40", "60"]),
            ([0.5, 2.5], vec!["0.5", "1", "1.5", "2", "2.5"]),
        ] {
            assert_eq!(
                marks(range).into_iter().map(number).collect::<Vec<_>>(),
                expected,
                "{range:?}"
            );
        }
    }

    #[test]
    fn values_have_their_places() {
        let plot = Plot { corner: [10.0, 20.0], size: [100.0, 50.0], x: [1.0, 3.0], y: [0.0, 1.0] };
        assert_eq!(plot.place(1.0, 0.0), [10.0, 70.0]);
        assert_eq!(plot.place(2.0, 1.0), [60.0, 20.0]);
        assert_eq!(range(0.0, [0.5, f64::NAN, 2.0]), [0.0, 2.0]);
        assert_eq!(range(0.0, []), [0.0, 1.0]);
    }
}
