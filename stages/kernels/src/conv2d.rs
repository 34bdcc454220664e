//! Two-dimensional convolution as an operation on tensors, with its gradients.
//!
//! Does not compute anything itself; see `direct` and `conv`.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module as ops};

use crate::bridge::{Host, erase, host, packed, tensor, values};
use crate::conv::{self, InputGradient};
use crate::direct::{self, Operands};
use crate::geometry::Geometry;

/// Convolves like burn's [`ops::conv2d`], but faster on the CPU backend.
///
/// The shapes are `[N, in, height, width]` for the input, `[out, in / groups, height, width]` for
/// the weight and `[out]` for the bias.
///
/// # Panics
/// If the shapes do not match, as in burn.
pub fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let Some(geometry) = geometry(&input, &weight, &options) else {
        return ops::conv2d(input, weight, bias, options);
    };
    let with_bias =
        bias.clone().unwrap_or_else(|| Tensor::zeros([geometry.channels_out], &input.device()));
    match host([erase(&input), erase(&weight), erase(&with_bias)]) {
        None => ops::conv2d(input, weight, bias, options),
        Some(Host::Plain(tensors)) => {
            Tensor::from_primitive::<Flex>(plain_forward(&geometry, &tensors.map(packed)))
        }
        Some(Host::Recorded(tensors)) => {
            let guards = tensors.each_ref().map(|tensor| tensor.node());
            let tensors = tensors.map(|tensor| packed(tensor.into_primitive()));
            let output = plain_forward(&geometry, &tensors);
            let [input, weight, _] = tensors;
            let output = match Conv2d.prepare::<NoCheckpointing>(guards).compute_bound().stateful()
            {
                OpsKind::Tracked(operation) => {
                    operation.finish(State { input, weight, geometry }, output)
                }
                OpsKind::UnTracked(operation) => operation.finish(output),
            };
            Tensor::from_primitive::<Autodiff<Flex>>(output)
        }
    }
}

/// Returns the sizes if the kernels support them.
fn geometry(input: &Tensor<4>, weight: &Tensor<4>, options: &ConvOptions<2>) -> Option<Geometry> {
    let [batch, channels_in, height, width] = input.dims();
    let [channels_out, group_in, kernel_height, kernel_width] = weight.dims();
    let ConvOptions { stride, padding, dilation, groups } = *options;
    let kernel = [kernel_height, kernel_width];
    let even = padding.iter().all(|(before, after)| before == after);
    let padding = padding.map(|(before, _)| before);
    let side = |length: usize, axis: usize| {
        let room = (length + 2 * padding[axis]).checked_sub(kernel[axis])?;
        Some(room / stride[axis].max(1) + 1)
    };
    let out = [side(height, 0)?, side(width, 1)?];
    let fits =
        groups > 0 && channels_in == group_in * groups && channels_out.is_multiple_of(groups);
    let usual = even
        && dilation == [1, 1]
        && stride[0] > 0
        && stride[1] > 0
        && weight.shape().num_elements() > 0;
    let size = [height, width];
    (fits && usual).then_some(Geometry {
        batch,
        channels_in,
        channels_out,
        size,
        out,
        kernel,
        stride,
        padding,
        groups,
    })
}

fn plain_forward(geometry: &Geometry, [input, weight, bias]: &[FlexTensor; 3]) -> FlexTensor {
    let weight = direct::blocks(geometry.group_out(), geometry.patch(), values(weight));
    let operands = Operands { input: values(input), weight: &weight, bias: values(bias) };
    let [height, width] = geometry.out;
    tensor(
        direct::forward(geometry, operands),
        [geometry.batch, geometry.channels_out, height, width],
    )
}

#[derive(Debug)]
struct Conv2d;

#[derive(Clone, Debug)]
struct State {
    input: FlexTensor,
    weight: FlexTensor,
    geometry: Geometry,
}

impl Backward<Flex, 3> for Conv2d {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = packed(gradients.consume::<Flex>(&ops.node));
        let State { input, weight, geometry } = ops.state;
        let [for_input, for_weight, for_bias] = ops.parents;
        let wanted =
            if for_input.is_some() { InputGradient::Wanted } else { InputGradient::Unused };
        let found =
            conv::backward(&geometry, values(&input), values(&weight), values(&output), wanted);
        if let (Some(node), Some(gradient)) = (for_input, found.input) {
            gradients.register::<Flex>(node.id, tensor(gradient, input.layout().shape().clone()));
        }
        if let Some(node) = for_weight {
            gradients
                .register::<Flex>(node.id, tensor(found.weight, weight.layout().shape().clone()));
        }
        if let Some(node) = for_bias {
            gradients.register::<Flex>(node.id, tensor(found.bias, [geometry.channels_out]));
        }
    }
}
