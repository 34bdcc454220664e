//! Jazz: swing on the ride, a walking bass, off-beat seventh chords, and an improvised solo.

use super::players::{electric_guitar, singer, upright_bass};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{lowpass, reverb};
use crate::studio::{Instrument, Studio};
use crate::theory::{
    BLUES_SCALE, Chord, HALF_DIMINISHED, MAJOR_7, MAJOR_SCALE, MINOR_7, MINOR_SCALE, Melody,
    SEVENTH, in_octave_from, voicing,
};
use crate::voices::{PIANO, VIBRAPHONE, Wave};

const CHORDS: &[&[Chord]] = &[
    &[(2, MINOR_7), (7, SEVENTH), (0, MAJOR_7), (9, SEVENTH)],
    &[(0, MAJOR_7), (9, MINOR_7), (2, MINOR_7), (7, SEVENTH)],
    &[(2, HALF_DIMINISHED), (7, SEVENTH), (0, MINOR_7), (0, MINOR_7)],
    &[(0, SEVENTH), (5, SEVENTH), (0, SEVENTH), (9, SEVENTH), (2, MINOR_7), (7, SEVENTH)],
];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((88.0, 220.0), (0.58, 0.68));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio);
    walking_bass(studio, &changes);
    comping(studio, &changes);
    improvise(studio);
}

fn drums(studio: &mut Studio) {
    if studio.rng.chance(0.12) {
        return;
    }
    let style = studio.rng.pick(&[KitStyle::Brushes, KitStyle::Acoustic]);
    let kit = Kit::new(style, &mut studio.rng);
    let mut bus = studio.bus();
    let ride = studio.rng.pick(&["x.xox.xo", "x.x-x.x-", "xox.xox."]);
    studio.beat(&mut bus, &kit, Drum::Ride, &[ride], 0.6);
    studio.beat(&mut bus, &kit, Drum::ClosedHat, &["..x...x."], 0.3);
    let snare = studio.rng.pick(&[
        &["...-....", "......-.", ".-...-.."][..],
        &["-.-.-.-."],
        &["........", "...o...-"],
    ]);
    studio.beat(&mut bus, &kit, Drum::Snare, snare, 0.5);
    studio.beat(&mut bus, &kit, Drum::Kick, &["-.-.-.-.", "-.-.-..o"], 0.4);
    studio.mix(&bus, 0.5);
}

/// Plays quarter notes: the root, chord tones, then a semitone next to the following root.
fn walking_bass(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let bass = upright_bass(studio);
    for (n, (start, chord)) in changes.iter().enumerate() {
        let root = in_octave_from(30, studio.key + chord.0);
        let next =
            changes.get(n + 1).map_or(root, |(_, next)| in_octave_from(30, studio.key + next.0));
        let leading = next + studio.rng.pick(&[-1, 1]);
        let (third, fifth) = (root + chord.1[1], root + chord.1[2]);
        let middle = studio.rng.pick(&[[third, fifth], [fifth, third], [root + 12, fifth]]);
        for (beat, pitch) in [root, middle[0], middle[1], leading].into_iter().enumerate() {
            studio.note(&mut bus, &bass, (start + beat as f32, 0.9), pitch, 1.0);
        }
    }
    studio.mix(&bus, 0.8);
}

fn comping(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let guitar = studio.rng.chance(0.35);
    let player = if guitar { electric_guitar(studio) } else { Instrument::Keys(PIANO) };
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, 55);
        let figure = studio.rng.pick(&[
            &[(0.0, 0.4), (1.5, 0.4)][..],
            &[(0.5, 0.4), (2.5, 0.9)],
            &[(1.5, 1.4)],
            &[(0.0, 1.4), (3.5, 0.4)],
        ]);
        for (beat, length) in figure {
            studio.chord(&mut bus, &player, (start + beat, *length), &notes, 0.8);
        }
    }
    if guitar {
        lowpass(&mut bus, 2200.0);
    }
    reverb(&mut bus, 0.5, 0.25);
    studio.mix(&bus, 0.6);
}

fn improvise(studio: &mut Studio) {
    let mut bus = studio.bus();
    let player = match studio.rng.below(4) {
        // A saxophone, a trumpet, a piano or a vibraphone.
        0 => singer(studio, Wave::Saw, (1200.0, 2400.0)),
        1 => singer(studio, Wave::Square, (1500.0, 3500.0)),
        2 => Instrument::Keys(PIANO),
        _ => Instrument::Keys(VIBRAPHONE),
    };
    let scale = studio.rng.pick(&[MAJOR_SCALE, MINOR_SCALE, BLUES_SCALE]);
    let melody = Melody::new(&mut studio.rng, scale, studio.key + 24, 2);
    let rhythms: &[&[f32]] =
        &[&[0.5, 0.5, 0.5, 0.5], &[0.5, 0.5, 1.0], &[0.5; 8], &[1.5, 0.5], &[0.333, 0.333, 0.334]];
    studio.solo(&mut bus, &player, melody, rhythms, 0.9);
    reverb(&mut bus, 0.5, 0.3);
    let level = studio.rng.range(0.5, 1.0);
    studio.mix(&bus, level);
}
