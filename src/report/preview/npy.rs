//! Reads arrays in NumPy's `.npy` format as pictures. Pure.
//!
//! The header is a Python literal: `{'descr': '<f4', 'fortran_order': False, 'shape': (128, 862)}`.
//! An array of more than two dimensions is shown by its first matrix; one of a single dimension
//! is a row.

use serde::Serialize;

use crate::number::Number;
use crate::report::base64;

/// Greatest width and height of a picture.
const MOST_PIXELS: usize = 1024;

/// An array as a picture of grey values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    pub shape: Vec<u64>,
    /// NumPy's name of the type of the elements: `<f4`.
    pub dtype: String,
    /// Height and width of the matrix that is shown.
    pub matrix: (u64, u64),
    pub height: usize,
    pub width: usize,
    /// The lowest and the highest value; `None` if all are NaN.
    pub extent: Option<(Number, Number)>,
    /// Number of elements that are NaN or infinite.
    pub not_finite: u64,
    /// A byte per pixel, by rows: 1 to 255 between the extremes, the mean of its elements, and 0 if
    /// none of them is finite.
    #[serde(serialize_with = "base64::serialize")]
    pub pixels: Vec<u8>,
}

/// Reads an array. `bytes` may be only the head of the file, if it has the first matrix.
///
/// # Errors
/// The bytes are not an array of numbers, for this reason.
pub(super) fn picture(bytes: &[u8]) -> Result<Picture, String> {
    let (header, data) = split(bytes)?;
    let Header { dtype, is_fortran, shape } = Header::parse(header)?;
    let element = Element::of(&dtype)?;
    let (height, width) = match &shape[..] {
        [] => (1, 1),
        [length] => (1, *length),
        [.., height, width] => (*height, *width),
    };
    let mut sizes = [height, width, element.size as u64].into_iter();
    let needed = sizes.try_fold(1u64, |product, size| product.checked_mul(size));
    let needed = needed.ok_or("its shape is too large")?;
    if needed == 0 {
        return Err("it is empty".to_owned());
    }
    let matrix = usize::try_from(needed).ok().and_then(|needed| data.get(..needed));
    let matrix = matrix.ok_or("it is cut off, or too large to be shown")?;
    // Of an array in Fortran's order, the first indices change fastest.
    if is_fortran && shape.len() > 2 {
        return Err("it has more than two dimensions in Fortran's order".to_owned());
    }
    let (height, width) = (height as usize, width as usize);
    let at = |row: usize, column: usize| {
        let place = if is_fortran { column * height + row } else { row * width + column };
        element.read(&matrix[place * element.size..])
    };
    let drawn = draw(height, width, at);
    let matrix = (height as u64, width as u64);
    let Drawn { rows, columns, extent, not_finite, pixels } = drawn;
    let extent = extent.map(|(low, high)| (Number::from(low), Number::from(high)));
    Ok(Picture { shape, dtype, matrix, height: rows, width: columns, extent, not_finite, pixels })
}

struct Drawn {
    rows: usize,
    columns: usize,
    extent: Option<(f64, f64)>,
    not_finite: u64,
    pixels: Vec<u8>,
}

fn draw(height: usize, width: usize, at: impl Fn(usize, usize) -> f64) -> Drawn {
    let (rows, columns) = (height.min(MOST_PIXELS), width.min(MOST_PIXELS));
    let (mut sums, mut counts) = (vec![0.0; rows * columns], vec![0_u64; rows * columns]);
    let (mut extent, mut not_finite): (Option<(f64, f64)>, u64) = (None, 0);
    for row in 0..height {
        for column in 0..width {
            let value = at(row, column);
            if !value.is_finite() {
                not_finite += 1;
                continue;
            }
            extent = Some(extent.map_or((value, value), |(a, b)| (a.min(value), b.max(value))));
            let pixel = row * rows / height * columns + column * columns / width;
            sums[pixel] += value;
            counts[pixel] += 1;
        }
    }
    let (low, high) = extent.unwrap_or((0.0, 0.0));
    let shade = |(sum, count): (&f64, &u64)| {
        if *count == 0 {
            return 0;
        }
        // Halved, so that the difference of the largest doubles is finite.
        let share = (sum / *count as f64 / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        if share.is_finite() { (1.0 + 254.0 * share.clamp(0.0, 1.0)).round() as u8 } else { 128 }
    };
    let pixels = sums.iter().zip(&counts).map(shade).collect();
    Drawn { rows, columns, extent, not_finite, pixels }
}

/// Splits a file into its header and its data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it is not an array of NumPy")?;
    let (length, start) = match rest {
        [1, _, a, b, ..] => (u32::from(u16::from_le_bytes([*a, *b])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]), 6),
        _ => return Err("its version is unknown".to_owned()),
    };
    let (header, data) = rest[start..].split_at_checked(length as usize).ok_or("it is cut off")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not a text")?;
    Ok((header, data))
}

struct Header {
    dtype: String,
    is_fortran: bool,
    shape: Vec<u64>,
}

impl Header {
    fn parse(text: &str) -> Result<Header, String> {
        let after = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}':"))?;
            Some(rest.trim_start())
        };
        let dtype = after("descr")
            .and_then(|rest| rest.strip_prefix('\'')?.split_once('\''))
            .ok_or("its elements are records, not numbers")?;
        let order = after("fortran_order").ok_or("its header names no order")?;
        let shape = after("shape")
            .and_then(|rest| rest.strip_prefix('(')?.split_once(')'))
            .ok_or("its header names no shape")?;
        let sizes = shape.0.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape: Option<Vec<u64>> =
            sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect();
        Ok(Header {
            dtype: dtype.0.to_owned(),
            is_fortran: order.starts_with("True"),
            shape: shape.ok_or("its shape is not a list of sizes")?,
        })
    }
}

/// The type of the elements.
#[derive(Clone, Copy)]
struct Element {
    kind: char,
    size: usize,
    is_big_endian: bool,
}

impl Element {
    fn of(dtype: &str) -> Result<Element, String> {
        let unknown = || format!("its elements have the type `{dtype}`, not numbers");
        let mut chars = dtype.chars();
        let (order, kind) = (chars.next(), chars.next().ok_or_else(unknown)?);
        let size = chars.as_str().parse().map_err(|_| unknown())?;
        let is_known =
            matches!((kind, size), ('f', 2 | 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) | ('b', 1));
        let element = Element { kind, size, is_big_endian: order == Some('>') };
        is_known.then_some(element).ok_or_else(unknown)
    }

    /// Reads the element at the beginning of `bytes`.
    fn read(self, bytes: &[u8]) -> f64 {
        let mut raw = [0; 8];
        let bytes = &bytes[..self.size];
        raw[..self.size].copy_from_slice(bytes);
        if self.is_big_endian {
            raw[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(raw);
        match (self.kind, self.size) {
            ('f', 8) => f64::from_bits(bits),
            ('f', 4) => f64::from(f32::from_bits(bits as u32)),
            ('f', _) => half(bits as u16),
            ('i', size) => {
                let unused = 64 - 8 * size as u32;
                ((bits << unused).cast_signed() >> unused) as f64
            }
            _ => bits as f64,
        }
    }
}

/// Converts a half-precision number.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(dtype: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn matrices() {
        let floats: Vec<u8> =
            [0f32, 1.0, 2.0, f32::NAN, 4.0, 8.0].into_iter().flat_map(f32::to_le_bytes).collect();
        let shown = picture(&file(&header("<f4", "False", "(2, 3)"), &floats)).unwrap();
        assert_eq!((shown.height, shown.width, shown.not_finite), (2, 3, 1));
        assert_eq!(shown.pixels, [1, 33, 65, 0, 128, 255]);
        assert_eq!(shown.extent, Some((0.0.into(), 8.0.into())));
        let shown = picture(&file(&header("<f4", "True", "(2, 3)"), &floats)).unwrap();
        assert_eq!(shown.pixels, [1, 65, 128, 33, 0, 255]);
        // The first matrix of several.
        let shown = picture(&file(&header("<f4", "False", "(3, 1, 2)"), &floats)).unwrap();
        assert_eq!((shown.matrix, shown.pixels), ((1, 2), vec![1, 255]));
    }

    #[test]
    fn types_of_elements() {
        for (dtype, bytes, value) in [
            ("<f8", &2.5f64.to_le_bytes()[..], 2.5),
            (">f8", &2.5f64.to_be_bytes(), 2.5),
            ("<f2", &[0x00, 0xc2], -3.0),
            ("<f2", &[0x01, 0x00], 2f64.powi(-24)),
            ("<i2", &(-5i16).to_le_bytes(), -5.0),
            (">i4", &(-5i32).to_be_bytes(), -5.0),
            ("|u1", &[200], 200.0),
            ("|i1", &[200], -56.0),
            ("|b1", &[1], 1.0),
            ("<u8", &u64::MAX.to_le_bytes(), 2f64.powi(64)),
        ] {
            let shown = picture(&file(&header(dtype, "False", "()"), bytes)).unwrap();
            assert_eq!(shown.extent, Some((value.into(), value.into())), "{dtype}");
        }
    }

    #[test]
    fn large_arrays_are_reduced() {
        let bytes: Vec<u8> = (0..5000 * 3).map(|at| if at % 5000 < 2500 { 0 } else { 9 }).collect();
        let shown = picture(&file(&header("|u1", "False", "(3, 5000)"), &bytes)).unwrap();
        assert_eq!((shown.height, shown.width), (3, 1024));
        assert_eq!(shown.pixels.len(), 3 * 1024);
        assert_eq!((shown.pixels[0], shown.pixels[1023]), (1, 255));
    }

    #[test]
    fn not_arrays() {
        let of = |header: &str| picture(&file(header, &[0; 8])).unwrap_err();
        assert_eq!(picture(b"PK").unwrap_err(), "it is not an array of NumPy");
        assert_eq!(of("{'descr': [('a', '<f4')]}"), "its elements are records, not numbers");
        assert_eq!(
            of(&header("<U5", "False", "(1,)")),
            "its elements have the type `<U5`, not numbers"
        );
        assert_eq!(
            of(&header("|O", "False", "(1,)")),
            "its elements have the type `|O`, not numbers"
        );
        assert_eq!(of(&header("<f4", "False", "(0, 5)")), "it is empty");
        let huge = header("<f8", "False", "(4611686018427387904, 4)");
        assert_eq!(of(&huge), "its shape is too large");
        let cut = header("<f8", "False", "(1000, 4)");
        assert_eq!(of(&cut), "it is cut off, or too large to be shown");
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..90), tail in any::<[u8; 9]>()) {
            let _ = picture(&bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let _ = picture(&file(&header("<f4", "False", &text), &tail));
            let _ = picture(&file(&text, &tail));
        }
    }
}
