//! SplitMix64, a small random number generator.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. It is
//! implemented here because the generator of another crate may change between versions, and clips
//! must not change.

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Creates an independent generator for each list of numbers.
    pub(crate) fn new(seeds: &[u64]) -> Rng {
        let mut rng = Rng(0x5EED_0F50_0D50_u64);
        for seed in seeds {
            rng.0 = rng.next() ^ seed.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        }
        rng.next();
        rng
    }

    /// Creates another generator, independent of the further numbers of this one.
    pub(crate) fn fork(&mut self) -> Rng {
        Rng(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number in 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Returns a number in `low..high`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Returns white noise in -1..1.
    pub(crate) fn noise(&mut self) -> f32 {
        self.unit() * 2.0 - 1.0
    }

    /// Returns an integer in `0..count`; 0 if `count` is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % (count as u64).max(1)) as usize
    }

    /// Returns true with probability `share`.
    pub(crate) fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    /// Returns one of `values`, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_sequence() {
        let mut rng = Rng(1_234_567);
        // Reference values of SplitMix64 for this seed.
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn ranges_and_means() {
        let mut rng = Rng::new(&[42, 3, 7]);
        let values: Vec<_> = (0..10_000).map(|_| rng.range(2.0, 4.0)).collect();
        assert!(values.iter().all(|value| (2.0..4.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 3.0).abs() < 0.03, "{mean}");
        assert_ne!(Rng::new(&[1, 2]).next(), Rng::new(&[2, 1]).next());
    }
}
