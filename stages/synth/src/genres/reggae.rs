//! Reggae: off-beat chops of guitar and organ, one-drop drums, and a melodic bass.

use super::players::{electric_guitar, singer, upright_bass};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{echo, highpass, lowpass, reverb};
use crate::studio::{Instrument, Studio};
use crate::theory::{
    Chord, MAJOR, MINOR, MINOR_7, MINOR_PENTATONIC, Melody, in_octave_from, voicing,
};
use crate::voices::{ORGAN, Wave};

const CHORDS: &[&[Chord]] = &[
    &[(0, MINOR), (0, MINOR), (5, MINOR), (7, MINOR)],
    &[(0, MAJOR), (5, MAJOR)],
    &[(0, MINOR_7), (10, MAJOR)],
    &[(0, MAJOR), (7, MAJOR), (9, MINOR), (5, MAJOR)],
];

/// Bass line: beat, length in beats, and index of the chord tone.
type Line = &'static [(f32, f32, usize)];

const BASS_LINES: &[Line] = &[
    &[(0.0, 0.9, 0), (1.5, 0.4, 0), (2.0, 0.4, 1), (2.5, 0.9, 2)],
    &[(0.5, 0.4, 0), (1.0, 0.9, 2), (2.5, 0.4, 1), (3.0, 0.9, 0)],
    &[(0.0, 0.4, 0), (0.5, 0.4, 0), (1.5, 0.4, 2), (2.0, 1.4, 0)],
    &[(0.0, 1.4, 0), (2.0, 0.7, 2), (3.0, 0.7, 1)],
];

pub(super) fn play(studio: &mut Studio) {
    // In this count, which some halve, the chop falls on every "and".
    studio.tempo((66.0, 96.0), (0.5, 0.6));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio);
    bass(studio, &changes);
    skank(studio, &changes);
    if studio.rng.chance(0.6) {
        lead(studio);
    }
}

fn drums(studio: &mut Studio) {
    let kit = Kit::new(KitStyle::Acoustic, &mut studio.rng);
    let mut bus = studio.bus();
    // One drop, rockers, steppers.
    let kick = studio.rng.pick(&[
        "....x.......x...",
        "........x.......",
        "x.......x.......",
        "x...x...x...x...",
    ]);
    let rim = studio.rng.pick(&["....x.......x...", "........x.......", "....x..-....x.-."]);
    studio.beat(&mut bus, &kit, Drum::Kick, &[kick], 1.0);
    let stick = studio.rng.pick(&[Drum::Rim, Drum::Rim, Drum::Snare]);
    studio.beat(&mut bus, &kit, stick, &[rim], 0.7);
    let hats = studio.rng.pick(&["x.x.x.x.x.x.x.x.", "x-xox-xox-xox-xo", "..x...x...x...x."]);
    studio.beat(&mut bus, &kit, Drum::ClosedHat, &[hats], 0.3);
    if studio.rng.chance(0.3) {
        echo(&mut bus, studio.clock.duration(0.75), 0.3);
    }
    studio.mix(&bus, 0.7);
}

fn bass(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let bass = upright_bass(studio);
    let line = studio.rng.pick(BASS_LINES);
    for (start, chord) in changes {
        let root = in_octave_from(28, studio.key + chord.0);
        for (beat, length, tone) in line {
            let pitch = root + chord.1[*tone];
            studio.note(&mut bus, &bass, (start + beat, *length), pitch, 1.0);
        }
    }
    lowpass(&mut bus, studio.rng.range(250.0, 600.0));
    studio.mix(&bus, 1.2);
}

fn skank(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let (mut chops, mut bubble) = (studio.bus(), studio.bus());
    let guitar = electric_guitar(studio);
    let organ = Instrument::Keys(ORGAN);
    let bubbles = studio.rng.chance(0.6);
    let double = studio.rng.chance(0.3);
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, 57);
        for beat in 0..4 {
            let off = start + beat as f32 + 0.5;
            studio.chord(&mut chops, &guitar, (off, 0.12), &notes, 1.0);
            if double {
                studio.chord(&mut chops, &guitar, (off + 0.25, 0.1), &notes, 0.6);
            }
            if bubbles {
                studio.chord(&mut bubble, &organ, (off - 0.25, 0.15), &notes, 0.5);
                studio.chord(&mut bubble, &organ, (off, 0.2), &notes, 0.8);
            }
        }
    }
    highpass(&mut chops, 300.0);
    if studio.rng.chance(0.5) {
        echo(&mut chops, studio.clock.duration(0.75), studio.rng.range(0.3, 0.6));
    }
    reverb(&mut chops, 0.5, 0.25);
    studio.mix(&chops, 0.7);
    if bubbles {
        studio.mix(&bubble, 0.4);
    }
}

fn lead(studio: &mut Studio) {
    let mut bus = studio.bus();
    let wave = studio.rng.pick(&[Wave::Saw, Wave::Triangle, Wave::Square]);
    let voice = singer(studio, wave, (1200.0, 2600.0));
    let melody = Melody::new(&mut studio.rng, MINOR_PENTATONIC, studio.key + 24, 1);
    studio.solo(&mut bus, &voice, melody, &[&[0.5, 0.5, 1.0], &[1.0, 1.0], &[1.5, 0.5]], 0.8);
    echo(&mut bus, studio.clock.duration(0.75), 0.35);
    reverb(&mut bus, 0.6, 0.3);
    studio.mix(&bus, 0.7);
}
