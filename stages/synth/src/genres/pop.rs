//! Pop: four chords, a singer, a clean kit with claps, a pulsing synthesizer or a picked guitar.

use super::players::{acoustic_guitar, electric_bass, singer};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{echo, reverb};
use crate::studio::{BAR, Instrument, Studio};
use crate::theory::{Chord, MAJOR, MAJOR_SCALE, MINOR, Melody, in_octave_from, voicing};
use crate::voices::{ELECTRIC_PIANO, PIANO, Synth, Wave};

const CHORDS: &[&[Chord]] = &[
    &[(0, MAJOR), (7, MAJOR), (9, MINOR), (5, MAJOR)],
    &[(9, MINOR), (5, MAJOR), (0, MAJOR), (7, MAJOR)],
    &[(0, MAJOR), (9, MINOR), (5, MAJOR), (7, MAJOR)],
    &[(5, MAJOR), (7, MAJOR), (9, MINOR), (0, MAJOR)],
];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((86.0, 132.0), (0.5, 0.55));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio);
    bass_and_pad(studio, &changes);
    figure(studio, &changes);
    sing(studio);
}

fn drums(studio: &mut Studio) {
    let kit = Kit::new(studio.rng.pick(&[KitStyle::Machine, KitStyle::Acoustic]), &mut studio.rng);
    let mut bus = studio.bus();
    let kick = studio.rng.pick(&[
        "x...x...x...x...",
        "x.....x.x.......",
        "x...x..xx...x...",
        "x......x..x.....",
    ]);
    studio.beat(&mut bus, &kit, Drum::Kick, &[kick], 1.0);
    let back = studio.rng.pick(&[Drum::Snare, Drum::Clap]);
    studio.beat(&mut bus, &kit, back, &["....x.......x..."], 0.8);
    let hats = studio.rng.pick(&["x.x.x.x.x.x.x.x.", "x-x-x-x-x-x-x-x-", "..x...x...x...x."]);
    let top = studio.rng.pick(&[Drum::ClosedHat, Drum::ClosedHat, Drum::Shaker]);
    studio.beat(&mut bus, &kit, top, &[hats], 0.35);
    studio.mix(&bus, 0.9);
}

fn bass_and_pad(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let (mut low, mut pads) = (studio.bus(), studio.bus());
    let bass = electric_bass(studio);
    let cutoff = studio.rng.range(800.0, 3000.0);
    let pad = Instrument::Synth(Synth {
        voices: 3,
        spread: 0.25,
        attack: 0.1,
        sustain: 0.9,
        release: 0.3,
        cutoff,
        open: cutoff,
        ..Synth::PLAIN
    });
    let eighths = studio.rng.chance(0.6);
    for (start, chord) in changes {
        let root = in_octave_from(33, studio.key + chord.0);
        let (count, length) = if eighths { (8, 0.5) } else { (2, 2.0) };
        for n in 0..count {
            studio.note(&mut low, &bass, (start + n as f32 * length, length * 0.9), root, 1.0);
        }
        studio.chord(&mut pads, &pad, (*start, BAR), &voicing(studio.key, *chord, 57), 1.0);
    }
    let level = studio.rng.range(0.3, 0.6);
    studio.mix(&low, 0.8);
    studio.mix(&pads, level);
}

fn figure(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let mut bus = studio.bus();
    let player = match studio.rng.below(4) {
        0 => Instrument::Keys(PIANO),
        1 => Instrument::Keys(ELECTRIC_PIANO),
        2 => acoustic_guitar(studio),
        _ => Instrument::Synth(Synth {
            wave: Wave::Square,
            decay: 0.12,
            sustain: 0.1,
            cutoff: 1200.0,
            open: 5000.0,
            ..Synth::PLAIN
        }),
    };
    let block = studio.rng.chance(0.4);
    for (start, chord) in changes {
        let notes = voicing(studio.key, *chord, 60);
        for n in 0..8 {
            let time = (start + n as f32 * 0.5, 0.4);
            if !block {
                let pitch =
                    notes[[0, 2, 1, 2][n % 4] % notes.len()] + if n % 4 == 3 { 12 } else { 0 };
                studio.note(&mut bus, &player, time, pitch, 0.8);
            } else if n % 2 == 0 {
                studio.chord(&mut bus, &player, time, &notes, 0.9);
            }
        }
    }
    if studio.rng.chance(0.5) {
        echo(&mut bus, studio.clock.duration(0.75), 0.4);
    }
    studio.mix(&bus, 0.6);
}

fn sing(studio: &mut Studio) {
    let mut bus = studio.bus();
    let voice = singer(studio, Wave::Saw, (1400.0, 3200.0));
    let melody = Melody::new(&mut studio.rng, MAJOR_SCALE, studio.key + 24, 1);
    studio.solo(
        &mut bus,
        &voice,
        melody,
        &[&[0.5, 0.5, 1.0], &[1.0, 1.0], &[1.5, 0.5], &[0.5, 0.5, 0.5, 0.5, 2.0]],
        0.9,
    );
    reverb(&mut bus, 0.6, studio.rng.range(0.2, 0.5));
    let level = studio.rng.range(0.6, 1.1);
    studio.mix(&bus, level);
}
