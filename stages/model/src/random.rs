//! Random streams that depend only on a seed and a purpose.
//!
//! burn has one generator per process, so each value depends on everything drawn before. With these
//! streams, epoch 7 can be computed without epoch 6, on any device and with any number of threads.

/// Purpose of a random stream. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// Selection of held-out clips of the class of this name. Other classes do not affect it.
    Split(&'a str),
    /// Initial weights of a network.
    Weights,
    /// Order of the clips in this epoch.
    Order(u64),
    /// Dropout in this epoch.
    Dropout(u64),
    /// Augmentation of a clip in this epoch.
    Augment {
        /// Epoch, from 1.
        epoch: u64,
        /// Index of the clip in the data set.
        clip: u64,
    },
    /// Bootstrap resample of this number.
    Resample(u64),
}

/// SplitMix64 generator (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014). It has 64 bits of state, and each output is a bijection of the state. Not cryptographic.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Creates the stream of `seed` for `purpose`.
    pub fn new(seed: u64, purpose: Purpose<'_>) -> Random {
        let words: &[u64] = match purpose {
            Purpose::Split(name) => &[1, fnv1a(name)],
            Purpose::Weights => &[2, 0],
            Purpose::Order(epoch) => &[3, epoch],
            Purpose::Dropout(epoch) => &[4, epoch],
            Purpose::Augment { epoch, clip } => &[5, epoch, clip],
            Purpose::Resample(number) => &[6, number],
        };
        let state = words.iter().fold(mix(seed), |state, word| mix(state ^ mix(*word)));
        Random { state }
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Draws from [0, 1), from the top 24 bits: an `f32` represents all such values exactly.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Draws a uniform integer below `bound`; returns 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Reject the incomplete last interval, which would favour small numbers.
        let usable = u64::MAX - u64::MAX % bound;
        loop {
            let bits = self.bits();
            if bits < usable {
                return bits % bound;
            }
        }
    }

    /// Shuffles `items` (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a hash, which is stable across machines and versions of Rust.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_reference_values() {
        // First outputs of the reference implementation for the state 1234567.
        let mut random = Random { state: 1_234_567 };
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected, [random.bits(), random.bits(), random.bits()]);
    }

    #[test]
    fn streams_differ_by_purpose_and_seed() {
        let purposes = [
            Purpose::Split("blues"),
            Purpose::Split("rock"),
            Purpose::Weights,
            Purpose::Order(0),
            Purpose::Order(1),
            Purpose::Dropout(0),
            Purpose::Dropout(1),
            Purpose::Augment { epoch: 0, clip: 0 },
            Purpose::Augment { epoch: 0, clip: 1 },
            Purpose::Augment { epoch: 1, clip: 0 },
        ];
        let mut firsts: Vec<u64> = [0, 1, 42, u64::MAX]
            .iter()
            .flat_map(|seed| purposes.map(|purpose| Random::new(*seed, purpose).bits()))
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 4 * purposes.len());
    }

    #[test]
    fn draws_are_uniform() {
        let mut random = Random::new(7, Purpose::Weights);
        let mut counts = [0u32; 5];
        let mut sum = 0.0;
        for _ in 0..50_000 {
            counts[random.below(5) as usize] += 1;
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            sum += f64::from(unit);
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
        assert!((sum / 50_000.0 - 0.5).abs() < 0.01);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn shuffle_is_a_permutation() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(1, Purpose::Order(3)).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
