//! Batch normalisation fused with its epilogue, as an operation on tensors.
//!
//! Unaware of running statistics, which the caller maintains.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Device, Tensor, TensorData, module as ops};

use crate::block::{Block, Statistics};
use crate::bridge::{Host, erase, host, packed, tensor, values};
use crate::epilogue::Epilogue;

/// Parameters of a normalisation; the tensors have shape `[channels]`.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Factor of the normalised values.
    pub weight: Tensor<1>,
    /// Term added to the product.
    pub bias: Tensor<1>,
    /// Term added to the variance.
    pub epsilon: f64,
}

/// Result of a normalisation by a batch's own statistics.
#[derive(Clone, Debug)]
pub struct Normalized {
    /// Values after activation and pool.
    pub output: Tensor<4>,
    /// Mean of each channel, without gradients.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, without gradients.
    pub variance: Tensor<1>,
}

/// Normalises `[N, channels, height, width]` by the batch's own statistics and applies the
/// epilogue.
pub fn batch_norm(input: Tensor<4>, scale: Scale, epilogue: Epilogue) -> Normalized {
    let device = input.device();
    let block = block(&input, epilogue);
    match host([erase(&input), erase(&scale.weight), erase(&scale.bias)]) {
        Some(Host::Recorded(tensors)) => recorded(block, tensors, scale.epsilon as f32, &device),
        _ => {
            let batch = ops::batch_norm_train(input, scale.weight, scale.bias, scale.epsilon);
            let (mean, variance) = (batch.mean.detach(), batch.variance.detach());
            Normalized { output: epilogue.with_burn_ops(batch.output), mean, variance }
        }
    }
}

fn block(input: &Tensor<4>, epilogue: Epilogue) -> Block {
    let [batch, channels, height, width] = input.dims();
    Block { batch, channels, size: [height, width], epilogue }
}

fn shape(block: Block) -> [usize; 4] {
    let [height, width] = block.out();
    [block.batch, block.channels, height, width]
}

fn recorded(
    block: Block,
    tensors: [crate::bridge::Recorded; 3],
    epsilon: f32,
    device: &Device,
) -> Normalized {
    let guards = tensors.each_ref().map(|tensor| tensor.node());
    let [input, weight, bias] = tensors.map(|tensor| packed(tensor.into_primitive()));
    let statistics = block.statistics(values(&input));
    let (output, origins) =
        block.forward(values(&input), &statistics, values(&weight), values(&bias), epsilon);
    let output = tensor(output, shape(block));
    let of_channels = |values: &[f32]| {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        Tensor::from_data(data, device)
    };
    let (mean, variance) = (of_channels(&statistics.mean), of_channels(&statistics.variance));
    let output = match NormBlock.prepare::<NoCheckpointing>(guards).compute_bound().stateful() {
        OpsKind::Tracked(operation) => {
            let kept = Arc::new((statistics, origins));
            operation.finish(State { block, input, weight, bias, epsilon, kept }, output)
        }
        OpsKind::UnTracked(operation) => operation.finish(output),
    };
    Normalized { output: Tensor::from_primitive::<Autodiff<Flex>>(output), mean, variance }
}

#[derive(Debug)]
struct NormBlock;

#[derive(Clone, Debug)]
struct State {
    block: Block,
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    epsilon: f32,
    kept: Arc<(Statistics, Vec<u32>)>,
}

impl Backward<Flex, 3> for NormBlock {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = packed(gradients.consume::<Flex>(&ops.node));
        let State { block, input, weight, bias, epsilon, kept } = ops.state;
        let (statistics, origins) = &*kept;
        let scale = [values(&weight), values(&bias)];
        let found =
            block.backward(values(&input), statistics, scale, epsilon, values(&output), origins);
        let [for_input, for_weight, for_bias] = ops.parents;
        let found = [
            (for_input, found.input, &input),
            (for_weight, found.weight, &weight),
            (for_bias, found.bias, &bias),
        ];
        for (node, gradient, like) in found {
            if let Some(node) = node {
                gradients
                    .register::<Flex>(node.id, tensor(gradient, like.layout().shape().clone()));
            }
        }
    }
}
