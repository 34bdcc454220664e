//! Decoding of whole files, written here byte by byte or taken from a folder of odd files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use features::{Audio, Kind, Length, SpectrogramParams, clip_spectrogram, decode};
use proptest::prelude::*;

/// Returns a WAV file. Format 1 is PCM and 3 is floating point.
fn wav(format: u16, bits: u16, channels: u16, sample_rate: u32, data: &[u8]) -> Vec<u8> {
    let frame = channels.wrapping_mul(bits / 8);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend(format.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend(sample_rate.wrapping_mul(u32::from(frame)).to_le_bytes());
    bytes.extend(frame.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn pcm16(samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
    samples.into_iter().flat_map(i16::to_le_bytes).collect()
}

fn decode_bytes(name: &str, bytes: &[u8], length: Length) -> anyhow::Result<Audio> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    decode(&path, length)
}

#[test]
fn channels_are_averaged() {
    let bytes = wav(1, 16, 2, 8000, &pcm16([16384, 0, -8192, 8192, 32767, 32767]));
    let audio = decode_bytes("a.wav", &bytes, Length::All).unwrap();
    assert_eq!(audio.sample_rate, 8000);
    assert_eq!(audio.samples, [0.25, 0.0, 32767.0 / 32768.0]);
}

#[test]
fn length_limit() {
    let bytes = wav(1, 16, 1, 8000, &pcm16((0..16_000).map(|n| n as i16)));
    let lengths =
        [(Length::All, 16_000), (Length::Seconds(0.5), 4000), (Length::Seconds(9.0), 16_000)];
    for (length, expected) in lengths {
        assert_eq!(
            decode_bytes("a.wav", &bytes, length).unwrap().samples.len(),
            expected,
            "{length:?}"
        );
    }
}

#[test]
fn non_finite_samples_become_silence() {
    let samples = [0.5, f32::NAN, f32::INFINITY, f32::MAX, -0.5];
    let data: Vec<_> = samples.into_iter().flat_map(f32::to_le_bytes).collect();
    let audio = decode_bytes("a.wav", &wav(3, 32, 1, 8000, &data), Length::All).unwrap();
    assert_eq!(audio.samples, [0.5, 0.0, 0.0, 1e4, -0.5]);
}

#[test]
fn wrong_or_missing_extension() {
    let bytes = wav(1, 16, 1, 8000, &pcm16([1; 100]));
    for name in ["a.mp3", "a", "a.WAV"] {
        assert_eq!(decode_bytes(name, &bytes, Length::All).unwrap().samples.len(), 100, "{name}");
    }
}

#[test]
fn truncated_file_is_decoded() {
    let whole = wav(1, 16, 1, 8000, &pcm16([1000; 4000]));
    let audio = decode_bytes("a.wav", &whole[..44 + 3000], Length::All).unwrap();
    assert!(!audio.samples.is_empty() && audio.samples.len() <= 1500, "{}", audio.samples.len());
}

#[test]
fn files_without_audio() {
    for (name, bytes) in [
        ("empty.wav", vec![]),
        ("text.mp3", b"not a piece of music ".repeat(400)),
        ("header.wav", wav(1, 16, 1, 8000, &[])),
        ("channels.wav", wav(1, 16, 0, 8000, &[1; 64])),
        ("rate.wav", wav(1, 16, 1, 0, &[1; 64])),
        ("rate.wav", wav(1, 16, 1, u32::MAX, &[1; 64])),
        ("zeros.flac", vec![0; 4096]),
    ] {
        assert!(decode_bytes(name, &bytes, Length::All).is_err(), "{name}");
    }
    assert!(decode("no/such/file.wav", Length::All).is_err());
    assert!(decode(env!("CARGO_MANIFEST_DIR"), Length::All).is_err());
}

#[test]
fn errors_name_a_remedy() {
    let mut long = wav(1, 16, 1, 8000, &pcm16([1; 8]));
    long.truncate(30);
    for (name, bytes, what, remedy) in [
        ("empty.wav", vec![], "the file is empty", "replace or remove it"),
        (
            "page.mp3",
            b"<!DOCTYPE html><title>404</title>".to_vec(),
            "this is a web page",
            "replace it with audio",
        ),
        (
            "text.mp3",
            b"not a piece of music ".repeat(400),
            "unsupported audio format",
            "convert it to WAV",
        ),
        ("cut.wav", long, "no audio", "replace or remove it"),
        ("header.wav", wav(1, 16, 1, 8000, &[]), "", "replace or remove it"),
        ("rate.wav", wav(1, 16, 1, u32::MAX, &[1; 64]), "4294967295 Hz", "replace the file"),
        ("codec.wav", wav(0x1234, 16, 1, 8000, &[1; 64]), "", "convert it to WAV"),
    ] {
        let message = format!("{:#}", decode_bytes(name, &bytes, Length::All).unwrap_err());
        assert!(message.contains(what) && message.contains(remedy), "{name}: {message}");
    }
    let message = format!("{:#}", decode(env!("CARGO_MANIFEST_DIR"), Length::All).unwrap_err());
    assert!(message.contains("this is a folder"), "{message}");
}

/// A length claimed by a header costs no memory, and the samples that exist are used.
#[test]
fn wrong_lengths_in_header() {
    let samples = pcm16([1000; 4000]);
    for claimed in [0, 1, 7999, 8001, 0x7fff_ffff, 0xffff_fffe, u32::MAX] {
        for (at, kind) in [(4, "RIFF"), (40, "data"), (16, "fmt ")] {
            let mut bytes = wav(1, 16, 1, 8000, &samples);
            bytes[at..at + 4].copy_from_slice(&claimed.to_le_bytes());
            match decode_bytes("a.wav", &bytes, Length::All) {
                Ok(audio) => {
                    assert!(
                        audio.samples.len() <= 4020,
                        "{kind} {claimed}: {}",
                        audio.samples.len()
                    );
                }
                // A data chunk that claims to be empty is empty, and a format chunk needs its size.
                Err(error) => {
                    assert!(kind == "fmt " || claimed <= 1, "{kind} {claimed}: {error:#}");
                }
            }
        }
    }
    check_memory();
}

#[test]
fn channel_counts() {
    for channels in [1, 2, 3, 8, 9, 32, 33, 255, 256, 0x7fff] {
        let frame = pcm16(std::iter::repeat_n(8192, usize::from(channels)));
        let bytes = wav(1, 16, channels, 8000, &frame.repeat(10));
        if let Ok(audio) = decode_bytes("a.wav", &bytes, Length::All) {
            assert_eq!(audio.samples, [0.25; 10], "{channels}");
        } else {
            assert!(channels > 8, "{channels}");
        }
    }
    check_memory();
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(
        changes in prop::collection::vec((0_usize..60, any::<u8>()), 1..6),
        cut in 0_usize..2100,
        format in 0_u16..4,
    ) {
        let mut bytes = wav(format, 16, 2, 8000, &pcm16([1000; 1000]));
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(cut);
        if let Ok(audio) = decode_bytes("a.wav", &bytes, Length::Seconds(1.0)) {
            prop_assert!(audio.samples.iter().all(|sample| sample.is_finite()));
        }
    }
}

/// Number of files that libsndfile 1.2.2 decodes and this crate does not: MPEG audio of a free bit
/// rate.
const REFUSED_ONLY_HERE: usize = 3;

/// Checks every file of the manifest of odd files, whole and with some bytes changed.
///
/// No file may cause a panic, and every spectrogram must be finite. `--nocapture` shows the counts
/// and the errors.
#[test]
fn odd_files() {
    let Some(root) = odd_files_folder() else { return };
    let params =
        SpectrogramParams { kind: Kind::LogMel, seconds: 5.0, ..SpectrogramParams::default() };
    let manifest = kit::csv::read(root.join("MANIFEST.csv")).unwrap();
    let [path, verdict] = ["path", "libsndfile_1.2.2"].map(|name| manifest.column(name).unwrap());
    let (mut decoded, mut refused_only_here) = (0, 0);
    for row in &manifest.rows {
        let file = root.join("..").join(&row[path]);
        match clip_spectrogram(&file, &params) {
            Ok(array) => {
                decoded += 1;
                assert_eq!(array.shape, [128, 216]);
                assert!(array.data.iter().all(|value| value.is_finite()), "{}", file.display());
            }
            Err(error) => {
                refused_only_here += usize::from(!row[verdict].starts_with("ERROR"));
                println!("{error:#}");
            }
        }
        let name = file.file_name().unwrap().to_str().unwrap();
        for seed in 0..4 {
            let bytes = damaged(&std::fs::read(&file).unwrap(), seed);
            let _ = decode_bytes(name, &bytes, Length::Seconds(5.0));
        }
    }
    println!("{decoded} of {} decoded", manifest.rows.len());
    assert_eq!(refused_only_here, REFUSED_ONLY_HERE);
    check_memory();
}

/// Returns the folder of odd files: `REPRO_ODD_AUDIO`, or else `shared/audio/odd` beside the
/// checkout.
///
/// # Panics
/// If the folder does not exist and `CI` is set, so that CI never skips the test.
fn odd_files_folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/audio/odd");
    let root = std::env::var_os("REPRO_ODD_AUDIO").map_or_else(beside, PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    let reason = "REPRO_ODD_AUDIO does not name a folder of odd audio files";
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    // Not `println!`, which the test harness captures.
    kit::say!("skipped: {reason}");
    None
}

/// Returns a copy with twenty bytes replaced, half of them in the first kilobyte; deterministic per
/// seed.
fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + bytes.len() as u64 + 1;
    for change in 0..20 {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let most = if change % 2 == 0 { bytes.len().min(1024) } else { bytes.len() };
        if most > 0 {
            bytes[(state >> 8) as usize % most] = state as u8;
        }
    }
    bytes
}

/// Checks the peak memory of this process. No file here has 2 MB of audio.
fn check_memory() {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 200_000, "{kilobytes} kB");
}
