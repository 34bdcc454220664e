//! Country: boom-chick bass (root and fifth) and strummed guitar, a train beat, and fiddle, pedal
//! steel or twang.

use super::players::{acoustic_guitar, singer, upright_bass};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{echo, reverb};
use crate::studio::{Instrument, Studio};
use crate::theory::{
    Chord, MAJOR, MAJOR_PENTATONIC, MINOR, Melody, SEVENTH, in_octave_from, voicing,
};
use crate::voices::{Pluck, Wave};

const CHORDS: &[&[Chord]] = &[
    &[
        (0, MAJOR),
        (0, MAJOR),
        (5, MAJOR),
        (0, MAJOR),
        (7, MAJOR),
        (7, SEVENTH),
        (0, MAJOR),
        (0, MAJOR),
    ],
    &[(0, MAJOR), (5, MAJOR), (0, MAJOR), (7, MAJOR)],
    &[(0, MAJOR), (9, MINOR), (5, MAJOR), (7, MAJOR)],
];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((84.0, 160.0), (0.5, 0.6));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    drums(studio);
    boom_chick(studio, &changes);
    lead(studio);
}

fn drums(studio: &mut Studio) {
    if studio.rng.chance(0.15) {
        return;
    }
    let kit = Kit::new(studio.rng.pick(&[KitStyle::Brushes, KitStyle::Acoustic]), &mut studio.rng);
    let mut bus = studio.bus();
    let snare = studio.rng.pick(&["--x---x---x---x-", "-.x.--x.-.x.--x.", "....x.......x..."]);
    studio.beat(&mut bus, &kit, Drum::Snare, &[snare], 0.7);
    studio.beat(&mut bus, &kit, Drum::Kick, &["x...x..."], 0.8);
    if studio.rng.chance(0.4) {
        studio.beat(&mut bus, &kit, Drum::ClosedHat, &["x-x-x-x-"], 0.25);
    }
    studio.mix(&bus, 0.55);
}

fn boom_chick(studio: &mut Studio, changes: &[(f32, Chord)]) {
    let (mut low, mut strums) = (studio.bus(), studio.bus());
    let (bass, guitar) = (upright_bass(studio), acoustic_guitar(studio));
    let eighths = studio.rng.chance(0.5);
    for (start, chord) in changes {
        let root = in_octave_from(31, studio.key + chord.0);
        studio.note(&mut low, &bass, (*start, 0.9), root, 1.0);
        studio.note(&mut low, &bass, (start + 2.0, 0.9), root - 5, 1.0);
        let notes = voicing(studio.key, *chord, 52);
        for beat in [1.0, 3.0] {
            strum(studio, &mut strums, &guitar, start + beat, &notes, 1.0);
            if eighths {
                strum(studio, &mut strums, &guitar, start + beat + 0.5, &notes, 0.6);
            }
        }
    }
    studio.mix(&low, 0.75);
    studio.mix(&strums, 0.8);
}

/// Strums a chord: the strings sound one after the other.
fn strum(
    studio: &mut Studio,
    bus: &mut [f32],
    guitar: &Instrument,
    beat: f32,
    notes: &[i32],
    gain: f32,
) {
    for (n, pitch) in notes.iter().chain([&(notes[0] + 12)]).enumerate() {
        studio.note(bus, guitar, (beat + n as f32 * 0.02, 0.5), *pitch, gain * 0.5);
    }
}

fn lead(studio: &mut Studio) {
    let mut bus = studio.bus();
    let player = match studio.rng.below(3) {
        // A fiddle, a pedal steel that slides into its notes, or a twanging guitar or banjo.
        0 => singer(studio, Wave::Saw, (2000.0, 4500.0)),
        1 => {
            let mut steel = singer(studio, Wave::Triangle, (2500.0, 4000.0));
            if let Instrument::Synth(synth) = &mut steel {
                synth.scoop = 2.0;
            }
            steel
        }
        _ => Instrument::Pluck(Pluck { bright: 1.0, ring: studio.rng.range(0.2, 1.2) }),
    };
    let melody = Melody::new(&mut studio.rng, MAJOR_PENTATONIC, studio.key + 24, 2);
    studio.solo(
        &mut bus,
        &player,
        melody,
        &[&[0.5, 0.5, 0.5, 0.5], &[0.5, 0.5, 1.0], &[0.25, 0.25, 0.5, 1.0]],
        0.8,
    );
    if studio.rng.chance(0.5) {
        echo(&mut bus, studio.clock.duration(0.25), 0.35);
    }
    reverb(&mut bus, 0.3, 0.2);
    let level = studio.rng.range(0.5, 1.0);
    studio.mix(&bus, level);
}
