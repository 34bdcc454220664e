//! Sine, power of two and soft clipping as polynomials, with the same bits on every platform.
//!
//! The standard library's `sin` and `exp2` call the platform's and differ in the last bit between
//! platforms.

use std::f32::consts::{LN_2, TAU};

/// Samples per second of every clip.
pub const SAMPLE_RATE: u32 = 22_050;

/// Returns the sine of a phase in turns, with an error of at most 2e-4.
pub(crate) fn sine(turns: f32) -> f32 {
    let phase = turns - turns.floor();
    // Reduce to the quarter turns around 0, where the series converges fast.
    let quarter = if phase < 0.25 {
        phase
    } else if phase < 0.75 {
        0.5 - phase
    } else {
        phase - 1.0
    };
    let x = quarter * TAU;
    let square = x * x;
    x * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)))
}

/// Returns 2 to the power of `x`, clamped to -100 to 100, with a relative error of at most 1e-5.
pub(crate) fn exp2(x: f32) -> f32 {
    let whole = x.clamp(-100.0, 100.0).floor();
    let y = (x - whole) * LN_2;
    let part = 1.0
        + y * (1.0
            + y / 2.0 * (1.0 + y / 3.0 * (1.0 + y / 4.0 * (1.0 + y / 5.0 * (1.0 + y / 6.0)))));
    // The integer part goes into the exponent bits of a float.
    part * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

/// Clips softly: a Padé approximation of tanh that is exact at 0 and ±1 from ±3 on.
pub(crate) fn soft_clip(x: f32) -> f32 {
    let x = x.clamp(-3.0, 3.0);
    x * (27.0 + x * x) / (27.0 + 9.0 * x * x)
}

/// Returns the decay factor per sample of a level that falls to 1/e in `seconds`.
pub(crate) fn decay(seconds: f32) -> f32 {
    let samples = (seconds * SAMPLE_RATE as f32).max(1.0);
    1.0 - 1.0 / samples
}

/// Returns the coefficient of a one-pole low-pass at `hertz`: the fraction of the difference to its
/// input that it moves per sample.
pub(crate) fn follow(hertz: f32) -> f32 {
    let w = TAU * hertz / SAMPLE_RATE as f32;
    w / (1.0 + w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_accuracy() {
        for n in -2000..2000 {
            let turns = n as f32 / 700.0;
            assert!((sine(turns) - (turns * TAU).sin()).abs() < 2e-4, "{turns}");
        }
    }

    #[test]
    fn exp2_accuracy() {
        for n in -1000..1000 {
            let x = n as f32 / 97.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 2e-5, "{x}");
        }
    }

    #[test]
    fn soft_clip_range() {
        for x in [-1e9, -3.0, -1.0, 0.0, 0.5, 3.0, 1e9] {
            assert!(soft_clip(x).abs() <= 1.0, "{x}");
            assert!((soft_clip(x) - x.tanh()).abs() < 0.03, "{x}");
        }
    }
}
