//! Pitched instruments: plucked strings, oscillators, and sums of decaying partials.
//!
//! Each adds one note to a bus.

use crate::maths::{SAMPLE_RATE, decay, exp2, follow, sine};
use crate::rng::Rng;
use crate::theory::hertz;

/// A note for any instrument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    /// Index of the first sample.
    pub(crate) at: usize,
    /// Number of samples for which the note is held.
    pub(crate) length: usize,
    /// MIDI note, possibly with a fraction.
    pub(crate) pitch: f32,
    pub(crate) gain: f32,
}

/// A plucked string.
///
/// Source: Karplus and Strong, "Digital synthesis of plucked-string and drum timbres", 1983.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pluck {
    /// Brightness of the pluck, from 0 (a thumb) to 1 (a plectrum at the bridge).
    pub(crate) bright: f32,
    /// Decay time in seconds while the note is held.
    pub(crate) ring: f32,
}

impl Pluck {
    pub(crate) fn play(&self, bus: &mut [f32], note: Note, rng: &mut Rng) {
        // Averaging adjacent samples adds a delay of half a sample.
        let period = SAMPLE_RATE as f32 / hertz(note.pitch) - 0.5;
        let whole_samples = period as usize;
        if whole_samples < 2 {
            return;
        }
        let mut delay_line = vec![0.0; whole_samples + 1];
        let (mut lowpassed, share) = (0.0, 0.15 + 0.85 * self.bright);
        for slot in &mut delay_line {
            lowpassed += share * (rng.noise() - lowpassed);
            *slot = lowpassed;
        }
        let fraction = period - whole_samples as f32;
        let loss = 1.0 - 1.0 / (self.ring * hertz(note.pitch)).max(2.0);
        let damped = loss * 0.9;
        let (mut index, mut last, mut low) = (0, 0.0, 0.0);
        let rest_of_bus = bus.get_mut(note.at..).unwrap_or_default();
        for (n, sample) in
            rest_of_bus.iter_mut().take(note.length + SAMPLE_RATE as usize / 10).enumerate()
        {
            let next = (index + 1) % delay_line.len();
            // Interpolate between two slots of the delay line to get the exact pitch.
            let out = delay_line[next] * (1.0 - fraction) + delay_line[index] * fraction;
            low += 0.002 * (out - low);
            *sample += note.gain * (out - low);
            delay_line[index] = 0.5 * (out + last) * if n < note.length { loss } else { damped };
            last = out;
            index = next;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wave {
    Sine,
    Triangle,
    Square,
    Saw,
}

/// Detuned oscillators, a low-pass that closes after the attack, an envelope and vibrato.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Synth {
    pub(crate) wave: Wave,
    /// Number of oscillators.
    pub(crate) voices: usize,
    /// Detuning between the lowest and the highest oscillator, in semitones.
    pub(crate) spread: f32,
    /// Seconds to full level.
    pub(crate) attack: f32,
    /// Time constant in seconds of level and filter after the attack.
    pub(crate) decay: f32,
    /// Held level as a fraction of full level.
    pub(crate) sustain: f32,
    /// Seconds to fade out after the note is released.
    pub(crate) release: f32,
    /// Cutoff frequency of the filter while the note is held, in hertz.
    pub(crate) cutoff: f32,
    /// Cutoff frequency of the filter at the end of the attack, in hertz.
    pub(crate) open: f32,
    /// Amplitude of the vibrato in semitones, at about 5 Hz.
    pub(crate) vibrato: f32,
    /// Semitones below the pitch at which the note begins; it slides up in a tenth of a second.
    pub(crate) scoop: f32,
}

impl Synth {
    pub(crate) const PLAIN: Synth = Synth {
        wave: Wave::Saw,
        voices: 1,
        spread: 0.0,
        attack: 0.005,
        decay: 0.3,
        sustain: 0.7,
        release: 0.08,
        cutoff: 2000.0,
        open: 4000.0,
        vibrato: 0.0,
        scoop: 0.0,
    };

    pub(crate) fn play(&self, bus: &mut [f32], note: Note, rng: &mut Rng) {
        let rate = SAMPLE_RATE as f32;
        let release = (self.release * rate) as usize + 1;
        let attack = (self.attack * rate).max(1.0);
        let fall = decay(self.decay);
        let mut phases: Vec<f32> = (0..self.voices.max(1)).map(|_| rng.unit()).collect();
        let middle = (phases.len() - 1) as f32 / 2.0;
        let ratios: Vec<f32> = (0..phases.len())
            .map(|voice| {
                exp2((voice as f32 - middle) * self.spread / (12.0 * (2.0 * middle).max(1.0)))
            })
            .collect();
        let gain = note.gain / (phases.len() as f32).sqrt();
        let wobble = rng.range(4.6, 6.0);
        let (mut first, mut second, mut held, mut step) = (0.0, 0.0, 1.0, 0.0);
        let mut share = 0.0;
        let rest_of_bus = bus.get_mut(note.at..).unwrap_or_default();
        for (n, sample) in rest_of_bus.iter_mut().take(note.length + release).enumerate() {
            let time = n as f32 / rate;
            if n % 16 == 0 {
                // Slow modulation does not need to be computed for each sample.
                let bend = self.vibrato * (time * 3.0).min(1.0) * sine(time * wobble);
                let scoop = self.scoop * (1.0 - time * 10.0).max(0.0);
                step = hertz(note.pitch + bend - scoop) / rate;
                share = follow(self.cutoff + (self.open - self.cutoff) * held);
            }
            let rising = (n as f32 / attack).min(1.0);
            if rising >= 1.0 {
                held *= fall;
            }
            let falling = 1.0 - n.saturating_sub(note.length) as f32 / release as f32;
            let level = gain * rising * (self.sustain + (1.0 - self.sustain) * held) * falling;
            let mut sum = 0.0;
            for (phase, ratio) in phases.iter_mut().zip(&ratios) {
                sum += oscillate(self.wave, *phase, step * ratio);
                *phase += step * ratio;
                *phase -= phase.floor();
            }
            first += share * (sum - first);
            second += share * (first - second);
            *sample += level * second;
        }
    }
}

fn oscillate(wave: Wave, phase: f32, step: f32) -> f32 {
    match wave {
        Wave::Sine => sine(phase),
        Wave::Triangle => 1.0 - 4.0 * (phase - 0.5).abs(),
        Wave::Saw => 2.0 * phase - 1.0 - round_jump(phase, step),
        Wave::Square => {
            let other = if phase < 0.5 { phase + 0.5 } else { phase - 0.5 };
            let level = if phase < 0.5 { 1.0 } else { -1.0 };
            level + round_jump(phase, step) - round_jump(other, step)
        }
    }
}

/// Returns the PolyBLEP correction of a jump from +1 to -1 at phase 0, which reduces aliasing.
///
/// Source: Välimäki and Huovilainen, "Antialiasing oscillators in subtractive synthesis", 2007.
fn round_jump(phase: f32, step: f32) -> f32 {
    if phase < step {
        let t = phase / step;
        t + t - t * t - 1.0
    } else if phase > 1.0 - step {
        let t = (phase - 1.0) / step;
        t * t + t + t + 1.0
    } else {
        0.0
    }
}

/// A sum of partials with individual decay times: pianos, bells, organs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    /// Frequency relative to the note, level, and decay time in seconds; 0 means no decay.
    pub(crate) partials: &'static [(f32, f32, f32)],
    /// Seconds to full level.
    pub(crate) attack: f32,
    /// Decay time in seconds after the note is released.
    pub(crate) release: f32,
}

pub(crate) const PIANO: Keys = Keys {
    partials: &[
        (1.0, 1.0, 0.9),
        (2.001, 0.55, 0.6),
        (3.004, 0.3, 0.45),
        (4.009, 0.2, 0.3),
        (5.02, 0.12, 0.2),
        (6.03, 0.08, 0.15),
        (7.05, 0.05, 0.1),
    ],
    attack: 0.002,
    release: 0.15,
};

pub(crate) const ELECTRIC_PIANO: Keys = Keys {
    partials: &[
        (1.0, 1.0, 1.0),
        (2.0, 0.25, 0.5),
        (3.0, 0.08, 0.3),
        (7.0, 0.12, 0.06),
        (14.0, 0.05, 0.02),
    ],
    attack: 0.003,
    release: 0.2,
};

pub(crate) const ORGAN: Keys = Keys {
    partials: &[
        (0.5, 0.5, 0.0),
        (1.0, 1.0, 0.0),
        (1.5, 0.4, 0.0),
        (2.0, 0.6, 0.0),
        (3.0, 0.25, 0.0),
        (4.0, 0.3, 0.0),
        (8.0, 0.12, 0.0),
    ],
    attack: 0.006,
    release: 0.03,
};

pub(crate) const HARP: Keys = Keys {
    partials: &[(1.0, 1.0, 0.6), (2.0, 0.35, 0.35), (3.0, 0.2, 0.2), (4.0, 0.06, 0.1)],
    attack: 0.003,
    release: 0.4,
};

pub(crate) const VIBRAPHONE: Keys = Keys {
    partials: &[(1.0, 1.0, 1.2), (4.0, 0.3, 0.4), (10.0, 0.08, 0.1)],
    attack: 0.002,
    release: 0.3,
};

impl Keys {
    pub(crate) fn play(&self, bus: &mut [f32], note: Note, rng: &mut Rng) {
        let rate = SAMPLE_RATE as f32;
        let base = hertz(note.pitch);
        let release = decay(self.release);
        let attack = (self.attack * rate).max(1.0);
        let end = note.length + (self.release * 5.0 * rate) as usize;
        for (ratio, level, seconds) in self.partials {
            let step = base * ratio / rate;
            if step > 0.45 {
                continue;
            }
            // Higher notes decay faster.
            let fall = if *seconds > 0.0 {
                decay(seconds * (300.0 / (base + 150.0)).min(1.5))
            } else {
                1.0
            };
            let mut phase = rng.unit();
            let mut gain = note.gain * level;
            let rest_of_bus = bus.get_mut(note.at..).unwrap_or_default();
            for (n, sample) in rest_of_bus.iter_mut().take(end).enumerate() {
                *sample += gain * sine(phase) * (n as f32 / attack).min(1.0);
                phase += step;
                phase -= phase.floor();
                gain *= if n < note.length { fall } else { release };
                // The rest is inaudible.
                if gain < 1e-4 {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the energy at a frequency, by correlation with a sine and a cosine.
    fn energy_at(samples: &[f32], hertz: f32) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let angle =
                std::f64::consts::TAU * f64::from(hertz) * n as f64 / f64::from(SAMPLE_RATE);
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        re * re + im * im
    }

    fn check_pitch(play: impl Fn(&mut [f32], Note, &mut Rng)) {
        for pitch in [40.0, 57.0, 69.0, 76.0] {
            let mut bus = vec![0.0; SAMPLE_RATE as usize];
            let note = Note { at: 0, length: bus.len(), pitch, gain: 1.0 };
            play(&mut bus, note, &mut Rng::new(&[9]));
            let energy_near = |cents: f32| energy_at(&bus, hertz(pitch + cents / 100.0));
            for beside in [-40.0, -25.0, 25.0, 40.0] {
                assert!(
                    energy_near(0.0) > energy_near(beside),
                    "note {pitch}: more energy at {beside} cents"
                );
            }
        }
    }

    #[test]
    fn instruments_are_in_tune() {
        let pluck = Pluck { bright: 0.5, ring: 2.0 };
        check_pitch(|bus, note, rng| pluck.play(bus, note, rng));
        for wave in [Wave::Sine, Wave::Triangle, Wave::Square, Wave::Saw] {
            let synth = Synth { wave, sustain: 1.0, ..Synth::PLAIN };
            check_pitch(|bus, note, rng| synth.play(bus, note, rng));
        }
        check_pitch(|bus, note, rng| PIANO.play(bus, note, rng));
    }

    #[test]
    fn notes_beyond_the_end() {
        let mut bus = vec![0.0; 100];
        for at in [0, 99, 100, 5000] {
            let note = Note { at, length: 1000, pitch: 60.0, gain: 1.0 };
            Pluck { bright: 1.0, ring: 1.0 }.play(&mut bus, note, &mut Rng::new(&[1]));
            Synth::PLAIN.play(&mut bus, note, &mut Rng::new(&[1]));
            ORGAN.play(&mut bus, note, &mut Rng::new(&[1]));
        }
        assert!(bus.iter().all(|sample| sample.is_finite()));
    }
}
