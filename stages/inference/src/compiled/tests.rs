//! Compares compiled plans on each SIMD level with plain loops, on random plans.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use proptest::prelude::*;
use proptest::sample::Index;
use rayon::ThreadPoolBuilder;

use super::*;
use crate::plan::{self, Affine, Convolution, FeatureMapId, Pooling, Term};

/// Generator of values between −1 and 1.
struct Values(u64);

impl Values {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn some(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Weights such that a sum of `products` products is about 1.
    fn weights(&mut self, count: usize, products: usize) -> Vec<f32> {
        let scale = 1.7 / (products as f32).sqrt();
        self.some(count).iter().map(|value| value * scale).collect()
    }
}

/// A convolution. The first term determines the output size; the others are chosen among those that
/// fit.
#[derive(Clone, Debug)]
struct Layer {
    channels: usize,
    first: TermShape,
    others: Vec<Index>,
    slope: f32,
    pooling: Pooling,
}

/// Input and geometry of a term.
#[derive(Clone, Copy, Debug)]
struct TermShape {
    from: Index,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
}

#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    layers: Vec<Layer>,
    flatten: bool,
    linears: Vec<(usize, f32)>,
    size: [usize; 2],
    batch: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    // Full and partial blocks, one and several blocks, half blocks.
    let channels =
        || prop_oneof![2 => 1..9usize, 1 => Just(16usize), 1 => Just(32usize), 1 => 9..50usize];
    let slope = || prop_oneof![Just(1.0f32), Just(0.0), Just(0.01)];
    let pooling = prop_oneof![2 => Just(Pooling::None), 1 => Just(Pooling::Max2x2)];
    let term = (any::<Index>(), [1..6usize, 1..6usize], 1..4usize, 0..4usize)
        .prop_map(|(from, kernel, stride, padding)| TermShape { from, kernel, stride, padding });
    let layer = (channels(), term, prop::collection::vec(any::<Index>(), 0..3), slope(), pooling)
        .prop_map(|(channels, first, others, slope, pooling)| Layer {
            channels,
            first,
            others,
            slope,
            pooling,
        });
    let layers = prop::collection::vec(layer, 0..5);
    let linears = prop::collection::vec((1..50usize, slope()), 0..3);
    let input = prop_oneof![3 => Just(1usize), 1 => 1..20usize];
    (input, layers, any::<bool>(), linears, [1..24usize, 1..40usize], 1..5usize).prop_map(
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

/// Channels, then height and width of a feature map.
type Shape = (usize, [usize; 2]);

/// Feature map, kernel, stride and padding of a term.
type TermSpec = (usize, [usize; 2], usize, usize);

fn output_size(
    feature_map: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
) -> Option<[usize; 2]> {
    let side = |axis: usize| {
        Some((feature_map[axis] + 2 * padding).checked_sub(kernel[axis])? / stride + 1)
    };
    Some([side(0)?, side(1)?])
}

/// Returns all terms whose output has this `size`.
fn fitting_terms(feature_maps: &[Shape], size: [usize; 2]) -> Vec<TermSpec> {
    let mut places = Vec::new();
    for (from, (_, feature_map)) in feature_maps.iter().enumerate() {
        for at in 0..3 * 4 * 25 {
            let (stride, padding, kernel) =
                (at % 3 + 1, at / 3 % 4, [at / 12 % 5 + 1, at / 60 + 1]);
            if output_size(*feature_map, kernel, stride, padding) == Some(size) {
                places.push((from, kernel, stride, padding));
            }
        }
    }
    places
}

/// Builds the plan; `None` if a feature map would be empty.
fn plan(case: &Case) -> Option<Plan> {
    let mut values = Values(7);
    let scale = |_| Affine { factor: 1.0 + values.next() / 2.0, shift: values.next() };
    let input = (0..case.channels).map(scale).collect();
    let mut plan = Plan { input, convolutions: Vec::new(), head: Head::Mean, linears: Vec::new() };
    let mut feature_maps: Vec<Shape> = vec![(case.channels, case.size)];
    for layer in &case.layers {
        let TermShape { from, kernel, stride, padding } = layer.first;
        let from = from.index(feature_maps.len());
        let mut size = output_size(feature_maps[from].1, kernel, stride, padding)?;
        let fitting = fitting_terms(&feature_maps, size);
        let others = layer.others.iter().map(|other| *other.get(&fitting));
        let terms = [(from, kernel, stride, padding)].into_iter().chain(others);
        let terms = terms.map(|(from, [height, width], stride, padding)| {
            let channels = feature_maps[from].0;
            let shape = [layer.channels, channels, height, width];
            let weight = values.weights(shape.iter().product(), channels * height * width);
            Term { from: FeatureMapId(from), weight, shape, stride, padding }
        });
        let terms = terms.collect();
        if layer.pooling == Pooling::Max2x2 {
            size = size.map(|side| side / 2);
        }
        if size.contains(&0) {
            return None;
        }
        let bias = values.some(layer.channels);
        plan.convolutions.push(Convolution {
            terms,
            bias,
            slope: layer.slope,
            pooling: layer.pooling,
        });
        feature_maps.push((layer.channels, size));
    }
    let (mut inputs, size) = *feature_maps.last()?;
    if case.flatten {
        plan.head = Head::Flatten(size);
        inputs *= size[0] * size[1];
    }
    for (outputs, slope) in case.linears.iter().copied() {
        let weight = values.weights(inputs * outputs, inputs);
        plan.linears.push(plan::Linear { weight, bias: values.some(outputs), slope });
        inputs = outputs;
    }
    Some(plan)
}

/// A feature map in C order, `[channels, height, width]`.
struct Map {
    size: [usize; 2],
    values: Vec<f64>,
}

impl Map {
    fn at(&self, channel: usize, row: Option<usize>, column: Option<usize>) -> f64 {
        let [height, width] = self.size;
        match (row, column) {
            (Some(row), Some(column)) if row < height && column < width => {
                self.values[(channel * height + row) * width + column]
            }
            _ => 0.0,
        }
    }
}

fn leaky_relu(x: f64, slope: f32) -> f64 {
    if x < 0.0 { x * f64::from(slope) } else { x }
}

/// Computes a convolution by its definition.
fn convolved(convolution: &Convolution, feature_maps: &[Map]) -> Map {
    let first = &convolution.terms[0];
    let kernel = [first.shape[2], first.shape[3]];
    let size =
        output_size(feature_maps[first.from.0].size, kernel, first.stride, first.padding).unwrap();
    let sum = |at: usize| {
        let (channel, row, column) =
            (at / (size[0] * size[1]), at / size[1] % size[0], at % size[1]);
        let products = convolution.terms.iter().flat_map(|term| {
            let [_, channels, height, width] = term.shape;
            let inside = |at: usize, tap: usize| (at * term.stride + tap).checked_sub(term.padding);
            (0..channels * height * width).map(move |tap| {
                let (channel_in, i, j) =
                    (tap / (height * width), tap / width % height, tap % width);
                let value =
                    feature_maps[term.from.0].at(channel_in, inside(row, i), inside(column, j));
                value * f64::from(term.weight[channel * channels * height * width + tap])
            })
        });
        leaky_relu(f64::from(convolution.bias[channel]) + products.sum::<f64>(), convolution.slope)
    };
    Map { size, values: (0..convolution.bias.len() * size[0] * size[1]).map(sum).collect() }
}

fn pooled(feature_map: &Map) -> Map {
    let [height, width] = feature_map.size.map(|side| side / 2);
    let channels = feature_map.values.len() / (feature_map.size[0] * feature_map.size[1]);
    let largest = |at: usize| {
        let (channel, row, column) = (at / (height * width), at / width % height, at % width);
        let four = [[0, 0], [0, 1], [1, 0], [1, 1]];
        let four = four.map(|[down, right]| {
            feature_map.at(channel, Some(2 * row + down), Some(2 * column + right))
        });
        four.into_iter().fold(f64::NEG_INFINITY, f64::max)
    };
    Map { size: [height, width], values: (0..channels * height * width).map(largest).collect() }
}

/// Computes the outputs for one clip.
fn by_loops(plan: &Plan, clip: &[f32], size: [usize; 2]) -> Vec<f64> {
    let channels = clip.chunks_exact(size[0] * size[1]).zip(&plan.input);
    let scaled = channels.flat_map(|(channel, affine)| {
        channel
            .iter()
            .map(|value| f64::from(*value) * f64::from(affine.factor) + f64::from(affine.shift))
    });
    let mut feature_maps = vec![Map { size, values: scaled.collect() }];
    for convolution in &plan.convolutions {
        let feature_map = convolved(convolution, &feature_maps);
        feature_maps.push(match convolution.pooling {
            Pooling::None => feature_map,
            Pooling::Max2x2 => pooled(&feature_map),
        });
    }
    let Map { size, values } = feature_maps.pop().unwrap();
    let pixels = size[0] * size[1];
    let row = match plan.head {
        Head::Mean => {
            values.chunks_exact(pixels).map(|all| all.iter().sum::<f64>() / pixels as f64).collect()
        }
        Head::Flatten(_) => values,
    };
    plan.linears.iter().fold(row, |row, linear| {
        let outputs = linear.bias.len();
        let output = |output: usize| {
            let weights = linear.weight[output..].iter().step_by(outputs);
            let sum: f64 =
                row.iter().zip(weights).map(|(value, weight)| value * f64::from(*weight)).sum();
            leaky_relu(f64::from(linear.bias[output]) + sum, linear.slope)
        };
        (0..outputs).map(output).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn all_levels_match_plain_loops(case in cases()) {
        let Some(plan) = plan(&case) else {
            return Err(TestCaseError::reject("empty feature map"));
        };
        let clips = Values(3).some(case.batch * case.channels * case.size[0] * case.size[1]);
        let clip = clips.len() / case.batch;
        let expected: Vec<f64> =
            clips.chunks_exact(clip).flat_map(|clip| by_loops(&plan, clip, case.size)).collect();
        let largest = expected.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
        let pools = [1, 2, 3]
            .map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        let mut fused: Option<Vec<f32>> = None;
        for level in Level::available() {
            let compiled = Compiled::with_level(level, &plan);
            let outputs = compiled.run(&clips, case.size);
            prop_assert_eq!(outputs.len(), expected.len());
            for (found, expected) in outputs.iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                prop_assert!(error <= 2e-5 * largest, "{level:?}: {found}, expected {expected}");
            }
            // Reused buffers, other thread counts, single clips.
            for pool in &pools {
                prop_assert_eq!(&pool.install(|| compiled.run(&clips, case.size)), &outputs);
                let one_by_one = clips.chunks_exact(clip);
                let one_by_one: Vec<f32> = one_by_one
                    .flat_map(|clip| pool.install(|| compiled.run(clip, case.size)))
                    .collect();
                prop_assert_eq!(&one_by_one, &outputs);
            }
            // Without a fused multiply-add, each product is rounded separately.
            if !matches!(level, Level::Portable(_)) {
                prop_assert_eq!(fused.get_or_insert_with(|| outputs.clone()), &outputs);
            }
        }
    }
}

#[test]
fn buffers_are_reset_between_sizes() {
    let layer = |channels, [out, side]: [usize; 2], pooling| {
        let shape = [out, channels, side, side];
        let term = Term {
            from: FeatureMapId(usize::from(channels > 1)),
            weight: Values(9).some(shape.iter().product()),
            shape,
            stride: 1,
            padding: side / 2,
        };
        Convolution { terms: vec![term], bias: vec![0.0; out], slope: 0.0, pooling }
    };
    let convolutions = vec![layer(1, [8, 3], Pooling::Max2x2), layer(8, [40, 3], Pooling::None)];
    let input = vec![Affine { factor: 1.0, shift: 0.0 }];
    let compiled =
        Compiled::new(&Plan { input, convolutions, head: Head::Mean, linears: Vec::new() });
    let clip = Values(5).some(600);
    let alone = compiled.run(&clip, [20, 30]);
    // The same number of values, but a different position of the border.
    let turned = compiled.run(&clip, [30, 20]);
    assert_eq!(compiled.run(&clip, [20, 30]), alone);
    assert_eq!(compiled.run(&clip, [30, 20]), turned);
    assert_ne!(alone, turned);
}

#[test]
fn nan_propagates() {
    const SIDE: usize = 8;
    let cases = |level| {
        [4, 20].into_iter().flat_map(move |out| [0.0, 0.01, 1.0].map(|slope| (level, out, slope)))
    };
    for (level, channels, slope) in Level::available().flat_map(cases) {
        let shape = [channels, 1, 3, 3];
        let term = Term {
            from: FeatureMapId(0),
            weight: vec![1.0; channels * 9],
            shape,
            stride: 1,
            padding: 1,
        };
        let bias = vec![0.0; channels];
        let plan = Plan {
            input: vec![Affine { factor: 1.0, shift: 0.0 }],
            convolutions: vec![Convolution {
                terms: vec![term],
                bias,
                slope,
                pooling: Pooling::None,
            }],
            head: Head::Flatten([SIDE; 2]),
            linears: Vec::new(),
        };
        let compiled = Compiled::with_level(level, &plan);
        for nan in 0..SIDE * SIDE {
            let mut clip = [1.0; SIDE * SIDE];
            clip[nan] = f32::NAN;
            for (at, output) in compiled.run(&clip, [SIDE; 2]).iter().enumerate() {
                let near = |at: usize, nan: usize| at.abs_diff(nan) <= 1;
                let expected = near(at / SIDE % SIDE, nan / SIDE) && near(at % SIDE, nan % SIDE);
                assert_eq!(
                    output.is_nan(),
                    expected,
                    "{level:?}, {channels}, {slope}: NaN at {nan}, output {at}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "BUG: incomplete clip")]
fn incomplete_clip_panics() {
    let input = vec![Affine { factor: 1.0, shift: 0.0 }];
    let plan = Plan { input, convolutions: Vec::new(), head: Head::Mean, linears: Vec::new() };
    Compiled::new(&plan).run(&[0.0; 7], [2, 2]);
}
