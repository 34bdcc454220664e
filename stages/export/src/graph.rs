//! Builds the network of crate `model` as a graph of ONNX operators, in inference mode.
//!
//! Dropout is omitted because it is inactive at inference. Does not know about files or labels.

use anyhow::Result;
use features::SpectrogramParams;
use model::config::{
    Architecture, KERNEL, LEAKY_SLOPE, NORM_EPSILON, NetworkConfig, PADDING, POOL, RESNET_CHANNELS,
    RESNET_KERNEL,
};
use model::weights::Weights;
use onnx::graph::{Attribute, Dim, Graph};
use onnx::names::{INPUT, LOGITS, PROBABILITIES};
use onnx::statistics::{self, STATISTICS_LOGITS};

use crate::frontend;

/// Batch dimension.
const BATCH: Dim = Dim::Symbol("N");
/// Logits without those of the statistics.
const NETWORK_LOGITS: &str = "network.logits";

/// Builds the graph that takes spectrograms.
///
/// It maps `spectrograms`, `[N, channels, height, width]`, to `logits` and `probabilities`,
/// `[N, classes]`.
///
/// # Errors
/// If the weights do not match the configuration.
pub(crate) fn build(config: &NetworkConfig, weights: &Weights) -> Result<Graph> {
    let mut graph = Graph::new("genre");
    let [channels, height, width] = config.input.map(Dim::Size);
    let width = match config.model {
        Architecture::Baseline => width,
        Architecture::ResNet => Dim::Symbol("T"),
    };
    graph.input(INPUT, &[BATCH, channels, height, width]);
    network(&mut graph, config, weights)?;
    Ok(graph)
}

/// Builds the graph that takes waveforms.
///
/// It maps `waveform`, `[N, samples]`, to `logits` and `probabilities`, `[N, classes]`.
///
/// # Errors
/// As [`build`] and [`frontend::check`].
pub(crate) fn build_with_frontend(
    config: &NetworkConfig,
    weights: &Weights,
    params: &SpectrogramParams,
) -> Result<Graph> {
    let mut graph = Graph::new("genre");
    frontend::waveform(&mut graph, params, INPUT)?;
    network(&mut graph, config, weights)?;
    Ok(graph)
}

/// Adds the operators from the tensor `spectrograms` to the outputs.
fn network(graph: &mut Graph, config: &NetworkConfig, weights: &Weights) -> Result<()> {
    weights.check(config)?;
    for (name, _) in config.tensors()? {
        let tensor = weights.get(&name)?;
        graph.constant(&name, &tensor.shape, &tensor.values);
    }
    let [channels, height, _] = config.input;
    if config.statistics {
        statistics::add(graph, [channels, height]);
    }
    let logits = if config.statistics { NETWORK_LOGITS } else { LOGITS };
    match config.model {
        Architecture::Baseline => baseline(graph, logits),
        Architecture::ResNet => resnet(graph, logits),
    }
    if config.statistics {
        graph.node("Add", &[logits, STATISTICS_LOGITS], LOGITS, &[]);
    }
    graph.node("Softmax", &[LOGITS], PROBABILITIES, &[("axis", Attribute::Int(-1))]);
    let classes = Dim::Size(config.classes);
    graph.output(LOGITS, &[BATCH, classes]);
    graph.output(PROBABILITIES, &[BATCH, classes]);
    Ok(())
}

fn baseline(graph: &mut Graph, logits: &str) {
    let pooled = baseline_block(graph, 1, INPUT, PADDING);
    let pooled = baseline_block(graph, 2, &pooled, 0);
    graph.node("Flatten", &[&pooled], "flat", &[("axis", Attribute::Int(1))]);
    gemm(graph, "linear1", "flat", "hidden");
    norm(graph, "norm3", "hidden");
    let hidden = leaky_relu(graph, 3);
    gemm(graph, "linear2", &hidden, logits);
}

/// Adds a convolution, batch norm, leaky ReLU and max-pool.
fn baseline_block(graph: &mut Graph, number: usize, input: &str, padding: usize) -> String {
    let [conv, normed, pool] = ["conv", "norm", "pool"].map(|layer| format!("{layer}{number}"));
    let [weight, bias] = ["weight", "bias"].map(|part| format!("{conv}.{part}"));
    graph.node("Conv", &[input, &weight, &bias], &conv, &window(KERNEL, padding, 1));
    norm(graph, &normed, &conv);
    let leaky = leaky_relu(graph, number);
    let attributes = [("kernel_shape", lengths(POOL, 2)), ("strides", lengths(POOL, 2))];
    graph.node("MaxPool", &[&leaky], &pool, &attributes);
    pool
}

fn leaky_relu(graph: &mut Graph, number: usize) -> String {
    let leaky = format!("leaky{number}");
    let alpha = [("alpha", Attribute::Float(LEAKY_SLOPE as f32))];
    graph.node("LeakyRelu", &[&format!("norm{number}")], &leaky, &alpha);
    leaky
}

fn resnet(graph: &mut Graph, logits: &str) {
    norm(graph, "input_norm", INPUT);
    let stem = normed(graph, "stem", "input_norm", RESNET_KERNEL, 2);
    let mut last = relu(graph, &stem);
    for number in 1..RESNET_CHANNELS.len() {
        last = residual_block(graph, &format!("block{number}"), &last);
    }
    graph.node("GlobalAveragePool", &[&last], "mean", &[]);
    graph.node("Flatten", &["mean"], "flat", &[("axis", Attribute::Int(1))]);
    gemm(graph, "linear", "flat", logits);
}

fn residual_block(graph: &mut Graph, name: &str, input: &str) -> String {
    let first = normed(graph, &format!("{name}.first"), input, RESNET_KERNEL, 2);
    let first = relu(graph, &first);
    let second = normed(graph, &format!("{name}.second"), &first, RESNET_KERNEL, 1);
    let shortcut = normed(graph, &format!("{name}.shortcut"), input, 1, 2);
    graph.node("Add", &[&second, &shortcut], name, &[]);
    relu(graph, name)
}

/// Adds a convolution without bias that pads half its kernel, and a batch norm.
fn normed(graph: &mut Graph, name: &str, input: &str, kernel: usize, stride: usize) -> String {
    let [conv, normed] = ["conv", "norm"].map(|layer| format!("{name}.{layer}"));
    graph.node(
        "Conv",
        &[input, &format!("{conv}.weight")],
        &conv,
        &window(kernel, kernel / 2, stride),
    );
    norm(graph, &normed, &conv);
    normed
}

fn relu(graph: &mut Graph, input: &str) -> String {
    let output = format!("{input}.relu");
    graph.node("Relu", &[input], &output, &[]);
    output
}

fn norm(graph: &mut Graph, layer: &str, input: &str) {
    let parts =
        ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{layer}.{part}"));
    let [weight, bias, mean, var] = parts.each_ref().map(String::as_str);
    let epsilon = [("epsilon", Attribute::Float(NORM_EPSILON as f32))];
    graph.node("BatchNormalization", &[input, weight, bias, mean, var], layer, &epsilon);
}

/// Adds a linear layer. Its weight is `[inputs, outputs]`, so nothing is transposed.
fn gemm(graph: &mut Graph, layer: &str, input: &str, output: &str) {
    let [weight, bias] = ["weight", "bias"].map(|part| format!("{layer}.{part}"));
    graph.node("Gemm", &[input, &weight, &bias], output, &[("transB", Attribute::Int(0))]);
}

/// Attributes of a convolution.
fn window(kernel: usize, padding: usize, stride: usize) -> [(&'static str, Attribute); 3] {
    [
        ("kernel_shape", lengths(kernel, 2)),
        ("pads", lengths(padding, 4)),
        ("strides", lengths(stride, 2)),
    ]
}

fn lengths(length: usize, count: usize) -> Attribute {
    Attribute::Ints(vec![length as i64; count])
}
