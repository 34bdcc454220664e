//! The network, its loss, its gradients and its optimizer against PyTorch's: `fixtures/pytorch.py` wrote
//! what they must give.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use model::burn;
use model::config::{Architecture, NetworkConfig};
use model::dataset::target_tensor;
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
    let loss_of = CrossEntropyLossConfig::new().init(&device);
    let mut losses = Vec::new();
    for _ in 0..fixture["losses"].as_array().unwrap().len() {
        let mask = Tensor::ones([CLIPS, 256], &device);
        let predicted = network.train_forward(images(&device), mask);
        let loss = loss_of.forward(predicted, target_tensor(&[0, 1, 2, 1, 0], &device));
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
