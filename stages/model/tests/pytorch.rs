//! The network, its loss, its gradients and its optimizer against PyTorch's: `fixtures/pytorch.py` wrote
//! what they must give.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use model::burn;
use model::config::{Architecture, NetworkConfig};
use model::loss::cross_entropy;
use model::network::{Network, to_host};
use model::optimizer::adamw;
use model::weights::Weights;

const SIDE: usize = 20;
const CLIPS: usize = 5;

fn value(index: usize, tensor: usize, scale: f64) -> f32 {
    (scale * (0.37 * index as f64 + 1.3 * tensor as f64).sin()) as f32
}

/// The weights by the script's formulas.
fn weights(config: &NetworkConfig) -> Weights {
    let order = ["conv1", "norm1", "conv2", "norm2", "linear1", "norm3", "linear2"];
    let mut weights = Weights::default();
    for (name, shape) in config.tensors().unwrap() {
        let (layer, part) = name.split_once('.').unwrap();
        let number = 2 * order.iter().position(|it| *it == layer).unwrap();
        let count: usize = shape.iter().product();
        let one = if layer.starts_with("norm") { 1.0 } else { 0.0 };
        let values = match part {
            "weight" => (0..count).map(|index| value(index, number, 0.1) + one).collect(),
            "bias" => (0..count).map(|index| value(index, number + 1, 0.1)).collect(),
            "running_mean" => vec![0.0; count],
            _ => vec![1.0; count],
        };
        weights.insert(&name, shape, values);
    }
    weights
}

fn images(device: &Device) -> Tensor<4> {
    let each = SIDE * SIDE;
    let values: Vec<f32> = (0..CLIPS * each)
        .map(|index| {
            let wave = value(index, 50, 3.0);
            (wave + wave * wave) * (index / each + 1) as f32
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [CLIPS, 1, SIDE, SIDE]), device)
}

fn targets(device: &Device) -> Tensor<2> {
    let [a, b, c] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Tensor::from_data([a, b, c, b, a], device)
}

fn assert_close(what: &str, found: &[f32], expected: &serde_json::Value, tolerance: f32) {
    let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        let bound = tolerance * expected.abs().max(1.0);
        assert!((found - expected).abs() <= bound, "{what}: {found} is not {expected}");
    }
}

#[test]
fn six_steps_of_training_are_those_of_pytorch() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("fixtures/pytorch.json")).unwrap();
    let config =
        NetworkConfig { model: Architecture::Baseline, input: [1, SIDE, SIDE], classes: 3, dropout: 0.0 };
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let mut network = Network::new(&config, &weights(&config), &device).unwrap();
    let logits = |network: &Network| to_host(network.valid().forward(images(&plain))).unwrap();
    assert_close("logits before", &logits(&network), &fixture["logits_before"], 1e-5);

    let mut optimizer = adamw(1.0);
    let mut losses = Vec::new();
    for _ in 0..fixture["losses"].as_array().unwrap().len() {
        let mask = Tensor::ones([CLIPS, 256], &device);
        let predicted = network.train_forward(images(&device), mask);
        let loss = cross_entropy(predicted, targets(&device));
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, gradients);
    }
    assert_close("losses", &losses, &fixture["losses"], 1e-4);
    let after = network.weights().unwrap();
    for name in [
        "conv1.weight",
        "norm2.weight",
        "linear2.weight",
        "linear2.bias",
        "norm2.running_var",
        "norm3.running_var",
    ] {
        let expected = &fixture[name.replace('.', "_") + "_after"];
        let found = &after.get(name).unwrap().values[..expected.as_array().unwrap().len()];
        assert_close(name, found, expected, 1e-4);
    }
}

/// The name of each trained tensor, its gradient's values in C order.
fn named_gradients(network: &Network, gradients: &GradientsParams) -> Vec<(String, Vec<f32>)> {
    struct Visit<'a> {
        gradients: &'a GradientsParams,
        path: Vec<String>,
        found: Vec<(String, Vec<f32>)>,
    }
    impl ModuleVisitor for Visit<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                // The layer and the part: above are the network and which one it is.
                let name = self.path[self.path.len() - 2..].join(".");
                self.found.push((name, to_host(gradient).unwrap()));
            }
        }
    }
    let mut visit = Visit { gradients, path: Vec::new(), found: Vec::new() };
    network.visit(&mut visit);
    visit.found
}

/// Whether the first values and the length of the whole are those of the fixture, within a share of the length.
fn assert_kept(what: &str, found: &[f32], expected: &serde_json::Value) {
    let length = expected["length"].as_f64().unwrap();
    let first: Vec<f32> = serde_json::from_value(expected["first"].clone()).unwrap();
    let found_length = found.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    // Below it is rounding: the gradient of a bias before a batch norm is zero.
    let bound = 2e-4 * length.max(1e-2);
    assert!((found_length - length).abs() <= bound, "{what}: {found_length} is not {length}");
    for (found, expected) in found.iter().zip(&first) {
        assert!(f64::from(found - expected).abs() <= bound, "{what}: {found} is not {expected}");
    }
}

#[test]
fn every_number_of_the_first_step_is_that_of_pytorch() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("fixtures/pytorch.json")).unwrap();
    let fixture = &fixture["first_step"];
    let config =
        NetworkConfig { model: Architecture::Baseline, input: [1, SIDE, SIDE], classes: 3, dropout: 0.0 };
    let device = Device::flex().autodiff();
    let mut network = Network::new(&config, &weights(&config), &device).unwrap();
    let predicted = network.train_forward(images(&device), Tensor::ones([CLIPS, 256], &device));
    assert_close("logits", &to_host(predicted.clone()).unwrap(), &fixture["logits"], 1e-4);
    let loss = cross_entropy(predicted, targets(&device));
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    let named = named_gradients(&network, &gradients);
    assert_eq!(named.len(), fixture["gradients"].as_object().unwrap().len());
    for (name, found) in named {
        assert_kept(&format!("gradient of {name}"), &found, &fixture["gradients"][&name]);
    }
    let after = adamw(1.0).step(1e-3, network, gradients).weights().unwrap();
    for (name, expected) in fixture["after"].as_object().unwrap() {
        // AdamW makes whole steps of a gradient that is zero but for rounding, in a direction of its own. That
        // is the gradient of a shift which a later normalisation takes out again.
        if !["conv1.bias", "conv2.bias", "linear1.bias", "norm2.bias"].contains(&name.as_str()) {
            assert_kept(name, &after.get(name).unwrap().values, expected);
        }
    }
}
