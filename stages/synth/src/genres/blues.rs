//! Blues: a twelve-bar shuffle with boogie guitar or piano, walking bass, and a lead that bends
//! notes.

use super::players::{electric_guitar, singer, upright_bass};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{drive, reverb};
use crate::studio::{BAR, Instrument, Studio};
use crate::theory::{BLUES_SCALE, Chord, Melody, SEVENTH, voicing};
use crate::voices::{ORGAN, PIANO, Wave};

const TWELVE_BARS: &[Chord] = &[
    (0, SEVENTH),
    (0, SEVENTH),
    (0, SEVENTH),
    (0, SEVENTH),
    (5, SEVENTH),
    (5, SEVENTH),
    (0, SEVENTH),
    (0, SEVENTH),
    (7, SEVENTH),
    (5, SEVENTH),
    (0, SEVENTH),
    (7, SEVENTH),
];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((62.0, 132.0), (0.6, 0.68));
    let changes = studio.changes(TWELVE_BARS);
    drums(studio);
    rhythm(studio, &changes);
    lead(studio);
}

fn drums(studio: &mut Studio) {
    let kit = Kit::new(
        studio.rng.pick(&[KitStyle::Acoustic, KitStyle::Acoustic, KitStyle::Brushes]),
        &mut studio.rng,
    );
    let mut bus = studio.bus();
    let cymbal = studio.rng.pick(&[Drum::ClosedHat, Drum::Ride]);
    let time = studio.rng.pick(&["x-x-x-x-", "x.xox.xo", "xoxoxoxo"]);
    studio.beat(&mut bus, &kit, cymbal, &[time], 0.35);
    let kick = studio.rng.pick(&["x...x...", "x..ox...", "x.o.x.o."]);
    studio.beat(&mut bus, &kit, Drum::Kick, &[kick], 0.9);
    studio.beat(&mut bus, &kit, Drum::Snare, &["..x...x.", "..x...x.", "..x...x-"], 0.7);
    studio.mix(&bus, 0.7);
}

fn rhythm(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let (mut low, mut chords) = (studio.bus(), studio.bus());
    let bass = upright_bass(studio);
    let piano = studio.rng.chance(0.4);
    let comp = if piano { Instrument::Keys(PIANO) } else { electric_guitar(studio) };
    let pad = studio.rng.chance(0.3).then_some(Instrument::Keys(ORGAN));
    let walk = studio.rng.pick(&[[0, 4, 7, 9], [0, 0, 7, 7], [0, 4, 7, 10]]);
    for (start, chord) in changes {
        let root = studio.key + chord.0;
        for (n, tone) in walk.iter().enumerate() {
            studio.note(&mut low, &bass, (start + n as f32, 0.9), root - 12 + tone, 1.0);
        }
        // The boogie alternates the fifth and the sixth over the root.
        for n in 0..8 {
            let top = if n % 4 < 2 { 7 } else { 9 };
            let beat = start + n as f32 * 0.5;
            studio.chord(&mut chords, &comp, (beat, 0.4), &[root + 12, root + 12 + top], 0.8);
        }
        if let Some(organ) = &pad {
            let notes = voicing(studio.key, *chord, 55);
            studio.chord(&mut chords, organ, (*start, BAR * 0.95), &notes, 0.3);
        }
    }
    if !piano {
        drive(&mut chords, studio.rng.range(1.0, 4.0));
    }
    studio.mix(&low, 0.8);
    studio.mix(&chords, 0.7);
}

fn lead(studio: &mut Studio) {
    let mut bus = studio.bus();
    let harmonica = studio.rng.chance(0.35);
    let voice = if harmonica {
        singer(studio, Wave::Square, (1500.0, 3000.0))
    } else {
        electric_guitar(studio)
    };
    let melody = Melody::new(&mut studio.rng, BLUES_SCALE, studio.key + 24, 2);
    studio.solo(
        &mut bus,
        &voice,
        melody,
        &[&[0.5, 0.5, 1.0], &[1.0, 1.0], &[0.5, 0.5, 0.5, 0.5], &[1.5, 0.5]],
        0.8,
    );
    drive(&mut bus, studio.rng.range(1.5, 6.0));
    reverb(&mut bus, 0.4, studio.rng.range(0.1, 0.5));
    let level = studio.rng.range(0.4, 1.0);
    studio.mix(&bus, level);
}
