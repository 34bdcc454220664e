//! The network of crate `model` as a graph of ONNX operators, as it is when it evaluates.
//!
//! Dropout is not there: at inference it does nothing. Knows nothing about files or labels.

use anyhow::Result;
use model::config::{KERNEL, LEAKY_SLOPE, NORM_EPSILON, NetworkConfig, PADDING, POOL};
use model::weights::Weights;
use onnx::classifier::{INPUT, LOGITS, PROBABILITIES};
use onnx::graph::{Attribute, Dim, Graph};

/// The graph from `spectrograms`, `[N, channels, height, width]`, to `logits` and `probabilities`,
/// `[N, classes]`.
///
/// # Errors
/// Weights that do not fit the configuration.
pub(crate) fn build(config: &NetworkConfig, weights: &Weights) -> Result<Graph> {
    weights.check(config)?;
    let mut graph = Graph::new("genre");
    for (name, _) in config.tensors()? {
        let tensor = weights.get(name)?;
        graph.constant(name, &tensor.shape, &tensor.values);
    }
    let batch = Dim::Symbol("N");
    let [channels, height, width] = config.input.map(Dim::Size);
    graph.input(INPUT, &[batch, channels, height, width]);

    convolution_block(&mut graph, 1, INPUT, PADDING);
    convolution_block(&mut graph, 2, "pool1", 0);
    graph.node("Flatten", &["pool2"], "flat", &[("axis", Attribute::Int(1))]);
    gemm(&mut graph, "linear1", "flat", "hidden");
    norm(&mut graph, 3, "hidden");
    leaky_relu(&mut graph, 3);
    gemm(&mut graph, "linear2", "leaky3", LOGITS);
    graph.node("Softmax", &[LOGITS], PROBABILITIES, &[("axis", Attribute::Int(-1))]);

    let classes = Dim::Size(config.classes);
    graph.output(LOGITS, &[batch, classes]);
    graph.output(PROBABILITIES, &[batch, classes]);
    Ok(graph)
}

/// Convolution, batch norm, leaky ReLU, max-pool: from `input` to `pool1` or `pool2`.
fn convolution_block(graph: &mut Graph, number: usize, input: &str, padding: usize) {
    let convolution = format!("conv{number}");
    let [weight, bias] = ["weight", "bias"].map(|part| format!("{convolution}.{part}"));
    let attributes =
        [("kernel_shape", lengths(KERNEL, 2)), ("pads", lengths(padding, 4)), ("strides", lengths(1, 2))];
    graph.node("Conv", &[input, &weight, &bias], &convolution, &attributes);
    norm(graph, number, &convolution);
    leaky_relu(graph, number);
    let attributes = [("kernel_shape", lengths(POOL, 2)), ("strides", lengths(POOL, 2))];
    graph.node("MaxPool", &[&format!("leaky{number}")], &format!("pool{number}"), &attributes);
}

fn norm(graph: &mut Graph, number: usize, input: &str) {
    let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("norm{number}.{part}"));
    let [weight, bias, mean, var] = parts.each_ref().map(String::as_str);
    let epsilon = [("epsilon", Attribute::Float(NORM_EPSILON as f32))];
    graph.node("BatchNormalization", &[input, weight, bias, mean, var], &format!("norm{number}"), &epsilon);
}

fn leaky_relu(graph: &mut Graph, number: usize) {
    let alpha = [("alpha", Attribute::Float(LEAKY_SLOPE as f32))];
    graph.node("LeakyRelu", &[&format!("norm{number}")], &format!("leaky{number}"), &alpha);
}

/// A linear layer. Its weight is `[inputs, outputs]`, so nothing is transposed.
fn gemm(graph: &mut Graph, layer: &str, input: &str, output: &str) {
    let [weight, bias] = ["weight", "bias"].map(|part| format!("{layer}.{part}"));
    graph.node("Gemm", &[input, &weight, &bias], output, &[("transB", Attribute::Int(0))]);
}

fn lengths(length: usize, count: usize) -> Attribute {
    Attribute::Ints(vec![length as i64; count])
}
