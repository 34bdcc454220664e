//! Named tensors of a network, and their file format.
//!
//! The file is MessagePack with string keys: `{format, version, tensors: {NAME: {shape, data}}}`.
//! Names are sorted, and `data` holds little-endian 32-bit floats in C order. It contains nothing
//! else, so equal weights give equal bytes, and two lines of Python can read it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::config::NetworkConfig;

/// A tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// Values in C order.
    pub values: Vec<f32>,
}

/// Tensors of a network by name; see [`NetworkConfig::tensors`] for the names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, HostTensor>,
}

const FORMAT: &str = "repro-weights";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u32,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    shape: Vec<usize>,
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

impl Weights {
    /// Inserts a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) {
        self.tensors.insert(name.to_owned(), HostTensor { shape, values });
    }

    /// Returns the tensor `name`.
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub fn get(&self, name: &str) -> Result<&HostTensor> {
        self.tensors.get(name).with_context(|| format!("the weights have no tensor `{name}`"))
    }

    /// Returns the tensors whose names begin with `prefix`.
    pub fn below(&self, prefix: &str) -> Weights {
        let tensors = self.tensors.iter().filter(|(name, _)| name.starts_with(prefix));
        Weights { tensors: tensors.map(|(name, tensor)| (name.clone(), tensor.clone())).collect() }
    }

    /// Updates a moving average: each value becomes `(1 − share) · value + share · newer`.
    ///
    /// # Errors
    /// A tensor is missing in `newer`.
    pub fn blend(&mut self, newer: &Weights, share: f32) -> Result<()> {
        for (name, tensor) in &mut self.tensors {
            for (value, newer) in tensor.values.iter_mut().zip(&newer.get(name)?.values) {
                *value += share * (newer - *value);
            }
        }
        Ok(())
    }

    /// Checks that these are exactly the tensors that `config` requires.
    ///
    /// # Errors
    /// Names the first tensor that is missing, has a wrong shape, or is not part of the network.
    pub fn check(&self, config: &NetworkConfig) -> Result<()> {
        let expected = config.tensors()?;
        for (name, shape) in &expected {
            let found = &self.get(name)?.shape;
            ensure!(
                found == shape,
                "tensor `{name}` has the shape {found:?}, but the network needs {shape:?}"
            );
        }
        if let Some(name) =
            self.tensors.keys().find(|key| expected.iter().all(|(name, _)| name != *key))
        {
            bail!("tensor `{name}` is not part of the network");
        }
        Ok(())
    }

    /// Returns the bytes of the file.
    ///
    /// # Errors
    /// None in practice: the type can always be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let tensors = self.tensors.iter().map(|(name, tensor)| {
            let data = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.clone(), Stored { shape: tensor.shape.clone(), data })
        });
        let file = File { format: FORMAT.to_owned(), version: VERSION, tensors: tensors.collect() };
        rmp_serde::to_vec_named(&file).context("cannot encode the weights")
    }

    /// Parses the output of [`Weights::to_bytes`].
    ///
    /// # Errors
    /// The bytes are truncated or in another format, or the data of a tensor does not fit its
    /// shape.
    pub fn from_bytes(bytes: &[u8]) -> Result<Weights> {
        let file: File =
            rmp_serde::from_slice(bytes).context("truncated, or not a weights file")?;
        ensure!(
            file.format == FORMAT && file.version == VERSION,
            "expected format `{FORMAT}` version {VERSION}, found `{}` version {}",
            file.format,
            file.version
        );
        let mut weights = Weights::default();
        for (name, Stored { shape, data }) in file.tensors {
            let count = shape.iter().try_fold(4usize, |count, length| count.checked_mul(*length));
            ensure!(
                count == Some(data.len()),
                "tensor `{name}` has {} bytes, which do not fit its shape {shape:?}",
                data.len()
            );
            let (words, _) = data.as_chunks::<4>();
            weights.insert(
                &name,
                shape,
                words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
            );
        }
        Ok(weights)
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        kit::files::write_atomic(path, self.to_bytes()?)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read; also the errors of [`Weights::from_bytes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Weights> {
        let path = path.as_ref();
        let shown = path.display();
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read `{shown}`: `repro run train` makes it"))?;
        Weights::from_bytes(&bytes)
            .with_context(|| format!("`{shown}` is damaged: remove it, then run `repro run train`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Weights {
        let mut weights = Weights::default();
        weights.insert("b", vec![2, 3], vec![1.0, -2.5, f32::MIN_POSITIVE, 0.0, -0.0, 3e30]);
        weights.insert("a", vec![1], vec![7.0]);
        weights
    }

    #[test]
    fn round_trip_is_exact() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(Weights::from_bytes(&bytes).unwrap(), sample());
        assert_eq!(bytes, Weights::from_bytes(&bytes).unwrap().to_bytes().unwrap());
    }

    #[test]
    fn blend_interpolates() {
        let mut weights = sample();
        weights.blend(&sample(), 0.3).unwrap();
        assert_eq!(weights, sample());
        let mut newer = sample();
        newer.insert("a", vec![1], vec![11.0]);
        weights.blend(&newer, 0.25).unwrap();
        assert_eq!(weights.get("a").unwrap().values, [8.0]);
        assert!(weights.blend(&Weights::default(), 0.5).is_err());
    }

    #[test]
    fn file_format_bytes() {
        let mut weights = Weights::default();
        weights.insert("a", vec![1], vec![1.0]);
        let expected = b"\x83\xa6format\xadrepro-weights\xa7version\x01\xa7tensors\x81\xa1a\x82\
            \xa5shape\x91\x01\xa4data\xc4\x04\x00\x00\x80\x3f";
        assert_eq!(weights.to_bytes().unwrap(), expected);
    }

    #[test]
    fn truncated_files_are_errors() {
        let bytes = sample().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(Weights::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn shape_mismatch_is_an_error() {
        let mut weights = Weights::default();
        weights.insert("a", vec![3], vec![1.0]);
        let error = format!("{:#}", Weights::from_bytes(&weights.to_bytes().unwrap()).unwrap_err());
        assert_eq!(error, "tensor `a` has 4 bytes, which do not fit its shape [3]");
        weights.insert("a", vec![usize::MAX, usize::MAX], vec![1.0]);
        assert!(Weights::from_bytes(&weights.to_bytes().unwrap()).is_err());
    }

    #[test]
    fn missing_file_error_names_the_stage() {
        let error = format!("{:#}", Weights::read("no/such.mpk").unwrap_err());
        assert!(
            error.starts_with("cannot read `no/such.mpk`: `repro run train` makes it"),
            "{error}"
        );
    }
}
