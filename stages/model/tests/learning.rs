//! Training, inference and checkpoints of both networks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use model::burn;
use model::checkpoint::{self, Manifest};
use model::config::{Architecture, NetworkConfig};
use model::device::to_host;
use model::init::initial_weights;
use model::loss::cross_entropy;
use model::metrics;
use model::network::Network;
use model::optimizer::adamw;
use model::random::{Purpose, Random};
use model::trainable::Trainable;
use model::weights::Weights;

const BOTH: [Architecture; 2] = [Architecture::Baseline, Architecture::ResNet];

fn config(model: Architecture) -> NetworkConfig {
    NetworkConfig { model, input: [1, 16, 16], classes: 3, dropout: 0.2, statistics: false }
}

fn images(count: usize, device: &Device) -> Tensor<4> {
    let mut random = Random::new(11, Purpose::Order(1));
    let values: Vec<f32> = (0..count * 256).map(|_| random.unit() * 4.0 - 2.0).collect();
    Tensor::from_data(TensorData::new(values, [count, 1, 16, 16]), device)
}

/// Runs `steps` of AdamW on one batch of six. Returns the loss before each step, and the network.
fn train(model: Architecture, steps: u64, seed: u64) -> (Vec<f32>, Trainable) {
    let device = Device::flex().autodiff();
    let config = config(model);
    let mut network =
        Trainable::new(&config, &initial_weights(&config, seed).unwrap(), &device).unwrap();
    let mut optimizer = adamw(0.01);
    let [a, b, c] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let targets = Tensor::<2>::from_data([a, b, c, c, b, a], &device);
    let mut losses = Vec::new();
    for step in 0..steps {
        let mask = network.dropout_mask(6, &mut Random::new(seed, Purpose::Dropout(step)), &device);
        let loss = cross_entropy(network.forward(images(6, &device), mask), targets.clone());
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network, gradients);
    }
    (losses, network)
}

/// Returns the inference network with the weights of `network`.
fn inference(network: &Trainable) -> Network {
    Network::new(network.config(), &network.weights().unwrap(), &Device::flex()).unwrap()
}

fn logits(network: &Network, count: usize) -> Vec<f32> {
    let device = Device::flex();
    let images = images(count, &device);
    network.forward(to_host(images.clone()).unwrap(), images.dims()).unwrap()
}

#[test]
fn small_batch_is_memorized() {
    for model in BOTH {
        let (losses, network) = train(model, 60, 1);
        assert!(losses[0] > 0.5, "{model:?}: {losses:?}");
        assert!(losses[59] < 0.05, "{model:?}: {losses:?}");
        let predictions: Vec<usize> =
            logits(&inference(&network), 6).chunks(3).map(metrics::argmax).collect();
        assert_eq!(predictions, [0, 1, 2, 2, 1, 0], "{model:?}");
    }
}

#[test]
fn training_is_deterministic() {
    for model in BOTH {
        let bytes = |seed| train(model, 4, seed).1.weights().unwrap().to_bytes().unwrap();
        assert_eq!(bytes(5), bytes(5), "{model:?}");
        assert_ne!(bytes(5), bytes(6), "{model:?}");
    }
}

#[test]
fn checkpoint_round_trip_keeps_logits() {
    for model in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let [weights, manifest] = ["genre.mpk", "genre.json"].map(|name| dir.path().join(name));
        let (_, network) = train(model, 3, 2);
        network.weights().unwrap().write(&weights).unwrap();
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        Manifest::new(labels.clone(), config(model)).unwrap().write(&manifest).unwrap();
        let (loaded, read) = checkpoint::load(&weights, &manifest, &Device::flex()).unwrap();
        assert_eq!(read.labels, labels);
        assert_eq!(logits(&loaded, 5), logits(&inference(&network), 5), "{model:?}");
    }
}

#[test]
fn inference_is_independent_of_the_batch() {
    for model in BOTH {
        let network = inference(&train(model, 3, 2).1);
        assert_eq!(logits(&network, 5)[..6], logits(&network, 2)[..], "{model:?}");
    }
}

#[test]
fn invalid_shapes_are_errors() {
    // Overflows when multiplied with the other lengths.
    const OVERFLOW: usize = 1 << 62;
    for model in BOTH {
        let network = inference(&train(model, 1, 2).1);
        let [channels, height, width] = config(model).input;
        let clip = channels * height * width;
        for (values, shape) in [
            (clip - 3, [1, channels, height, width]),
            (2 * clip, [5, channels, height, width]),
            (2 * clip, [1, 2 * channels, height, width]),
            (2 * clip, [1, channels, height, width]),
            (0, [0, channels, height, width]),
            (0, [1, channels, 0, width]),
            (0, [1, channels, height, 0]),
            (0, [OVERFLOW, channels, height, width]),
        ] {
            let error = network.forward(vec![0.5; values], shape).unwrap_err().to_string();
            assert!(error.contains("the shape ["), "{model:?}, {values} as {shape:?}: {error}");
        }
        let narrow = network.forward(vec![0.5; clip / width], [1, channels, height, 1]);
        assert_eq!(narrow.is_ok(), model == Architecture::ResNet, "{model:?}: {narrow:?}");
    }
}

#[test]
fn invalid_checkpoints_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let [weights, manifest] = ["genre.mpk", "genre.json"].map(|name| dir.path().join(name));
    let error =
        || format!("{:#}", checkpoint::load(&weights, &manifest, &Device::flex()).unwrap_err());
    assert!(error().contains("genre.json`: `repro run train` makes it"), "{}", error());
    let labels = |count: usize| (0..count).map(|label| label.to_string()).collect::<Vec<_>>();
    Manifest::new(labels(3), config(Architecture::Baseline)).unwrap().write(&manifest).unwrap();
    assert!(error().contains("genre.mpk`: `repro run train` makes it"), "{}", error());

    let other = NetworkConfig { classes: 4, ..config(Architecture::Baseline) };
    let kept: Weights = initial_weights(&other, 1).unwrap();
    kept.write(&weights).unwrap();
    assert!(
        error().contains("tensor `linear2.bias` has the shape [4], but the network needs [3]")
            || error().contains("linear2.weight"),
        "{}",
        error()
    );
    let bytes = kept.to_bytes().unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error().contains("is damaged"), "{}", error());
    std::fs::write(&manifest, "{\"version\": 1").unwrap();
    assert!(error().contains("genre.json` is damaged"), "{}", error());
    assert!(Manifest::new(labels(2), config(Architecture::Baseline)).is_err());
}
