//! One step of training after the other: the loss, its gradients, AdamW.
//!
//! Knows nothing about epochs, the order of clips or files.

use anyhow::{Result, ensure};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::loss::cross_entropy;
use crate::network::to_host;
use crate::optimizer::{AdamW, State, adamw};
use crate::trainable::Trainable;

/// A network that learns.
#[derive(Debug)]
pub struct Learner {
    /// Taken out only during a step, which updates it in place.
    network: Option<Trainable>,
    optimizer: AdamW,
}

impl Learner {
    /// For a network on an autodiff device.
    pub fn new(network: Trainable, weight_decay: f64) -> Learner {
        Learner { network: Some(network), optimizer: adamw(weight_decay) }
    }

    /// The network as it is now.
    pub fn network(&self) -> &Trainable {
        self.network.as_ref().expect("BUG: the network is missing outside of a step")
    }

    /// Learns from a batch of `[N, channels, height, width]` and the shares of the classes in each, `[N, classes]`;
    /// the logits that it gave before, on the host. `mask` is one of [`Trainable::dropout_mask`].
    ///
    /// # Errors
    /// The device fails to give the logits back.
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

    /// What the optimizer remembers.
    pub fn optimizer_state(&self) -> State {
        self.optimizer.state(self.network())
    }

    /// Goes on with what another optimizer remembered of the same network.
    ///
    /// # Errors
    /// A state of another network.
    pub fn restore_optimizer(&mut self, state: State) -> Result<()> {
        let network = self.network.as_ref().expect("BUG: the network is missing outside of a step");
        let restored = self.optimizer.restore(network, state);
        ensure!(restored.is_ok(), "the state of the optimizer is that of another network");
        Ok(())
    }
}
