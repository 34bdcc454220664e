//! Time per training epoch and inference pass, compared with PyTorch and onnxruntime.
//!
//! ```sh
//! PEER_PYTHON=venv/bin/python cargo bench -p model --bench epoch
//! ```
//!
//! The Python needs torch, onnx and onnxruntime.
//!
//! Runs alternate, so that other load affects both sides; a ratio is the median of the ratios of
//! adjacent runs. Words on the command line select lines: `-- forward resnet`. CPU time is in
//! parentheses; it is more reliable on a busy machine. Each side uses 2 threads, or BENCH_THREADS.
#![allow(clippy::unwrap_used, reason = "a failing bench should stop")]

mod compare;

use std::hint::black_box;

use compare::{Peer, ROUNDS, compare};
use model::burn::tensor::{Device, Tensor, TensorData};
use model::config::{Architecture, NetworkConfig};
use model::init::initial_weights;
use model::learner::Learner;
use model::network::Network;
use model::random::{Purpose, Random};
use model::threads::init_with;
use model::trainable::Trainable;

const CLIPS: usize = 128;
const SIDE: usize = 100;
const CLASSES: usize = 10;

// The allocator of the stages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let threads = compare::threads();
    init_with(threads).unwrap();
    let mut peer = Peer::start(threads);
    println!("{CLIPS} clips of 1×{SIDE}×{SIDE}; medians of {ROUNDS} rounds");
    for (name, model) in [("baseline", Architecture::Baseline), ("resnet", Architecture::ResNet)] {
        let mut ours = Ours::new(model);
        for batch in [4, 32] {
            compare(&format!("train {name} {batch}"), &mut peer, || ours.train(batch));
        }
        let network = ours.network();
        for batch in [1, 4, 32] {
            compare(&format!("forward {name} {batch}"), &mut peer, || {
                ours.forward(&network, batch);
            });
        }
    }
}

/// Our network with random clips.
struct Ours {
    learner: Learner,
    device: Device,
    clips: Vec<f32>,
    random: Random,
}

impl Ours {
    fn new(model: Architecture) -> Ours {
        let config = NetworkConfig {
            model,
            input: [1, SIDE, SIDE],
            classes: CLASSES,
            dropout: 0.5,
            statistics: false,
        };
        let device = Device::flex().autodiff();
        let network =
            Trainable::new(&config, &initial_weights(&config, 1).unwrap(), &device).unwrap();
        let mut random = Random::new(1, Purpose::Order(0));
        let clips = (0..CLIPS * SIDE * SIDE).map(|_| random.unit() * 4.0 - 2.0).collect();
        Ours { learner: Learner::new(network, 0.01), device, clips, random }
    }

    fn images(&self, clips: &[usize], device: &Device) -> Tensor<4> {
        let mut values = Vec::with_capacity(clips.len() * SIDE * SIDE);
        clips.iter().for_each(|clip| {
            values.extend_from_slice(&self.clips[clip * SIDE * SIDE..][..SIDE * SIDE]);
        });
        Tensor::from_data(TensorData::new(values, [clips.len(), 1, SIDE, SIDE]), device)
    }

    fn train(&mut self, batch: usize) {
        let mut order: Vec<usize> = (0..CLIPS).collect();
        self.random.shuffle(&mut order);
        for clips in order.chunks(batch) {
            let mut targets = vec![0.0f32; clips.len() * CLASSES];
            clips
                .iter()
                .enumerate()
                .for_each(|(row, clip)| targets[row * CLASSES + clip % CLASSES] = 1.0);
            let targets =
                Tensor::from_data(TensorData::new(targets, [clips.len(), CLASSES]), &self.device);
            let mask =
                self.learner.network().dropout_mask(clips.len(), &mut self.random, &self.device);
            self.learner.step(self.images(clips, &self.device), targets, mask, 2e-4).unwrap();
        }
    }

    /// Returns the inference network with the current weights.
    fn network(&self) -> Network {
        let network = self.learner.network();
        Network::new(network.config(), &network.weights().unwrap(), &self.device.clone().inner())
            .unwrap()
    }

    fn forward(&self, network: &Network, batch: usize) {
        for clips in self.clips.chunks(batch * SIDE * SIDE) {
            let shape = [clips.len() / (SIDE * SIDE), 1, SIDE, SIDE];
            black_box(network.forward(clips.to_vec(), shape).unwrap());
        }
    }
}
