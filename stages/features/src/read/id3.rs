//! Tags around the sound of a file.

/// Returns the length of an ID3v2 tag at the start of `bytes` (ten are enough), or 0.
pub(crate) fn length(bytes: &[u8]) -> u64 {
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
