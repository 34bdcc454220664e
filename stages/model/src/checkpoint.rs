//! A trained model on disk: the weights, and beside them what they mean.
//!
//! `genre.mpk` holds the numbers ([`crate::weights`]), `genre.json` the labels and the network's
//! configuration. Knows nothing about how the model was trained.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::config::{Architecture, NetworkConfig};
use crate::dataset::Dataset;
use crate::network::Network;
use crate::weights::Weights;

/// The version of the file that [`Manifest::write`] writes.
const VERSION: u32 = 1;

/// What the weights of a model mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// The names of the classes, in the order of the logits.
    pub labels: Vec<String>,
    /// What the network is built from.
    pub network: NetworkConfig,
}

impl Manifest {
    /// The manifest of a network with these labels.
    ///
    /// # Errors
    /// As many labels as classes are needed, and a configuration that can be built.
    pub fn new(labels: Vec<String>, network: NetworkConfig) -> Result<Manifest> {
        let manifest = Manifest { version: VERSION, labels, network };
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        kit::files::write_json(path, self)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// No such file; another version; values that do not belong together.
    pub fn read(path: impl AsRef<Path>) -> Result<Manifest> {
        let path = path.as_ref();
        let shown = path.display();
        let text = std::fs::read(path)
            .with_context(|| format!("cannot read `{shown}`: `repro run train` makes it"))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .with_context(|| format!("`{shown}` is damaged: remove it, then `repro run train`"))?;
        manifest.check().with_context(|| format!("`{shown}`"))?;
        Ok(manifest)
    }

    /// Whether these clips are what the network takes.
    ///
    /// # Errors
    /// They are not.
    pub fn check_input(&self, dataset: &Dataset) -> Result<()> {
        let input = self.network.input;
        let (found, expected) = match self.network.model {
            Architecture::Baseline => (dataset.uniform_shape()?.to_vec(), &input[..]),
            Architecture::ResNet => (dataset.rows.to_vec(), &input[..2]),
        };
        ensure!(
            found == expected,
            "the spectrograms have the shape {found:?}, but the model was trained on {expected:?}: `repro run train`"
        );
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.version == VERSION,
            "version {} is not {VERSION}, the one that is known",
            self.version
        );
        let (labels, classes) = (self.labels.len(), self.network.classes);
        ensure!(labels == classes, "{labels} labels do not fit a network for {classes} classes");
        self.network.tensors().map(drop)
    }
}

/// The network that `weights` and `manifest` keep, on `device`, and its manifest.
///
/// # Errors
/// A file that is missing or damaged; weights that do not fit the manifest.
pub fn load(
    weights: impl AsRef<Path>,
    manifest: impl AsRef<Path>,
    device: &Device,
) -> Result<(Network, Manifest)> {
    let (weights, manifest) = (weights.as_ref(), manifest.as_ref());
    let meaning = Manifest::read(manifest)?;
    let network =
        Network::new(&meaning.network, &Weights::read(weights)?, device).with_context(|| {
            format!(
                "`{}` does not fit `{}`: `repro run train`",
                weights.display(),
                manifest.display()
            )
        })?;
    Ok((network, meaning))
}
