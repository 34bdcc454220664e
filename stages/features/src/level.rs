//! Converts powers and band values to the levels that a network sees: logarithms and normalisation.
//!
//! The functions work on flat slices, whatever their axes.

use crate::params::{Normalise, Scale};

/// Lower bound on powers before a logarithm. The natural logarithm of silence is therefore about
/// -23 and its level -100 dB.
pub const LOG_FLOOR: f32 = 1e-10;

/// Smallest standard deviation to divide by, as a share of the clip's largest absolute level.
///
/// A smaller deviation is hardly more than rounding error. Dividing by it would turn the last
/// digits of a clip of almost one level into a pattern.
pub const SMALLEST_DEVIATION: f64 = 1e-3;

/// Replaces each value by ln(max(value, [`LOG_FLOOR`])).
pub fn log(values: &mut [f32]) {
    for value in values {
        *value = ln(value.max(LOG_FLOOR));
    }
}

/// Converts `values`, which are magnitudes raised to `power` (1 or 2), to a scale.
///
/// Decibels match librosa's `power_to_db` and `amplitude_to_db` with `ref=1.0`, and for `power` 2
/// also torchaudio's `AmplitudeToDB`. The floor is 1e-10 for powers and 1e-5 for magnitudes. A
/// `top_db` of 0 sets no limit.
pub fn to_scale(values: &mut [f32], scale: Scale, power: u8, top_db: f32) {
    match scale {
        Scale::Log => log(values),
        Scale::Log1p => values.iter_mut().for_each(|value| *value = value.ln_1p()),
        Scale::Db => {
            let (factor, floor) = match power {
                1 => (20.0, LOG_FLOOR.sqrt()),
                _ => (10.0, LOG_FLOOR),
            };
            for value in values.iter_mut() {
                *value = factor * std::f32::consts::LOG10_E * ln(value.max(floor));
            }
            let loudest = loudest(values);
            if top_db > 0.0 {
                for value in values {
                    *value = value.max(loudest - top_db);
                }
            }
        }
    }
}

/// Returns the largest value. Comparing in lanes avoids one long chain of dependent comparisons.
fn loudest(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (most, value) in lanes.iter_mut().zip(chunk) {
            *most = if value > most { *value } else { *most };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Returns the natural logarithm of a positive, normal number.
///
/// The error is at most 2e-7, relative to the result or to 1, whichever is larger. The polynomial
/// is that of Cephes' `logf`. The platform's logarithm is a function call per value and took a
/// third of the total time; this one vectorises and gives the same bits on every machine.
#[inline]
fn ln(x: f32) -> f32 {
    // x = 2^exponent · (1 + m), with 1 + m from √½ to √2.
    let exponent = (x.to_bits() as i32 - 0x3f35_04f3) >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23) as u32)) - 1.0;
    let exponent = exponent as f32;
    let mut polynomial = 7.037_683_6e-2;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        polynomial = polynomial * m + coefficient;
    }
    // ln 2 is split in two parts; the larger one times an exponent is exact.
    let small = polynomial * m * m * m - 2.121_944_4e-4 * exponent - 0.5 * m * m;
    m + small + 0.693_359_4 * exponent
}

/// Normalises a clip's values; see [`Normalise`]. Values that are all equal become 0.
pub fn normalise(values: &mut [f32], how: Normalise) {
    match how {
        Normalise::None => {}
        Normalise::Clip => {
            let count = values.len().max(1) as f64;
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
            let square =
                values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
            let largest =
                values.iter().fold(0.0, |largest: f64, value| largest.max(f64::from(value.abs())));
            let divisor =
                square.sqrt().max(largest * SMALLEST_DEVIATION).max(f32::MIN_POSITIVE.into());
            for value in values {
                *value = ((f64::from(*value) - mean) / divisor) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_matches_platform() {
        let mut x = f32::MIN_POSITIVE;
        while x < 1e37 {
            let (value, expected) = (f64::from(ln(x)), f64::from(x).ln());
            assert!(
                (value - expected).abs() <= 2e-7 * expected.abs().max(1.0),
                "ln({x:e}) is {value}"
            );
            x *= 1.000_7;
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn decibel_floor_and_range() {
        for (power, top_db, expected) in [
            (2, 0.0, [0.0, 20.0, -100.0]),
            (2, 80.0, [0.0, 20.0, -60.0]),
            (1, 0.0, [0.0, 40.0, -100.0]),
        ] {
            let mut values = [1.0, 100.0, 0.0];
            to_scale(&mut values, Scale::Db, power, top_db);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-4, "{values:?}");
            }
        }
    }

    #[test]
    fn logarithms_of_silence() {
        let mut values = [0.0, 1.0];
        to_scale(&mut values, Scale::Log, 2, 80.0);
        assert!((values[0] - LOG_FLOOR.ln()).abs() < 1e-5 && values[1] == 0.0, "{values:?}");
        let mut values = [0.0, 1.0];
        to_scale(&mut values, Scale::Log1p, 2, 80.0);
        assert_eq!(values, [0.0, 2.0_f32.ln()]);
    }

    #[test]
    fn normalised_mean_and_deviation() {
        let mut values = [1.0, 3.0, 1.0, 3.0];
        normalise(&mut values, Normalise::Clip);
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
        for level in [-23.025_85, 0.0, 1e-30] {
            let mut still = [level; 9];
            normalise(&mut still, Normalise::Clip);
            assert_eq!(still, [0.0; 9]);
        }
        // A quiet clip in `log1p` is scaled like a loud one; rounding error is not.
        let mut quiet = [1e-9, 3e-9, 1e-9, 3e-9];
        normalise(&mut quiet, Normalise::Clip);
        assert!((quiet[1] - 1.0).abs() < 1e-6, "{quiet:?}");
        let mut almost_still = [-100.0, -100.000_01];
        normalise(&mut almost_still, Normalise::Clip);
        assert!(almost_still[0].abs() < 1e-4, "{almost_still:?}");
        normalise(&mut [], Normalise::Clip);
    }
}
