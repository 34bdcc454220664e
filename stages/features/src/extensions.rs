//! Which names are those of audio files. Folders and archives are searched for them; the content
//! decides how a file is decoded.

use std::path::Path;

/// Extensions of audio files, in lower case without the dot. Such a file may still not decode.
const EXTENSIONS: [&str; 34] = [
    "3gp", "aac", "adts", "aif", "aifc", "aiff", "alac", "au", "bwf", "caf", "flac", "m4a", "m4b",
    "m4r", "mka", "mkv", "mov", "mp1", "mp2", "mp3", "mp4", "mpga", "oga", "ogg", "opus", "rf64",
    "snd", "spx", "w64", "wav", "wave", "weba", "webm", "wma",
];

/// Checks whether a file is audio by its extension, in capitals or not.
pub fn is_audio(path: &Path) -> bool {
    kit::files::has_extension(path, &EXTENSIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_extensions() {
        for (path, expected) in [
            ("a.wav", true),
            ("a.MP3", true),
            ("a.Opus", true),
            ("a.b.Flac", true),
            ("wav", false),
            ("a.txt", false),
            ("a.wav.zip", false),
        ] {
            assert_eq!(is_audio(Path::new(path)), expected, "{path}");
        }
        assert!(EXTENSIONS.is_sorted());
    }
}
