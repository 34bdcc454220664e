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
    input: [Option<usize>; 3],
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
        let [_, channels, height, width] = &shape[..] else {
            bail!("its input is not a batch of pictures");
        };
        let input = [channels, height, width].map(|length| match length {
            Dimension::Fixed(length) => Some(*length),
            Dimension::Symbolic(_) => None,
        });
        Ok(Classifier { metadata, input, ends, model })
    }

    /// What the file says beside the network.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The lengths of a clip that the model takes: channels, height and width; none where it takes any.
    pub fn input(&self) -> [Option<usize>; 3] {
        self.input
    }

    /// Whether the model takes clips of this shape: channels, height and width.
    ///
    /// # Errors
    /// It does not; the message says what it takes.
    pub fn check_input(&self, shape: [usize; 3]) -> Result<()> {
        let fits =
            shape.iter().zip(self.input).all(|(found, asked)| asked.is_none_or(|asked| *found == asked));
        let asked = self.input.map(|length| length.map_or("any".to_owned(), |length| length.to_string()));
        ensure!(
            fits && shape.iter().all(|length| *length > 0),
            "the shape is {shape:?}, but the model takes [{}]",
            asked.join(", ")
        );
        Ok(())
    }

    /// Runs the model on a batch of clips: their number, channels, height and width, and the values in C order.
    ///
    /// # Errors
    /// As [`Classifier::check_input`]; values that do not fit the shape; outputs that do not fit the labels; a
    /// failure of the runtime.
    pub fn run(&self, shape: [usize; 4], values: Vec<f32>) -> Result<Outputs> {
        let [count, channels, height, width] = shape;
        self.check_input([channels, height, width])?;
        ensure!(
            values.len() == shape.iter().product::<usize>(),
            "{} values are not {count} clips of {channels}×{height}×{width}",
            values.len()
        );
        let batch = NdTensor::from_data(shape, values);
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
