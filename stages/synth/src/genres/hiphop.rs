//! Hip-hop: boom-bap or trap with a loud kit, a sub bass, a low-passed loop of keys, and vinyl
//! noise.

use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{crackle, lowpass};
use crate::studio::{BAR, Instrument, Studio};
use crate::theory::{
    Chord, MAJOR_7, MINOR, MINOR_7, MINOR_9, MINOR_PENTATONIC, Melody, in_octave_from, voicing,
};
use crate::voices::{ELECTRIC_PIANO, PIANO, Synth, VIBRAPHONE, Wave};

const CHORDS: &[&[Chord]] = &[
    &[(0, MINOR_9), (5, MINOR_7)],
    &[(0, MINOR_7), (8, MAJOR_7)],
    &[(0, MINOR), (0, MINOR)],
    &[(0, MINOR_7), (10, MINOR_7), (8, MAJOR_7), (7, MINOR_7)],
];

pub(super) fn play(studio: &mut Studio) {
    let trap = studio.rng.chance(0.3);
    if trap {
        studio.tempo((62.0, 78.0), (0.5, 0.52));
    } else {
        studio.tempo((76.0, 104.0), (0.52, 0.62));
    }
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio, if trap { TRAP } else { BOOM_BAP });
    sub_bass(studio, &changes);
    sample(studio, &changes);
    voice(studio);
}

/// Drum patterns: kicks and hats.
type Book = (&'static [&'static str], &'static [&'static str]);

const BOOM_BAP: Book = (
    &["x.....x.x.x.....", "x..x....x.x.....", "x.x.......xx....", "x......x.xx....."],
    &["x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.x.", "x-x-x-x-x-x-x-x-"],
);
const TRAP: Book = (
    &["x.....x...x.....", "x..x......x..x..", "x.........x....."],
    &["x-x-x-x-x-x-xxxx", "xxxxxxxxxxxxxxxx", "x-x-xxxxx-x-x-x-"],
);

fn drums(studio: &mut Studio, (kicks, hats): Book) {
    let kit = Kit::new(
        studio.rng.pick(&[KitStyle::Machine, KitStyle::Machine, KitStyle::Acoustic]),
        &mut studio.rng,
    );
    let mut bus = studio.bus();
    let (kick, hat) = (studio.rng.pick(kicks), studio.rng.pick(hats));
    studio.beat(&mut bus, &kit, Drum::Kick, &[kick], 1.2);
    let back = studio.rng.pick(&[Drum::Snare, Drum::Snare, Drum::Clap]);
    studio.beat(&mut bus, &kit, back, &["....x.......x..."], 1.0);
    studio.beat(&mut bus, &kit, Drum::ClosedHat, &[hat], 0.35);
    if studio.rng.chance(0.3) {
        studio.beat(&mut bus, &kit, Drum::OpenHat, &["..............x."], 0.35);
    }
    studio.mix(&bus, 1.1);
}

fn sub_bass(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let wave = studio.rng.pick(&[Wave::Sine, Wave::Sine, Wave::Triangle]);
    let bass = Instrument::Synth(Synth {
        wave,
        cutoff: 200.0,
        open: 400.0,
        decay: 0.6,
        sustain: 0.6,
        ..Synth::PLAIN
    });
    let figure = studio.rng.pick(&[
        &[(0.0, 1.4), (2.5, 1.0)][..],
        &[(0.0, 2.5)],
        &[(0.0, 0.7), (1.5, 0.4), (2.0, 1.0)],
    ]);
    for (start, chord) in changes {
        let root = in_octave_from(26, studio.key + chord.0);
        for (beat, length) in figure {
            studio.note(&mut bus, &bass, (start + beat, *length), root, 1.0);
        }
    }
    studio.mix(&bus, 1.0);
}

/// Repeats the same bar, as a sampler does.
fn sample(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let keys = Instrument::Keys(studio.rng.pick(&[ELECTRIC_PIANO, PIANO, VIBRAPHONE]));
    let arpeggio = studio.rng.chance(0.5);
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, 57);
        if arpeggio {
            for n in 0..8 {
                let pitch = notes[n * 5 % notes.len()];
                studio.note(&mut bus, &keys, (start + n as f32 * 0.5, 0.5), pitch, 0.7);
            }
        } else {
            studio.chord(&mut bus, &keys, (*start, BAR * 0.6), &notes, 1.0);
            studio.chord(&mut bus, &keys, (start + 2.5, 1.0), &notes, 0.6);
        }
    }
    lowpass(&mut bus, studio.rng.range(900.0, 4000.0));
    let mut noise = studio.rng.fork();
    crackle(&mut bus, studio.rng.range(2.0, 30.0), studio.rng.range(0.05, 0.5), &mut noise);
    studio.mix(&bus, 0.55);
}

/// Imitates rap with quick syllables on one pitch class.
fn voice(studio: &mut Studio) {
    if studio.rng.chance(0.4) {
        return;
    }
    let mut bus = studio.bus();
    let throat = Instrument::Synth(Synth {
        attack: 0.015,
        decay: 0.08,
        sustain: 0.4,
        cutoff: 900.0,
        open: studio.rng.range(1500.0, 3000.0),
        scoop: 1.5,
        ..Synth::PLAIN
    });
    let melody = Melody::new(&mut studio.rng, MINOR_PENTATONIC, studio.key + 12, 1);
    studio.solo(
        &mut bus,
        &throat,
        melody,
        &[&[0.25, 0.25, 0.25, 0.25], &[0.5, 0.25, 0.25], &[0.25, 0.5, 0.25]],
        1.0,
    );
    studio.mix(&bus, 0.6);
}
