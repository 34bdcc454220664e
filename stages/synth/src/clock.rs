//! Converts beats to samples: tempo, swing and rubato.

use crate::maths::{SAMPLE_RATE, sine};

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    samples_per_beat: f32,
    /// Position of the second eighth within a beat: 0.5 is straight, 0.667 is a triplet shuffle.
    swing: f32,
    /// Amplitude in beats of a slow deviation from the strict tempo, with a period of eight beats.
    rubato: f32,
}

impl Clock {
    pub(crate) fn new(beats_per_minute: f32) -> Clock {
        let samples_per_beat = SAMPLE_RATE as f32 * 60.0 / beats_per_minute;
        Clock { samples_per_beat, swing: 0.5, rubato: 0.0 }
    }

    pub(crate) fn with_swing(self, swing: f32) -> Clock {
        Clock { swing, ..self }
    }

    pub(crate) fn with_rubato(self, rubato: f32) -> Clock {
        Clock { rubato, ..self }
    }

    /// Returns the sample index of a beat, which may have a fraction.
    pub(crate) fn at(&self, beat: f32) -> usize {
        let (whole, part) = (beat.floor(), beat - beat.floor());
        let swung = if part < 0.5 {
            part * 2.0 * self.swing
        } else {
            self.swing + (part - 0.5) * 2.0 * (1.0 - self.swing)
        };
        let strayed = whole + swung + self.rubato * sine(beat / 8.0);
        (strayed.max(0.0) * self.samples_per_beat) as usize
    }

    /// Returns the number of samples in `beats`, without swing.
    pub(crate) fn duration(&self, beats: f32) -> usize {
        (beats * self.samples_per_beat) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tempo_and_swing() {
        let clock = Clock::new(120.0).with_swing(2.0 / 3.0);
        let half = SAMPLE_RATE as f32 / 2.0;
        for (beat, expected) in
            [(0.0, 0.0), (1.0, 1.0), (1.5, 1.0 + 2.0 / 3.0), (3.75, 3.0 + 5.0 / 6.0)]
        {
            assert!((clock.at(beat) as f32 - expected * half).abs() < 2.0, "{beat}");
        }
    }

    #[test]
    fn time_is_monotonic() {
        let clock = Clock::new(90.0).with_swing(0.62).with_rubato(0.3);
        let times: Vec<_> = (0..400).map(|n| clock.at(n as f32 / 8.0)).collect();
        assert!(times.is_sorted());
    }
}
