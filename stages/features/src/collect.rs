//! Pieces of sound, of whatever rates, to one sound of one rate.
//!
//! Knows nothing about where pieces come from.

use crate::resample::Resampler;

/// A sound as it comes in; one can be used for many, and keeps its memory and its filter.
#[derive(Debug)]
pub struct Collector {
    wanted: Option<u32>,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
}

impl Collector {
    /// For a wanted rate, or that of the first piece.
    pub fn new(wanted: Option<u32>) -> Collector {
        Collector { wanted, resampler: None, samples: Vec::new() }
    }

    /// The rate of the sound, once it is known.
    pub fn sample_rate(&self) -> Option<u32> {
        self.resampler.as_ref().map(|resampler| resampler.rates()[1])
    }

    /// Appends a piece, and lends what there is of the sound so far, to take from its beginning what is done with.
    pub fn push(&mut self, piece: &[f32], rate: u32) -> &mut Vec<f32> {
        let to = self.wanted.or(self.sample_rate()).unwrap_or(rate);
        let known = self.resampler.as_mut().filter(|resampler| resampler.rates() == [rate, to]);
        match known {
            Some(resampler) => resampler.push(piece, &mut self.samples),
            None => {
                self.finish();
                self.resampler.insert(Resampler::new(rate, to)).push(piece, &mut self.samples);
            }
        }
        &mut self.samples
    }

    /// The whole sound, or what is left of it.
    pub fn finish(&mut self) -> &mut Vec<f32> {
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.samples);
        }
        &mut self.samples
    }

    /// Forgets the sound.
    pub fn clear(&mut self) {
        self.finish();
        self.samples.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_several_rates_become_one_sound() {
        for (wanted, expected) in
            [(None, (8000, 8000 + 4000 + 8000)), (Some(4000), (4000, 4000 + 2000 + 4000))]
        {
            let mut sound = Collector::new(wanted);
            for _ in 0..2 {
                sound.push(&[0.5; 8000], 8000);
                sound.push(&[0.5; 22_050], 44_100);
                sound.push(&[0.5; 16_000], 16_000);
                assert_eq!(
                    (sound.sample_rate(), sound.finish().len()),
                    (Some(expected.0), expected.1)
                );
                sound.clear();
            }
        }
    }
}
