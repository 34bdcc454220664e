//! Decodes files and prints the sample rate, the number of samples, a digest, the doubt and the
//! path of each.
//!
//! With `--raw FOLDER`, also writes the mono samples as `FOLDER/INDEX.f32`. `benches/decoders.py`
//! compares them with other decoders.

use std::path::{Path, PathBuf};

use features::Length;
use features::collect::Collector;
use features::decode::decode_chunks;

fn main() -> std::io::Result<()> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let raw = files.iter().position(|arg| arg.as_os_str() == "--raw").map(|at| {
        files.remove(at);
        files.remove(at)
    });
    for (index, file) in files.iter().enumerate() {
        let bytes = show(file);
        if let (Some(folder), Some(bytes)) = (&raw, bytes) {
            std::fs::write(folder.join(format!("{index}.f32")), bytes)?;
        }
    }
    Ok(())
}

/// Prints the line of a file; returns its samples.
fn show(file: &Path) -> Option<Vec<u8>> {
    let mut sound = Collector::new(None);
    let decoded = decode_chunks(file, Length::All, |chunk, rate| {
        sound.push(chunk, rate);
    });
    let (rate, path) = (sound.sample_rate().unwrap_or(0), file.display());
    match decoded {
        Ok(outcome) => {
            let samples = sound.finish();
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let (count, doubt) = (samples.len(), outcome.doubt().unwrap_or_default());
            println!("{rate}\t{count}\t{:016x}\t{doubt}\t{path}", digest(&bytes));
            Some(bytes)
        }
        Err(error) => {
            println!("-\t-\t-\t{error:#}\t{path}");
            None
        }
    }
}

/// Computes the 64-bit FNV-1a hash.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
