//! Writes clips of the synthesizer as WAV files: mono, 16 bits.

use std::path::Path;
use std::sync::Mutex;

use anyhow::{Result, bail, ensure};
use kit::Events;
use kit::files::{fresh_dir, write_atomic};
use rayon::prelude::*;
use synth::{Genre, SAMPLE_RATE};

use crate::audio::{Amount, Tally};

/// Writes `OUT/blues/blues.00000.wav` and so on.
///
/// # Errors
/// If the amount or the length is out of bounds, or the file system fails.
pub(crate) fn write(
    out: &Path,
    seed: u64,
    amount: Amount,
    seconds: f64,
    events: &Events,
) -> Result<Tally> {
    let Amount::First(count) = amount else {
        bail!(
            "param `download.per_genre`: the synthesizer has no fixed number of clips; \
             set a positive number"
        );
    };
    ensure!(
        count <= 10_000,
        "param `download.per_genre` must be at most 10000 for synthetic clips, not {count}"
    );
    ensure!(
        (0.1..=600.0).contains(&seconds),
        "param `download.seconds` must be from 0.1 to 600, not {seconds}"
    );
    fresh_dir(out)?;
    let clips: Vec<_> = Genre::ALL
        .into_iter()
        .flat_map(|genre| (0..count).map(move |index| (genre, index)))
        .collect();
    let done = Mutex::new(0);
    clips.par_iter().try_for_each(|(genre, index)| {
        let name = genre.name();
        let samples = synth::clip(*genre, seed, *index, seconds as f32);
        write_atomic(out.join(name).join(format!("{name}.{index:05}.wav")), wav(&samples))?;
        let mut done = done.lock().unwrap_or_else(|poison| poison.into_inner());
        *done += 1;
        events.progress(*done, clips.len() as u64);
        anyhow::Ok(())
    })?;
    Ok(Tally::of(clips.iter().map(|(genre, _)| genre.name())))
}

/// Encodes samples (from -1 to 1) as RIFF with one `fmt ` and one `data` chunk.
fn wav(samples: &[f32]) -> Vec<u8> {
    let data = samples.len() as u32 * 2;
    let mut bytes = Vec::with_capacity(44 + data as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    // Format PCM, one channel.
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(SAMPLE_RATE.to_le_bytes());
    bytes.extend((SAMPLE_RATE * 2).to_le_bytes());
    // Bytes per frame, bits per sample.
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.extend(
        samples.iter().flat_map(|sample| ((sample * 32767.0).round() as i16).to_le_bytes()),
    );
    bytes
}

#[cfg(test)]
mod tests {
    use super::wav;

    #[test]
    fn wav_layout() {
        let bytes = wav(&[0.0, 1.0, -1.0, 2.0]);
        assert_eq!(bytes.len(), 52);
        assert_eq!(bytes[..4], *b"RIFF");
        assert_eq!(bytes[4..8], 44_u32.to_le_bytes());
        assert_eq!(bytes[24..28], 22_050_u32.to_le_bytes());
        assert_eq!(bytes[40..44], 8_u32.to_le_bytes());
        assert_eq!(bytes[44..], [0, 0, 0xff, 0x7f, 0x01, 0x80, 0xff, 0x7f]);
    }
}
