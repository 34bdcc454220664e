//! Concatenates decoded chunks and resamples them to one rate.

use crate::resample::Resampler;

/// A sound that arrives in chunks. Reusing a collector for the next sound keeps its buffers and its
/// filter.
#[derive(Debug)]
pub struct Collector {
    wanted: Option<u32>,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
}

impl Collector {
    /// Creates a collector for sounds at rate `wanted`; `None` means the rate of the first chunk.
    pub fn new(wanted: Option<u32>) -> Collector {
        Collector { wanted, resampler: None, samples: Vec::new() }
    }

    /// Returns the output rate in Hz; `None` before the first chunk.
    pub fn sample_rate(&self) -> Option<u32> {
        self.resampler.as_ref().map(|resampler| resampler.rates()[1])
    }

    /// Appends a chunk and returns the sound so far.
    ///
    /// The caller may remove samples from the front once it has processed them.
    pub fn push(&mut self, chunk: &[f32], rate: u32) -> &mut Vec<f32> {
        let to = self.wanted.or(self.sample_rate()).unwrap_or(rate);
        let known = self.resampler.as_mut().filter(|resampler| resampler.rates() == [rate, to]);
        match known {
            Some(resampler) => resampler.push(chunk, &mut self.samples),
            None => {
                self.finish();
                self.resampler.insert(Resampler::new(rate, to)).push(chunk, &mut self.samples);
            }
        }
        &mut self.samples
    }

    /// Flushes the resampler and returns the rest of the sound.
    pub fn finish(&mut self) -> &mut Vec<f32> {
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.samples);
        }
        &mut self.samples
    }

    /// Drops the sound and keeps the buffers.
    pub fn clear(&mut self) {
        self.finish();
        self.samples.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_mixed_rates() {
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
