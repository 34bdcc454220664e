//! Tests which graphs are compiled, and that compiled graphs match their operators.

use prost::Message as _;
use prost::bytes::Bytes;

use super::recognise;
use crate::classifier::Classifier;
use crate::graph::{Attribute, Dim, Graph};
use crate::metadata::Metadata;
use crate::names::{INPUT, LOGITS, PROBABILITIES};
use crate::proto::ModelProto;
use crate::statistics::{self, LINEAR, NORM, STATISTICS_LOGITS};

/// Operator, inputs, output, attributes.
type Node = (&'static str, Vec<&'static str>, &'static str, Vec<(&'static str, Attribute)>);

/// Parts of a graph.
#[derive(Clone)]
struct Parts {
    width: Dim,
    constants: Vec<(&'static str, Vec<usize>)>,
    nodes: Vec<Node>,
}

type Edit = fn(&mut Parts);

const HEIGHT: usize = 7;

impl Parts {
    /// A graph with all features of a plan: two channels, a pool, a sum of convolutions, linear
    /// layers.
    fn new() -> Parts {
        let ints = |value: i64, count| Attribute::Ints(vec![value; count]);
        let conv = |x, weight, output, [side, pad, stride]: [i64; 3]| -> Node {
            let window = vec![
                ("kernel_shape", ints(side, 2)),
                ("pads", ints(pad, 4)),
                ("strides", ints(stride, 2)),
            ];
            (
                "Conv",
                [vec![x, weight], vec!["bias3"; usize::from(weight == "w1")]].concat(),
                output,
                window,
            )
        };
        let norm = |x, [a, b, c, d]: [&'static str; 4], output| -> Node {
            (
                "BatchNormalization",
                vec![x, a, b, c, d],
                output,
                vec![("epsilon", Attribute::Float(1e-5))],
            )
        };
        let leaky = |x, output| -> Node {
            ("LeakyRelu", vec![x], output, vec![("alpha", Attribute::Float(0.1))])
        };
        let gemm = |inputs: [&'static str; 3], output| -> Node {
            ("Gemm", inputs.to_vec(), output, vec![("transB", Attribute::Int(0))])
        };
        let pool = vec![("kernel_shape", ints(2, 2)), ("strides", ints(2, 2))];
        Parts {
            width: Dim::Size(9),
            constants: [
                ("two", &[2][..]),
                ("bias3", &[3]),
                ("w1", &[3, 2, 3, 3]),
                ("w2", &[4, 3, 1, 1]),
                ("w3", &[4, 3, 3, 3]),
                ("w4", &[16, 5]),
                ("five", &[5]),
                ("w5", &[5, 3]),
            ]
            .map(|(name, shape)| (name, shape.to_vec()))
            .to_vec(),
            nodes: vec![
                norm(INPUT, ["two"; 4], "in"),
                conv("in", "w1", "c1", [3, 1, 2]),
                leaky("c1", "l1"),
                ("MaxPool", vec!["l1"], "p1", pool),
                conv("p1", "w2", "c2", [1, 0, 1]),
                conv("p1", "w3", "c3", [3, 1, 1]),
                ("Add", vec!["c2", "c3"], "a", vec![]),
                ("Relu", vec!["a"], "r", vec![]),
                ("Flatten", vec!["r"], "f", vec![("axis", Attribute::Int(1))]),
                gemm(["f", "w4", "five"], "g"),
                norm("g", ["five"; 4], "h"),
                leaky("h", "i"),
                gemm(["i", "w5", "bias3"], LOGITS),
                ("Softmax", vec![LOGITS], PROBABILITIES, vec![("axis", Attribute::Int(-1))]),
            ],
        }
    }

    /// The same graph with global average pooling, for clips of any width.
    fn of_any_width() -> Parts {
        let mut parts = Parts::new();
        parts.width = Dim::Symbol("T");
        parts.constants[5].1 = vec![4, 5];
        parts.nodes[8].1 = vec!["means"];
        parts.nodes.insert(8, ("GlobalAveragePool", vec!["r"], "means", vec![]));
        parts
    }

    fn encode(&self) -> Vec<u8> {
        let mut graph = Graph::new("g");
        graph.input(INPUT, &[Dim::Symbol("N"), Dim::Size(2), Dim::Size(HEIGHT), self.width]);
        for (at, (name, shape)) in self.constants.iter().enumerate() {
            // Batch norm constants are also used as variances, so they must be positive.
            let lowest = if shape.len() > 1 { -0.6 } else { 0.2 };
            let value = |index: usize| ((index + at) * 7919 % 101) as f32 / 84.0 + lowest;
            graph.constant(
                name,
                shape,
                &(0..shape.iter().product()).map(value).collect::<Vec<_>>(),
            );
        }
        for (operator, inputs, output, attributes) in &self.nodes {
            graph.node(operator, inputs, output, attributes);
        }
        graph.output(LOGITS, &[Dim::Symbol("N"), Dim::Size(3)]);
        graph.output(PROBABILITIES, &[Dim::Symbol("N"), Dim::Size(3)]);
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let metadata = Metadata { labels, spectrogram: serde_json::Value::Null };
        graph.encode(&metadata.to_properties().unwrap())
    }
}

fn clips(shape: [usize; 4]) -> Vec<f32> {
    (0..shape.iter().product()).map(|at: usize| (at * 7919 % 1009) as f32 / 252.0 - 2.0).collect()
}

#[test]
fn compiled_graph_matches_operators() {
    for (parts, widths) in [(Parts::new(), 9..=9), (Parts::of_any_width(), 3..=40)] {
        let compiled = Classifier::from_bytes(parts.encode()).unwrap();
        assert!(compiled.is_compiled());
        let operators = Classifier::by_operators(parts.encode()).unwrap();
        for width in widths {
            let shape = [3, 2, HEIGHT, width];
            let [found, expected] =
                [&compiled, &operators].map(|file| file.run(shape, clips(shape)).unwrap());
            let all = |outputs: crate::classifier::Outputs| {
                [outputs.logits, outputs.probabilities].concat()
            };
            for (found, expected) in all(found).into_iter().zip(all(expected)) {
                assert!(
                    (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                    "{width}: {found}, {expected}"
                );
            }
        }
    }
}

#[test]
fn too_small_clips_are_errors() {
    let compiled = Classifier::from_bytes(Parts::of_any_width().encode()).unwrap();
    let shape = [1, 2, HEIGHT, 2];
    let error = compiled.run(shape, clips(shape)).unwrap_err();
    assert_eq!(error.to_string(), "clips of 7×2 are too small for the model");
}

#[test]
fn other_arithmetic_is_not_compiled() {
    let edits: [(&str, Edit); 14] = [
        ("unsupported attribute", |parts| {
            parts.nodes[1].3.push(("dilations", Attribute::Ints(vec![2, 2])));
        }),
        ("unequal pads", |parts| parts.nodes[1].3[1].1 = Attribute::Ints(vec![1, 1, 1, 2])),
        ("untested stride", |parts| {
            parts.nodes[1].3[2].1 = Attribute::Ints(vec![i64::MAX, i64::MAX]);
        }),
        ("slope above one", |parts| parts.nodes[2].3[0].1 = Attribute::Float(1.5)),
        ("NaN slope", |parts| parts.nodes[2].3[0].1 = Attribute::Float(f32::NAN)),
        ("second reader of a pool input", |parts| parts.nodes[4].1[0] = "l1"),
        ("second reader of a batch norm input", |parts| parts.nodes[11].1[0] = "g"),
        ("second reader of the clip", |parts| {
            parts.nodes[1].1[0] = INPUT;
            parts.nodes[4].1[0] = "in";
        }),
        ("activation of an activation", |parts| {
            parts.nodes.insert(3, ("LeakyRelu", vec!["l1"], "l2", parts.nodes[2].3.clone()));
            parts.nodes[4].1[0] = "l2";
        }),
        ("missing constant", |parts| parts.nodes[1].1[1] = "nothing"),
        ("constant of another shape", |parts| parts.constants[2].1 = vec![3, 1, 3, 6]),
        ("cycle", |parts| parts.nodes[4].1[0] = "r"),
        ("duplicate name", |parts| parts.nodes[5].2 = "c2"),
        ("softmax of another value", |parts| parts.nodes[13].1[0] = "g"),
    ];
    for (what, edit) in edits {
        let mut parts = Parts::new();
        edit(&mut parts);
        let compiled = Classifier::from_bytes(parts.encode()).is_ok_and(|file| file.is_compiled());
        assert!(!compiled, "{what}");
    }
}

/// Changes each byte in turn. A graph that is still recognised must run without a panic.
#[test]
fn corrupt_bytes_do_not_panic() {
    let file = Parts::new().encode();
    let mut run = 0;
    for at in 0..file.len() {
        for other in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = file.clone();
            bytes[at] = other;
            let Some(found) = recognise(Bytes::from(bytes)) else { continue };
            let [channels, height, width] = found.input.map(|length| length.unwrap_or(9));
            if found.network.accepts([height, width]) {
                run += 1;
                found.network.run(&clips([1, channels, height, width]), [height, width]);
            }
        }
    }
    assert!(run > 1000, "{run}");
}

#[test]
fn cyclic_graph_is_an_error() {
    let mut model = ModelProto::decode(&*Parts::new().encode()).unwrap();
    assert!(Classifier::by_operators(model.encode_to_vec()).is_ok());
    let node = &mut model.graph.as_mut().unwrap().node[1];
    node.input[0] = node.output[0].clone();
    let bytes = model.encode_to_vec();
    let error = deadline::within(|| Classifier::by_operators(bytes).unwrap_err());
    assert!(error.to_string().contains("order"), "{error:#}");
}

/// A graph of a head and statistics, with the operators of the statistics changed by `edit`.
fn with_statistics(edit: fn(&mut ModelProto)) -> Vec<u8> {
    let channels = 2;
    let count = inference::statistics::count([channels, HEIGHT]);
    let value = |at: usize| (at * 7919 % 101) as f32 / 101.0 + 0.1;
    let mut graph = Graph::new("g");
    graph.input(
        INPUT,
        &[Dim::Symbol("N"), Dim::Size(channels), Dim::Size(HEIGHT), Dim::Symbol("T")],
    );
    for (at, name) in NORM.iter().enumerate() {
        let values: Vec<f32> = (0..count).map(|index| value(index + at)).collect();
        graph.constant(name, &[count], &values);
    }
    let weight: Vec<f32> = (0..3 * count).map(|index| value(index) - 0.6).collect();
    graph.constant(LINEAR[0], &[count, 3], &weight);
    graph.constant(LINEAR[1], &[3], &[0.1, 0.2, 0.3]);
    graph.constant("weight", &[channels, 3], &[0.1, -0.2, 0.3, 0.4, 0.5, -0.6]);
    graph.constant("bias", &[3], &[0.5, 0.25, 0.125]);
    statistics::add(&mut graph, [channels, HEIGHT]);
    graph.node("GlobalAveragePool", &[INPUT], "means", &[]);
    graph.node("Flatten", &["means"], "flat", &[("axis", Attribute::Int(1))]);
    graph.node("Gemm", &["flat", "weight", "bias"], "own", &[("transB", Attribute::Int(0))]);
    graph.node("Add", &["own", STATISTICS_LOGITS], LOGITS, &[]);
    graph.node("Softmax", &[LOGITS], PROBABILITIES, &[("axis", Attribute::Int(-1))]);
    graph.output(LOGITS, &[Dim::Symbol("N"), Dim::Size(3)]);
    graph.output(PROBABILITIES, &[Dim::Symbol("N"), Dim::Size(3)]);
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let metadata = Metadata { labels, spectrogram: serde_json::Value::Null };
    let mut model = ModelProto::decode(&*graph.encode(&metadata.to_properties().unwrap())).unwrap();
    edit(&mut model);
    model.encode_to_vec()
}

#[test]
fn statistics_match_operators() {
    let compiled = Classifier::from_bytes(with_statistics(|_| ())).unwrap();
    assert!(compiled.is_compiled());
    let operators = Classifier::by_operators(with_statistics(|_| ())).unwrap();
    for width in [1, 2, 5, 63, 64, 65, 200] {
        let shape = [3, 2, HEIGHT, width];
        let [found, expected] =
            [&compiled, &operators].map(|file| file.run(shape, clips(shape)).unwrap().logits);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                "{width}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn changed_statistics_are_not_compiled() {
    let edits: [fn(&mut ModelProto); 5] = [
        |model| model.graph.as_mut().unwrap().node[0].op_type = "Add".to_owned(),
        |model| drop(model.graph.as_mut().unwrap().node.remove(3)),
        |model| {
            let graph = model.graph.as_mut().unwrap();
            let wavelets = graph.initializer.iter_mut().find(|it| it.name == "statistics.wavelets");
            let bytes = &mut wavelets.unwrap().raw_data;
            *bytes = vec![0; bytes.len()].into();
        },
        |model| {
            let graph = model.graph.as_mut().unwrap();
            let end = graph.node.len() - 2;
            graph.node[end].input[1] = "own".to_owned();
        },
        |model| {
            let graph = model.graph.as_mut().unwrap();
            let end = graph.node.len() - 1;
            graph.node.remove(end - 1);
            graph.node[end - 2].output[0] = LOGITS.to_owned();
        },
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let bytes = Bytes::from(with_statistics(edit));
        assert!(recognise(bytes).is_none(), "edit {number}");
    }
}
