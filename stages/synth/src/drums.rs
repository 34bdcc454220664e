//! Drum kit: each drum's sound is computed once per clip and then placed by patterns.

use crate::effects::{highpass, lowpass};
use crate::maths::{SAMPLE_RATE, decay, sine, soft_clip};
use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drum {
    Kick,
    Snare,
    Rim,
    Clap,
    ClosedHat,
    OpenHat,
    Ride,
    Crash,
    Tom,
    Shaker,
}

/// Character of a kit; each clip's kit varies it a little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KitStyle {
    /// An acoustic kit in a room.
    Acoustic,
    /// Tight, bright and loud, to go with distorted guitars.
    Hard,
    /// A drum machine with a long low kick.
    Machine,
    /// A kit played softly with brushes.
    Brushes,
}

#[derive(Debug)]
pub(crate) struct Kit {
    sounds: Vec<(Drum, Vec<f32>)>,
}

impl Kit {
    pub(crate) fn new(style: KitStyle, rng: &mut Rng) -> Kit {
        let tune = rng.range(0.85, 1.18);
        let ring = rng.range(0.7, 1.4);
        let (kick, sweep, boom, click) = match style {
            KitStyle::Acoustic => (58.0, 70.0, 0.11, 0.25),
            KitStyle::Hard => (62.0, 120.0, 0.07, 0.8),
            KitStyle::Machine => (48.0, 110.0, 0.22, 0.15),
            KitStyle::Brushes => (60.0, 40.0, 0.09, 0.08),
        };
        let (body, skin, wires, bright) = match style {
            KitStyle::Acoustic => (190.0, 0.6, 0.09, 900.0),
            KitStyle::Hard => (210.0, 0.7, 0.11, 1200.0),
            KitStyle::Machine => (180.0, 0.5, 0.07, 1500.0),
            KitStyle::Brushes => (220.0, 0.25, 0.12, 700.0),
        };
        let kick = drum(kick * tune, sweep, boom * ring, click, 1.0, rng);
        let mut snare = noise(wires * ring, bright, 9000.0, rng);
        mix(&mut snare, &drum(body * tune, 60.0, 0.05 * ring, 0.1, skin, rng));
        let metal = rng.range(0.8, 1.25);
        let sounds = vec![
            (Drum::Kick, kick),
            (Drum::Snare, snare),
            (Drum::Rim, drum(820.0 * tune, 0.0, 0.015, 0.5, 0.7, rng)),
            (Drum::Clap, clap(ring, rng)),
            (Drum::ClosedHat, cymbal(0.022 * ring, metal, rng)),
            (Drum::OpenHat, cymbal(0.13 * ring, metal, rng)),
            (Drum::Ride, ride(0.25 * ring, metal, rng)),
            (Drum::Crash, cymbal(0.6 * ring, metal * 0.8, rng)),
            (Drum::Tom, drum(105.0 * tune, 50.0, 0.15 * ring, 0.15, 0.9, rng)),
            (Drum::Shaker, noise(0.03, 4000.0, 10_000.0, rng)),
        ];
        Kit { sounds }
    }

    pub(crate) fn hit(&self, bus: &mut [f32], drum: Drum, at: usize, gain: f32) {
        let sound = self.sounds.iter().find(|(name, _)| *name == drum);
        let room = bus.get_mut(at..).unwrap_or_default();
        for (sample, value) in room.iter_mut().zip(sound.map_or(&[][..], |(_, sound)| sound)) {
            *sample += gain * value;
        }
    }
}

fn samples(seconds: f32) -> usize {
    (seconds * SAMPLE_RATE as f32) as usize
}

fn mix(bus: &mut Vec<f32>, other: &[f32]) {
    bus.resize(bus.len().max(other.len()), 0.0);
    for (sample, value) in bus.iter_mut().zip(other) {
        *sample += value;
    }
}

/// Returns a drum skin: a sine that falls by `sweep` hertz to `pitch`, plus the click of the stick.
fn drum(pitch: f32, sweep: f32, seconds: f32, click: f32, gain: f32, rng: &mut Rng) -> Vec<f32> {
    let (fall, drop) = (decay(seconds), decay(0.025));
    let (mut level, mut swept, mut phase, mut stick) = (gain, sweep, 0.0, click);
    (0..samples(seconds * 6.0))
        .map(|_| {
            let value = level * soft_clip(1.5 * sine(phase)) + stick * rng.noise();
            phase += (pitch + swept) / SAMPLE_RATE as f32;
            phase -= phase.floor();
            level *= fall;
            swept *= drop;
            stick *= 0.985;
            value
        })
        .collect()
}

fn noise(seconds: f32, low: f32, high: f32, rng: &mut Rng) -> Vec<f32> {
    let (fall, mut level) = (decay(seconds), 1.0);
    let mut sound: Vec<f32> = (0..samples(seconds * 6.0))
        .map(|_| {
            level *= fall;
            level * rng.noise()
        })
        .collect();
    highpass(&mut sound, low);
    lowpass(&mut sound, high);
    sound
}

/// Returns a clap of three or four hands that are not quite together.
fn clap(ring: f32, rng: &mut Rng) -> Vec<f32> {
    let mut sound = noise(0.08 * ring, 900.0, 5000.0, rng);
    for _ in 0..3 {
        let mut hand = vec![0.0; samples(rng.range(0.004, 0.03))];
        hand.extend(noise(0.008, 900.0, 6000.0, rng));
        mix(&mut sound, &hand);
    }
    sound
}

/// Returns a cymbal: high-passed noise and six inharmonic square waves.
fn cymbal(seconds: f32, metal: f32, rng: &mut Rng) -> Vec<f32> {
    let (fall, mut level) = (decay(seconds), 0.6);
    let mut phases = [0.0_f32; 6];
    let steps = [205.3, 304.4, 369.6, 522.7, 540.0, 800.0]
        .map(|hertz| 9.0 * metal * hertz / SAMPLE_RATE as f32);
    let mut sound: Vec<f32> = (0..samples(seconds * 5.0))
        .map(|_| {
            let mut ring = 0.0;
            for (phase, step) in phases.iter_mut().zip(steps) {
                *phase += step;
                *phase -= phase.floor();
                ring += if *phase < 0.5 { 0.12 } else { -0.12 };
            }
            level *= fall;
            level * (ring + 0.8 * rng.noise())
        })
        .collect();
    highpass(&mut sound, 5000.0);
    highpass(&mut sound, 4000.0);
    sound
}

fn ride(seconds: f32, metal: f32, rng: &mut Rng) -> Vec<f32> {
    let mut sound: Vec<f32> =
        cymbal(seconds, metal * 0.9, rng).iter().map(|sample| 0.45 * sample).collect();
    let ping = drum(3100.0 * metal, 0.0, 0.06, 0.3, 0.18, rng);
    mix(&mut sound, &ping);
    sound
}
