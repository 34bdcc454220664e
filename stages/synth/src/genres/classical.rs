//! Classical: strings, broken chords on piano or harp, violin or flute, rubato, a hall; no drums.

use super::players::{singer, strings};
use crate::clock::Clock;
use crate::effects::reverb;
use crate::studio::{BAR, Instrument, Studio};
use crate::theory::{
    Chord, MAJOR, MAJOR_SCALE, MINOR, MINOR_SCALE, Melody, SEVENTH, in_octave_from, voicing,
};
use crate::voices::{HARP, PIANO, Wave};

const MAJOR_CHORDS: &[&[Chord]] = &[
    &[
        (0, MAJOR),
        (7, MAJOR),
        (9, MINOR),
        (4, MINOR),
        (5, MAJOR),
        (0, MAJOR),
        (5, MAJOR),
        (7, SEVENTH),
    ],
    &[(0, MAJOR), (5, MAJOR), (7, SEVENTH), (0, MAJOR)],
    &[(0, MAJOR), (2, MINOR), (7, SEVENTH), (0, MAJOR)],
];
const MINOR_CHORDS: &[&[Chord]] = &[
    &[(0, MINOR), (5, MINOR), (7, SEVENTH), (0, MINOR)],
    &[(0, MINOR), (10, MAJOR), (8, MAJOR), (7, SEVENTH)],
    &[(0, MINOR), (8, MAJOR), (3, MAJOR), (7, SEVENTH)],
];

pub(super) fn play(studio: &mut Studio) {
    studio.clock =
        Clock::new(studio.rng.range(56.0, 138.0)).with_rubato(studio.rng.range(0.05, 0.3));
    let minor = studio.rng.chance(0.5);
    let changes = if minor { studio.rng.pick(MINOR_CHORDS) } else { studio.rng.pick(MAJOR_CHORDS) };
    let changes = studio.changes(changes);
    let hall = studio.rng.range(0.3, 0.9);
    // A keyboard soloist, an orchestra, or both.
    let force = studio.rng.below(3);
    if force != 0 {
        orchestra(studio, &changes, hall);
    }
    if force != 1 {
        broken_chords(studio, &changes, hall);
    }
    if force != 0 || studio.rng.chance(0.5) {
        let scale = if minor { MINOR_SCALE } else { MAJOR_SCALE };
        soloist(studio, scale, hall);
    }
}

fn orchestra(studio: &mut Studio, changes: &[(f32, Chord)], hall: f32) {
    let mut bus = studio.bus();
    let attack = studio.rng.range(0.05, 0.35);
    let section = strings(studio, attack);
    let strokes = studio.rng.pick(&[1, 1, 2, 4]);
    for (start, chord) in changes {
        let mut notes = voicing(studio.key, *chord, 55);
        notes.push(in_octave_from(36, studio.key + chord.0));
        notes.push(in_octave_from(67, studio.key + chord.0 + chord.1[1]));
        let length = BAR / strokes as f32;
        for stroke in 0..strokes {
            let time = (start + stroke as f32 * length, length * 0.95);
            studio.chord(&mut bus, &section, time, &notes, 1.0);
        }
    }
    reverb(&mut bus, 1.0, hall);
    studio.mix(&bus, 0.9);
}

fn broken_chords(studio: &mut Studio, changes: &[(f32, Chord)], hall: f32) {
    let mut bus = studio.bus();
    let keys = Instrument::Keys(studio.rng.pick(&[PIANO, PIANO, HARP]));
    // Indices into the chord: an Alberti bass, an arpeggio up, one up and down.
    let figure = studio.rng.pick(&[
        [0, 2, 1, 2, 0, 2, 1, 2],
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 3, 2, 1],
    ]);
    let rate = studio.rng.pick(&[0.5, 0.5, 0.25]);
    let low = 43 + studio.rng.below(8) as i32;
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, low);
        let root = in_octave_from(31, studio.key + chord.0);
        studio.note(&mut bus, &keys, (*start, BAR * 0.9), root, 0.8);
        for n in 0..(BAR / rate) as usize {
            let tone = figure[n % figure.len()];
            let pitch = notes[tone % notes.len()] + 12 * (tone / notes.len()) as i32;
            studio.note(&mut bus, &keys, (start + n as f32 * rate, rate), pitch, 0.7);
        }
    }
    reverb(&mut bus, 0.9, hall);
    studio.mix(&bus, 0.8);
}

fn soloist(studio: &mut Studio, scale: &'static [i32], hall: f32) {
    let mut bus = studio.bus();
    let wave = studio.rng.pick(&[Wave::Saw, Wave::Sine, Wave::Triangle]);
    let mut player = singer(studio, wave, (1800.0, 4000.0));
    if let Instrument::Synth(synth) = &mut player {
        synth.scoop = 0.0;
    }
    let melody = Melody::new(&mut studio.rng, scale, studio.key + 36, 1);
    studio.solo(
        &mut bus,
        &player,
        melody,
        &[&[1.0, 1.0], &[2.0, 1.0, 1.0], &[1.5, 0.5], &[0.5, 0.5, 0.5, 0.5]],
        0.8,
    );
    reverb(&mut bus, 1.0, hall);
    studio.mix(&bus, 0.7);
}
