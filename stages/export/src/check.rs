//! Checks that a model file gives the same results as the network that it was made from.

use anyhow::{Result, ensure};
use features::{Extractor, SpectrogramParams};
use model::dataset::Dataset;
use model::metrics::probabilities;
use model::network::Network;
use model::random::{Purpose, Random};
use onnx::classifier::Classifier;
use onnx::names::LOGITS;

use crate::frontend::WAVEFORM;

/// Maximum difference of a result. The two runtimes differ only in the order of additions.
const TOLERANCE: f64 = 1e-4;
/// As [`TOLERANCE`], for the model with the features: its slow transform rounds differently.
const WAVEFORM_TOLERANCE: f64 = 1e-3;
/// Length of the synthetic sound if the params do not fix one.
const SOUND_SECONDS: f32 = 3.0;
/// Number of clips per batch.
const BATCH: usize = 32;

/// Returns the largest difference between the logits and probabilities of the network and the file.
///
/// # Errors
/// If a difference is above 1e-4, or a result is NaN, or the runtime fails.
pub(crate) fn compare(
    network: &Network,
    classifier: &Classifier,
    dataset: &Dataset,
) -> Result<f64> {
    let all: Vec<usize> = (0..dataset.clips.len()).collect();
    let expected = network.logits(dataset, &all)?;
    let classes = network.config().classes;
    let mut largest = 0.0;
    let mut rest = &expected[..];
    for batch in dataset.batches(&all, BATCH) {
        let expected = rest.split_off(..batch.len() * classes).unwrap_or_default();
        let [channels, height] = dataset.rows;
        let values = batch.iter().flat_map(|index| dataset.image(*index)).copied().collect();
        let found =
            classifier.run([batch.len(), channels, height, dataset.width(batch[0])], values)?;
        let pairs = found
            .logits
            .iter()
            .zip(expected)
            .map(|(found, expected)| (*found, f64::from(*expected)));
        let expected = expected.chunks(classes).flat_map(probabilities);
        for (found, expected) in pairs.chain(found.probabilities.iter().copied().zip(expected)) {
            largest = worse(largest, (f64::from(found) - expected).abs());
        }
    }
    ensure!(
        largest <= TOLERANCE,
        "the ONNX model differs from the network by {largest:.1e}, more than {TOLERANCE:.0e}; \
         nothing was written: train again with a lower `train.learning_rate`, or report a bug in \
         the export"
    );
    Ok(largest)
}

/// Compares a file that takes waveforms with the network on our own features, for a synthetic
/// sound, a short piece of it and silence.
///
/// Returns the largest difference of their logits.
///
/// # Errors
/// If a difference is above 1e-3, or a result is NaN, or the runtime fails.
pub(crate) fn compare_waveform(
    network: &Network,
    file: &[u8],
    params: &SpectrogramParams,
) -> Result<f64> {
    let sound = sound(params);
    let silence = vec![0.0; sound.len()];
    let piece = sound[..params.n_fft / 3].to_vec();
    let mut extractor = Extractor::new(params)?;
    let mut largest = 0.0;
    for sound in [sound, piece, silence] {
        let shape = [1, sound.len()];
        let found = onnx::once::run(file.to_vec(), WAVEFORM, &shape, sound.clone(), LOGITS)?;
        let array = extractor.samples(sound)?;
        let shape = [1, 1, array.shape[0], array.shape[1]];
        let expected = network.forward(array.data, shape)?;
        for (found, expected) in found.iter().zip(&expected) {
            largest = worse(largest, f64::from((found - expected).abs()));
        }
    }
    ensure!(
        largest <= WAVEFORM_TOLERANCE,
        "the ONNX model that takes waveforms differs from the network by {largest:.1e}, more than \
         {WAVEFORM_TOLERANCE:.0e}; nothing was written: train again with a lower \
         `train.learning_rate`, or report a bug in the export"
    );
    Ok(largest)
}

/// Synthesizes decaying tones over noise, which excite every filter, of the length that the params
/// require.
fn sound(params: &SpectrogramParams) -> Vec<f32> {
    let rate = params.sample_rate as f32;
    let count = params.samples().unwrap_or((SOUND_SECONDS * rate) as usize).max(params.shortest());
    let mut random = Random::new(0, Purpose::Order(0));
    let mut noise = move || random.unit() - 0.5;
    let mut sample = |n: usize| {
        let beat = n as f32 / rate % 0.5;
        let tone = |hertz: f32| (std::f32::consts::TAU * hertz * beat).sin();
        (-6.0 * beat).exp() * (0.3 * tone(220.0) + 0.15 * tone(660.0) + 0.1 * tone(1760.0))
            + 0.05 * noise()
    };
    (0..count).map(&mut sample).collect()
}

/// Returns the larger difference; NaN is larger than any number.
fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph;
    use features::params::{Kind, MelNorm, MelScale, Normalise, Padding, Scale};
    use model::burn::tensor::{Device, Tensor, TensorData};
    use model::config::{Architecture, NetworkConfig};
    use model::dataset::Clip;
    use model::init::initial_weights;
    use model::trainable::Trainable;
    use model::weights::Weights;
    use onnx::metadata::Metadata;

    /// Returns a network after a few batches, with running statistics unlike the initial ones.
    fn trained(model: Architecture, input: [usize; 3], classes: usize) -> Network {
        let statistics = model == Architecture::ResNet;
        let config = NetworkConfig { model, input, classes, dropout: 0.5, statistics };
        let device = Device::flex().autodiff();
        let mut network =
            Trainable::new(&config, &initial_weights(&config, 3).unwrap(), &device).unwrap();
        let mut random = Random::new(5, Purpose::Dropout(0));
        for _ in 0..3 {
            let [channels, height, width] = input;
            let values =
                (0..4 * channels * height * width).map(|_| random.unit() * 30.0 - 23.0).collect();
            let images = TensorData::new::<f32, _>(values, [4, channels, height, width]);
            let mask = network.dropout_mask(4, &mut random, &device);
            let _ = network.forward(Tensor::from_data(images, &device), mask);
        }
        let mut weights = network.weights().unwrap();
        if statistics {
            let count = weights.get("statistics.norm.bias").unwrap().values.len();
            weights.insert("statistics.norm.running_mean", vec![count], vec![6.0; count]);
            weights.insert("statistics.norm.running_var", vec![count], vec![50.0; count]);
        }
        Network::new(&config, &weights, &Device::flex()).unwrap()
    }

    fn file(config: &NetworkConfig, weights: &Weights) -> Vec<u8> {
        let labels = (0..config.classes).map(|label| format!("genre {label}")).collect();
        let metadata = Metadata { labels, spectrogram: serde_json::Value::Null };
        let graph = graph::build(config, weights).unwrap();
        graph.encode(&metadata.to_properties().unwrap())
    }

    fn dataset(shape: [usize; 3], count: usize) -> (tempfile::TempDir, Dataset) {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random::new(8, Purpose::Order(0));
        let clips: Vec<Clip> =
            (0..count).map(|index| Clip { path: format!("{index}.npy"), label: 0 }).collect();
        for clip in &clips {
            let values: Vec<f32> =
                (0..shape.iter().product()).map(|_| random.unit() * 30.0 - 23.0).collect();
            kit::npy::write(dir.path().join(&clip.path), &shape[1..], &values).unwrap();
        }
        let dataset = Dataset::read(dir.path(), vec!["a".to_owned()], clips).unwrap();
        (dir, dataset)
    }

    #[test]
    fn file_matches_network() {
        for (model, input, classes) in [
            (Architecture::Baseline, [1, 100, 100], 10),
            (Architecture::Baseline, [1, 12, 12], 2),
            (Architecture::Baseline, [1, 33, 50], 3),
            (Architecture::ResNet, [1, 64, 216], 10),
            (Architecture::ResNet, [1, 33, 1], 2),
        ] {
            let network = trained(model, input, classes);
            let (_dir, dataset) = dataset(input, 35);
            let classifier =
                Classifier::by_operators(file(network.config(), network.weights())).unwrap();
            classifier.check_input(input).unwrap();
            let difference = compare(&network, &classifier, &dataset).unwrap();
            assert!(difference < 1e-4, "{model:?} {input:?}: {difference:e}");
        }
    }

    #[test]
    fn compiled_file_matches_operators() {
        for (model, input, width) in [
            (Architecture::Baseline, [1, 100, 100], 100),
            (Architecture::Baseline, [1, 12, 12], 12),
            (Architecture::Baseline, [1, 33, 50], 50),
            (Architecture::ResNet, [1, 64, 128], 128),
            (Architecture::ResNet, [1, 64, 128], 1),
            (Architecture::ResNet, [1, 64, 128], 217),
            (Architecture::ResNet, [1, 33, 9], 31),
        ] {
            let network = trained(model, input, 5);
            let bytes = file(network.config(), network.weights());
            let compiled = Classifier::from_bytes(bytes.clone()).unwrap();
            assert!(compiled.is_compiled(), "{model:?} {input:?}");
            let operators = Classifier::by_operators(bytes).unwrap();
            let mut random = Random::new(2, Purpose::Order(0));
            let shape = [3, input[0], input[1], width];
            let values: Vec<f32> =
                (0..shape.iter().product()).map(|_| random.unit() * 30.0 - 23.0).collect();
            let [found, expected] =
                [&compiled, &operators].map(|file| file.run(shape, values.clone()).unwrap());
            // Both run the same kernels on the same plan.
            assert_eq!(found.logits, network.forward(values.clone(), shape).unwrap());
            let logits = found.logits.iter().zip(&expected.logits);
            let probabilities = found.probabilities.iter().zip(&expected.probabilities);
            for (found, expected) in logits.chain(probabilities) {
                let tolerance = 1e-5 * expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() <= tolerance,
                    "{model:?} {shape:?}: {found} is not {expected}"
                );
            }
        }
    }

    #[test]
    fn waveform_model_matches_features() {
        let mel = SpectrogramParams {
            kind: Kind::LogMel,
            n_mels: 40,
            seconds: 1.0,
            ..SpectrogramParams::default()
        };
        let power = SpectrogramParams { seconds: 1.0, size: 20, ..SpectrogramParams::default() };
        for params in [
            power.clone(),
            SpectrogramParams {
                resize: false,
                n_fft: 128,
                hop_length: 128,
                padding: Padding::None,
                ..power.clone()
            },
            SpectrogramParams { seconds: 0.0, padding: Padding::Zeros, ..mel.clone() },
            SpectrogramParams {
                power: 1,
                mel_scale: MelScale::Htk,
                mel_norm: MelNorm::None,
                ..mel.clone()
            },
            SpectrogramParams { scale: Scale::Log1p, top_db: 0.0, ..mel.clone() },
            SpectrogramParams { scale: Scale::Log, normalise: Normalise::Clip, ..mel.clone() },
            SpectrogramParams { scale: Scale::Log1p, normalise: Normalise::Clip, ..mel.clone() },
            SpectrogramParams { normalise: Normalise::Clip, ..mel.clone() },
            SpectrogramParams { power: 1, normalise: Normalise::Clip, seconds: 0.0, ..mel.clone() },
        ] {
            let columns = params.columns().unwrap_or(params.frames(3 * 22_050));
            let network = trained(Architecture::ResNet, [1, params.rows(), columns], 5);
            let graph =
                graph::build_with_frontend(network.config(), network.weights(), &params).unwrap();
            let bytes = graph.encode(&std::collections::BTreeMap::new());
            let difference = compare_waveform(&network, &bytes, &params).unwrap();
            assert!(difference < 1e-3, "{params:?}: {difference:e}");
        }
        let network = trained(Architecture::ResNet, [1, 40, 44], 5);
        let graph = graph::build_with_frontend(network.config(), network.weights(), &mel).unwrap();
        let bytes = graph.encode(&std::collections::BTreeMap::new());
        let other = SpectrogramParams { mel_scale: MelScale::Htk, ..mel };
        let error = compare_waveform(&network, &bytes, &other).unwrap_err().to_string();
        assert!(error.contains("that takes waveforms differs from the network by"), "{error}");
        let whole = SpectrogramParams { seconds: 0.0, ..power };
        let network = trained(Architecture::ResNet, [1, 20, 20], 5);
        let graph = graph::build_with_frontend(network.config(), network.weights(), &whole);
        assert!(graph.unwrap_err().to_string().contains("set `spectrogram.seconds`"));
    }

    #[test]
    fn other_weights_are_rejected() {
        let network = trained(Architecture::Baseline, [1, 12, 12], 2);
        let (_dir, dataset) = dataset([1, 12, 12], 3);
        let mut weights = network.weights().clone();
        let mut bias = weights.get("linear2.bias").unwrap().values.clone();
        bias[1] += 0.001;
        weights.insert("linear2.bias", vec![2], bias);
        let other = Classifier::by_operators(file(network.config(), &weights)).unwrap();
        let error = compare(&network, &other, &dataset).unwrap_err();
        assert!(error.to_string().contains("differs from the network by"), "{error}");
    }

    #[test]
    fn nan_is_worst() {
        assert!(worse(worse(0.5, f64::NAN), 1.0).is_nan());
        assert_eq!(worse(0.5, 0.25), 0.5);
    }
}
