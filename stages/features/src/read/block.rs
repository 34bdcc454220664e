//! Decoded frames of all channels.

use crate::audio::RATES;
use anyhow::{Result, ensure};

/// Interleaved samples of one spec; a frame is one sample of each channel.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) samples: Vec<f32>,
    pub(crate) channels: usize,
    pub(crate) rate: u32,
}

impl Block {
    /// Returns the number of frames.
    pub(crate) fn frames(&self) -> usize {
        self.samples.len().checked_div(self.channels).unwrap_or(0)
    }

    /// Empties the block and sets the spec of the frames to come.
    ///
    /// # Errors
    /// The number of channels is zero, or the rate is implausible.
    pub(crate) fn begin(&mut self, channels: usize, rate: u32) -> Result<()> {
        ensure!(
            channels > 0 && RATES.contains(&rate),
            "{channels} channels at {rate} Hz are implausible: the header is damaged; \
             replace the file"
        );
        self.samples.clear();
        (self.channels, self.rate) = (channels, rate);
        Ok(())
    }

    /// Removes frames from the front.
    pub(crate) fn drop_front(&mut self, frames: usize) {
        let count = frames.saturating_mul(self.channels).min(self.samples.len());
        self.samples.drain(..count);
    }

    /// Keeps at most the first frames.
    pub(crate) fn truncate(&mut self, frames: usize) {
        self.samples.truncate(frames.saturating_mul(self.channels));
    }

    /// Inserts silence in place of `lost` frames before the frame `at`, if there are frames behind.
    pub(crate) fn replace_lost(&mut self, at: usize, lost: &mut u64) {
        if self.frames() > at && *lost > 0 {
            let silence = (*lost).min(MOST_LOST) as usize * self.channels;
            let at = at * self.channels;
            self.samples.splice(at..at, std::iter::repeat_n(0.0, silence));
            *lost = 0;
        }
    }
}

/// Most frames of silence in a row: half a minute.
const MOST_LOST: u64 = 1 << 20;
