//! Draws a spectrogram as an image: time to the right, log frequency upwards, level as colour.
//!
//! All images have the same size, for galleries. Text chunks of the file hold the length of the
//! clip, the heights of round frequencies, and doubts about the sound.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use features::decode::Outcome;
use features::mel;
use features::params::{Kind, Normalise, Scale};
use features::resize::resize;
use features::{Array, LOG_FLOOR, SpectrogramParams};

use crate::colours::palette;

const WIDTH: usize = 256;
const HEIGHT: usize = 128;

/// Lowest frequency on the axis of `log_power` images, which is logarithmic.
const LOWEST_HZ: f64 = 60.0;

/// Frequencies to mark, in Hz.
const MARKED_HZ: [f64; 3] = [100.0, 1000.0, 10_000.0];

/// Dynamic range in dB of power; values further below the loudest are black.
const RANGE_DB: f32 = 75.0;

/// Keyword of a doubt about the sound.
const DOUBT: &str = "Doubt";

/// Keyword that is there if the channels cancel each other.
const CANCELLED: &str = "Cancelled";

/// A doubt about the sound of a clip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// `None` if there is none.
    pub(crate) text: Option<String>,
    /// The channels cancel each other.
    pub(crate) is_cancelled: bool,
}

impl Doubt {
    /// Reads the doubt from an image.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Doubt> {
        let reader = png::Decoder::new(BufReader::new(File::open(path)?)).read_info()?;
        let texts = &reader.info().uncompressed_latin1_text;
        let find = |keyword: &str| texts.iter().find(|text| text.keyword == keyword);
        Ok(Doubt {
            text: find(DOUBT).map(|found| found.text.clone()),
            is_cancelled: find(CANCELLED).is_some(),
        })
    }
}

/// Encodes an array of shape (frequency, time) that was computed with `params` as a PNG.
pub(crate) fn png(
    array: &Array,
    params: &SpectrogramParams,
    outcome: Option<Outcome>,
) -> Result<Vec<u8>> {
    let [rows, columns] = array.shape[..] else {
        anyhow::bail!("shape {:?} is not two-dimensional", array.shape);
    };
    let fits = rows > 0 && columns > 0 && rows * columns == array.data.len();
    ensure!(fits, "shape {:?} does not match the data", array.shape);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette());
    if let Some(seconds) = seconds(columns, params) {
        encoder.add_text_chunk("Seconds".to_owned(), format!("{seconds:.3}"))?;
    }
    let frequencies = marks(params).map(|[hertz, height]| format!("{hertz}:{height:.4}"));
    let frequencies = frequencies.collect::<Vec<_>>().join(" ");
    encoder.add_text_chunk("Frequencies".to_owned(), frequencies)?;
    if let Some(doubt) = outcome.and_then(|outcome| outcome.doubt()) {
        encoder.add_text_chunk(DOUBT.to_owned(), doubt)?;
    }
    if let Some(decibels) = outcome.and_then(|outcome| outcome.cancellation) {
        encoder.add_text_chunk(CANCELLED.to_owned(), format!("{decibels:.1} dB"))?;
    }
    let mut writer = encoder.write_header()?;
    writer
        .write_image_data(&pixels(&array.data, [rows, columns], params))
        .context("cannot compress")?;
    writer.finish()?;
    Ok(bytes)
}

/// Returns the length of a clip of `columns` columns; `None` if a resize of the whole clip hides
/// it.
fn seconds(columns: usize, params: &SpectrogramParams) -> Option<f64> {
    if params.seconds > 0.0 {
        return Some(params.seconds);
    }
    let is_resized = params.kind == Kind::LogPower && params.resize;
    let hop = params.hop_length as f64 / f64::from(params.sample_rate);
    (!is_resized).then_some(columns as f64 * hop)
}

/// Returns the marked frequencies within the image, with their heights from 0 to 1.
fn marks(params: &SpectrogramParams) -> impl Iterator<Item = [f64; 2]> {
    let half = f64::from(params.sample_rate) / 2.0;
    let lowest = LOWEST_HZ.min(half);
    let height = move |hertz: f64| match params.kind {
        Kind::LogMel => mel::height(params, hertz),
        Kind::LogPower => (hertz / lowest).ln() / (half / lowest).ln(),
    };
    MARKED_HZ
        .into_iter()
        .map(move |hertz| [hertz, height(hertz)])
        .filter(|[_, height]| (0.0..=1.0).contains(height))
}

/// Returns indices into the palette of shape ([`HEIGHT`], [`WIDTH`]), highest frequency first.
fn pixels(data: &[f32], shape: [usize; 2], params: &SpectrogramParams) -> Vec<u8> {
    let [darkest, brightest] = bounds(data, params);
    let scale = 255.0 / (brightest - darkest).max(f32::MIN_POSITIVE);
    let index = |value: &f32| ((value - darkest) * scale).clamp(0.0, 255.0).round() as u8;
    let sized = match params.kind {
        Kind::LogMel => resize(data, shape, [HEIGHT, WIDTH]),
        Kind::LogPower => by_octaves(&resize(data, shape, [shape[0], WIDTH]), params.sample_rate),
    };
    sized.chunks_exact(WIDTH).rev().flatten().map(index).collect()
}

/// Returns the values drawn darkest and brightest.
///
/// If the levels have a floor, the brightest value is at least [`RANGE_DB`] above it, so that
/// silence stays black.
fn bounds(data: &[f32], params: &SpectrogramParams) -> [f32; 2] {
    let most = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let natural = RANGE_DB * std::f32::consts::LN_10 / 10.0;
    let range_and_floor = match (params.kind, params.scale, params.normalise) {
        (Kind::LogPower, _, _) | (Kind::LogMel, Scale::Log, Normalise::None) => {
            Some((natural, LOG_FLOOR.ln()))
        }
        (Kind::LogMel, Scale::Db, Normalise::None) => Some((RANGE_DB, 10.0 * LOG_FLOOR.log10())),
        _ => None,
    };
    match range_and_floor {
        Some((range, floor)) => {
            let brightest = most.max(floor + range);
            [brightest - range, brightest]
        }
        None => [data.iter().copied().fold(f32::INFINITY, f32::min), most],
    }
}

/// Resamples rows of evenly spaced frequencies to [`HEIGHT`] rows spaced evenly in log frequency.
fn by_octaves(data: &[f32], sample_rate: u32) -> Vec<f32> {
    let last = data.len() / WIDTH - 1;
    let half = f64::from(sample_rate) / 2.0;
    let octaves = half / LOWEST_HZ.min(half);
    let row_at = |row: usize| &data[row.min(last) * WIDTH..][..WIDTH];
    // Position of an image row among the rows of the data.
    let place = |row: f64| octaves.powf(row / (HEIGHT - 1) as f64 - 1.0) * last as f64;
    let mut image = Vec::with_capacity(HEIGHT * WIDTH);
    for row in 0..HEIGHT {
        let here = place(row as f64);
        let (below, part) = (here as usize, here.fract() as f32);
        let mix = |(low, high): (&f32, &f32)| low + (high - low) * part;
        let mut mixed: Vec<f32> = row_at(below).iter().zip(row_at(below + 1)).map(mix).collect();
        // At high frequencies many data rows fall into one: take the maximum, so that no tone is
        // lost.
        let (from, to) =
            (place(row as f64 - 0.5).ceil() as usize, place(row as f64 + 0.5) as usize);
        for inside in from..=to.min(last) {
            mixed.iter_mut().zip(row_at(inside)).for_each(|(most, value)| *most = most.max(*value));
        }
        image.append(&mut mixed);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> [SpectrogramParams; 4] {
        let power = SpectrogramParams::default();
        let mel = SpectrogramParams { kind: Kind::LogMel, ..power.clone() };
        let natural = SpectrogramParams { scale: Scale::Log, ..mel.clone() };
        let normalised = SpectrogramParams { normalise: Normalise::Clip, ..mel.clone() };
        [power, mel, natural, normalised]
    }

    #[test]
    fn orientation_and_brightness() {
        for params in kinds() {
            // The upper half of the rows is loud in the second half of the time.
            let data: Vec<f32> = (0..40 * 20)
                .map(|index| if index >= 400 && index % 20 >= 10 { 0.0 } else { -90.0 })
                .collect();
            let pixels = pixels(&data, [40, 20], &params);
            assert_eq!(pixels.len(), WIDTH * HEIGHT);
            let (top, bottom) = (&pixels[..WIDTH], &pixels[(HEIGHT - 1) * WIDTH..]);
            assert_eq!((top[0], top[WIDTH - 1], bottom[0], bottom[WIDTH - 1]), (0, 255, 0, 0));
        }
    }

    #[test]
    fn octaves_have_equal_height() {
        // 501 rows from 0 to 11,025 Hz, loud at 441 Hz, 882 Hz and 1764 Hz.
        let mut data = vec![-90.0; 501 * WIDTH];
        for row in [20, 40, 80] {
            data[row * WIDTH..][..WIDTH].fill(0.0);
        }
        let image = by_octaves(&data, 22_050);
        let loud: Vec<f64> = (1..HEIGHT - 1)
            .filter(|row| {
                let at = |row: usize| image[row * WIDTH];
                at(*row) > -80.0 && at(*row) >= at(row - 1) && at(*row) >= at(row + 1)
            })
            .map(|row| row as f64)
            .collect();
        assert_eq!(loud.len(), 3, "{loud:?}");
        assert!(((loud[2] - loud[1]) - (loud[1] - loud[0])).abs() <= 2.0, "{loud:?}");
    }

    #[test]
    fn silence_is_black() {
        let [power, mel, _, normalised] = kinds();
        for (params, level) in [(power, LOG_FLOOR.ln()), (mel, -100.0), (normalised, 0.0)] {
            assert!(pixels(&[level; 4], [2, 2], &params).iter().all(|index| *index == 0));
        }
    }

    #[test]
    fn marked_frequencies_are_loud() {
        // A tone at each marked frequency is brightest at its mark.
        for params in &kinds()[..2] {
            let marks: Vec<_> = marks(params).collect();
            assert_eq!(marks.len(), 3, "{marks:?}");
            for [hertz, height] in marks {
                let tone =
                    |n: i32| (std::f32::consts::TAU * hertz as f32 * n as f32 / 22_050.0).sin();
                let params = SpectrogramParams { resize: false, ..params.clone() };
                let mut extractor = features::Extractor::new(&params).unwrap();
                let array = extractor.samples((0..22_050).map(tone).collect()).unwrap();
                let [rows, columns] = array.shape[..] else { panic!("two-dimensional") };
                let pixels = pixels(&array.data, [rows, columns], &params);
                let column = |row: usize| pixels[row * WIDTH + WIDTH / 2];
                let brightest = (0..HEIGHT).map(column).max().unwrap();
                let bright: Vec<usize> =
                    (0..HEIGHT).filter(|row| column(*row) == brightest).collect();
                let middle = bright.iter().sum::<usize>() as f64 / bright.len() as f64;
                let expected = (1.0 - height) * HEIGHT as f64;
                assert!((middle - expected).abs() < 6.0, "{hertz}: {middle}, not {expected}");
            }
        }
    }

    #[test]
    fn png_round_trip() {
        let params = SpectrogramParams::default();
        let array = Array { shape: vec![2, 3], data: vec![0.0, -1.0, -2.0, -3.0, -4.0, -5.0] };
        let bytes = png(&array, &params, None).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        assert_eq!((info.width, info.height), (WIDTH as u32, HEIGHT as u32));
        assert_eq!(buffer, pixels(&array.data, [2, 3], &params));
        assert!(png(&Array { shape: vec![6], data: vec![0.0; 6] }, &params, None).is_err());
        assert!(png(&Array { shape: vec![0, 4], data: vec![] }, &params, None).is_err());
    }

    #[test]
    fn doubts_in_images() {
        let params = SpectrogramParams::default();
        let array = Array { shape: vec![2, 2], data: vec![0.0; 4] };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let sound = Outcome { seconds: 1.0, announced: None, damaged: 0, cancellation: None };
        for (outcome, text, is_cancelled) in [
            (None, None, false),
            (Some(sound), None, false),
            (Some(Outcome { damaged: 2, ..sound }), Some("2 damaged parts were skipped"), false),
            (
                Some(Outcome { cancellation: Some(45.2), ..sound }),
                Some("its channels cancel each other: their mean is 45 dB quieter"),
                true,
            ),
        ] {
            std::fs::write(&path, png(&array, &params, outcome).unwrap()).unwrap();
            let expected = Doubt { text: text.map(str::to_owned), is_cancelled };
            assert_eq!(Doubt::read(&path).unwrap(), expected);
        }
        assert!(Doubt::read(dir.path()).is_err());
    }
}
