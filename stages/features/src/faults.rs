//! What is said of a file that cannot be decoded: what it is, and what to do.
//!
//! Knows nothing about decoding.

use symphonia::core::errors::Error;

/// What a file often is in place of audio, by its first bytes.
const KNOWN: [(&[u8], &str); 11] = [
    (b"<!doctype html", "it is a web page"),
    (b"<html", "it is a web page"),
    (b"<?xml", "it is an XML file"),
    (b"version https://git-lfs", "it is a Git LFS pointer, not the file itself"),
    (b"%pdf", "it is a PDF document"),
    (b"pk\x03\x04", "it is a ZIP archive"),
    (b"\x1f\x8b", "it is a gzip archive"),
    (b"\x89png", "it is a picture"),
    (b"\xff\xd8\xff", "it is a picture"),
    (b"gif8", "it is a picture"),
    (b"\x93numpy", "it is a NumPy array"),
];

/// Why a file that begins with `head` is no audio.
pub(crate) fn not_audio(head: &[u8], error: &Error) -> String {
    if head.is_empty() {
        return "it is empty: get it again".to_owned();
    }
    let begins = |magic: &[u8]| {
        head.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic))
    };
    match KNOWN.iter().find(|(magic, _)| begins(magic)) {
        Some((_, what)) => format!("{what}: get the audio again, or remove it"),
        None => format!(
            "not an audio format that can be read ({}): convert it to WAV, FLAC, MP3 or Ogg Vorbis, or remove it",
            describe(error)
        ),
    }
}

/// Why nothing of a file's audio could be decoded.
pub(crate) fn damaged(error: &Error) -> String {
    format!("nothing in it can be decoded ({}): it is damaged; get it again", describe(error))
}

/// A codec that there is no decoder for.
pub(crate) fn no_codec(error: &Error) -> String {
    format!(
        "not a codec that can be decoded ({}): convert it to WAV, FLAC, MP3 or Ogg Vorbis",
        describe(error)
    )
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
    fn what_it_is_is_said_where_it_is_known() {
        let error = Error::DecodeError("odd");
        for (head, expected) in [
            (&b""[..], "it is empty: get it again"),
            (b"<!DOCTYPE HTML><p>404", "it is a web page: get the audio again, or remove it"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "it is a Git LFS pointer, not the file itself: ",
            ),
            (b"words", "not an audio format that can be read ("),
        ] {
            let message = not_audio(head, &error);
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
