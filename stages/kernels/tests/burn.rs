//! Outputs and gradients of every kernel against burn's own operations, over random shapes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation, module as ops};
use kernels::conv2d::conv2d;
use kernels::norm::{self, Scale};
use kernels::{Activation, Epilogue, Pool};
use proptest::prelude::*;

/// Returns pseudorandom values from −1 to 1, deterministic per seed.
fn values<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let count = shape.iter().product::<usize>();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = std::iter::repeat_with(next).take(count).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Checks that all values agree to within a fraction of the largest, or of 1. Gradients are sums of
/// terms of about 1.
fn close(what: &str, found: &[f32], expected: &[f32]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len(), "{}", what);
    let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let apart = (found - expected).abs();
        prop_assert!(
            apart <= 2e-5 * largest,
            "{what}[{at}]: expected {expected}, found {found}; the largest is {largest}"
        );
    }
    Ok(())
}

/// A convolution: batch, groups, channels per group (in, out), size, kernel, stride, padding, bias.
type Shape = (usize, usize, [usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2], bool);

fn shapes() -> impl Strategy<Value = Shape> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    // Most are small; some need several strips.
    let size = prop_oneof![4 => [4..20usize, 4..40], 1 => [40..90usize, 60..90]];
    let sizes = (size, pair(1..5), pair(1..4), pair(0..3));
    // The number of output channels covers several blocks and incomplete blocks.
    (1..11usize, 1..4usize, [1..4usize, 1..11], sizes, any::<bool>()).prop_map(
        |(batch, groups, channels, (size, kernel, stride, padding), bias)| {
            (batch, groups, channels, size, kernel, stride, padding, bias)
        },
    )
}

/// Checks the output and the gradients of input, weight and bias.
fn all_close(found: &[Vec<f32>; 4], expected: &[Vec<f32>; 4]) -> Result<(), TestCaseError> {
    for (what, (found, expected)) in
        ["output", "input", "weight", "bias"].iter().zip(found.iter().zip(expected))
    {
        close(what, found, expected)?;
    }
    Ok(())
}

type Convolution = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>;

/// Returns the output of a convolution and the gradients of a weighted sum of it.
fn convolved(convolution: Convolution, shape: &Shape, device: &Device) -> [Vec<f32>; 4] {
    let (batch, groups, [group_in, group_out], size, kernel, stride, padding, with_bias) = *shape;
    let input = values(1, [batch, group_in * groups, size[0], size[1]], device).require_grad();
    let weight =
        values(2, [group_out * groups, group_in, kernel[0], kernel[1]], device).require_grad();
    let bias = values(3, [group_out * groups], device).require_grad();
    let options = ConvOptions::new(stride, padding, [1, 1], groups);
    let output =
        convolution(input.clone(), weight.clone(), with_bias.then(|| bias.clone()), options);
    let gradients = (output.clone() * values(4, output.dims(), device)).sum().backward();
    [
        host(output),
        host(input.grad(&gradients).unwrap()),
        host(weight.grad(&gradients).unwrap()),
        bias.grad(&gradients).map(host).unwrap_or_default(),
    ]
}

fn epilogues() -> impl Strategy<Value = Epilogue> {
    let activation = prop_oneof![
        Just(Activation::Identity),
        Just(Activation::LeakyRelu(0.01)),
        Just(Activation::LeakyRelu(0.0)),
        Just(Activation::Silu)
    ];
    let pool = prop_oneof![
        Just(Pool::None),
        [1..4usize, 1..4].prop_map(Pool::Max),
        [1..4usize, 1..4].prop_map(Pool::Average)
    ];
    (activation, pool).prop_map(|(activation, pool)| Epilogue { activation, pool })
}

fn blocks() -> impl Strategy<Value = ([usize; 4], Epilogue)> {
    ([2..6usize, 1..5, 3..12, 3..40], epilogues())
}

/// Applies activation and pool with burn's own operations, one after the other.
fn by_parts(x: Tensor<4>, epilogue: Epilogue) -> Tensor<4> {
    let x = match epilogue.activation {
        Activation::Identity => x,
        Activation::LeakyRelu(slope) => activation::leaky_relu(x, f64::from(slope)),
        Activation::Silu => activation::silu(x),
    };
    match epilogue.pool {
        Pool::None => x,
        Pool::Max(window) => ops::max_pool2d(x, MaxPoolOptions::new(window)),
        Pool::Average(window) => ops::avg_pool2d(x, AvgPoolOptions::new(window)),
    }
}

/// Returns the output of a block and its gradients.
fn normalized(
    forward: impl Fn(Tensor<4>, Scale) -> Tensor<4>,
    shape: [usize; 4],
    device: &Device,
) -> [Vec<f32>; 4] {
    // The mean differs from zero.
    let input = values(5, shape, device).add_scalar(0.3).require_grad();
    let weight = values(6, [shape[1]], device).add_scalar(0.2).require_grad();
    let bias = values(7, [shape[1]], device).require_grad();
    let output =
        forward(input.clone(), Scale { weight: weight.clone(), bias: bias.clone(), epsilon: 1e-5 });
    let gradients = (output.clone() * values(8, output.dims(), device)).sum().backward();
    let gradient_of = |tensor: &Tensor<1>| host(tensor.grad(&gradients).unwrap());
    [host(output), host(input.grad(&gradients).unwrap()), gradient_of(&weight), gradient_of(&bias)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn convolution_matches_burn(shape in shapes()) {
        let device = Device::flex().autodiff();
        let expected = convolved(ops::conv2d, &shape, &device);
        let found = convolved(conv2d, &shape, &device);
        all_close(&found, &expected)?;
    }

    #[test]
    fn block_matches_burn((shape, epilogue) in blocks()) {
        let device = Device::flex().autodiff();
        let by_burn = |input, Scale { weight, bias, epsilon }| {
            by_parts(ops::batch_norm_train(input, weight, bias, epsilon).output, epilogue)
        };
        let expected = normalized(by_burn, shape, &device);
        let by_kernel = |input, scale| norm::batch_norm(input, scale, epilogue).output;
        let found = normalized(by_kernel, shape, &device);
        all_close(&found, &expected)?;
    }
}
