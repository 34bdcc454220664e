//! The header of a frame of MPEG audio, and the tag frame that encoders write first.

/// Bit rates in kbit/s: layers 1, 2 and 3 of MPEG-1, then layer 1 and both others of MPEG-2.
const BIT_RATES: [[u32; 15]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Samples by which a decoder is late: 528 of the filter bank and one more.
const DECODER_DELAY: u32 = 529;

/// Properties that one decoder handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) layer: u8,
    pub(crate) rate: u32,
    pub(crate) channels: usize,
    is_mpeg_1: bool,
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) spec: Spec,
    /// Size of the frame in bytes, header included.
    pub(crate) size: usize,
    /// Frames of sound.
    pub(crate) frames: u32,
}

impl Header {
    /// Parses the first four bytes; `None` if they are no header, or one of a free bit rate.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        let [0xff, b1, b2, b3] = *bytes.first_chunk()? else { return None };
        let layer = 4 - (b1 >> 1 & 3);
        if b1 & 0xe0 != 0xe0 || layer == 4 {
            return None;
        }
        let (is_mpeg_1, halvings) = match b1 >> 3 & 3 {
            3 => (true, 0),
            2 => (false, 1),
            0 => (false, 2),
            _ => return None,
        };
        let rate = *[44_100_u32, 48_000, 32_000].get(usize::from(b2 >> 2 & 3))? >> halvings;
        let row = match (is_mpeg_1, layer) {
            (true, layer) => usize::from(layer) - 1,
            (false, 1) => 3,
            (false, _) => 4,
        };
        let bit_rate = 1000 * BIT_RATES[row].get(usize::from(b2 >> 4)).filter(|rate| **rate > 0)?;
        let padding = u32::from(b2 >> 1 & 1);
        let (size, frames) = match layer {
            1 => ((12 * bit_rate / rate + padding) * 4, 384),
            3 if !is_mpeg_1 => (72 * bit_rate / rate + padding, 576),
            _ => (144 * bit_rate / rate + padding, 1152),
        };
        let channels = if b3 >> 6 == 3 { 1 } else { 2 };
        Some(Header {
            spec: Spec { layer, rate, channels, is_mpeg_1 },
            size: size as usize,
            frames,
        })
    }

    /// Checks whether a header of a free bit rate is here, whose frames have no size.
    pub(crate) fn is_free(bytes: &[u8]) -> bool {
        let with_rate = bytes.first_chunk().and_then(|[b0, b1, b2, b3]| {
            (b2 >> 4 == 0).then(|| Header::parse(&[*b0, *b1, b2 | 0x10, *b3]))?
        });
        with_rate.is_some()
    }

    /// Returns the name of a kind of frame that symphonia refuses: bit rates of layer 2 that the
    /// standard does not allow for the number of channels, but that encoders write.
    pub(crate) fn obstacle(bytes: &[u8]) -> Option<&'static str> {
        let Spec { layer, channels, is_mpeg_1, .. } = Header::parse(bytes)?.spec;
        let row = if is_mpeg_1 { 1 } else { 4 };
        let rate = BIT_RATES[row].get(usize::from(bytes[2] >> 4))?;
        let is_refused = match channels {
            1 => *rate >= 224,
            _ => matches!(rate, 32 | 48 | 56 | 80),
        };
        (layer == 2 && is_refused).then_some("MPEG layer 2 with this bit rate")
    }

    /// Checks whether a frame may follow this one in a stream.
    pub(crate) fn goes_with(&self, next: &Header) -> bool {
        let key = |header: &Header| (header.spec.layer, header.spec.rate, header.spec.is_mpeg_1);
        key(self) == key(next)
    }
}

/// A frame without sound that describes the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Number of frames that follow; encoders that write to a pipe leave 0.
    pub(crate) frames: u32,
    /// Samples to drop at the start, with the delay of the decoder.
    pub(crate) delay: usize,
    /// Samples to drop at the end.
    pub(crate) padding: usize,
}

impl Tag {
    /// Parses a frame; `None` if it has sound.
    pub(crate) fn parse(frame: &[u8], header: &Header) -> Option<Tag> {
        if header.spec.layer != 3 {
            return None;
        }
        let side_info = match (header.spec.is_mpeg_1, header.spec.channels) {
            (true, 1) | (false, 2) => 17,
            (true, _) => 32,
            (false, _) => 9,
        };
        let crc = if frame.get(1)? & 1 == 0 { 2 } else { 0 };
        let silent =
            |end: usize| frame.get(4 + crc..end).is_some_and(|side| side.iter().all(|b| *b == 0));
        // Tags have no room for a checksum, but the bytes of one may be set.
        if let Some(body) = frame.get(4 + side_info..).filter(|_| silent(4 + side_info))
            && let Some(body) = body.strip_prefix(b"Xing").or(body.strip_prefix(b"Info"))
        {
            return Tag::xing(body);
        }
        let body = frame.get(36..).filter(|_| silent(36))?.strip_prefix(b"VBRI")?;
        Some(Tag { frames: word(body, 10)?, ..Tag::default() })
    }

    fn xing(body: &[u8]) -> Option<Tag> {
        let flags = word(body, 0)?;
        let frames = if flags & 1 != 0 { word(body, 4)? } else { 0 };
        let size = |flag, bytes| if flags & flag != 0 { bytes } else { 0 };
        let lame = body.get(4 + size(1, 4) + size(2, 4) + size(4, 100) + size(8, 4)..)?;
        let is_known = [b"LAME", b"Lavf", b"Lavc"].iter().any(|name| lame.starts_with(*name));
        let Some([a, b, c]) = lame.get(21..24).filter(|_| is_known) else {
            return Some(Tag { frames, ..Tag::default() });
        };
        let both = u32::from_be_bytes([0, *a, *b, *c]);
        Some(Tag {
            frames,
            delay: ((both >> 12) + DECODER_DELAY) as usize,
            padding: (both & 0xfff).saturating_sub(DECODER_DELAY) as usize,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_headers() {
        for (bytes, size, frames, rate, channels) in [
            ([0xff, 0xfb, 0x90, 0x00], 417, 1152, 44_100, 2),
            ([0xff, 0xfb, 0x92, 0xc0], 418, 1152, 44_100, 1),
            ([0xff, 0xf3, 0x80, 0xc0], 208, 576, 22_050, 1),
            ([0xff, 0xe3, 0x18, 0xc0], 72, 576, 8000, 1),
            ([0xff, 0xfd, 0x80, 0x00], 417, 1152, 44_100, 2),
            ([0xff, 0xff, 0x80, 0x00], 276, 384, 44_100, 2),
        ] {
            let header = Header::parse(&bytes).unwrap();
            let found = (header.size, header.frames, header.spec.rate, header.spec.channels);
            assert_eq!(found, (size, frames, rate, channels), "{bytes:x?}");
        }
        for (bytes, is_refused) in [
            ([0xff, 0xfd, 0xe0, 0xc0], true),
            ([0xff, 0xfd, 0xa0, 0xc0], false),
            ([0xff, 0xfd, 0xe0, 0x00], false),
            ([0xff, 0xfd, 0x50, 0x00], true),
            ([0xff, 0xfb, 0xe0, 0xc0], false),
        ] {
            assert_eq!(Header::obstacle(&bytes).is_some(), is_refused, "{bytes:x?}");
        }
        for bytes in [
            [0xff, 0xfb, 0x00, 0],
            [0xff, 0xfb, 0xf0, 0],
            [0xff, 0xfb, 0x9c, 0],
            [0xff, 0xf9, 0x90, 0],
            [0xff, 0xeb, 0x90, 0],
            [0xfe, 0xfb, 0x90, 0],
        ] {
            assert_eq!(Header::parse(&bytes), None, "{bytes:x?}");
            assert_eq!(Header::is_free(&bytes), bytes == [0xff, 0xfb, 0x00, 0], "{bytes:x?}");
        }
    }
}
