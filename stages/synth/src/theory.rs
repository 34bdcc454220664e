//! Pitches, chords, scales and melodies, in semitones.

use crate::maths::exp2;
use crate::rng::Rng;

pub(crate) const MAJOR: &[i32] = &[0, 4, 7];
pub(crate) const MINOR: &[i32] = &[0, 3, 7];
pub(crate) const POWER: &[i32] = &[0, 7, 12];
pub(crate) const SEVENTH: &[i32] = &[0, 4, 7, 10];
pub(crate) const MAJOR_7: &[i32] = &[0, 4, 7, 11];
pub(crate) const MINOR_7: &[i32] = &[0, 3, 7, 10];
pub(crate) const MINOR_9: &[i32] = &[0, 3, 7, 10, 14];
pub(crate) const HALF_DIMINISHED: &[i32] = &[0, 3, 6, 10];

pub(crate) const MAJOR_SCALE: &[i32] = &[0, 2, 4, 5, 7, 9, 11];
pub(crate) const MINOR_SCALE: &[i32] = &[0, 2, 3, 5, 7, 8, 10];
pub(crate) const PHRYGIAN: &[i32] = &[0, 1, 3, 5, 7, 8, 10];
pub(crate) const MAJOR_PENTATONIC: &[i32] = &[0, 2, 4, 7, 9];
pub(crate) const MINOR_PENTATONIC: &[i32] = &[0, 3, 5, 7, 10];
pub(crate) const BLUES_SCALE: &[i32] = &[0, 3, 5, 6, 7, 10];

/// A chord in a key: its root in semitones above the root of the key, and its tones above its own
/// root.
pub(crate) type Chord = (i32, &'static [i32]);

/// Returns the frequency of a MIDI note in hertz; note 69 is A4, 440 Hz.
pub(crate) fn hertz(note: f32) -> f32 {
    440.0 * exp2((note - 69.0) / 12.0)
}

/// Returns a chord's tones as MIDI notes in the octave from `low` on, so that successive chords are
/// voiced closely.
pub(crate) fn voicing(key: i32, (root, tones): Chord, low: i32) -> Vec<i32> {
    let mut notes: Vec<_> =
        tones.iter().map(|tone| in_octave_from(low, key + root + tone)).collect();
    notes.sort_unstable();
    notes.dedup();
    notes
}

/// Returns the MIDI note with the pitch class of `note` in the octave from `low` on.
pub(crate) fn in_octave_from(low: i32, note: i32) -> i32 {
    low + (note - low).rem_euclid(12)
}

/// A random walk along a scale, mostly by steps, that turns back at the edges of its range.
pub(crate) struct Melody {
    scale: &'static [i32],
    key: i32,
    degree: i32,
    span: i32,
}

impl Melody {
    /// Creates a melody with a range of about `octaves` above the MIDI note `key`.
    pub(crate) fn new(rng: &mut Rng, scale: &'static [i32], key: i32, octaves: i32) -> Melody {
        let span = octaves * scale.len() as i32;
        Melody { scale, key, degree: rng.below(span as usize) as i32, span }
    }

    pub(crate) fn next(&mut self, rng: &mut Rng) -> i32 {
        let step = rng.pick(&[-2, -1, -1, 0, 1, 1, 2, 3, -3]);
        self.degree += step;
        if self.degree < 0 || self.degree > self.span {
            self.degree -= 2 * step;
        }
        let length = self.scale.len() as i32;
        let octave = self.degree.div_euclid(length);
        self.key + 12 * octave + self.scale[self.degree.rem_euclid(length) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_frequencies() {
        for (note, expected) in [(69.0, 440.0), (60.0, 261.6256), (21.0, 27.5), (69.5, 452.893)] {
            assert!((hertz(note) / expected - 1.0).abs() < 2e-5, "{note}");
        }
    }

    #[test]
    fn close_voicings() {
        // C major and A minor from G3 on.
        assert_eq!(voicing(60, (0, MAJOR), 55), [55, 60, 64]);
        assert_eq!(voicing(60, (9, MINOR), 55), [57, 60, 64]);
        assert_eq!(voicing(40, (0, POWER), 40), [40, 47]);
    }

    #[test]
    fn melody_scale_and_range() {
        let mut rng = Rng::new(&[1]);
        let mut melody = Melody::new(&mut rng, MAJOR_PENTATONIC, 60, 2);
        for _ in 0..1000 {
            let note = melody.next(&mut rng);
            assert!((60 - 4..=84 + 4).contains(&note), "{note}");
            assert!(MAJOR_PENTATONIC.contains(&(note - 60).rem_euclid(12)), "{note}");
        }
    }
}
