//! Rock: straight eighths with crunching chords, bass on the roots, a loud backbeat, voice or
//! guitar.

use super::players::{electric_bass, electric_guitar, singer};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{drive, lowpass, reverb};
use crate::studio::Studio;
use crate::theory::{Chord, MAJOR, MINOR, MINOR_PENTATONIC, Melody, POWER, in_octave_from};
use crate::voices::Wave;

const CHORDS: &[&[Chord]] = &[
    &[(0, POWER), (5, POWER), (7, POWER), (5, POWER)],
    &[(0, POWER), (10, POWER), (5, POWER), (0, POWER)],
    &[(0, MAJOR), (7, MAJOR), (9, MINOR), (5, MAJOR)],
    &[(0, POWER), (3, POWER), (5, POWER), (10, POWER)],
    &[(9, MINOR), (7, MAJOR), (5, MAJOR), (7, MAJOR)],
];

const STROKES: &[&str] = &["xxxxxxxx", "x.xx.xx.", "x...x.x.", "x.x.xxx.", "x......."];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((92.0, 168.0), (0.5, 0.54));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio);
    guitars(studio, &changes);
    lead(studio);
}

fn drums(studio: &mut Studio) {
    let kit = Kit::new(
        studio.rng.pick(&[KitStyle::Acoustic, KitStyle::Acoustic, KitStyle::Hard]),
        &mut studio.rng,
    );
    let mut bus = studio.bus();
    let kick = studio.rng.pick(&[
        "x.......x.......",
        "x.......x.x.....",
        "x..x....x.x.....",
        "x.x.....x.....x.",
    ]);
    studio.beat(&mut bus, &kit, Drum::Kick, &[kick], 1.0);
    studio.beat(&mut bus, &kit, Drum::Snare, &["....x.......x...", "....x.......x..."], 0.9);
    let cymbal = studio.rng.pick(&[Drum::ClosedHat, Drum::OpenHat, Drum::Ride]);
    studio.beat(&mut bus, &kit, cymbal, &["x.o.x.o.x.o.x.o."], 0.35);
    studio.beat(
        &mut bus,
        &kit,
        Drum::Crash,
        &["x...............", "................", "................", "................"],
        0.5,
    );
    studio.beat(
        &mut bus,
        &kit,
        Drum::Tom,
        &["................", "................", "................", "............xxxx"],
        0.6,
    );
    reverb(&mut bus, 0.4, 0.15);
    studio.mix(&bus, 0.9);
}

fn guitars(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let (mut low, mut chords) = (studio.bus(), studio.bus());
    let (bass, guitar) = (electric_bass(studio), electric_guitar(studio));
    let strokes = studio.rng.pick(STROKES);
    for (start, chord) in changes {
        let root = in_octave_from(40, studio.key + chord.0);
        let notes: Vec<_> = chord.1.iter().map(|tone| root + tone).collect();
        for (n, stroke) in strokes.chars().enumerate() {
            let beat = start + n as f32 * 0.5;
            studio.note(&mut low, &bass, (beat, 0.45), root - 12, 1.0);
            if stroke == 'x' {
                let ring = if strokes.len() - strokes.matches('.').count() < 3 { 3.5 } else { 0.5 };
                studio.chord(&mut chords, &guitar, (beat, ring), &notes, 1.2);
            }
        }
    }
    drive(&mut chords, studio.rng.range(2.0, 14.0));
    lowpass(&mut chords, studio.rng.range(3000.0, 6000.0));
    studio.mix(&low, 0.7);
    studio.mix(&chords, 1.0);
}

fn lead(studio: &mut Studio) {
    let mut bus = studio.bus();
    let sung = studio.rng.chance(0.6);
    let voice =
        if sung { singer(studio, Wave::Saw, (1400.0, 3000.0)) } else { electric_guitar(studio) };
    let melody = Melody::new(&mut studio.rng, MINOR_PENTATONIC, studio.key + 24, 2);
    studio.solo(
        &mut bus,
        &voice,
        melody,
        &[&[0.5, 0.5, 1.0], &[1.0, 1.0], &[0.5, 0.5, 0.5, 0.5], &[1.5, 0.5]],
        0.9,
    );
    if !sung {
        drive(&mut bus, studio.rng.range(4.0, 12.0));
    }
    reverb(&mut bus, 0.5, 0.3);
    let level = studio.rng.range(0.4, 0.9);
    studio.mix(&bus, level);
}
