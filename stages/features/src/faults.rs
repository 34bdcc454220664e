//! Error messages for files that cannot be decoded: what the file is, and what to do about it.
//!
//! Does not decode anything.

use symphonia::core::errors::Error;

/// Common files that are mistaken for audio, by their first bytes.
const KNOWN: [(&[u8], &str); 11] = [
    (b"<!doctype html", "this is a web page"),
    (b"<html", "this is a web page"),
    (b"<?xml", "this is an XML file"),
    (b"version https://git-lfs", "this is a Git LFS pointer, not the file itself"),
    (b"%pdf", "this is a PDF document"),
    (b"pk\x03\x04", "this is a ZIP archive"),
    (b"\x1f\x8b", "this is a gzip archive"),
    (b"\x89png", "this is an image"),
    (b"\xff\xd8\xff", "this is an image"),
    (b"gif8", "this is an image"),
    (b"\x93numpy", "this is a NumPy array"),
];

/// Returns the kind of a file that is known not to be audio, by its first bytes.
pub(crate) fn known(head: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| {
        head.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic))
    };
    KNOWN.iter().find(|(magic, _)| begins(magic)).map(|(_, what)| *what)
}

/// Returns the message for a file that begins with `head` and is not audio.
pub(crate) fn not_audio(head: &[u8]) -> String {
    if head.is_empty() {
        return "the file is empty: replace or remove it".to_owned();
    }
    match known(head) {
        Some(what) => format!("{what}: replace it with audio, or remove it"),
        None => {
            "unsupported audio format: convert it to WAV, FLAC, MP3 or Ogg Vorbis, or remove it"
                .to_owned()
        }
    }
}

/// Returns the message for a file with no packet that could be decoded.
pub(crate) fn damaged(error: &Error) -> String {
    format!(
        "no part can be decoded ({}): the file is damaged; replace or remove it",
        describe(error)
    )
}

/// Returns the message for a codec without a decoder.
pub(crate) fn no_codec(error: &Error) -> String {
    format!("unsupported codec ({}): convert it to WAV, FLAC, MP3 or Ogg Vorbis", describe(error))
}

fn describe(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file ends too early".to_owned()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_file_types_are_named() {
        for (head, expected) in [
            (&b""[..], "the file is empty: replace or remove it"),
            (b"<!DOCTYPE HTML><p>404", "this is a web page: replace it with audio, or remove it"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "this is a Git LFS pointer, not the file itself: ",
            ),
            (b"words", "unsupported audio format: "),
        ] {
            let message = not_audio(head);
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
