//! Interprets an ONNX graph with rten, one operator at a time.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use rten::{Dimension, Model, NodeId};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use crate::metadata::Metadata;
use crate::names::{INPUT, LOGITS, PROBABILITIES};
use crate::proto::{GraphProto, ModelProto};

/// A loaded graph.
pub(crate) struct Interpreter {
    model: Model,
    input: NodeId,
    logits: NodeId,
    probabilities: NodeId,
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpreter").finish_non_exhaustive()
    }
}

impl Interpreter {
    /// Loads a graph and its metadata.
    ///
    /// # Errors
    /// The bytes are not an ONNX model, or the metadata, the input or an output is missing.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<(Interpreter, Metadata)> {
        let proto = ModelProto::decode(&*bytes).context("cannot load it as ONNX")?;
        ensure!(
            is_in_order(&proto.graph.unwrap_or_default()),
            "its operators are not in topological order"
        );
        let model = Model::load(bytes).context("cannot load it as ONNX")?;
        // Check the metadata first: a foreign model also lacks the names below.
        let metadata = Metadata::from_properties(|key| model.metadata().get(key))?;
        let node = |name: &str| {
            model.node_id(name).with_context(|| format!("it has no input or output `{name}`"))
        };
        let (input, logits, probabilities) = (node(INPUT)?, node(LOGITS)?, node(PROBABILITIES)?);
        Ok((Interpreter { model, input, logits, probabilities }, metadata))
    }

    /// Returns channels, height and width of a clip; `None` for a length that is free.
    ///
    /// # Errors
    /// The input is not four-dimensional.
    pub(crate) fn input(&self) -> Result<[Option<usize>; 3]> {
        let shape =
            self.model.node_info(self.input).and_then(|info| info.shape()).unwrap_or_default();
        let [_, channels, height, width] = &shape[..] else {
            bail!("its input is not four-dimensional");
        };
        Ok([channels, height, width].map(|length| match length {
            Dimension::Fixed(length) => Some(*length),
            Dimension::Symbolic(_) => None,
        }))
    }

    /// Returns the logits and the probabilities of a batch, each `[N, classes]` in C order.
    ///
    /// # Errors
    /// The outputs have another shape, or the runtime fails.
    pub(crate) fn run(
        &self,
        shape: [usize; 4],
        values: Vec<f32>,
        classes: usize,
    ) -> Result<[Vec<f32>; 2]> {
        let batch = NdTensor::from_data(shape, values);
        let inputs = vec![(self.input, batch.view().into())];
        let outputs = self
            .model
            .run_n(inputs, [self.logits, self.probabilities], None)
            .context("cannot run the model")?;
        let [logits, probabilities] = outputs.map(|value| -> Result<Vec<f32>> {
            let rows: NdTensor<f32, 2> =
                value.try_into().context("an output is not a two-dimensional float tensor")?;
            let expected = [shape[0], classes];
            ensure!(
                rows.shape() == expected,
                "an output has the shape {:?}, not {expected:?}",
                rows.shape()
            );
            let rows: NdTensorView<'_, f32, 2> = rows.view();
            Ok(rows.to_vec())
        });
        Ok([logits?, probabilities?])
    }
}

/// Reports whether each operator reads only earlier values and writes only new ones.
///
/// rten would loop forever on a cycle.
fn is_in_order(graph: &GraphProto) -> bool {
    let inputs = graph.input.iter().map(|value| &value.name);
    let mut defined: BTreeSet<&String> =
        inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name)).collect();
    graph.node.iter().all(|node| {
        node.input.iter().all(|name| name.is_empty() || defined.contains(name))
            && node.output.iter().all(|name| name.is_empty() || defined.insert(name))
    })
}
