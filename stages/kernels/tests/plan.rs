//! Compiled plans against burn's own operations, over plans that proptest chooses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::tensor::{Device, Tensor, TensorData};
use judge::compiled::Compiled;
use judge::plan::{Affine, Convolution, Head, Linear, Pixels, Plan, Term};
use kernels::on_device::OnDevice;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

/// Values between −1 and 1, of which no two plans share many.
struct Values(u64);

impl Values {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn some(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Such that a sum of so many products with them is of about 1.
    fn weights(&mut self, count: usize, products: usize) -> Vec<f32> {
        let scale = 1.7 / (products as f32).sqrt();
        self.some(count).iter().map(|value| value * scale).collect()
    }
}

/// A layer: channels, kernel, stride, padding, slope, pixels, and whether a second term skips its edge.
type Layer = (usize, [usize; 2], usize, usize, f32, Pixels, bool);

#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    layers: Vec<Layer>,
    flatten: bool,
    linears: Vec<usize>,
    size: [usize; 2],
    batch: usize,
}

fn slopes() -> impl Strategy<Value = f32> {
    prop_oneof![Just(1.0f32), Just(0.0), Just(0.01)]
}

fn cases() -> impl Strategy<Value = Case> {
    // Blocks that are full and blocks that are not, one of them and several; halves of one.
    let channels = || prop_oneof![2 => 1..9usize, 1 => Just(16usize), 1 => Just(32usize), 1 => 9..50usize];
    let pixels = prop_oneof![Just(Pixels::All), Just(Pixels::LargestOfFour)];
    let layer = (channels(), [1..6usize, 1..6usize], 1..4usize, 0..3usize, slopes(), pixels, any::<bool>());
    let layers = prop::collection::vec(layer, 0..4);
    let linears = prop::collection::vec(1..50usize, 0..3);
    let input = prop_oneof![3 => Just(1usize), 1 => 1..20usize];
    (input, layers, any::<bool>(), linears, [1..40usize, 1..70usize], 1..6usize).prop_map(
        |(channels, layers, flatten, linears, size, batch)| Case {
            channels,
            layers,
            flatten,
            linears,
            size,
            batch,
        },
    )
}

/// The plan, if all its pictures have pixels.
fn plan(case: &Case) -> Option<Plan> {
    let mut values = Values(7);
    let scale = |_| Affine { factor: 1.0 + values.next() / 2.0, shift: values.next() };
    let input = (0..case.channels).map(scale).collect();
    let mut plan = Plan { input, convolutions: Vec::new(), head: Head::Mean, linears: Vec::new() };
    let (mut size, mut channels) = (case.size, case.channels);
    for (out, kernel, stride, padding, slope, pixels, twice) in case.layers.iter().copied() {
        let mut term = |[height, width]: [usize; 2], padding| {
            let shape = [out, channels, height, width];
            let weight = values.weights(shape.iter().product(), channels * height * width);
            Term { from: plan.last(), weight, shape, stride, padding }
        };
        let mut terms = vec![term(kernel, padding)];
        if twice && padding > 0 && kernel.iter().all(|side| *side > 2) {
            terms.push(term(kernel.map(|side| side - 2), padding - 1));
        }
        let bias = values.some(out);
        for axis in [0, 1] {
            size[axis] = (size[axis] + 2 * padding).checked_sub(kernel[axis])? / stride + 1;
            if pixels == Pixels::LargestOfFour {
                size[axis] /= 2;
            }
        }
        if size.contains(&0) {
            return None;
        }
        plan.convolutions.push(Convolution { terms, bias, slope, pixels });
        channels = out;
    }
    if case.flatten {
        plan.head = Head::Flatten(size);
        channels *= size[0] * size[1];
    }
    for outputs in case.linears.iter().copied() {
        let weight = values.weights(channels * outputs, channels);
        plan.linears.push(Linear { weight, bias: values.some(outputs), slope: 0.01 });
        channels = outputs;
    }
    Some(plan)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_compiled_plan_gives_what_operations_give(case in cases()) {
        let Some(plan) = plan(&case) else { return Err(TestCaseError::reject("no pixels")) };
        let [height, width] = case.size;
        let shape = [case.batch, case.channels, height, width];
        let clips = Values(3).some(shape.iter().product());
        let device = Device::flex();
        let images = Tensor::from_data(TensorData::new(clips.clone(), shape), &device);
        let expected: Vec<f32> = OnDevice::new(&plan, &device).forward(images).into_data().iter().collect();

        let compiled = Compiled::new(&plan);
        let found = compiled.run(&clips, case.size);
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= 2e-5 * expected.abs().max(1.0), "{} is not {}", found, expected);
        }
        // Buffers that were used before, other threads, no neighbours.
        for threads in [1, 3] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            prop_assert_eq!(&pool.install(|| compiled.run(&clips, case.size)), &found);
            let one_by_one = clips.chunks(clips.len() / case.batch);
            let one_by_one: Vec<f32> =
                one_by_one.flat_map(|clip| pool.install(|| compiled.run(clip, case.size))).collect();
            prop_assert_eq!(&one_by_one, &found);
        }
    }
}

#[test]
fn clips_of_several_sizes_do_not_disturb_each_other() {
    let kernel = ([3, 3], 1, 1);
    let layer = |channels, pixels| (channels, kernel.0, kernel.1, kernel.2, 0.0, pixels, true);
    let layers = vec![layer(8, Pixels::LargestOfFour), layer(40, Pixels::All)];
    let case = Case { channels: 1, layers, flatten: false, linears: vec![3], size: [20, 30], batch: 1 };
    let compiled = Compiled::new(&plan(&case).unwrap());
    let clip = Values(5).some(600);
    let alone = compiled.run(&clip, [20, 30]);
    // The same number of values, and other places for the border.
    let turned = compiled.run(&clip, [30, 20]);
    assert_eq!(compiled.run(&clip, [20, 30]), alone);
    assert_eq!(compiled.run(&clip, [30, 20]), turned);
    assert_ne!(alone, turned);
}
