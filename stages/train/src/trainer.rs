//! One epoch after the other: batches in an order of their own, the loss, its gradients, AdamW.
//!
//! Everything random is drawn from (seed, epoch), so an epoch does not depend on what ran before in the
//! process. Knows nothing about files.

use anyhow::{Result, ensure};
use kit::Events;
use model::burn::module::Module as _;
use model::burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use model::burn::optim::{GradientsParams, ModuleOptimizer};
use model::burn::tensor::Device;
use model::config::NetworkConfig;
use model::dataset::{Dataset, target_tensor};
use model::init::initial_weights;
use model::metrics::{Scores, Tally};
use model::network::{Network, to_host};
use model::optimizer::adamw;
use model::random::{Purpose, Random};
use model::weights::Weights;

use crate::params::TrainParams;

/// A network in training.
pub(crate) struct Trainer<'a> {
    dataset: &'a Dataset,
    params: &'a TrainParams,
    seed: u64,
    device: Device,
    loss: CrossEntropyLoss,
    optimizer: ModuleOptimizer,
    network: Network,
}

impl<'a> Trainer<'a> {
    /// A network with the first weights of `seed`.
    ///
    /// # Errors
    /// A configuration that cannot be built.
    pub(crate) fn new(
        dataset: &'a Dataset,
        config: &NetworkConfig,
        params: &'a TrainParams,
        device: Device,
        seed: u64,
    ) -> Result<Trainer<'a>> {
        let device = device.autodiff();
        Ok(Trainer {
            dataset,
            params,
            seed,
            loss: CrossEntropyLossConfig::new().init(&device),
            optimizer: adamw(params.weight_decay),
            network: Network::new(config, &initial_weights(config, seed)?, &device)?,
            device,
        })
    }

    /// Learns from the clips at `indices`, once each; the scores are those of the batches as they were met.
    ///
    /// # Errors
    /// A loss that is no number any more.
    pub(crate) fn epoch(&mut self, epoch: u64, indices: &[usize], events: &Events) -> Result<Scores> {
        let mut order = indices.to_vec();
        Random::new(self.seed, Purpose::Order(epoch)).shuffle(&mut order);
        let mut dropout = Random::new(self.seed, Purpose::Dropout(epoch));
        let mut tally = Tally::new(self.dataset.labels.len());
        let batches = batches(&order, self.params.batch_size);
        let total = self.params.epochs * batches.len() as u64;
        for (batch, done) in batches.iter().zip((epoch - 1) * batches.len() as u64 + 1..) {
            tally.add(&self.step(batch, &mut dropout)?, &self.dataset.targets(batch));
            finite(tally.scores().loss, epoch, self.params.learning_rate)?;
            // A line for each hundredth says enough.
            if done * 100 / total != (done - 1) * 100 / total {
                events.progress(done, total);
            }
        }
        Ok(tally.scores())
    }

    /// The scores on the clips at `indices`; nothing where there is none.
    ///
    /// # Errors
    /// A loss that is no number any more.
    pub(crate) fn validate(&self, epoch: u64, indices: &[usize]) -> Result<Option<Scores>> {
        if indices.is_empty() {
            return Ok(None);
        }
        let logits = self.network.valid().logits(self.dataset, indices, &self.device.clone().inner())?;
        let mut tally = Tally::new(self.dataset.labels.len());
        tally.add(&logits, &self.dataset.targets(indices));
        finite(tally.scores().loss, epoch, self.params.learning_rate)?;
        Ok(Some(tally.scores()))
    }

    /// The weights as they are now.
    ///
    /// # Errors
    /// The device fails to give them back.
    pub(crate) fn weights(&self) -> Result<Weights> {
        self.network.weights()
    }

    /// One step of the optimizer; the logits that it was computed from.
    fn step(&mut self, batch: &[usize], dropout: &mut Random) -> Result<Vec<f32>> {
        let images = self.dataset.images(batch, &self.device);
        let targets = target_tensor(&self.dataset.targets(batch), &self.device);
        let mask = self.network.dropout_mask(batch.len(), dropout, &self.device);
        let logits = self.network.train_forward(images, mask);
        let loss = self.loss.forward(logits.clone(), targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let network = self.network.clone();
        self.network = self.optimizer.step(self.params.learning_rate, network, gradients);
        to_host(logits)
    }
}

fn finite(loss: f64, epoch: u64, learning_rate: f64) -> Result<()> {
    ensure!(
        loss.is_finite(),
        "the loss is {loss} in epoch {epoch}: lower `train.learning_rate`, which is {learning_rate}"
    );
    Ok(())
}

/// `order` in batches of `size`. A last batch of one joins the batch before it: batch normalisation cannot
/// learn from a single clip, and dropping the clip would lose it.
fn batches(order: &[usize], size: usize) -> Vec<&[usize]> {
    let lonely = order.len() % size == 1 && order.len() > size;
    let (even, rest) = order.split_at(if lonely { order.len() - size - 1 } else { order.len() });
    let mut batches: Vec<&[usize]> = even.chunks(size).collect();
    if lonely {
        batches.push(rest);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_has_one_clip() {
        let order: Vec<usize> = (0..100).rev().collect();
        for (count, size, expected) in [
            (8, 4, vec![4, 4]),
            (9, 4, vec![4, 5]),
            (10, 4, vec![4, 4, 2]),
            (5, 4, vec![5]),
            (3, 4, vec![3]),
            (3, 2, vec![3]),
            (4, 4, vec![4]),
            (7, 3, vec![3, 4]),
        ] {
            let batches = batches(&order[..count], size);
            assert_eq!(
                batches.iter().map(|batch| batch.len()).collect::<Vec<_>>(),
                expected,
                "{count} by {size}"
            );
            assert_eq!(batches.concat(), order[..count]);
        }
    }
}
