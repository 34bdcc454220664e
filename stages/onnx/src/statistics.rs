//! The operators of the classifier of statistics: see [`inference::statistics`].

use inference::statistics::{SCALES, SPAN};

use crate::graph::{Attribute, Graph};
use crate::names::INPUT;

/// Logits of the classifier, `[N, classes]`.
pub const STATISTICS_LOGITS: &str = "statistics.logits";
/// ε of its normalisation.
pub const EPSILON: f32 = 1e-5;
/// Tensors of its normalisation, as in a batch norm.
pub const NORM: [&str; 4] = [
    "statistics.norm.weight",
    "statistics.norm.bias",
    "statistics.norm.running_mean",
    "statistics.norm.running_var",
];
/// Weight, `[statistics, classes]`, and bias of its linear layer.
pub const LINEAR: [&str; 2] = ["statistics.linear.weight", "statistics.linear.bias"];

/// Adds the operators from the input, `[N, channels, height, width]`, to [`STATISTICS_LOGITS`].
///
/// The graph must have the constants [`NORM`] and [`LINEAR`].
pub fn add(graph: &mut Graph, [channels, height]: [usize; 2]) {
    let integers = |value: usize| Attribute::Ints(vec![value as i64]);
    let over_time = [("axes", integers(3)), ("keepdims", Attribute::Int(0))];
    let row = [("axis", Attribute::Int(1))];
    let squares = |graph: &mut Graph, name: &str, differences: &str| {
        let [squared, mean, flat] =
            ["squared", "mean", "flat"].map(|step| format!("statistics.{name}.{step}"));
        graph.node("Mul", &[differences, differences], &squared, &[]);
        graph.node("ReduceMean", &[&squared], &mean, &over_time);
        graph.node("Flatten", &[&mean], &flat, &row);
        flat
    };
    let mut parts = Vec::new();
    if height > 1 {
        graph.integers("statistics.rows", &[2]);
        for (part, start) in [("lower", 0), ("upper", 1)] {
            let [start_name, end_name, name] =
                ["start", "end", "rows"].map(|what| format!("statistics.{part}.{what}"));
            graph.integers(&start_name, &[start]);
            graph.integers(&end_name, &[start + height as i64 - 1]);
            graph.node("Slice", &[INPUT, &start_name, &end_name, "statistics.rows"], &name, &[]);
        }
        let steps = "statistics.steps";
        graph.node("Sub", &["statistics.upper.rows", "statistics.lower.rows"], steps, &[]);
        parts.push(squares(graph, "steps", steps));
    }
    graph.integers("statistics.pads", &[0, 0, 0, 0, 0, 0, 0, SPAN as i64 - 1]);
    let edge = [("mode", Attribute::Text("edge"))];
    graph.node("Pad", &[INPUT, "statistics.pads"], "statistics.padded", &edge);
    let wavelets = wavelets().repeat(channels);
    graph.constant("statistics.wavelets", &[channels * SCALES.len(), 1, 1, SPAN], &wavelets);
    let window = [
        ("group", Attribute::Int(channels as i64)),
        ("kernel_shape", Attribute::Ints(vec![1, SPAN as i64])),
    ];
    let changes = "statistics.changes";
    graph.node("Conv", &["statistics.padded", "statistics.wavelets"], changes, &window);
    parts.push(squares(graph, "changes", changes));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    graph.node("Concat", &parts, "statistics.squares", &row);
    graph.node("Sqrt", &["statistics.squares"], "statistics.roots", &[]);
    graph.node("ReduceMean", &[INPUT], "statistics.means", &over_time);
    graph.node("Flatten", &["statistics.means"], "statistics.means.flat", &row);
    let all = ["statistics.means.flat", "statistics.roots"];
    graph.node("Concat", &all, "statistics.all", &row);
    let [weight, bias, mean, variance] = NORM;
    let epsilon = [("epsilon", Attribute::Float(EPSILON))];
    let inputs = ["statistics.all", weight, bias, mean, variance];
    graph.node("BatchNormalization", &inputs, "statistics.norm", &epsilon);
    let [weight, bias] = LINEAR;
    let untransposed = [("transB", Attribute::Int(0))];
    graph.node("Gemm", &["statistics.norm", weight, bias], STATISTICS_LOGITS, &untransposed);
}

/// Returns the kernels `[scales, span]` that subtract the mean of a run of frames from that of the
/// next.
fn wavelets() -> Vec<f32> {
    let kernel = |frames: usize| {
        let share = 1.0 / frames as f32;
        (0..SPAN).map(move |at| match at / frames {
            0 => -share,
            1 => share,
            _ => 0.0,
        })
    };
    SCALES.into_iter().flat_map(kernel).collect()
}
