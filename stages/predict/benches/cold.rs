//! Measures the time from process start to the printed prediction, for a WAV of 30 seconds.
//!
//! ```sh
//! repro run && cargo bench -p predict      # uses models/genre.onnx or REPRO_BENCH_MODEL
//! ```
//!
//! The minimum shows the cost of the program; the median includes other load on the machine. The
//! files are in the page cache.
#![allow(clippy::unwrap_used, reason = "a failing bench should stop")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 51;
const SECONDS: u32 = 30;

fn main() {
    let model = std::env::var_os("REPRO_BENCH_MODEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/genre.onnx"),
        PathBuf::from,
    );
    if !model.exists() {
        println!("skipped: no model at `{}`; `repro run` makes it", model.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (what, rate, channels) in [("44.1 kHz, stereo", 44_100, 2), ("22.05 kHz, mono", 22_050, 1)]
    {
        let path = dir.path().join("a.wav");
        kit::files::write_atomic(&path, wav(rate, channels)).unwrap();
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| seconds(&model, &path)).collect();
        times.sort_by(f64::total_cmp);
        let [min, median] = [times[0], times[ROUNDS / 2]].map(|seconds| seconds * 1e3);
        println!(
            "{SECONDS} s, {what}: min {min:.0} ms, median {median:.0} ms of {ROUNDS} processes"
        );
    }
}

fn seconds(model: &Path, path: &Path) -> f64 {
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_predict"));
    let status =
        command.arg("--model").arg(model).arg(path).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    start.elapsed().as_secs_f64()
}

/// Builds a WAV file of noise, 16 bits.
fn wav(rate: u32, channels: u16) -> Vec<u8> {
    let mut state = 1_u32;
    let samples = (0..SECONDS * rate * u32::from(channels)).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) as u16).to_le_bytes()
    });
    let samples: Vec<u8> = samples.collect();
    let mut bytes = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0".to_vec();
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels * 2).to_le_bytes());
    bytes.extend(b"\x10\0data");
    bytes.extend((samples.len() as u32).to_le_bytes());
    bytes.extend(samples);
    bytes
}
