//! A plan run with burn's operations against the same plan compiled for the CPU.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::tensor::{Device, Tensor, TensorData};
use inference::compiled::Compiled;
use inference::plan::{
    Affine, Convolution, FeatureMapId, Head, Linear, NO_ACTIVATION, Plan, Pooling, Term,
};
use kernels::on_device::OnDevice;

/// Returns values from −1 to 1 that differ between series.
fn values(count: usize, series: usize) -> Vec<f32> {
    (0..count).map(|at| ((at + 31 * series) * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

fn term(from: usize, shape: [usize; 4], stride: usize, padding: usize) -> Term {
    let [_, channels, height, width] = shape;
    let scale = 1.7 / ((channels * height * width) as f32).sqrt();
    let weight =
        values(shape.iter().product(), from + height).iter().map(|value| value * scale).collect();
    Term { from: FeatureMapId(from), weight, shape, stride, padding }
}

/// Returns a plan with every feature. Clips of 2 × 14 × 19 become feature maps of 5 × 6 × 9, of
/// 20 × 3 × 5, and of 20 × 3 × 5 from both.
fn plan(head: Head) -> Plan {
    let convolution = |terms: Vec<Term>, slope, pooling| {
        let bias = values(terms[0].shape[0], terms.len());
        Convolution { terms, bias, slope, pooling }
    };
    let linear = |inputs: usize, outputs: usize, slope| {
        let scale = 1.0 / (inputs as f32).sqrt();
        let weight = values(inputs * outputs, outputs).iter().map(|value| value * scale).collect();
        Linear { weight, bias: values(outputs, inputs), slope }
    };
    let features = if head == Head::Mean { 20 } else { 20 * 3 * 5 };
    Plan {
        input: vec![Affine { factor: 0.5, shift: 0.25 }, Affine { factor: 1.5, shift: -0.25 }],
        convolutions: vec![
            convolution(vec![term(0, [5, 2, 5, 4], 1, 1)], 0.01, Pooling::Max2x2),
            convolution(vec![term(1, [20, 5, 3, 3], 2, 1)], 0.0, Pooling::None),
            convolution(
                vec![term(2, [20, 20, 3, 3], 1, 1), term(1, [20, 5, 1, 1], 2, 0)],
                NO_ACTIVATION,
                Pooling::None,
            ),
        ],
        head,
        linears: vec![linear(features, 7, 0.01), linear(7, 3, NO_ACTIVATION)],
    }
}

#[test]
fn compiled_plan_matches_operations() {
    let shape = [3, 2, 14, 19];
    let clips = values(shape.iter().product(), 5);
    let device = Device::flex();
    for head in [Head::Mean, Head::Flatten([3, 5])] {
        let plan = plan(head);
        let images = Tensor::from_data(TensorData::new(clips.clone(), shape), &device);
        let expected = OnDevice::new(&plan, &device)
            .forward(images)
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        let found = Compiled::new(&plan).run(&clips, [14, 19]);
        assert_eq!(found.len(), 9);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-5,
                "{head:?}: expected {expected}, found {found}"
            );
        }
    }
}
