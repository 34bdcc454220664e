//! From powers and band values to the levels that a network sees: logarithms and normalisation.
//!
//! Knows nothing about frequency and time: values are a flat list.

use crate::params::{Normalise, Scale};

/// Powers below this are taken as this: the natural logarithm of silence is about -23, its level -100 dB.
pub const LOG_FLOOR: f32 = 1e-10;

/// ln(max(value, [`LOG_FLOOR`])).
pub fn log(values: &mut [f32]) {
    for value in values {
        *value = value.max(LOG_FLOOR).ln();
    }
}

/// Puts `values`, magnitudes to the `power` of 1 or 2, on a scale.
///
/// Decibels are librosa's `power_to_db` and `amplitude_to_db` with `ref=1.0` (for `power` 2 also torchaudio's
/// `AmplitudeToDB`): the floor is 1e-10 of power, 1e-5 of magnitude. A `top_db` of 0 sets no limit.
pub fn to_scale(values: &mut [f32], scale: Scale, power: u8, top_db: f32) {
    match scale {
        Scale::Log => log(values),
        Scale::Log1p => values.iter_mut().for_each(|value| *value = value.ln_1p()),
        Scale::Db => {
            let (factor, floor) = match power {
                1 => (20.0, LOG_FLOOR.sqrt()),
                _ => (10.0, LOG_FLOOR),
            };
            let mut loudest = f32::NEG_INFINITY;
            for value in values.iter_mut() {
                *value = factor * value.max(floor).log10();
                loudest = loudest.max(*value);
            }
            if top_db > 0.0 {
                for value in values {
                    *value = value.max(loudest - top_db);
                }
            }
        }
    }
}

/// See [`Normalise`]. Values that are all equal become 0.
pub fn normalise(values: &mut [f32], how: Normalise) {
    match how {
        Normalise::None => {}
        Normalise::Clip => {
            let count = values.len().max(1) as f64;
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
            let square = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
            // Below this it is rounding, not sound.
            let factor = if square.sqrt() > 1e-5 { 1.0 / square.sqrt() } else { 0.0 };
            for value in values {
                *value = ((f64::from(*value) - mean) * factor) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_have_a_floor_and_a_range() {
        for (power, top_db, expected) in
            [(2, 0.0, [0.0, 20.0, -100.0]), (2, 80.0, [0.0, 20.0, -60.0]), (1, 0.0, [0.0, 40.0, -100.0])]
        {
            let mut values = [1.0, 100.0, 0.0];
            to_scale(&mut values, Scale::Db, power, top_db);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-4, "{values:?}");
            }
        }
    }

    #[test]
    fn logarithms_of_silence_are_finite() {
        let mut values = [0.0, 1.0];
        to_scale(&mut values, Scale::Log, 2, 80.0);
        assert_eq!(values, [LOG_FLOOR.ln(), 0.0]);
        let mut values = [0.0, 1.0];
        to_scale(&mut values, Scale::Log1p, 2, 80.0);
        assert_eq!(values, [0.0, 2.0_f32.ln()]);
    }

    #[test]
    fn a_normalised_clip_has_mean_0_and_deviation_1() {
        let mut values = [1.0, 3.0, 1.0, 3.0];
        normalise(&mut values, Normalise::Clip);
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
        let mut silence = [-23.0; 9];
        normalise(&mut silence, Normalise::Clip);
        assert_eq!(silence, [0.0; 9]);
        normalise(&mut [], Normalise::Clip);
    }
}
