//! State of a clip during synthesis: its clock, its key, its band's timing, and the mix of its
//! buses.
//!
//! Places notes and drum hits in time. Unaware of genres, which choose the notes.

use crate::clock::Clock;
use crate::drums::{Drum, Kit};
use crate::effects::{highpass, hiss, lowpass, normalise, rms};
use crate::maths::{SAMPLE_RATE, soft_clip};
use crate::rng::Rng;
use crate::theory::{Chord, Melody};
use crate::voices::{Keys, Note, Pluck, Synth};

/// Beats per bar; all genres here are in four.
pub(crate) const BAR: f32 = 4.0;

pub(crate) struct Studio {
    pub(crate) rng: Rng,
    pub(crate) clock: Clock,
    /// Root of the key as a MIDI note, from 36 to 47.
    pub(crate) key: i32,
    mixed: Vec<f32>,
    length: usize,
    /// Maximum delay of the players after the beat, in samples.
    looseness: f32,
}

/// An instrument of any kind, so that a genre can choose between them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instrument {
    Pluck(Pluck),
    Synth(Synth),
    Keys(Keys),
}

impl Studio {
    /// Creates a studio for a clip of `length` samples.
    pub(crate) fn new(mut rng: Rng, length: usize) -> Studio {
        // The clip is cut out of a longer piece: up to two seconds are played before it begins.
        let before = rng.below(2 * SAMPLE_RATE as usize);
        Studio {
            key: 36 + rng.below(12) as i32,
            looseness: rng.range(20.0, 220.0),
            rng,
            clock: Clock::new(120.0),
            mixed: vec![0.0; before + length],
            length,
        }
    }

    /// Draws the tempo in beats per minute and the swing from ranges.
    pub(crate) fn tempo(&mut self, beats: (f32, f32), swing: (f32, f32)) {
        let clock = Clock::new(self.rng.range(beats.0, beats.1));
        self.clock = clock.with_swing(self.rng.range(swing.0, swing.1));
    }

    /// Returns a silent bus as long as the piece.
    pub(crate) fn bus(&self) -> Vec<f32> {
        vec![0.0; self.mixed.len()]
    }

    /// Returns the number of bars in the piece, at least 1; the last one may be incomplete.
    pub(crate) fn bars(&self) -> usize {
        self.mixed.len() / self.clock.duration(BAR).max(1) + 1
    }

    /// Returns the first beat and the chord of each bar. The progression starts at a random bar.
    pub(crate) fn changes(&mut self, progression: &'static [Chord]) -> Vec<(f32, Chord)> {
        let first = self.rng.below(progression.len());
        (0..self.bars())
            .map(|bar| (bar as f32 * BAR, progression[(first + bar) % progression.len()]))
            .collect()
    }

    /// Plays a note at `beat` for `beats`, with the timing and dynamics of the band.
    pub(crate) fn note(
        &mut self,
        bus: &mut [f32],
        instrument: &Instrument,
        (beat, beats): (f32, f32),
        pitch: i32,
        gain: f32,
    ) {
        let note = Note {
            at: self.near(beat),
            length: self.clock.duration(beats),
            pitch: pitch as f32,
            gain: gain * self.rng.range(0.8, 1.1),
        };
        match instrument {
            Instrument::Pluck(pluck) => pluck.play(bus, note, &mut self.rng),
            Instrument::Synth(synth) => synth.play(bus, note, &mut self.rng),
            Instrument::Keys(keys) => keys.play(bus, note, &mut self.rng),
        }
    }

    /// Plays several notes together at constant power.
    pub(crate) fn chord(
        &mut self,
        bus: &mut [f32],
        instrument: &Instrument,
        time: (f32, f32),
        pitches: &[i32],
        gain: f32,
    ) {
        let gain = gain / (pitches.len() as f32).max(1.0).sqrt();
        for pitch in pitches {
            self.note(bus, instrument, time, *pitch, gain);
        }
    }

    /// Plays a drum through the whole piece.
    ///
    /// Each string is a bar, divided into as many steps as it has characters: `x` is loud, `o`
    /// medium, `-` soft, and `.` a rest.
    pub(crate) fn beat(
        &mut self,
        bus: &mut [f32],
        kit: &Kit,
        drum: Drum,
        bars: &[&str],
        gain: f32,
    ) {
        for bar in 0..self.bars() {
            let steps = bars[bar % bars.len()];
            let step = BAR / steps.len() as f32;
            for (n, stroke) in steps.chars().enumerate() {
                let loud = match stroke {
                    'x' => 1.0,
                    'o' => 0.6,
                    '-' => 0.3,
                    _ => continue,
                };
                if self.rng.chance(0.03) {
                    continue;
                }
                let at = self.near(bar as f32 * BAR + n as f32 * step);
                let gain = gain * loud * self.rng.range(0.8, 1.1);
                kit.hit(bus, drum, at, gain);
            }
        }
    }

    /// Plays a melody through the whole piece, in phrases with rests between them.
    ///
    /// Each phrase takes one of `rhythms`, which are note lengths in beats.
    pub(crate) fn solo(
        &mut self,
        bus: &mut [f32],
        instrument: &Instrument,
        mut melody: Melody,
        rhythms: &[&[f32]],
        gain: f32,
    ) {
        let end = self.bars() as f32 * BAR;
        let mut beat = self.rng.pick(&[0.0, 0.5, 1.0, 2.0]);
        while beat < end {
            for length in self.rng.pick(rhythms) {
                if !self.rng.chance(0.12) {
                    let pitch = melody.next(&mut self.rng);
                    self.note(bus, instrument, (beat, length * 0.9), pitch, gain);
                }
                beat += length;
            }
            if self.rng.chance(0.35) {
                beat += self.rng.pick(&[0.5, 1.0, 2.0]);
            }
        }
    }

    /// Adds a bus to the mix, scaled to a loudness that is independent of its own.
    ///
    /// A `level` of 1 is that of the drums of a loud band. The result varies randomly around it.
    pub(crate) fn mix(&mut self, bus: &[f32], level: f32) {
        let loudness = rms(bus);
        if loudness > 0.0 {
            let gain = 0.1 * level * self.rng.range(0.6, 1.5) / loudness;
            for (sample, value) in self.mixed.iter_mut().zip(bus) {
                *sample += gain * value;
            }
        }
    }

    /// Cuts the clip out of the piece and applies the bandwidth, compression and noise of a
    /// recording.
    pub(crate) fn master(mut self) -> Vec<f32> {
        let mut clip = self.mixed.split_off(self.mixed.len() - self.length);
        if self.rng.chance(0.5) {
            lowpass(&mut clip, self.rng.range(3500.0, 9000.0));
        }
        highpass(&mut clip, self.rng.range(20.0, 90.0));
        let loudness = rms(&clip);
        if loudness > 0.0 {
            let press = self.rng.range(0.8, 2.5) * 0.25 / loudness;
            for sample in &mut clip {
                *sample = soft_clip(*sample * press);
            }
        }
        // The noise floor ranges from a hissing tape to a clean transfer.
        let floor = self.rng.range(1.0, 6.0);
        let gain = 0.02 / (floor * floor * floor);
        hiss(&mut clip, gain, &mut self.rng);
        normalise(&mut clip, 0.95);
        clip
    }

    /// Returns the sample index of a beat, plus a random delay.
    fn near(&mut self, beat: f32) -> usize {
        let stray = self.looseness * self.rng.unit();
        self.clock.at(beat) + stray as usize
    }
}
