//! A spectrogram as a picture: time to the right, frequency upwards, loudness as colour.
//!
//! Knows nothing about files.

use anyhow::{Context as _, Result, ensure};
use features::{Array, LOG_FLOOR};

use crate::colours::palette;

/// What lies this far below the loudest is black: 80 dB of power as a natural logarithm.
const RANGE: f32 = 8.0 * std::f32::consts::LN_10;

/// A PNG of an array of shape (frequency, time), one pixel a value.
pub(crate) fn png(array: &Array) -> Result<Vec<u8>> {
    let [rows, columns] = array.shape[..] else {
        anyhow::bail!("shape {:?} is no picture", array.shape);
    };
    ensure!(rows * columns == array.data.len(), "shape {:?} does not fit the data", array.shape);
    let size = |length| u32::try_from(length).context("too large for a picture");
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size(columns)?, size(rows)?);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(&array.data, columns))?;
    writer.finish()?;
    Ok(bytes)
}

/// Indices into the palette, the top row (the highest frequency) first.
fn pixels(data: &[f32], columns: usize) -> Vec<u8> {
    // Silence stays black: the scale never ends below the floor of the logarithm.
    let loudest = data.iter().copied().fold(LOG_FLOOR.ln() + RANGE, f32::max);
    let index = |value: &f32| ((1.0 - (loudest - value) / RANGE).clamp(0.0, 1.0) * 255.0).round() as u8;
    data.chunks_exact(columns).rev().flatten().map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_frequencies_are_at_the_bottom_and_loud_is_bright() {
        let data = [0.0, -RANGE, -2.0 * RANGE, -RANGE / 2.0];
        assert_eq!(pixels(&data, 2), [0, 128, 255, 0]);
    }

    #[test]
    fn silence_is_black() {
        assert_eq!(pixels(&[LOG_FLOOR.ln(); 4], 2), [0; 4]);
    }

    #[test]
    fn the_picture_can_be_read_back() {
        let array = Array { shape: vec![2, 3], data: vec![0.0, -1.0, -2.0, -3.0, -4.0, -5.0] };
        let bytes = png(&array).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        assert_eq!((info.width, info.height), (3, 2));
        assert_eq!(buffer[..6], pixels(&array.data, 3));
        assert!(png(&Array { shape: vec![6], data: vec![0.0; 6] }).is_err());
    }
}
