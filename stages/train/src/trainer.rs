//! One epoch after the other: batches in an order of their own, the loss, its gradients, AdamW.
//!
//! Everything random is drawn from (seed, epoch), so an epoch does not depend on what ran before in the
//! process. Knows nothing about files.

use std::iter;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kit::Events;
use model::burn::tensor::{Device, Tensor, TensorData};
use model::config::NetworkConfig;
use model::init::initial_weights;
use model::learner::Learner;
use model::loss::smooth;
use model::metrics::{Scores, Tally};
use model::network::Network;
use model::optimizer::State;
use model::random::{Purpose, Random};
use model::trainable::Trainable;
use model::weights::Weights;

use crate::augment::{Augment, Batch};
use crate::params::TrainParams;

/// How many batches are made before they are needed.
const BATCHES_AHEAD: usize = 2;

/// A network in training.
pub(crate) struct Trainer<'a> {
    augment: &'a Augment<'a>,
    params: &'a TrainParams,
    seed: u64,
    device: Device,
    learner: Learner,
    /// The moving average of the weights, and how many steps are in it.
    average: Option<(Weights, u64)>,
    /// How long the epochs took, and how much of that went by until a batch was made.
    spent: Duration,
    waited: Duration,
}

/// What a trainer has made of the first weights: with it another one goes on.
#[derive(Debug)]
pub(crate) struct Learnt {
    pub weights: Weights,
    pub average: Option<(Weights, u64)>,
    pub optimizer: State,
}

impl<'a> Trainer<'a> {
    /// A network with the first weights of `seed`.
    ///
    /// # Errors
    /// A configuration that cannot be built.
    pub(crate) fn new(
        augment: &'a Augment<'a>,
        config: &NetworkConfig,
        params: &'a TrainParams,
        device: Device,
        seed: u64,
    ) -> Result<Trainer<'a>> {
        let weights = initial_weights(config, seed)?;
        let average = (params.ema_decay > 0.0).then(|| (weights.clone(), 0));
        let device = device.autodiff();
        let learner = Learner::new(Trainable::new(config, &weights, &device)?, params.weight_decay);
        let (spent, waited) = (Duration::ZERO, Duration::ZERO);
        Ok(Trainer { augment, params, seed, device, learner, average, spent, waited })
    }

    /// Goes on where another trainer was.
    ///
    /// # Errors
    /// What was learnt by another network.
    pub(crate) fn resume(&mut self, learnt: Learnt) -> Result<()> {
        let Learnt { weights, average, optimizer } = learnt;
        let network = Trainable::new(self.learner.network().config(), &weights, &self.device)?;
        self.learner = Learner::new(network, self.params.weight_decay);
        self.learner.restore_optimizer(optimizer)?;
        self.average = average;
        Ok(())
    }

    /// What it has learnt so far.
    ///
    /// # Errors
    /// The device fails to give it back.
    pub(crate) fn learnt(&self) -> Result<Learnt> {
        let weights = self.learner.network().weights()?;
        Ok(Learnt {
            weights,
            average: self.average.clone(),
            optimizer: self.learner.optimizer_state(),
        })
    }

    /// Learns from the clips at `indices`, once each; the scores are those of the batches as they were met.
    ///
    /// # Errors
    /// A loss that is no number any more.
    pub(crate) fn epoch(
        &mut self,
        epoch: u64,
        indices: &[usize],
        events: &Events,
    ) -> Result<Scores> {
        let dataset = self.augment.dataset();
        let mut order = indices.to_vec();
        Random::new(self.seed, Purpose::Order(epoch)).shuffle(&mut order);
        let mut dropout = Random::new(self.seed, Purpose::Dropout(epoch));
        let mut tally = Tally::new(dataset.labels.len());
        let batches = batches(&order, self.params.batch_size);
        let each = batches.len() as u64;
        let (total, warmup) = (self.params.epochs * each, self.params.warmup_epochs * each);
        let augment = self.augment;
        let made = batches.iter().map(|clips| augment.batch(epoch, clips));
        let began = Instant::now();
        let mut waited = Duration::ZERO;
        let scores = ahead(made, |mut made| {
            let made = iter::from_fn(|| {
                let asked = Instant::now();
                let batch = made.next();
                waited += asked.elapsed();
                batch
            });
            for ((clips, batch), done) in batches.iter().zip(made).zip((epoch - 1) * each..) {
                let rate =
                    self.params.learning_rate * self.params.schedule.factor(done, total, warmup);
                let logits = self.step(batch, rate, &mut dropout)?;
                self.average()?;
                tally.add(&logits, &dataset.targets(clips));
                finite(tally.scores().loss, epoch, self.params.learning_rate)?;
                // A line for each hundredth says enough.
                if (done + 1) * 100 / total != done * 100 / total {
                    events.progress(done + 1, total);
                }
            }
            Ok(tally.scores())
        });
        self.spent += began.elapsed();
        self.waited += waited;
        scores
    }

    /// The share of the time of its epochs that went by waiting for batches.
    pub(crate) fn waiting(&self) -> f64 {
        self.waited.as_secs_f64() / self.spent.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The scores on the clips at `indices`; nothing where there is none.
    ///
    /// # Errors
    /// A loss that is no number any more.
    pub(crate) fn validate(&self, epoch: u64, indices: &[usize]) -> Result<Option<Scores>> {
        if indices.is_empty() {
            return Ok(None);
        }
        let (dataset, device) = (self.augment.dataset(), self.device.clone().inner());
        let network = Network::new(self.learner.network().config(), &self.weights()?, &device)?;
        let logits = network.logits(dataset, indices)?;
        let mut tally = Tally::new(dataset.labels.len());
        tally.add(&logits, &dataset.targets(indices));
        finite(tally.scores().loss, epoch, self.params.learning_rate)?;
        Ok(Some(tally.scores()))
    }

    /// The weights as they are now, or their moving average where there is one.
    ///
    /// # Errors
    /// The device fails to give them back.
    pub(crate) fn weights(&self) -> Result<Weights> {
        match &self.average {
            Some((weights, _)) => Ok(weights.clone()),
            None => self.learner.network().weights(),
        }
    }

    /// One step of the optimizer; the logits that it was computed from.
    fn step(&mut self, batch: Batch, rate: f64, dropout: &mut Random) -> Result<Vec<f32>> {
        let Batch { shape, images, mut targets } = batch;
        let (count, classes) = (shape[0], self.learner.network().config().classes);
        smooth(&mut targets, self.params.label_smoothing, classes);
        let images = Tensor::from_data(TensorData::new(images, shape), &self.device);
        let targets = Tensor::from_data(TensorData::new(targets, [count, classes]), &self.device);
        let mask = self.learner.network().dropout_mask(count, dropout, &self.device);
        self.learner.step(images, targets, mask, rate)
    }

    /// Lets the weights into their moving average. The first steps keep less of it, or it would remember
    /// where the weights began.
    fn average(&mut self) -> Result<()> {
        if let Some((average, steps)) = &mut self.average {
            *steps += 1;
            let kept = self.params.ema_decay.min(*steps as f64 / (*steps + 9) as f64);
            average.blend(&self.learner.network().weights()?, (1.0 - kept) as f32)?;
        }
        Ok(())
    }
}

/// Gives `learn` the batches while a thread makes the next ones, so that a step does not wait for them. What is
/// in a batch depends on the epoch and the clips alone, not on when it is made.
fn ahead<B: Send, R>(
    made: impl Iterator<Item = B> + Send,
    learn: impl FnOnce(mpsc::IntoIter<B>) -> R,
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
        scope.spawn(move || {
            for batch in made {
                // Nobody takes it where training has failed.
                if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        learn(receiver.into_iter())
    })
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
