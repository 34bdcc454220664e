//! Metal: palm-muted power chords with high gain, a double kick, a minor key, and a busy lead.

use super::players::{electric_bass, electric_guitar};
use crate::drums::{Drum, Kit, KitStyle};
use crate::effects::{drive, highpass, lowpass, reverb};
use crate::studio::{Instrument, Studio};
use crate::theory::{Chord, MINOR_SCALE, Melody, PHRYGIAN, POWER, in_octave_from};
use crate::voices::Pluck;

const CHORDS: &[&[Chord]] = &[
    &[(0, POWER), (0, POWER), (8, POWER), (10, POWER)],
    &[(0, POWER), (1, POWER), (0, POWER), (3, POWER)],
    &[(0, POWER), (6, POWER), (5, POWER), (1, POWER)],
    &[(0, POWER), (3, POWER), (5, POWER), (8, POWER)],
];

/// Guitar patterns: `m` is a short muted stroke on the low string, `c` a chord that rings.
const RIFFS: &[&str] = &[
    "mmmmmmmmmmmmc.c.",
    "m.mmm.mmm.mmc...",
    "c...mmmmc...mmmm",
    "mmcmmcmmcmmcmmcm",
    "c.......c.......",
    "c.mmc.mmc.mmc.mm",
];

pub(super) fn play(studio: &mut Studio) {
    studio.tempo((92.0, 200.0), (0.5, 0.51));
    let progression = studio.rng.pick(CHORDS);
    let changes = studio.changes(progression);
    let riff = studio.rng.pick(RIFFS);
    drums(studio, riff);
    riffs(studio, &changes, riff);
    if studio.rng.chance(0.55) {
        lead(studio);
    }
}

fn drums(studio: &mut Studio, riff: &str) {
    let kit = Kit::new(KitStyle::Hard, &mut studio.rng);
    let mut bus = studio.bus();
    // The kick follows the guitar's mutes, rolls, or blasts.
    let doubled = riff.replace(['m', 'c'], "x");
    let kick = studio.rng.pick(&[
        doubled.as_str(),
        "xxxxxxxxxxxxxxxx",
        "x.xxx.xxx.xxx.xx",
        "x.x.x.x.x.x.x.x.",
    ]);
    studio.beat(&mut bus, &kit, Drum::Kick, &[kick], 0.9);
    let snare = studio.rng.pick(&[
        "....x.......x...",
        "........x.......",
        ".x.x.x.x.x.x.x.x",
        "..x...x...x...x.",
    ]);
    studio.beat(&mut bus, &kit, Drum::Snare, &[snare], 0.9);
    let cymbal = studio.rng.pick(&[Drum::Crash, Drum::Ride, Drum::OpenHat]);
    studio.beat(&mut bus, &kit, cymbal, &["x...x...x...x..."], 0.35);
    studio.beat(&mut bus, &kit, Drum::Crash, &["x...............", "................"], 0.5);
    studio.mix(&bus, 0.9);
}

fn riffs(studio: &mut Studio, changes: &[(f32, Chord)], riff: &str) {
    let (mut low, mut guitars) = (studio.bus(), studio.bus());
    let bass = electric_bass(studio);
    let bright = studio.rng.range(0.5, 0.9);
    let open = Instrument::Pluck(Pluck { bright, ring: 4.0 });
    let muted = Instrument::Pluck(Pluck { bright: bright * 0.5, ring: 0.15 });
    // The guitars are tuned down.
    let lowest = 28 + studio.rng.below(8) as i32;
    for (start, chord) in changes {
        let root = in_octave_from(lowest, studio.key + chord.0);
        for (n, stroke) in riff.chars().enumerate() {
            let beat = start + n as f32 * 0.25;
            match stroke {
                'm' => studio.chord(
                    &mut guitars,
                    &muted,
                    (beat, 0.18),
                    &[lowest_root(studio, lowest), root],
                    1.0,
                ),
                'c' => studio.chord(
                    &mut guitars,
                    &open,
                    (beat, 0.9),
                    &[root, root + 7, root + 12],
                    1.4,
                ),
                _ => continue,
            }
            studio.note(&mut low, &bass, (beat, 0.22), root, 1.0);
        }
    }
    amplify(studio, &mut guitars, (5.0, 16.0));
    studio.mix(&low, 0.6);
    studio.mix(&guitars, 1.1);
}

fn lowest_root(studio: &Studio, lowest: i32) -> i32 {
    in_octave_from(lowest, studio.key)
}

/// Applies two stages of gain and the low-pass of a loudspeaker.
fn amplify(studio: &mut Studio, bus: &mut [f32], gain: (f32, f32)) {
    highpass(bus, 90.0);
    drive(bus, studio.rng.range(gain.0, gain.1));
    drive(bus, 2.0);
    lowpass(bus, studio.rng.range(2800.0, 5000.0));
}

fn lead(studio: &mut Studio) {
    let mut bus = studio.bus();
    let guitar = electric_guitar(studio);
    let scale = studio.rng.pick(&[MINOR_SCALE, PHRYGIAN]);
    let melody = Melody::new(&mut studio.rng, scale, studio.key + 24, 2);
    studio.solo(
        &mut bus,
        &guitar,
        melody,
        &[&[0.25; 8], &[0.25; 4], &[0.5, 0.5, 1.0], &[0.5; 4]],
        1.0,
    );
    amplify(studio, &mut bus, (4.0, 10.0));
    reverb(&mut bus, 0.6, 0.3);
    studio.mix(&bus, 0.6);
}
