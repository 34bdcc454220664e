//! Effects on a bus of samples: filters, drive, echo, reverb, noise.

use crate::maths::{SAMPLE_RATE, follow, sine, soft_clip};
use crate::rng::Rng;

/// Applies two one-pole low-passes in series: 12 dB per octave.
pub(crate) fn lowpass(bus: &mut [f32], hertz: f32) {
    let share = follow(hertz);
    let (mut first, mut second) = (0.0, 0.0);
    for sample in bus {
        first += share * (*sample - first);
        second += share * (first - second);
        *sample = second;
    }
}

/// Subtracts a one-pole low-pass: 6 dB per octave.
pub(crate) fn highpass(bus: &mut [f32], hertz: f32) {
    let share = follow(hertz);
    let mut low = 0.0;
    for sample in bus {
        low += share * (*sample - low);
        *sample -= low;
    }
}

/// Applies a wah pedal: a band-pass that sweeps from `low` to `high` hertz and back `rate` times a
/// second.
///
/// It is Chamberlin's state variable filter, which is stable up to a sixth of the sample rate.
pub(crate) fn wah(bus: &mut [f32], low: f32, high: f32, rate: f32) {
    let (mut lows, mut band) = (0.0_f32, 0.0_f32);
    for (n, sample) in bus.iter_mut().enumerate() {
        let sweep = 0.5 + 0.5 * sine(n as f32 / SAMPLE_RATE as f32 * rate);
        let hertz = (low + (high - low) * sweep).min(SAMPLE_RATE as f32 / 7.0);
        let f = 2.0 * sine(hertz / SAMPLE_RATE as f32 / 2.0);
        lows += f * band;
        band += f * (*sample - lows - 0.4 * band);
        *sample = 0.7 * band + 0.3 * *sample;
    }
}

/// Applies a valve amplifier and keeps the level about the same.
///
/// A `gain` of 1 colours, 5 crunches, and 30 saturates.
pub(crate) fn drive(bus: &mut [f32], gain: f32) {
    for sample in bus.iter_mut() {
        // The offset makes the clipping asymmetric, which adds even harmonics.
        *sample = soft_clip(*sample * gain + 0.1) - 0.1;
    }
    highpass(bus, 30.0);
}

/// Adds repeats every `delay` samples, each `feedback` times as loud as the previous one and
/// duller.
pub(crate) fn echo(bus: &mut [f32], delay: usize, feedback: f32) {
    let mut dull = 0.0;
    for n in delay.max(1)..bus.len() {
        dull += 0.4 * (bus[n - delay.max(1)] - dull);
        bus[n] += feedback * dull;
    }
}

/// Adds a Schroeder reverb: four parallel combs, then two all-passes. A `size` of 1 is a hall.
pub(crate) fn reverb(bus: &mut [f32], size: f32, mix: f32) {
    let mut wet = vec![0.0; bus.len()];
    for (milliseconds, feedback) in [(29.7, 0.78), (37.1, 0.76), (41.1, 0.74), (43.7, 0.72)] {
        let delay = delay_of(milliseconds * (0.4 + 0.6 * size));
        let (mut line, mut dull) = (vec![0.0; delay], 0.0);
        for (n, (out, sample)) in wet.iter_mut().zip(bus.iter()).enumerate() {
            let slot = &mut line[n % delay];
            *out += *slot * 0.3;
            dull += 0.55 * (*slot - dull);
            *slot = sample + feedback * (0.7 + 0.3 * size) * dull;
        }
    }
    for milliseconds in [5.0, 1.7] {
        let delay = delay_of(milliseconds);
        let mut line = vec![0.0; delay];
        for (n, sample) in wet.iter_mut().enumerate() {
            let slot = &mut line[n % delay];
            let out = *slot - 0.6 * *sample;
            *slot = *sample + 0.6 * out;
            *sample = out;
        }
    }
    for (sample, wet) in bus.iter_mut().zip(wet) {
        *sample += mix * wet;
    }
}

fn delay_of(milliseconds: f32) -> usize {
    ((milliseconds * SAMPLE_RATE as f32 / 1000.0) as usize).max(1)
}

/// Adds the steady noise of a tape.
pub(crate) fn hiss(bus: &mut [f32], gain: f32, rng: &mut Rng) {
    for sample in bus {
        *sample += gain * rng.noise();
    }
}

/// Adds the clicks of dust on vinyl, `rate` per second.
pub(crate) fn crackle(bus: &mut [f32], rate: f32, gain: f32, rng: &mut Rng) {
    let clicks = (bus.len() as f32 / SAMPLE_RATE as f32 * rate) as usize;
    for _ in 0..clicks {
        let at = rng.below(bus.len());
        let mut level = gain * rng.range(0.2, 1.0);
        for sample in bus[at..].iter_mut().take(12) {
            *sample += level * rng.noise();
            level *= 0.7;
        }
    }
}

/// Returns the root mean square.
pub(crate) fn rms(bus: &[f32]) -> f32 {
    let energy: f64 = bus.iter().map(|sample| f64::from(*sample) * f64::from(*sample)).sum();
    (energy / (bus.len() as f64).max(1.0)).sqrt() as f32
}

/// Scales the loudest sample to `peak`; silence is unchanged.
pub(crate) fn normalise(bus: &mut [f32], peak: f32) {
    let loudest = bus.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
    if loudest > 0.0 {
        for sample in bus {
            *sample *= peak / loudest;
        }
    }
}
