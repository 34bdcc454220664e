//! A graph that is run operator by operator, whatever they are.
//!
//! Knows nothing about labels.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use rten::{Dimension, Model, NodeId};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use crate::classifier::{INPUT, LOGITS, PROBABILITIES};
use crate::metadata::Metadata;
use crate::proto::{GraphProto, ModelProto};

/// A graph that is ready to run.
pub(crate) struct Operators {
    model: Model,
    ends: [NodeId; 3],
}

impl std::fmt::Debug for Operators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operators").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Operators {
    /// The graph in these bytes, and what they say beside it.
    ///
    /// # Errors
    /// Bytes that are no ONNX model, or one without the metadata, the input or the outputs.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<(Operators, Metadata)> {
        let proto = ModelProto::decode(&*bytes).context("cannot load it as ONNX")?;
        ensure!(
            is_in_order(&proto.graph.unwrap_or_default()),
            "its operators are not in the order that ONNX asks for"
        );
        let model = Model::load(bytes).context("cannot load it as ONNX")?;
        // Whose file it is comes first: a stranger's has other names, too.
        let metadata = Metadata::from_properties(|key| model.metadata().get(key))?;
        let end = |name: &str| model.node_id(name).with_context(|| format!("it has no `{name}`"));
        let ends = [end(INPUT)?, end(LOGITS)?, end(PROBABILITIES)?];
        Ok((Operators { ends, model }, metadata))
    }

    /// The channels, height and width of a clip; none where it takes any.
    ///
    /// # Errors
    /// An input of other dimensions.
    pub(crate) fn input(&self) -> Result<[Option<usize>; 3]> {
        let shape =
            self.model.node_info(self.ends[0]).and_then(|info| info.shape()).unwrap_or_default();
        let [_, channels, height, width] = &shape[..] else {
            bail!("its input is not a batch of pictures");
        };
        Ok([channels, height, width].map(|length| match length {
            Dimension::Fixed(length) => Some(*length),
            Dimension::Symbolic(_) => None,
        }))
    }

    /// The logits and the probabilities of a batch of so many values: a row of `classes` for each clip.
    ///
    /// # Errors
    /// Outputs of other shapes; a failure of the runtime.
    pub(crate) fn run(
        &self,
        shape: [usize; 4],
        values: Vec<f32>,
        classes: usize,
    ) -> Result<[Vec<f32>; 2]> {
        let batch = NdTensor::from_data(shape, values);
        let [input, logits, probabilities] = self.ends;
        let inputs = vec![(input, batch.view().into())];
        let outputs = self
            .model
            .run_n(inputs, [logits, probabilities], None)
            .context("cannot run the model")?;
        let [logits, probabilities] = outputs.map(|value| -> Result<Vec<f32>> {
            let rows: NdTensor<f32, 2> =
                value.try_into().context("an output is not a table of numbers")?;
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

/// Whether each operator takes in only what is there before it, and gives only what is not: in a circle the runtime would go
/// round for ever.
fn is_in_order(graph: &GraphProto) -> bool {
    let inputs = graph.input.iter().map(|value| &value.name);
    let mut there: BTreeSet<&String> =
        inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name)).collect();
    graph.node.iter().all(|node| {
        node.input.iter().all(|name| name.is_empty() || there.contains(name))
            && node.output.iter().all(|name| name.is_empty() || there.insert(name))
    })
}
