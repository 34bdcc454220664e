//! Training steps: loss, gradients, AdamW update.
//!
//! Does not know about epochs, the order of clips or files.

use anyhow::{Result, ensure};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::device::to_host;
use crate::loss::cross_entropy;
use crate::optimizer::{AdamW, State, adamw};
use crate::trainable::Trainable;

/// A network with its optimizer.
#[derive(Debug)]
pub struct Learner {
    /// `None` only during a step, which takes the network to update it in place.
    network: Option<Trainable>,
    optimizer: AdamW,
}

impl Learner {
    /// Wraps a network on an autodiff device.
    pub fn new(network: Trainable, weight_decay: f64) -> Learner {
        Learner { network: Some(network), optimizer: adamw(weight_decay) }
    }

    /// Returns the current network.
    pub fn network(&self) -> &Trainable {
        self.network.as_ref().expect("BUG: the network is missing outside of a step")
    }

    /// Runs one training step and returns the logits before the update, `[N, classes]` in C order.
    ///
    /// `images` is `[N, channels, height, width]`, `targets` is `[N, classes]` and holds the share
    /// of each class. `mask` comes from [`Trainable::dropout_mask`].
    ///
    /// # Errors
    /// Reading the logits from the device fails.
    pub fn step(
        &mut self,
        images: Tensor<4>,
        targets: Tensor<2>,
        mask: Tensor<2>,
        learning_rate: f64,
    ) -> Result<Vec<f32>> {
        let mut network =
            self.network.take().expect("BUG: the network is missing outside of a step");
        let logits = network.forward(images, mask);
        let loss = cross_entropy(logits.clone(), targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimizer.step(learning_rate, network, gradients));
        to_host(logits)
    }

    /// Returns the optimizer state.
    pub fn optimizer_state(&self) -> State {
        self.optimizer.state(self.network())
    }

    /// Restores the optimizer state of the same network.
    ///
    /// # Errors
    /// The state belongs to a different network.
    pub fn restore_optimizer(&mut self, state: State) -> Result<()> {
        let network = self.network.as_ref().expect("BUG: the network is missing outside of a step");
        let restored = self.optimizer.restore(network, state);
        ensure!(restored.is_ok(), "the optimizer state belongs to a different network");
        Ok(())
    }
}
