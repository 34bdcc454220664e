//! Tags around the sound of a file.

/// Bytes that tell the length of a tag.
pub(crate) const HEAD: usize = 32;

/// Returns the length of an ID3v2 or an APE tag at the start of `bytes` ([`HEAD`] are enough), or
/// 0.
pub(crate) fn length(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk::<HEAD>().filter(|head| head.starts_with(b"APETAGEX")) {
        let size = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
        // Without this flag, it is the footer.
        let is_header = head[23] & 0x20 != 0;
        return HEAD as u64 + if is_header { u64::from(size) } else { 0 };
    }
    let Some([b'I', b'D', b'3', version, revision, flags, size @ ..]) = bytes.first_chunk::<10>()
    else {
        return 0;
    };
    if *version == 0xff || *revision == 0xff || size.iter().any(|byte| *byte > 0x7f) {
        return 0;
    }
    let size = size.iter().fold(0, |size, byte| size << 7 | u64::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    10 + size + footer
}

/// Checks whether a tag begins here that players append to a file.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    [&b"TAG"[..], b"APETAGEX", b"LYRICSBEGIN", b"ID3"].iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_tags() {
        for (bytes, expected) in [
            (&b"ID3\x04\0\0\0\0\x01\x02 "[..], 140),
            (b"ID3\x04\0\x10\0\0\0\x02", 22),
            (b"ID3\xff\0\0\0\0\0\x02", 0),
            (b"ID3\x04\0\0\0\0\0\x80", 0),
            (b"ID3", 0),
            (b"APETAGEX\xd0\x07\0\0\0\x01\0\0\x01\0\0\0\0\0\0\xa0\0\0\0\0\0\0\0\0", 288),
            (b"APETAGEX\xd0\x07\0\0\0\x01\0\0\x01\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\0", 32),
            (b"APETAGEX", 0),
            (b"RIFF", 0),
        ] {
            assert_eq!(length(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
