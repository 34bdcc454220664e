//! Which AAC streams symphonia decodes fully: low complexity with one or two channels.
//!
//! High-efficiency AAC is low complexity at half the rate, with the upper half of the spectrum in
//! extra data that other decoders skip without a word. So streams are searched for it.

/// Sample rates by their index.
pub(crate) const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// Frames of sound in a packet. A decoder's first ones precede the sound: the transform of each
/// packet overlaps with the next.
pub(crate) const FRAMES: u64 = 1024;

/// Packets examined for the upper half of the spectrum.
pub(crate) const EXAMINED: usize = 16;

/// Name of a stream with the upper half of the spectrum in extra data.
pub(crate) const HIGH_EFFICIENCY: &str = "HE-AAC";

/// Returns the name of a kind of stream that symphonia does not decode, from its configuration.
pub(crate) fn obstacle(config: &[u8]) -> Option<&'static str> {
    let mut bits = Bits { bytes: config, at: 0 };
    let kind = bits.object_type();
    if bits.take(4) == 15 {
        bits.at += 24;
    }
    let channels = bits.take(4);
    match kind {
        5 | 29 => return Some(HIGH_EFFICIENCY),
        2 => {}
        _ => return Some("AAC of another profile than low complexity"),
    }
    if bits.take(1) == 1 {
        return Some("AAC with 960 samples a frame");
    }
    if bits.take(1) == 1 {
        bits.at += 14;
    }
    bits.at += 1;
    // An extension behind the configuration, which old decoders do not see.
    if channels > 0 && bits.take(11) == 0x2b7 && bits.object_type() == 5 && bits.take(1) == 1 {
        return Some(HIGH_EFFICIENCY);
    }
    channel_obstacle(channels)
}

/// Returns the name of a channel configuration that symphonia does not decode.
pub(crate) fn channel_obstacle(configuration: u32) -> Option<&'static str> {
    (!matches!(configuration, 1 | 2)).then_some("AAC with more than two channels")
}

/// Checks whether most packets have the upper half of the spectrum in extra data.
pub(crate) fn is_high_efficiency(packets: &[Vec<u8>]) -> bool {
    let count = packets.iter().filter(|packet| has_upper_half(packet)).count();
    count > 0 && 2 * count >= packets.len()
}

/// Checks whether a packet ends in a fill element with the upper half of the spectrum.
///
/// Finding the element from the front takes a decoder, so the packet is read backwards: padding of
/// zeros, the end mark, and fill elements. In other packets one of 140 looks like it.
fn has_upper_half(packet: &[u8]) -> bool {
    let Some(last) = packet.iter().rposition(|byte| *byte != 0) else { return false };
    let end = 8 * last + 8 - packet[last].trailing_zeros() as usize;
    let bits = Bits { bytes: packet, at: 0 };
    end >= 3 && bits.at(end - 3, 3) == 7 && ends_in_fill(&bits, end - 3, 3)
}

fn ends_in_fill(bits: &Bits<'_>, end: usize, depth: u32) -> bool {
    // 4 bits of size hold up to 14 bytes, and 8 more up to 269.
    let starts = (1..=269).filter_map(|size: usize| {
        let head = if size < 15 { 7 } else { 15 };
        let start = end.checked_sub(8 * size + head)?;
        let is_fill = bits.at(start, 3) == 6
            && match size {
                ..15 => bits.at(start + 3, 4) == size as u32,
                _ => bits.at(start + 3, 4) == 15 && bits.at(start + 7, 8) == size as u32 - 14,
            };
        is_fill.then(|| (start, bits.at(start + head, 4)))
    });
    for (start, kind) in starts {
        let goes_on = kind <= 1 && depth > 1;
        if matches!(kind, 13 | 14) || goes_on && ends_in_fill(bits, start, depth - 1) {
            return true;
        }
    }
    false
}

/// Bits from the highest of each byte on; those behind the end are 0.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn at(&self, start: usize, count: usize) -> u32 {
        (start..start + count).fold(0, |value, at| {
            let byte = self.bytes.get(at / 8).copied().unwrap_or(0);
            value << 1 | u32::from(byte >> (7 - at % 8) & 1)
        })
    }

    fn take(&mut self, count: usize) -> u32 {
        self.at += count;
        self.at(self.at - count, count)
    }

    fn object_type(&mut self) -> u32 {
        match self.take(5) {
            31 => 32 + self.take(6),
            kind => kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations() {
        for (config, expected) in [
            (&[0x12, 0x10][..], None),
            (&[0x12, 0x10, 0x56, 0xe5, 0x00], None),
            (&[0x13, 0x90, 0x56, 0xe5, 0xa0], Some(HIGH_EFFICIENCY)),
            (&[0x2b, 0x92, 0x08, 0x00], Some(HIGH_EFFICIENCY)),
            (&[0x11, 0xb0], Some("AAC with more than two channels")),
            (&[0x0a, 0x10], Some("AAC of another profile than low complexity")),
            (&[0x12, 0x14], Some("AAC with 960 samples a frame")),
        ] {
            assert_eq!(obstacle(config), expected, "{config:x?}");
        }
    }

    #[test]
    fn upper_half_in_fill_elements() {
        let packet = |elements: &[(u32, usize)]| {
            let bits: String =
                elements.iter().map(|(value, count)| format!("{value:0count$b}")).collect();
            let bits = format!("{bits:0<width$}", width = bits.len().next_multiple_of(8));
            bits.as_bytes()
                .chunks(8)
                .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
                .collect::<Vec<u8>>()
        };
        let (sound, end) = ((0x155, 11), (7, 3));
        let band = [(6, 3), (2, 4), (13, 4), (0xabc, 12)];
        let fill = [(6, 3), (1, 4), (0, 8)];
        let all =
            |parts: &[&[(u32, usize)]]| packet(&[&[sound], &parts.concat()[..], &[end]].concat());
        assert!(has_upper_half(&all(&[&band])));
        assert!(has_upper_half(&all(&[&band, &fill])));
        assert!(!has_upper_half(&all(&[&fill])));
        assert!(!has_upper_half(&all(&[])));
        assert!(!has_upper_half(&[0; 8]) && !has_upper_half(&[]));
    }
}
