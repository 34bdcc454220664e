//! A trained model on disk: weights and manifest.
//!
//! `genre.mpk` holds the weights ([`crate::weights`]); `genre.json` holds the labels and the
//! network configuration.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::config::{Architecture, NetworkConfig};
use crate::dataset::Dataset;
use crate::network::Network;
use crate::weights::Weights;

/// Version of the manifest format.
const VERSION: u32 = 1;

/// Labels and configuration of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// Names of the classes, in the order of the logits.
    pub labels: Vec<String>,
    /// Network configuration.
    pub network: NetworkConfig,
    /// Epoch of the kept weights; absent in models of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<KeptEpoch>,
}

/// The epoch whose weights were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptEpoch {
    /// The epoch, counted from 1.
    pub kept: usize,
    /// Number of epochs that were trained.
    pub of: usize,
}

impl Manifest {
    /// Creates the manifest of a network with these labels.
    ///
    /// # Errors
    /// The number of labels differs from that of the classes, or the configuration is invalid.
    pub fn new(labels: Vec<String>, network: NetworkConfig) -> Result<Manifest> {
        let manifest = Manifest { version: VERSION, labels, network, epoch: None };
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        kit::files::write_json(path, self)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, has another version, or contains inconsistent values.
    pub fn read(path: impl AsRef<Path>) -> Result<Manifest> {
        let path = path.as_ref();
        let shown = path.display();
        let text = std::fs::read(path)
            .with_context(|| format!("cannot read `{shown}`: `repro run train` makes it"))?;
        let manifest: Manifest = serde_json::from_slice(&text).with_context(|| {
            format!("`{shown}` is damaged: remove it, then run `repro run train`")
        })?;
        manifest.check().with_context(|| format!("`{shown}`"))?;
        Ok(manifest)
    }

    /// Checks that the network accepts these clips.
    ///
    /// # Errors
    /// The clips have another shape.
    pub fn check_input(&self, dataset: &Dataset) -> Result<()> {
        let input = self.network.input;
        let (found, expected) = match self.network.model {
            Architecture::Baseline => (dataset.uniform_shape()?.to_vec(), &input[..]),
            Architecture::ResNet => (dataset.rows.to_vec(), &input[..2]),
        };
        ensure!(
            found == expected,
            "the spectrograms have the shape {found:?}, but the model was trained on {expected:?}: \
             run `repro run train`"
        );
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.version == VERSION,
            "unsupported version {}: expected {VERSION}",
            self.version
        );
        let (labels, classes) = (self.labels.len(), self.network.classes);
        ensure!(labels == classes, "{labels} labels do not fit a network with {classes} classes");
        self.network.tensors().map(drop)
    }
}

/// Loads a network from its `weights` and `manifest` files to `device`. Also returns the manifest.
///
/// # Errors
/// A file is missing or damaged, or the weights do not fit the manifest.
pub fn load(
    weights: impl AsRef<Path>,
    manifest: impl AsRef<Path>,
    device: &Device,
) -> Result<(Network, Manifest)> {
    let (weights, manifest) = (weights.as_ref(), manifest.as_ref());
    let contents = Manifest::read(manifest)?;
    let network =
        Network::new(&contents.network, &Weights::read(weights)?, device).with_context(|| {
            format!(
                "`{}` does not fit `{}`: run `repro run train`",
                weights.display(),
                manifest.display()
            )
        })?;
    Ok((network, contents))
}
