//! Axes: from values to places, and round values for their ticks.

use super::canvas::{Anchor, CHAR, Canvas, DIM, GRID, INK, width};
use crate::report::plots::figure::Scale;

/// An axis between two values, drawn between two places.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Creates an axis for values, with a margin. Values of a log scale must be positive.
    pub(super) fn new(scale: Scale, values: impl Iterator<Item = f64>, margin: f64) -> Axis {
        let finite = values.filter(|value| value.is_finite()).map(limited);
        let (low, high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let scale = if low > 0.0 && low <= high { scale } else { Scale::Linear };
        let (low, high) = match scale {
            _ if low > high => (0.0, 1.0),
            Scale::Log => {
                let factor = (high / low).powf(margin).max(1.05);
                (low / factor, high * factor)
            }
            Scale::Linear if low == high => {
                let half = if low == 0.0 { 0.5 } else { low.abs() * 0.1 };
                (low - half, high + half)
            }
            Scale::Linear => (low - (high - low) * margin, high + (high - low) * margin),
        };
        Axis { scale, low, high, from: 0.0, to: 1.0 }
    }

    /// Places the axis between two coordinates.
    pub(super) fn between(self, from: f64, to: f64) -> Axis {
        Axis { from, to, ..self }
    }

    /// Returns the place of a value.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = limited(value);
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            // A value below the limit is 0, which has no logarithm.
            Scale::Log => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share * (self.to - self.from)
    }

    /// Returns round values on the axis with their labels, about `count` of them.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => linear_ticks(self.low, self.high, count),
            Scale::Log => log_ticks(self.low, self.high),
        }
    }

    /// Draws the grid and the labels of a horizontal axis whose figure begins at `top`.
    pub(super) fn draw_x(&self, canvas: &mut Canvas, top: f64, bottom: f64, label: &str) {
        for (value, text) in self.ticks(6) {
            let x = self.place(value);
            canvas.line([x, top], [x, bottom], GRID);
            canvas.text([x, bottom + 16.0], Anchor::Middle, DIM, &text);
        }
        canvas.line([self.from, bottom], [self.to, bottom], DIM);
        let middle = (self.from + self.to) / 2.0;
        canvas.text([middle, bottom + 34.0], Anchor::Middle, INK, label);
    }

    /// Draws the grid and the labels of a vertical axis whose figure begins at `left`.
    pub(super) fn draw_y(&self, canvas: &mut Canvas, left: f64, right: f64) {
        for (value, text) in self.ticks(5) {
            let y = self.place(value);
            canvas.line([left, y], [right, y], GRID);
            canvas.text([left - 6.0, y + 4.0], Anchor::End, DIM, &text);
        }
        canvas.line([left, self.from], [left, self.to], DIM);
    }

    /// Returns the width of the labels of a vertical axis.
    pub(super) fn label_width(&self) -> f64 {
        self.ticks(5).iter().map(|(_, text)| width(text)).fold(2.0 * CHAR, f64::max)
    }
}

/// Limits a value, so that no range overflows.
fn limited(value: f64) -> f64 {
    let most = 1e100;
    if value.abs() < 1.0 / most { 0.0 } else { value.clamp(-most, most) }
}

/// Returns multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(power);
    // So that rounding does not hide a tick at an end.
    let slack = 1e-9;
    let first = (low / step - slack).ceil();
    let values = (0..=3 * count).map(|at| (first + at as f64) * step);
    // Zero without the sign that a product may leave.
    let values = values.take_while(|value| *value <= high + step * slack).map(|value| value + 0.0);
    values.map(|value| (value, label(value, step))).collect()
}

/// Returns powers of ten, or more values if there are few of them.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades = last - first;
    let factors: &[f64] = match decades {
        ..=1 => &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        2..=3 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let every = decades / 8 + 1;
    let powers = (first.div_euclid(every) * every..=last).step_by(every as usize);
    let values = powers.flat_map(|power| factors.iter().map(move |by| by * 10f64.powi(power)));
    let values = values.filter(|value| (low..=high).contains(value));
    values.map(|value| (value, label(value, value))).collect()
}

/// Formats a value with the decimals that its step needs.
fn label(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs().max(step.abs());
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{:e}", format!("{value:.2e}").parse().unwrap_or(value));
        return minus(&text);
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    minus(&format!("{value:.decimals$}"))
}

/// Writes a minus sign instead of a hyphen.
pub(super) fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn smallest_decade_has_place() {
        let axis = Axis::new(Scale::Log, [4.13e-100, 3.2e80].into_iter(), 0.05).between(0.0, 1.0);
        assert!(axis.ticks(5).iter().all(|(value, _)| axis.place(*value).is_finite()));
    }

    #[test]
    fn round_ticks() {
        let texts = |scale, values: &[f64]| {
            let axis = Axis::new(scale, values.iter().copied(), 0.0);
            axis.ticks(5).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        for (scale, values, ticks) in [
            (Scale::Linear, &[0.0, 1.0][..], "0 0.2 0.4 0.6 0.8 1.0"),
            (Scale::Linear, &[-3.0, 12.0], "0 5 10"),
            (Scale::Linear, &[0.0123, 0.0127], "0.0123 0.0124 0.0125 0.0126 0.0127"),
            (Scale::Linear, &[0.0, 3e7], "0 1e7 2e7 3e7"),
            (Scale::Linear, &[5.0, 5.0], "4.6 4.8 5.0 5.2 5.4"),
            (Scale::Linear, &[f64::NAN], "0 0.2 0.4 0.6 0.8 1.0"),
            (Scale::Log, &[0.01, 100.0], "0.01 0.1 1 10 100"),
            (Scale::Log, &[0.3, 0.9], "0.3 0.4 0.5 0.6 0.7 0.8 0.9"),
            (Scale::Log, &[1e-9, 1e9], "1e−9 1e−6 0.001 1 1000 1e6 1e9"),
        ] {
            assert_eq!(texts(scale, values), ticks, "{scale:?} {values:?}");
        }
    }

    proptest! {
        #[test]
        fn ticks_are_few_and_inside(
            values in prop::collection::vec(prop::num::f64::ANY, 0..4),
            is_log in prop::bool::ANY,
        ) {
            let scale = if is_log { Scale::Log } else { Scale::Linear };
            let values: Vec<f64> =
                values.into_iter().map(|value| if is_log { value.abs() } else { value }).collect();
            let axis = Axis::new(scale, values.iter().copied(), 0.05).between(0.0, 100.0);
            let ticks = axis.ticks(5);
            prop_assert!(ticks.len() <= 20, "{} ticks", ticks.len());
            for (value, _) in ticks {
                prop_assert!((-0.01..=100.01).contains(&axis.place(value)), "{value} of {axis:?}");
            }
        }
    }
}
