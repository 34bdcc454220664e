//! Bits from the lowest of each byte on.

/// A position in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    /// Returns the next `count` bits, at most 32; `None` if there are fewer.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.at + count as usize;
        if end > 8 * self.bytes.len() {
            return None;
        }
        let first = self.at / 8;
        let bytes = self.bytes[first..].iter().take(5).rev();
        let word = bytes.fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let value = word >> (self.at % 8) & ((1 << count) - 1);
        self.at = end;
        Some(value as u32)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= 8 * self.bytes.len())?;
        Some(())
    }
}

/// Returns the number of bits that `value` needs.
pub(super) fn width(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}
