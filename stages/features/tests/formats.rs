//! Decoding of real files: written here byte by byte, or from a folder of odd files where there is one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use features::{Audio, Length, SpectrogramParams, clip_spectrogram, decode};

/// A WAV file: format 1 is PCM, 3 is floating point.
fn wav(format: u16, bits: u16, channels: u16, sample_rate: u32, data: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend(format.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * u32::from(frame)).to_le_bytes());
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
fn only_as_much_as_asked_for_is_decoded() {
    let bytes = wav(1, 16, 1, 8000, &pcm16((0..16_000).map(|n| n as i16)));
    let lengths = [(Length::All, 16_000), (Length::Seconds(0.5), 4000), (Length::Seconds(9.0), 16_000)];
    for (length, expected) in lengths {
        assert_eq!(decode_bytes("a.wav", &bytes, length).unwrap().samples.len(), expected, "{length:?}");
    }
}

#[test]
fn samples_that_are_no_numbers_are_silence() {
    let samples = [0.5, f32::NAN, f32::INFINITY, f32::MAX, -0.5];
    let data: Vec<_> = samples.into_iter().flat_map(f32::to_le_bytes).collect();
    let audio = decode_bytes("a.wav", &wav(3, 32, 1, 8000, &data), Length::All).unwrap();
    assert_eq!(audio.samples, [0.5, 0.0, 0.0, 1e4, -0.5]);
}

#[test]
fn the_extension_may_be_wrong_or_missing() {
    let bytes = wav(1, 16, 1, 8000, &pcm16([1; 100]));
    for name in ["a.mp3", "a", "a.WAV"] {
        assert_eq!(decode_bytes(name, &bytes, Length::All).unwrap().samples.len(), 100, "{name}");
    }
}

#[test]
fn a_file_that_ends_early_gives_what_it_has() {
    let whole = wav(1, 16, 1, 8000, &pcm16([1000; 4000]));
    let audio = decode_bytes("a.wav", &whole[..44 + 3000], Length::All).unwrap();
    assert!(!audio.samples.is_empty() && audio.samples.len() <= 1500, "{}", audio.samples.len());
}

#[test]
fn files_without_audio_are_errors() {
    for (name, bytes) in [
        ("empty.wav", vec![]),
        ("text.mp3", b"this is no music ".repeat(400)),
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

/// Every file of the folder that `REPRO_ODD_AUDIO` names is decoded or refused, without a panic, and a
/// spectrogram has finite values only. `--nocapture` shows the counts.
#[test]
fn odd_files_are_decoded_or_refused() {
    let Some(root) = std::env::var_os("REPRO_ODD_AUDIO") else { return };
    let (mut decoded, mut refused) = (0, 0);
    for entry in walkdir::WalkDir::new(Path::new(&root)).sort_by_file_name() {
        let entry = entry.unwrap();
        if !entry.file_type().is_file() {
            continue;
        }
        match clip_spectrogram(entry.path(), &SpectrogramParams::default()) {
            Ok(array) => {
                decoded += 1;
                assert_eq!(array.shape, [100, 100]);
                assert!(array.data.iter().all(|value| value.is_finite()), "{}", entry.path().display());
            }
            Err(error) => {
                refused += 1;
                println!("{error:#}");
            }
        }
    }
    println!("{decoded} decoded, {refused} refused");
    assert!(decoded > 0);
}
