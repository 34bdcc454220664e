//! Runs a model file once, whatever its inputs and metadata.
//!
//! `export` checks the model that takes waveforms with it.

use anyhow::{Context as _, Result, ensure};
use rten::Model;
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};

/// Returns the two-dimensional output `output` in C order, for `values` of `shape` as the input
/// `input`.
///
/// # Errors
/// The bytes are not an ONNX model, the input or output is missing, the values do not fit the
/// shape, or the runtime fails.
pub fn run(
    bytes: Vec<u8>,
    input: &str,
    shape: &[usize],
    values: Vec<f32>,
    output: &str,
) -> Result<Vec<f32>> {
    let model = Model::load(bytes).context("cannot load it as ONNX")?;
    let node = |name: &str| {
        model.node_id(name).with_context(|| format!("it has no input or output `{name}`"))
    };
    ensure!(
        values.len() == shape.iter().product::<usize>(),
        "{} values do not fit the shape {shape:?}",
        values.len()
    );
    let values = Tensor::from_data(shape, values);
    let [found] = model
        .run_n(vec![(node(input)?, values.view().into())], [node(output)?], None)
        .context("cannot run the model")?;
    let rows: NdTensor<f32, 2> =
        found.try_into().context("an output is not a two-dimensional float tensor")?;
    Ok(rows.view().to_vec())
}
