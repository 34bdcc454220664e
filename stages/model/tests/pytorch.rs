//! Compares both networks, the loss, the gradients and the optimizer with PyTorch. The expected
//! values come from `fixtures/pytorch.py`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::module::{Module as _, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use model::burn;
use model::config::{Architecture, NetworkConfig};
use model::device::to_host;
use model::loss::cross_entropy;
use model::network::Network;
use model::optimizer::adamw;
use model::trainable::Trainable;
use model::weights::Weights;

const SIDE: usize = 20;
const CLIPS: usize = 5;

fn value(index: usize, tensor: usize, scale: f64) -> f32 {
    (scale * (0.37 * index as f64 + 1.3 * tensor as f64).sin()) as f32
}

/// A network of the script with weights from the script's formulas, and PyTorch's results.
struct Case {
    name: &'static str,
    config: NetworkConfig,
    weights: Weights,
    fixture: serde_json::Value,
    /// Biases that a later batch norm cancels. Their gradients are zero up to rounding, and AdamW
    /// turns that noise into full steps of arbitrary sign, so they are not compared.
    shifts: &'static [&'static str],
}

fn cases() -> [Case; 2] {
    let mut fixture: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/pytorch.json")).unwrap();
    let shifts = &["conv1.bias", "conv2.bias", "linear1.bias", "norm2.bias"];
    [("baseline", Architecture::Baseline, &shifts[..]), ("resnet", Architecture::ResNet, &[])].map(
        |(name, model, shifts)| {
            let config = NetworkConfig {
                model,
                input: [1, SIDE, SIDE],
                classes: 3,
                dropout: 0.0,
                statistics: false,
            };
            let weights = weights(&config);
            Case { name, config, weights, fixture: fixture[name].take(), shifts }
        },
    )
}

fn weights(config: &NetworkConfig) -> Weights {
    let tensors = config.tensors().unwrap();
    let mut layers: Vec<&str> =
        tensors.iter().map(|(name, _)| name.rsplit_once('.').unwrap().0).collect();
    layers.dedup();
    let mut weights = Weights::default();
    for (name, shape) in &tensors {
        let (layer, part) = name.rsplit_once('.').unwrap();
        let number = 2 * layers.iter().position(|it| *it == layer).unwrap();
        let count: usize = shape.iter().product();
        let one = if layer.contains("norm") { 1.0 } else { 0.0 };
        let values = match part {
            "weight" => (0..count).map(|index| value(index, number, 0.1) + one).collect(),
            "bias" => (0..count).map(|index| value(index, number + 1, 0.1)).collect(),
            "running_mean" => vec![0.0; count],
            _ => vec![1.0; count],
        };
        weights.insert(name, shape.clone(), values);
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
        assert!((found - expected).abs() <= bound, "{what}: {found}, expected {expected}");
    }
}

#[test]
fn training_matches_pytorch() {
    for Case { name, config, weights, fixture, shifts } in cases() {
        let plain = Device::flex();
        let device = plain.clone().autodiff();
        let inference = Network::new(&config, &weights, &plain).unwrap();
        let logits =
            inference.forward(to_host(images(&plain)).unwrap(), images(&plain).dims()).unwrap();
        assert_close(&format!("{name}: logits before"), &logits, &fixture["logits_before"], 1e-5);

        let mut network = Trainable::new(&config, &weights, &device).unwrap();
        let mut optimizer = adamw(1.0);
        let mut losses = Vec::new();
        for _ in 0..fixture["losses"].as_array().unwrap().len() {
            let mask = Tensor::ones([CLIPS, config.hidden()], &device);
            let predicted = network.forward(images(&device), mask);
            let loss = cross_entropy(predicted, targets(&device));
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(1e-3, network, gradients);
        }
        assert_close(&format!("{name}: losses"), &losses, &fixture["losses"], 1e-4);
        let means = ["norm1.running_mean", "norm2.running_mean", "norm3.running_mean"];
        let moved = [shifts, if shifts.is_empty() { &[] } else { &means[..] }].concat();
        assert_state(name, &network.weights().unwrap(), &fixture["after"], &moved);
    }
}

/// Returns the name of each trained tensor and its gradient in C order.
fn named_gradients(network: &Trainable, gradients: &GradientsParams) -> Vec<(String, Vec<f32>)> {
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
                // Skip the two outer modules, and translate the names to those of the weights file.
                let name = self.path[2..].join(".").replace("convolution", "conv");
                let name = [0, 1, 2].iter().fold(name, |name, block| {
                    name.replace(&format!("blocks.{block}"), &format!("block{}", block + 1))
                });
                self.found.push((name, to_host(gradient).unwrap()));
            }
        }
    }
    let mut visit = Visit { gradients, path: Vec::new(), found: Vec::new() };
    network.visit(&mut visit);
    visit.found
}

/// Compares the first values and the Euclidean norm with the fixture, within a share of the norm.
fn assert_kept(what: &str, found: &[f32], expected: &serde_json::Value) {
    let length = expected["length"].as_f64().unwrap();
    let first: Vec<f32> = serde_json::from_value(expected["first"].clone()).unwrap();
    let found_length = found.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    // Smaller values are rounding errors: the gradient of a bias before a batch norm is zero.
    let bound = 2e-4 * length.max(1e-2);
    assert!((found_length - length).abs() <= bound, "{what}: {found_length}, expected {length}");
    for (found, expected) in found.iter().zip(&first) {
        assert!(f64::from(found - expected).abs() <= bound, "{what}: {found}, expected {expected}");
    }
}

/// Compares a network's tensors with the fixture, except for the names in `but`.
fn assert_state(network: &str, found: &Weights, expected: &serde_json::Value, but: &[&str]) {
    for (name, expected) in expected.as_object().unwrap() {
        if !but.contains(&name.as_str()) {
            assert_kept(&format!("{network}: {name}"), &found.get(name).unwrap().values, expected);
        }
    }
}

#[test]
fn first_step_matches_pytorch() {
    for Case { name, config, weights, fixture, shifts } in cases() {
        let fixture = &fixture["first_step"];
        let device = Device::flex().autodiff();
        let mut network = Trainable::new(&config, &weights, &device).unwrap();
        let predicted =
            network.forward(images(&device), Tensor::ones([CLIPS, config.hidden()], &device));
        let logits = to_host(predicted.clone()).unwrap();
        assert_close(&format!("{name}: logits"), &logits, &fixture["logits"], 1e-4);
        let loss = cross_entropy(predicted, targets(&device));
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let named = named_gradients(&network, &gradients);
        assert_eq!(named.len(), fixture["gradients"].as_object().unwrap().len(), "{name}");
        for (tensor, found) in named {
            assert_kept(
                &format!("{name}: gradient of {tensor}"),
                &found,
                &fixture["gradients"][&tensor],
            );
        }
        let after = adamw(1.0).step(1e-3, network, gradients).weights().unwrap();
        assert_state(name, &after, &fixture["after"], shifts);
    }
}
