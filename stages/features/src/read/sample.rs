//! The codings of one sample without compression.

/// The coding of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    U8,
    S8,
    S16,
    S24,
    /// 24 bits in the low three of four bytes.
    S24In32,
    S32,
    F32,
    F64,
    MuLaw,
    ALaw,
}

impl Sample {
    /// Returns the linear coding in containers of `bytes`, `None` for other sizes.
    ///
    /// Fewer bits than the container has are in its high bits, so only the container matters.
    pub(crate) fn signed(bytes: usize) -> Option<Sample> {
        [Sample::S8, Sample::S16, Sample::S24, Sample::S32].get(bytes.checked_sub(1)?).copied()
    }

    pub(crate) fn float(bytes: usize) -> Option<Sample> {
        match bytes {
            4 => Some(Sample::F32),
            8 => Some(Sample::F64),
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Sample::U8 | Sample::S8 | Sample::MuLaw | Sample::ALaw => 1,
            Sample::S16 => 2,
            Sample::S24 => 3,
            Sample::S24In32 | Sample::S32 | Sample::F32 => 4,
            Sample::F64 => 8,
        }
    }
}

/// Returns where the 24 bits are in containers of 32, as writers disagree; `None` if silence does
/// not show it.
///
/// The format says the high bits, with a low byte of zero. Some use the low bits, with a high byte
/// of zero or of the sign.
pub(crate) fn place_of_24_bits(bytes: &[u8], big_endian: bool) -> Option<Sample> {
    let (low, high) = if big_endian { (3, 0) } else { (0, 3) };
    let samples = bytes.as_chunks::<4>().0;
    let is_high = samples.iter().all(|sample| sample[low] == 0);
    let is_low = samples.iter().all(|sample| matches!(sample[high], 0 | 0xff));
    match (is_low, is_high) {
        (true, true) => None,
        (true, false) => Some(Sample::S24In32),
        (false, _) => Some(Sample::S32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_24_bits() {
        for (bytes, big_endian, expected) in [
            ([0, 0xea, 0x1c, 0, 0, 0xbd, 0, 0x12], false, Some(Sample::S32)),
            ([0xa0, 0xff, 0xff, 0, 0x0c, 0x5a, 0, 0], false, Some(Sample::S24In32)),
            ([0xff, 0xff, 0xff, 0xa0, 0, 0, 0x5a, 0x0c], true, Some(Sample::S24In32)),
            ([0; 8], false, None),
            ([1, 2, 3, 4, 5, 6, 7, 8], false, Some(Sample::S32)),
        ] {
            assert_eq!(place_of_24_bits(&bytes, big_endian), expected, "{bytes:?}");
        }
    }
}
