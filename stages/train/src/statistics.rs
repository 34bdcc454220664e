//! Fits the classifier of the statistics of clips: a multinomial logistic regression.
//!
//! The loss is convex, and all clips are in every step, so neither the seed nor a schedule by
//! epochs matters. With few clips it is the better half of the network: it has one weight per
//! statistic and class, and the penalty leaves only what the clips of a class have in common.

use anyhow::Result;
use inference::statistics::{count, statistics};
use model::burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use model::config::{STATISTICS_LINEAR, STATISTICS_NORM};
use model::dataset::Dataset;
use model::device::to_host;
use model::weights::Weights;
use rayon::prelude::*;

/// Number of steps of Adam (Kingma and Ba 2015).
const STEPS: i32 = 200;
/// Learning rate of the first step. It decays to 0 along half a cosine.
const RATE: f32 = 0.01;
/// Weight of the squared weights in the loss, besides the mean cross entropy.
const PENALTY: f32 = 0.05;
/// The fitted logits count `SHARE / √clips` times beside those of the network: the more clips, the
/// better the network.
const SHARE: f32 = 20.0;
/// Smallest variance of a statistic, as a share of the mean variance: what hardly varies among
/// these clips must not decide about others.
const LEAST_VARIANCE: f64 = 1e-4;

/// Fits the classifier to the clips at `indices` and stores it in `weights`.
///
/// # Errors
/// Reading from the device fails.
pub(crate) fn fit(dataset: &Dataset, indices: &[usize], weights: &mut Weights) -> Result<()> {
    let (rows, classes) = (dataset.rows, dataset.labels.len());
    let columns = count(rows);
    let clips: Vec<Vec<f32>> =
        indices.par_iter().map(|index| statistics(dataset.image(*index), rows)).collect();
    let (means, variances) = moments(&clips, columns);
    let values = clips.iter().flat_map(|clip| {
        let centred = clip.iter().zip(&means).map(|(value, mean)| f64::from(*value) - mean);
        centred.zip(&variances).map(|(value, variance)| (value / variance.sqrt()) as f32)
    });
    let values = TensorData::new(values.collect::<Vec<_>>(), [clips.len(), columns]);
    let mut targets = vec![0.0f32; clips.len() * classes];
    for (row, label) in targets.chunks_exact_mut(classes).zip(dataset.targets(indices)) {
        row[label] = 1.0;
    }
    let targets = TensorData::new(targets, [clips.len(), classes]);
    let [weight, bias] = descend(values, targets)?;
    let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
    let mut insert = |layer: &str, part: &str, shape: &[usize], values: Vec<f32>| {
        weights.insert(&format!("{layer}.{part}"), shape.to_vec(), values);
    };
    insert(STATISTICS_NORM, "weight", &[columns], vec![1.0; columns]);
    insert(STATISTICS_NORM, "bias", &[columns], vec![0.0; columns]);
    insert(STATISTICS_NORM, "running_mean", &[columns], narrow(&means));
    insert(STATISTICS_NORM, "running_var", &[columns], narrow(&variances));
    insert(STATISTICS_LINEAR, "weight", &[columns, classes], weight);
    insert(STATISTICS_LINEAR, "bias", &[classes], bias);
    Ok(())
}

/// Returns the mean and the variance of each column.
fn moments(rows: &[Vec<f32>], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let count = rows.len() as f64;
    let mean = |column: usize, of: &dyn Fn(f64) -> f64| {
        rows.iter().map(|row| of(f64::from(row[column]))).sum::<f64>() / count
    };
    let means: Vec<f64> = (0..columns).map(|column| mean(column, &|value| value)).collect();
    let mut variances: Vec<f64> =
        (0..columns).map(|column| mean(column, &|value| (value - means[column]).powi(2))).collect();
    let least = LEAST_VARIANCE * variances.iter().sum::<f64>() / columns as f64;
    // A data set of equal clips has no variance at all.
    variances.iter_mut().for_each(|variance| *variance = variance.max(least).max(1e-12));
    (means, variances)
}

/// Returns the weights `[columns, classes]` and the bias that minimise the loss.
fn descend(values: TensorData, targets: TensorData) -> Result<[Vec<f32>; 2]> {
    let device = Device::flex();
    let (values, targets) =
        (Tensor::<2>::from_data(values, &device), Tensor::<2>::from_data(targets, &device));
    let ([clips, columns], [_, classes]) = (values.dims(), targets.dims());
    let transposed = values.clone().transpose();
    let mut weight = Adam::new([columns, classes], &device);
    let mut bias = Adam::new([1, classes], &device);
    for step in 1..=STEPS {
        let logits = values.clone().matmul(weight.value.clone()) + bias.value.clone();
        let errors = (softmax(logits, 1) - targets.clone()) / clips as f32;
        let slope = transposed.clone().matmul(errors.clone()) + weight.value.clone() * PENALTY;
        weight.step(slope, step);
        bias.step(errors.sum_dim(0), step);
    }
    let share = SHARE / (clips as f32).sqrt();
    Ok([to_host(weight.value * share)?, to_host(bias.value * share)?])
}

/// A parameter with the moments of its gradients.
struct Adam {
    value: Tensor<2>,
    first: Tensor<2>,
    second: Tensor<2>,
}

impl Adam {
    fn new(shape: [usize; 2], device: &Device) -> Adam {
        let [value, first, second] = [(); 3].map(|()| Tensor::zeros(shape, device));
        Adam { value, first, second }
    }

    /// Updates the parameter in step `step`, counted from 1.
    fn step(&mut self, gradient: Tensor<2>, step: i32) {
        let done = (step - 1) as f32 / STEPS as f32;
        let rate = RATE * 0.5 * (1.0 + (std::f32::consts::PI * done).cos());
        self.first = self.first.clone() * 0.9 + gradient.clone() * 0.1;
        self.second = self.second.clone() * 0.999 + gradient.clone() * gradient * 0.001;
        let first = self.first.clone() / (1.0 - 0.9f32.powi(step));
        let second = self.second.clone() / (1.0 - 0.999f32.powi(step));
        self.value = self.value.clone() - first / (second.sqrt() + 1e-8) * rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::burn::tensor::Device;
    use model::config::{Architecture, NetworkConfig};
    use model::dataset::Clip;
    use model::init::initial_weights;
    use model::network::Network;

    /// Clips of two classes: steady tones, and tones that come and go. Their levels do not differ.
    fn dataset(clips: usize) -> Dataset {
        let dir = tempfile::tempdir().unwrap();
        let clips: Vec<Clip> =
            (0..clips).map(|clip| Clip { path: format!("{clip}.npy"), label: clip % 2 }).collect();
        for (number, clip) in clips.iter().enumerate() {
            let width = 20 + number;
            let swing = if clip.label == 0 { 0.5 } else { 6.0 };
            let values: Vec<f32> = (0..3 * width)
                .map(|at| {
                    let noise = ((at * 7919 + number * 104_729) % 97) as f32 / 50.0;
                    noise - 40.0 + if at / 4 % 2 == 0 { swing } else { -swing }
                })
                .collect();
            kit::npy::write(dir.path().join(&clip.path), &[3, width], &values).unwrap();
        }
        Dataset::read(dir.path(), vec!["steady".to_owned(), "pulsing".to_owned()], clips).unwrap()
    }

    #[test]
    fn variation_over_time_is_learnt() {
        let dataset = dataset(16);
        let config = NetworkConfig {
            model: Architecture::ResNet,
            input: [1, 3, 20],
            classes: 2,
            dropout: 0.0,
            statistics: true,
        };
        let mut weights = initial_weights(&config, 1).unwrap();
        // The logits of the network itself are 0.
        weights.insert("linear.weight", vec![128, 2], vec![0.0; 256]);
        weights.insert("linear.bias", vec![2], vec![0.0; 2]);
        fit(&dataset, &[0, 1, 2, 3], &mut weights).unwrap();
        let network = Network::new(&config, &weights, &Device::flex()).unwrap();
        let logits = network.logits(&dataset, &(4..16).collect::<Vec<_>>()).unwrap();
        for (pair, clip) in logits.chunks_exact(2).zip(&dataset.clips[4..]) {
            assert!(pair[clip.label] > pair[1 - clip.label] + 1.0, "{pair:?}");
        }
    }

    #[test]
    fn equal_clips_give_finite_weights() {
        let dir = tempfile::tempdir().unwrap();
        let clips: Vec<Clip> =
            (0..2).map(|label| Clip { path: format!("{label}.npy"), label }).collect();
        for clip in &clips {
            kit::npy::write(dir.path().join(&clip.path), &[2, 3], &[-80.0; 6]).unwrap();
        }
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let dataset = Dataset::read(dir.path(), labels, clips).unwrap();
        let mut weights = Weights::default();
        fit(&dataset, &[0, 1], &mut weights).unwrap();
        let weight = &weights.get("statistics.linear.weight").unwrap().values;
        assert!(weight.iter().all(|value| *value == 0.0), "{weight:?}");
    }
}
