//! Files that were decoded wrongly once, with the right length of each. They are not part of the
//! repository: `REPRO_AUDIO_CASES` names their folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use features::{Length, decode};

/// Sample rate and number of samples; those behind `ffmpeg` need that program.
const CASES: [(&str, u32, usize); 18] = [
    ("aiff_cut.aiff", 22_050, 29_391),
    ("caf_mulaw.caf", 22_050, 44_100),
    ("caf_s8.caf", 22_050, 44_100),
    ("flac_cuesheet_not_on_588.flac", 22_050, 44_100),
    ("m4a_faststart_cut.m4a", 22_050, 28_672),
    // Two seconds and one and a half, without the encoder's delay and padding.
    ("mp3_two_files_joined.mp3", 22_050, 77_175),
    ("mp3_vbr_no_header.mp3", 22_050, 45_504),
    ("mp3_xing_0_frames.mp3", 22_050, 44_100),
    ("ogg_every_other_granule_minus_1.ogg", 22_050, 44_100),
    ("vorbis_3_channels.ogg", 48_000, 48_000),
    ("wav16_data_size_0.wav", 22_050, 11_025),
    ("wav16_sizes_0.wav", 22_050, 11_025),
    ("wav24_data_size_ffffffff.wav", 22_050, 11_025),
    ("wav24_in_4_bytes.wav", 22_050, 11_025),
    ("wav24_riff_size_0.wav", 22_050, 11_025),
    ("wav_mulaw_fmt_16.wav", 22_050, 44_100),
    ("sets/predict_folder/jazz/x.mp4", 16_000, 16_000),
    ("sets/predict_folder/jazz/x.mkv", 16_000, 16_256),
];

const WITH_FFMPEG: [(&str, u32, usize); 3] = [
    ("aac_5_1.m4a", 48_000, 24_576),
    ("aac_he.m4a", 44_100, 43_008),
    ("sets/only_opus/jazz/a.opus", 48_000, 48_000),
];

fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/audio");
    let root = std::env::var_os("REPRO_AUDIO_CASES").map_or_else(beside, PathBuf::from);
    let is_there = root.is_dir();
    if !is_there {
        // Not `println!`, which the test harness captures.
        kit::say!("skipped: REPRO_AUDIO_CASES does not name a folder of audio files");
    }
    is_there.then_some(root)
}

#[test]
fn right_lengths() {
    let Some(root) = folder() else { return };
    let has_ffmpeg = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    for (name, rate, samples) in CASES.iter().chain(&WITH_FFMPEG) {
        let decoded = decode(root.join(name), Length::All);
        match decoded {
            Ok(audio) => {
                assert_eq!((audio.sample_rate, audio.samples.len()), (*rate, *samples), "{name}");
            }
            Err(error) => {
                let message = format!("{error:#}");
                assert!(!has_ffmpeg && message.contains("`ffmpeg`"), "{name}: {message}");
            }
        }
    }
}

/// Channels of one stream must not disturb each other: the bands of each second have the level that
/// two other decoders agree on.
#[test]
fn level_of_three_channels() {
    let Some(root) = folder() else { return };
    let audio = decode(root.join("vorbis_3_channels.ogg"), Length::All).unwrap();
    let power: f64 = audio.samples.iter().map(|sample| f64::from(sample * sample)).sum();
    let level = (power / audio.samples.len() as f64).sqrt();
    assert!((level - LEVEL).abs() < 1e-5, "{level}");
}

/// Root of the mean square, by libsndfile and ffmpeg.
const LEVEL: f64 = 0.057_852_03;
