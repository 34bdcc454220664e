//! The largest difference of two numbers that count as the same.

use crate::number::Number;

/// A tolerance; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tolerance {
    pub absolute: f64,
    /// Relative to the size of the reference.
    pub relative: f64,
}

impl Tolerance {
    /// Reports whether `value` is as good as `reference`, by the rule of numpy's `isclose`:
    /// `|value - reference| <= absolute + relative * |reference|`. NaN equals NaN, and an infinity
    /// equals itself.
    pub fn allows(self, value: Number, reference: Number) -> bool {
        if value.same(reference) {
            return true;
        }
        let room = self.absolute + self.relative * reference.to_f64().abs();
        let is_finite = value.is_finite() && reference.is_finite();
        is_finite && value.minus(reference).to_f64().abs() <= room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closeness() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for (value, reference, absolute, relative, expected) in [
            (1.0, 1.0, 0.0, 0.0, true),
            (1.0, 1.5, 0.0, 0.0, false),
            (1.0, 1.5, 0.5, 0.0, true),
            (1.5, 1.0, 0.49, 0.0, false),
            // Relative to the second number.
            (110.0, 100.0, 0.0, 0.1, true),
            (100.0, 111.0, 0.0, 0.1, true),
            (111.0, 100.0, 0.0, 0.1, false),
            (-110.0, -100.0, 0.0, 0.1, true),
            (0.5, 0.0, 0.0, 0.9, false),
            (0.5, 0.0, 0.25, 0.9, false),
            (1.5, 1.0, 0.25, 0.25, true),
            (nan, nan, 0.0, 0.0, true),
            (nan, 1.0, inf, inf, false),
            (inf, inf, 0.0, 0.0, true),
            (inf, -inf, inf, 1.0, false),
            (1.0, inf, 1.0, 1.0, false),
            (0.0, -0.0, 0.0, 0.0, true),
        ] {
            let tolerance = Tolerance { absolute, relative };
            let found = tolerance.allows(value.into(), reference.into());
            assert_eq!(found, expected, "{value} {reference} {absolute} {relative}");
        }
        let big = |integer: i128| Number::from(integer);
        let one = Tolerance { absolute: 1.0, relative: 0.0 };
        assert!(one.allows(big((1 << 60) + 1), big(1 << 60)));
        assert!(!one.allows(big((1 << 60) + 2), big(1 << 60)));
    }
}
