//! Decodes files and prints the sample rate, the number of samples and a digest of each.
//!
//! With `--raw FOLDER`, also writes the mono samples as `FOLDER/INDEX.f32`. `benches/decoders.py`
//! compares them with other decoders.

use std::path::PathBuf;

use features::{Length, decode};

fn main() -> std::io::Result<()> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let raw = files.iter().position(|arg| arg.as_os_str() == "--raw").map(|at| {
        files.remove(at);
        files.remove(at)
    });
    for (index, file) in files.iter().enumerate() {
        match decode(file, Length::All) {
            Ok(audio) => {
                let bytes: Vec<u8> =
                    audio.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                let shown = (audio.sample_rate, audio.samples.len(), digest(&bytes));
                println!("{}\t{}\t{:016x}\t{}", shown.0, shown.1, shown.2, file.display());
                if let Some(folder) = &raw {
                    std::fs::write(folder.join(format!("{index}.f32")), bytes)?;
                }
            }
            Err(error) => println!("-\t-\t{error:#}\t{}", file.display()),
        }
    }
    Ok(())
}

/// Computes the 64-bit FNV-1a hash.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
