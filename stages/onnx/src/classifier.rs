//! Running a model file.
//!
//! Knows nothing about where its inputs come from.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use rten::{Dimension, Model, NodeId};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use crate::metadata::Metadata;

/// The name of the input, `[N, channels, height, width]`.
pub const INPUT: &str = "spectrograms";
/// The name of the output before the softmax, `[N, classes]`.
pub const LOGITS: &str = "logits";
/// The name of the output after it, `[N, classes]`.
pub const PROBABILITIES: &str = "probabilities";

/// A model that is ready to run.
pub struct Classifier {
    model: Model,
    metadata: Metadata,
    input: [usize; 3],
    ends: [NodeId; 3],
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classifier").field("metadata", &self.metadata).field("input", &self.input).finish()
    }
}

/// What a model says of a batch: a row of as many values as labels for each clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// The scores before the softmax.
    pub logits: Vec<f32>,
    /// The scores as probabilities; each row sums to 1.
    pub probabilities: Vec<f32>,
}

impl Classifier {
    /// The model in the file at `path`.
    ///
    /// # Errors
    /// No such file; as [`Classifier::from_bytes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Classifier> {
        let path = path.as_ref();
        let shown = path.display();
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the model `{shown}`: `repro run` makes it"))?;
        Classifier::from_bytes(bytes).with_context(|| format!("`{shown}` is not a usable model"))
    }

    /// The model in these bytes.
    ///
    /// # Errors
    /// Bytes that are no ONNX model, that lack the metadata, or whose input and outputs are not those of a
    /// model that `export` wrote.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Classifier> {
        let model = Model::load(bytes).context("cannot load it as ONNX")?;
        let metadata = Metadata::from_properties(|key| model.metadata().get(key))?;
        let end = |name: &str| model.node_id(name).with_context(|| format!("it has no `{name}`"));
        let ends = [end(INPUT)?, end(LOGITS)?, end(PROBABILITIES)?];
        let shape = model.node_info(ends[0]).and_then(|info| info.shape()).unwrap_or_default();
        let [_, Dimension::Fixed(channels), Dimension::Fixed(height), Dimension::Fixed(width)] = shape[..]
        else {
            bail!("its input is not a batch of pictures of one size");
        };
        Ok(Classifier { metadata, input: [channels, height, width], ends, model })
    }

    /// What the file says beside the network.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The channels, height and width of one clip.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Runs the model on clips that lie one after the other in `values`.
    ///
    /// # Errors
    /// Values that are no whole number of clips; outputs that do not fit the labels; a failure of the runtime.
    pub fn run(&self, values: Vec<f32>) -> Result<Outputs> {
        let [channels, height, width] = self.input;
        let each = channels * height * width;
        ensure!(
            each > 0 && values.len().is_multiple_of(each),
            "{} values are no whole number of clips of {channels}×{height}×{width}",
            values.len()
        );
        let count = values.len() / each;
        let batch = NdTensor::from_data([count, channels, height, width], values);
        let [input, logits, probabilities] = self.ends;
        let inputs = vec![(input, batch.view().into())];
        let outputs =
            self.model.run_n(inputs, [logits, probabilities], None).context("cannot run the model")?;
        let rows = outputs.map(|value| -> Result<Vec<f32>> {
            let rows: NdTensor<f32, 2> = value.try_into().context("an output is not a table of numbers")?;
            let expected = [count, self.metadata.labels.len()];
            ensure!(rows.shape() == expected, "an output has the shape {:?}, not {expected:?}", rows.shape());
            let rows: NdTensorView<'_, f32, 2> = rows.view();
            Ok(rows.to_vec())
        });
        let [logits, probabilities] = rows;
        Ok(Outputs { logits: logits?, probabilities: probabilities? })
    }
}
