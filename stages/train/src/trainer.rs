//! The training loop: shuffled batches, optimizer steps, validation, moving average of the weights.
//!
//! All random numbers are drawn from (seed, epoch), so an epoch does not depend on what ran earlier
//! in the process. Does not know about files.

use std::iter;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kit::Events;
use model::burn::tensor::{Device, Tensor, TensorData};
use model::config::NetworkConfig;
use model::learner::Learner;
use model::loss::smooth;
use model::metrics::{Scores, Tally};
use model::network::Network;
use model::optimizer::State;
use model::random::{Purpose, Random};
use model::trainable::Trainable;
use model::weights::Weights;

use crate::augment::{Augment, Batch};
use crate::length::Length;
use crate::params::TrainParams;

/// Number of batches prepared ahead of the optimizer.
const BATCHES_AHEAD: usize = 2;

/// A network in training, with its data and optimizer.
pub(crate) struct Trainer<'a> {
    augment: &'a Augment<'a>,
    params: &'a TrainParams,
    length: Length,
    seed: u64,
    device: Device,
    learner: Learner,
    /// Moving average of the weights, and the number of steps in it.
    average: Option<(Weights, u64)>,
    /// Total time of the training epochs.
    spent: Duration,
    /// Time within `spent` that was spent waiting for batches.
    waited: Duration,
}

/// State of a [`Trainer`] from which another one can resume.
#[derive(Debug)]
pub(crate) struct TrainingState {
    pub weights: Weights,
    pub average: Option<(Weights, u64)>,
    pub optimizer: State,
}

impl<'a> Trainer<'a> {
    /// Creates a trainer of a network with these initial weights.
    ///
    /// # Errors
    /// The configuration is invalid.
    pub(crate) fn new(
        augment: &'a Augment<'a>,
        (config, weights): (&NetworkConfig, &Weights),
        (params, length): (&'a TrainParams, Length),
        device: Device,
        seed: u64,
    ) -> Result<Trainer<'a>> {
        let average = (params.ema_decay > 0.0).then(|| (weights.clone(), 0));
        let device = device.autodiff();
        let learner = Learner::new(Trainable::new(config, weights, &device)?, params.weight_decay);
        let (spent, waited) = (Duration::ZERO, Duration::ZERO);
        Ok(Trainer { augment, params, length, seed, device, learner, average, spent, waited })
    }

    /// Resumes from the state of another trainer.
    ///
    /// # Errors
    /// The state belongs to a different network.
    pub(crate) fn resume(&mut self, state: TrainingState) -> Result<()> {
        let TrainingState { weights, average, optimizer } = state;
        let network = Trainable::new(self.learner.network().config(), &weights, &self.device)?;
        self.learner = Learner::new(network, self.params.weight_decay);
        self.learner.restore_optimizer(optimizer)?;
        self.average = average;
        Ok(())
    }

    /// Returns the current state.
    ///
    /// # Errors
    /// Reading from the device fails.
    pub(crate) fn state(&self) -> Result<TrainingState> {
        let weights = self.learner.network().weights()?;
        Ok(TrainingState {
            weights,
            average: self.average.clone(),
            optimizer: self.learner.optimizer_state(),
        })
    }

    /// Trains on each clip at `indices` once. Returns the scores of the batches at the time of
    /// their step.
    ///
    /// # Errors
    /// The loss is no longer finite.
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
        let steps_per_epoch = batches.len() as u64;
        let total = self.length.epochs * steps_per_epoch;
        let warmup = self.length.warmup * steps_per_epoch;
        let first_step = (epoch - 1) * steps_per_epoch;
        let augment = self.augment;
        let prepared = batches.iter().map(|clips| augment.batch(epoch, clips));
        let began = Instant::now();
        let mut waited = Duration::ZERO;
        let scores = prefetch(prepared, |mut prepared| {
            let prepared = iter::from_fn(|| {
                let wait_start = Instant::now();
                let batch = prepared.next();
                waited += wait_start.elapsed();
                batch
            });
            for ((clips, batch), step) in batches.iter().zip(prepared).zip(first_step..) {
                let rate =
                    self.params.learning_rate * self.params.schedule.factor(step, total, warmup);
                let logits = self.step(batch, rate, &mut dropout)?;
                self.update_average()?;
                tally.add(&logits, &dataset.targets(clips));
                ensure_finite(tally.scores().loss, epoch, self.params.learning_rate)?;
                // One event per percent.
                if (step + 1) * 100 / total != step * 100 / total {
                    events.progress(step + 1, total);
                }
            }
            Ok(tally.scores())
        });
        self.spent += began.elapsed();
        self.waited += waited;
        scores
    }

    /// Returns the share of the training time that was spent waiting for batches, 0 to 1.
    pub(crate) fn waiting_share(&self) -> f64 {
        self.waited.as_secs_f64() / self.spent.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns the scores on the clips at `indices`, or `None` if there are no clips.
    ///
    /// # Errors
    /// The loss is not finite.
    pub(crate) fn validate(&self, epoch: u64, indices: &[usize]) -> Result<Option<Scores>> {
        if indices.is_empty() {
            return Ok(None);
        }
        let (dataset, device) = (self.augment.dataset(), self.device.clone().inner());
        let network = Network::new(self.learner.network().config(), &self.weights()?, &device)?;
        let logits = network.logits(dataset, indices)?;
        let mut tally = Tally::new(dataset.labels.len());
        tally.add(&logits, &dataset.targets(indices));
        ensure_finite(tally.scores().loss, epoch, self.params.learning_rate)?;
        Ok(Some(tally.scores()))
    }

    /// Returns the moving average of the weights if it is enabled, else the current weights.
    ///
    /// # Errors
    /// Reading from the device fails.
    pub(crate) fn weights(&self) -> Result<Weights> {
        match &self.average {
            Some((weights, _)) => Ok(weights.clone()),
            None => self.learner.network().weights(),
        }
    }

    /// Runs one optimizer step. Returns the logits before the step.
    fn step(&mut self, batch: Batch, rate: f64, dropout: &mut Random) -> Result<Vec<f32>> {
        let Batch { shape, images, mut targets } = batch;
        let (count, classes) = (shape[0], self.learner.network().config().classes);
        smooth(&mut targets, self.params.label_smoothing, classes);
        let images = Tensor::from_data(TensorData::new(images, shape), &self.device);
        let targets = Tensor::from_data(TensorData::new(targets, [count, classes]), &self.device);
        let mask = self.learner.network().dropout_mask(count, dropout, &self.device);
        self.learner.step(images, targets, mask, rate)
    }

    /// Adds the current weights to the moving average.
    ///
    /// The decay is smaller in the first steps, so that the initial weights are soon forgotten: it
    /// is `min(decay, (1 + n) / (10 + n))` after n updates, as in TensorFlow's
    /// `ExponentialMovingAverage`. Counting this update, `steps` is n + 1.
    fn update_average(&mut self) -> Result<()> {
        if let Some((average, steps)) = &mut self.average {
            *steps += 1;
            let decay = self.params.ema_decay.min(*steps as f64 / (*steps + 9) as f64);
            average.blend(&self.learner.network().weights()?, (1.0 - decay) as f32)?;
        }
        Ok(())
    }
}

/// Runs `learn` on the batches while another thread prepares the next ones, so that steps do not
/// wait for them.
///
/// The content of a batch depends on the epoch and the clips only, not on when it is prepared.
fn prefetch<B: Send, R>(
    prepared: impl Iterator<Item = B> + Send,
    learn: impl FnOnce(mpsc::IntoIter<B>) -> R,
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
        scope.spawn(move || {
            for batch in prepared {
                // The receiver is gone if training has failed.
                if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        learn(receiver.into_iter())
    })
}

fn ensure_finite(loss: f64, epoch: u64, learning_rate: f64) -> Result<()> {
    ensure!(
        loss.is_finite(),
        "the loss is {loss} in epoch {epoch}: lower `train.learning_rate` (now {learning_rate})"
    );
    Ok(())
}

/// Returns the number of steps in an epoch of `clips` clips in batches of `size`.
pub(crate) fn steps_per_epoch(clips: usize, size: usize) -> u64 {
    batches(&vec![0; clips], size).len() as u64
}

/// Splits `order` into batches of `size`.
///
/// A last batch of one clip joins the previous batch: batch normalisation needs two clips, and
/// dropping the clip would lose it.
fn batches(order: &[usize], size: usize) -> Vec<&[usize]> {
    let last_is_single = order.len() % size == 1 && order.len() > size;
    let (even, rest) =
        order.split_at(if last_is_single { order.len() - size - 1 } else { order.len() });
    let mut batches: Vec<&[usize]> = even.chunks(size).collect();
    if last_is_single {
        batches.push(rest);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_clip_joins_previous_batch() {
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
