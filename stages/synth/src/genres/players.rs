//! Instruments shared by several genres, with random variations.

use crate::studio::{Instrument, Studio};
use crate::voices::{Pluck, Synth, Wave};

/// Returns a plucked double bass for blues, country, jazz and reggae.
pub(super) fn upright_bass(studio: &mut Studio) -> Instrument {
    let bright = studio.rng.range(0.05, 0.25);
    Instrument::Pluck(Pluck { bright, ring: studio.rng.range(0.3, 0.8) })
}

/// Returns an electric or synthesizer bass.
pub(super) fn electric_bass(studio: &mut Studio) -> Instrument {
    let cutoff = studio.rng.range(250.0, 700.0);
    let wave = studio.rng.pick(&[Wave::Saw, Wave::Triangle, Wave::Square]);
    Instrument::Synth(Synth {
        wave,
        cutoff,
        open: cutoff * 2.5,
        decay: 0.2,
        sustain: 0.5,
        ..Synth::PLAIN
    })
}

/// Returns an electric guitar without an amplifier.
pub(super) fn electric_guitar(studio: &mut Studio) -> Instrument {
    let bright = studio.rng.range(0.4, 0.9);
    Instrument::Pluck(Pluck { bright, ring: studio.rng.range(1.0, 3.0) })
}

pub(super) fn acoustic_guitar(studio: &mut Studio) -> Instrument {
    let bright = studio.rng.range(0.5, 1.0);
    Instrument::Pluck(Pluck { bright, ring: studio.rng.range(0.5, 1.5) })
}

/// Returns a section of bowed strings.
pub(super) fn strings(studio: &mut Studio, attack: f32) -> Instrument {
    let cutoff = studio.rng.range(900.0, 2500.0);
    let spread = studio.rng.range(0.1, 0.25);
    Instrument::Synth(Synth {
        voices: 3,
        spread,
        attack,
        sustain: 0.9,
        release: 0.3,
        cutoff,
        open: cutoff,
        vibrato: 0.08,
        ..Synth::PLAIN
    })
}

/// Returns a solo lead such as a violin, a saxophone or a voice.
pub(super) fn singer(studio: &mut Studio, wave: Wave, cutoff: (f32, f32)) -> Instrument {
    let cutoff = studio.rng.range(cutoff.0, cutoff.1);
    let vibrato = studio.rng.range(0.1, 0.35);
    let scoop = studio.rng.range(0.0, 1.5);
    Instrument::Synth(Synth {
        wave,
        attack: 0.04,
        sustain: 0.8,
        release: 0.12,
        cutoff,
        open: cutoff * 1.5,
        vibrato,
        scoop,
        ..Synth::PLAIN
    })
}
