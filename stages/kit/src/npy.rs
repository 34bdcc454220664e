//! NumPy's `.npy` format, version 1.0, for 32-bit floats in C order.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Reads the
//! files that numpy writes with `np.save(path, array.astype("<f4"))`; other types and Fortran order
//! are errors.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::files;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// An array of 32-bit floats in C order (the last index varies fastest).
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Length of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// Values; their number is the product of `shape`.
    pub data: Vec<f32>,
}

/// Writes `data` as an array of `shape`, atomically. Equal arrays give equal bytes.
///
/// # Errors
/// `shape` does not match the number of values, or the file system fails.
pub fn write(path: impl AsRef<Path>, shape: &[usize], data: &[f32]) -> Result<()> {
    let path = path.as_ref();
    let bytes =
        encode(shape, data).with_context(|| format!("cannot write `{}`", path.display()))?;
    files::write_atomic(path, bytes)
}

/// Reads an array written by [`write()`] or numpy.
///
/// The memory used is bounded by the size of the file, whatever the header claims.
///
/// # Errors
/// The file cannot be read, is not `.npy`, has a type other than little-endian `f4` or is in
/// Fortran order, or the number of values does not match the header.
pub fn read(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{shown}`"))?;
    decode(&bytes).with_context(|| format!("`{shown}` is not a valid `.npy` file"))
}

fn encode(shape: &[usize], data: &[f32]) -> Result<Vec<u8>> {
    ensure!(
        count(shape) == Some(data.len()),
        "shape {shape:?} does not match {} values",
        data.len()
    );
    let dims: Vec<_> = shape.iter().map(ToString::to_string).collect();
    // Python needs a comma in a tuple of one.
    let comma = if shape.len() == 1 { "," } else { "" };
    let dims = dims.join(", ");
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({dims}{comma}), }}");
    // Values start at a multiple of 64 bytes; the header ends in a newline.
    let prefix = MAGIC.len() + 4;
    let padded = (prefix + header.len() + 1).next_multiple_of(64) - prefix;
    header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()));
    header.push('\n');
    let length = u16::try_from(header.len()).context("too many dimensions")?;

    let mut bytes = Vec::with_capacity(prefix + header.len() + data.len() * 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(data.iter().flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Array> {
    let rest = bytes.strip_prefix(MAGIC).context("the file does not begin with `\\x93NUMPY`")?;
    let (version, rest) =
        rest.split_first_chunk::<2>().context("the file ends within its header")?;
    let (length, rest) = match version {
        [1, 0] => {
            let (length, rest) =
                rest.split_first_chunk::<2>().context("the file ends within its header")?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        [major, minor] => bail!("expected version 1.0, found {major}.{minor}"),
    };
    ensure!(length <= rest.len(), "the file ends within its header");
    let (header, values) = rest.split_at(length);
    let header = std::str::from_utf8(header).context("the header is not UTF-8")?;
    let shape = parse_header(header)?;
    let (values, tail) = values.as_chunks::<4>();
    ensure!(
        tail.is_empty() && count(&shape) == Some(values.len()),
        "shape {shape:?} does not match {} bytes of values",
        values.len() * 4 + tail.len()
    );
    let data = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    Ok(Array { shape, data })
}

fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &length| count.checked_mul(length))
}

/// Parses the shape from a header such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse_header(header: &str) -> Result<Vec<usize>> {
    let descr = field(header, "descr").context("the header has no `descr`")?;
    let descr = descr.get(1..).and_then(|text| text.split(['\'', '"']).next()).unwrap_or_default();
    ensure!(descr == "<f4", "expected 32-bit floats (`<f4`), found `{descr}`");
    let order = field(header, "fortran_order").context("the header has no `fortran_order`")?;
    ensure!(order.starts_with("False"), "the values are in Fortran order, not in C order");
    let shape = field(header, "shape").context("the header has no `shape`")?;
    shape
        .strip_prefix('(')
        .and_then(|text| text.split_once(')'))
        .map(|(dims, _)| dims.split(',').map(str::trim).filter(|dim| !dim.is_empty()))
        .context("the shape is not a tuple")?
        .map(|dim| dim.parse().with_context(|| format!("the shape contains `{dim}`")))
        .collect()
}

fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let quoted = ['\'', '"'].map(|quote| format!("{quote}{name}{quote}"));
    let after = quoted.iter().find_map(|key| header.split_once(key.as_str()))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_header(header: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    #[test]
    fn bytes_match_numpy() {
        // Written by numpy 2: np.save(f, np.array([[1, 2, 3], [4, 5, 6]], dtype="<f4")).
        let bytes = encode(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let mut expected = b"\x93NUMPY\x01\x00v\x00".to_vec();
        expected.extend(header.as_bytes());
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend((1..=6).flat_map(|value| (value as f32).to_le_bytes()));
        assert_eq!(bytes, expected);
    }

    #[test]
    fn malformed_files() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        for (bytes, part) in [
            (b"".to_vec(), "does not begin"),
            (b"RIFF....".to_vec(), "does not begin"),
            (b"\x93NUMPY\x01".to_vec(), "ends within its header"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "found 2.0"),
            (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "ends within its header"),
            (with_header("{}", &[]), "no `descr`"),
            (with_header(&good.replace("<f4", "<f8"), &[0; 16]), "found `<f8`"),
            (with_header(&good.replace("False", "True"), &[0; 8]), "Fortran"),
            (with_header(&good.replace("(2,)", "(-2,)"), &[0; 8]), "contains `-2`"),
            (with_header(&good.replace("(2,)", "2"), &[0; 8]), "not a tuple"),
            (with_header(good, &[0; 7]), "does not match"),
            (with_header(good, &[0; 12]), "does not match"),
            (with_header(&good.replace("(2,)", "(9999999999,)"), &[0; 8]), "does not match"),
            (
                with_header(&good.replace("(2,)", &format!("({0}, {0})", u64::MAX)), &[]),
                "does not match",
            ),
        ] {
            let message = format!("{:#}", decode(&bytes).unwrap_err());
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn file_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.npy");
        write(&path, &[1, 2], &[0.5, -1.0]).unwrap();
        assert_eq!(read(&path).unwrap(), Array { shape: vec![1, 2], data: vec![0.5, -1.0] });
        assert!(write(&path, &[3], &[0.5]).is_err());
        assert!(read(dir.path()).is_err());
    }

    proptest! {
        #[test]
        fn array_round_trip(rows in 0_usize..9, columns in 0_usize..9, seed in any::<u32>()) {
            let count = rows * columns;
            let data: Vec<_> = (0..count).map(|i| f32::from(i as u8) * seed as f32).collect();
            let shape = vec![rows, columns];
            let array = decode(&encode(&shape, &data).unwrap()).unwrap();
            prop_assert_eq!(array, Array { shape, data });
        }

        #[test]
        fn decode_never_panics(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0_usize..200,
        ) {
            let _ = decode(&bytes);
            let mut header = encode(&[2, 3], &[0.0; 6]).unwrap();
            header.truncate(cut);
            header.append(&mut bytes);
            let _ = decode(&header);
        }
    }
}
