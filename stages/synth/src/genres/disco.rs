//! Disco: four on the floor, open hats between, octave bass, string stabs, a scratching guitar.

use super::players::{electric_bass, electric_guitar, strings};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{highpass, reverb, wah};
use crate::studio::{BAR, Instrument, Studio};
use crate::theory::{Chord, MAJOR, MAJOR_7, MINOR, MINOR_7, MINOR_9, in_octave_from, voicing};
use crate::voices::ELECTRIC_PIANO;

const CHORDS: &[&[Chord]] = &[
    &[(0, MINOR_7), (5, MINOR_7), (10, MAJOR), (3, MAJOR_7)],
    &[(0, MINOR_7), (0, MINOR_9), (5, MINOR_7), (7, MINOR)],
    &[(0, MINOR), (8, MAJOR), (10, MAJOR), (0, MINOR)],
    &[(0, MAJOR_7), (9, MINOR_7), (2, MINOR_7), (7, MAJOR)],
];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((106.0, 134.0), (0.5, 0.53));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio);
    octave_bass(studio, &changes);
    stabs(studio, &changes);
    scratch(studio, &changes);
}

fn drums(studio: &mut Studio) {
    let kit = Kit::new(studio.rng.pick(&[KitStyle::Acoustic, KitStyle::Machine]), &mut studio.rng);
    let mut bus = studio.bus();
    studio.beat(&mut bus, &kit, Drum::Kick, &["x.x.x.x."], 1.0);
    studio.beat(&mut bus, &kit, Drum::OpenHat, &[".x.x.x.x"], 0.45);
    let hats = studio.rng.pick(&["x-.-x-.-x-.-x-.-", "x...x...x...x...", "----------------"]);
    studio.beat(&mut bus, &kit, Drum::ClosedHat, &[hats], 0.3);
    let back = studio.rng.pick(&[Drum::Snare, Drum::Clap]);
    studio.beat(&mut bus, &kit, back, &["..x...x."], 0.7);
    studio.mix(&bus, 1.0);
}

fn octave_bass(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let bass = electric_bass(studio);
    let steps = studio.rng.pick(&["lhlhlhlh", "lhlhlhll", "l.hhl.hh"]);
    for (start, chord) in changes {
        let root = in_octave_from(33, studio.key + chord.0);
        for (n, step) in steps.chars().enumerate() {
            let pitch = match step {
                'l' => root,
                'h' => root + 12,
                _ => continue,
            };
            studio.note(&mut bus, &bass, (start + n as f32 * 0.5, 0.35), pitch, 1.0);
        }
    }
    studio.mix(&bus, 0.9);
}

fn stabs(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let section = strings(studio, 0.03);
    let piano = studio.rng.chance(0.5).then_some(Instrument::Keys(ELECTRIC_PIANO));
    let figure = studio.rng.pick(&[
        &[(0.0, 3.5)][..],
        &[(0.0, 0.4), (1.5, 0.4)],
        &[(0.0, 1.4), (2.5, 0.5), (3.5, 0.4)],
    ]);
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, 64);
        for (beat, length) in figure {
            studio.chord(&mut bus, &section, (start + beat, *length), &notes, 1.0);
        }
        if let Some(piano) = &piano {
            studio.chord(
                &mut bus,
                piano,
                (*start, BAR * 0.9),
                &voicing(studio.key, *chord, 55),
                0.6,
            );
        }
    }
    reverb(&mut bus, 0.7, 0.4);
    let level = studio.rng.range(0.4, 0.8);
    studio.mix(&bus, level);
}

fn scratch(studio: &mut Studio, changes: &[(f32, Chord)]) {
    if studio.rng.chance(0.25) {
        return;
    }
    let mut bus = studio.bus();
    let guitar = electric_guitar(studio);
    let steps = studio.rng.pick(&["x.xx.xx.x.xx.xx.", "..x...x...x.x.x.", "xxxxxxxxxxxxxxxx"]);
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, 60);
        for (n, _) in steps.chars().enumerate().filter(|(_, step)| *step == 'x') {
            studio.chord(&mut bus, &guitar, (start + n as f32 * 0.25, 0.08), &notes, 0.7);
        }
    }
    highpass(&mut bus, 400.0);
    wah(&mut bus, 500.0, 2500.0, studio.rng.range(0.5, 3.0));
    studio.mix(&bus, 0.45);
}
