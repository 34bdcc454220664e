//! The ten styles, one file each: who plays what, when. Knows nothing about how an instrument sounds.

mod blues;
mod classical;
mod country;
mod disco;
mod hiphop;
mod jazz;
mod metal;
mod pop;
mod reggae;
mod rock;

use crate::Genre;
use crate::studio::{Instrument, Studio};
use crate::voices::{Pluck, Synth, Wave};

/// Plays a style into a studio, to the end of its piece.
pub(crate) fn play(genre: Genre, studio: &mut Studio) {
    match genre {
        Genre::Blues => blues::play(studio),
        Genre::Classical => classical::play(studio),
        Genre::Country => country::play(studio),
        Genre::Disco => disco::play(studio),
        Genre::Hiphop => hiphop::play(studio),
        Genre::Jazz => jazz::play(studio),
        Genre::Metal => metal::play(studio),
        Genre::Pop => pop::play(studio),
        Genre::Reggae => reggae::play(studio),
        Genre::Rock => rock::play(studio),
    }
}

/// A finger on a thick string: blues, country, jazz, reggae.
fn upright_bass(studio: &mut Studio) -> Instrument {
    let bright = studio.rng.range(0.05, 0.25);
    Instrument::Pluck(Pluck { bright, ring: studio.rng.range(0.3, 0.8) })
}

/// A bass guitar with a plectrum, or a synthesizer in its place.
fn electric_bass(studio: &mut Studio) -> Instrument {
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

/// An electric guitar before its amplifier.
fn electric_guitar(studio: &mut Studio) -> Instrument {
    let bright = studio.rng.range(0.4, 0.9);
    Instrument::Pluck(Pluck { bright, ring: studio.rng.range(1.0, 3.0) })
}

fn acoustic_guitar(studio: &mut Studio) -> Instrument {
    let bright = studio.rng.range(0.5, 1.0);
    Instrument::Pluck(Pluck { bright, ring: studio.rng.range(0.5, 1.5) })
}

/// Bowed strings, many players.
fn strings(studio: &mut Studio, attack: f32) -> Instrument {
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

/// One player who sings: a violin, a saxophone, a voice.
fn singer(studio: &mut Studio, wave: Wave, cutoff: (f32, f32)) -> Instrument {
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
