//! Apple's IMA 4:1 ADPCM: packets of 64 frames with 34 bytes a channel.
//!
//! A packet begins with the predictor, of which only the upper nine bits are stored. A decoder that
//! starts each packet from them, as symphonia's does, adds noise that is as loud as the coding's
//! own. Here the exact predictor goes on where it fits, as in Apple's and ffmpeg's decoders.

use anyhow::{Result, ensure};

use super::block::Block;

/// Bytes of a channel in a packet.
pub(crate) const BYTES: usize = 34;
/// Frames in a packet.
pub(crate) const FRAMES: usize = 64;

/// Sizes of a step by their index.
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493,
    10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// Changes of the index by the size of a code.
const CHANGES: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

/// A decoder.
#[derive(Debug)]
pub(crate) struct Ima4 {
    rate: u32,
    states: Vec<State>,
}

/// State of a channel.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The last sample.
    predictor: i32,
    /// Index of the step.
    step: i32,
}

impl Ima4 {
    pub(crate) fn new(channels: usize, rate: u32) -> Ima4 {
        Ima4 { rate, states: vec![State::default(); channels] }
    }

    /// Appends the frames of a packet, in which the channels follow each other.
    ///
    /// # Errors
    /// The packet is cut off.
    pub(crate) fn decode(&mut self, packet: &[u8], block: &mut Block) -> Result<()> {
        let channels = self.states.len();
        ensure!(packet.len() == BYTES * channels, "a packet is cut off");
        if block.samples.is_empty() {
            block.begin(channels, self.rate)?;
        }
        let start = block.samples.len();
        block.samples.resize(start + FRAMES * channels, 0.0);
        let parts = packet.as_chunks::<BYTES>().0.iter();
        for (channel, (state, part)) in self.states.iter_mut().zip(parts).enumerate() {
            let [high, low, codes @ ..] = part;
            state.begin(i32::from(i16::from_be_bytes([*high, *low])));
            let codes = codes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
            let samples = block.samples[start + channel..].iter_mut().step_by(channels);
            for (sample, code) in samples.zip(codes) {
                *sample = state.next(code) as f32 / 32_768.0;
            }
        }
        Ok(())
    }
}

impl State {
    /// Starts a packet: nine bits of the predictor and seven of the index.
    fn begin(&mut self, head: i32) {
        let (predictor, step) = (head & !0x7f, (head & 0x7f).min(STEPS.len() as i32 - 1));
        if step != self.step || (predictor - self.predictor).abs() > 0x7f {
            *self = State { predictor, step };
        }
    }

    fn next(&mut self, code: u8) -> i32 {
        let step = STEPS[self.step as usize];
        let part = |bit: u8, size: i32| if code & bit == 0 { 0 } else { size };
        let change = (step >> 3) + part(4, step) + part(2, step >> 1) + part(1, step >> 2);
        let moved = self.predictor + if code & 8 == 0 { change } else { -change };
        self.predictor = moved.clamp(i16::MIN.into(), i16::MAX.into());
        self.step = (self.step + CHANGES[usize::from(code & 7)]).clamp(0, STEPS.len() as i32 - 1);
        self.predictor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_predictor_goes_on() {
        let packet = |head: u16, code: u8| {
            let mut packet = [code; BYTES];
            packet[..2].copy_from_slice(&head.to_be_bytes());
            packet
        };
        let mut decoder = Ima4::new(1, 8000);
        let mut block = Block::default();
        // Codes of 0 add an eighth of the smallest step, which is nothing.
        decoder.decode(&packet(0x0100, 0), &mut block).unwrap();
        assert_eq!(block.samples, [256.0 / 32_768.0; FRAMES]);
        // One step of 4/8 + 1/8 of 7, and back to the smallest.
        let mut moved = packet(0x0100, 0);
        moved[2] = 2;
        block.samples.clear();
        decoder.decode(&moved, &mut block).unwrap();
        assert_eq!(block.samples[FRAMES - 1], 259.0 / 32_768.0);
        // The head of the next packet holds 256 of 259.
        decoder.decode(&packet(0x0100, 0), &mut block).unwrap();
        assert_eq!(block.samples[2 * FRAMES - 1], 259.0 / 32_768.0);
        // A head that does not fit counts, as at the start of a part.
        decoder.decode(&packet(0xff00, 0), &mut block).unwrap();
        assert_eq!(block.samples[3 * FRAMES - 1], -256.0 / 32_768.0);
        assert!(decoder.decode(&[0; 33], &mut block).is_err());
    }
}
