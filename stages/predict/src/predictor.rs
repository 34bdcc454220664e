//! The exported model with its feature params: maps spectrograms to probabilities of the genres.
//!
//! Does not know about audio files or how predictions are shown.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use features::{Array, SpectrogramParams};
use onnx::classifier::Classifier;

/// Probability of each genre, in the order of the model's labels.
pub(crate) type Probabilities = Vec<f32>;

/// An exported model.
#[derive(Debug)]
pub(crate) struct Predictor {
    classifier: Classifier,
    params: SpectrogramParams,
}

impl Predictor {
    /// Reads an exported model.
    ///
    /// # Errors
    /// If the file does not exist, or is not a model of this pipeline.
    pub(crate) fn read(path: &Path) -> Result<Predictor> {
        let classifier = Classifier::read(path)?;
        let params = || -> Result<SpectrogramParams> {
            let section = classifier.metadata().spectrogram.clone();
            let params: SpectrogramParams = serde_json::from_value(section)
                .context("its property `spectrogram` is not usable")?;
            params.validate().context("its property `spectrogram`")?;
            Ok(params)
        };
        let params = params().with_context(|| format!("`{}`", path.display()))?;
        Ok(Predictor { classifier, params })
    }

    /// Returns the params of the spectrograms.
    pub(crate) fn params(&self) -> &SpectrogramParams {
        &self.params
    }

    /// Returns the genres.
    pub(crate) fn labels(&self) -> &[String] {
        &self.classifier.metadata().labels
    }

    /// Classifies each spectrogram. Adjacent ones of the same shape run as one batch.
    ///
    /// # Errors
    /// If the model does not accept the shape of a spectrogram, or the runtime fails.
    pub(crate) fn probabilities(&self, spectrograms: &[Array]) -> Result<Vec<Probabilities>> {
        let mut all = Vec::with_capacity(spectrograms.len());
        for batch in spectrograms.chunk_by(|one, other| one.shape == other.shape) {
            let [height, width] = batch[0].shape[..] else {
                bail!("its spectrogram has the shape {:?}, not [height, width]", batch[0].shape);
            };
            let values: Vec<f32> = batch.iter().flat_map(|array| &array.data).copied().collect();
            ensure!(!values.is_empty(), "its spectrogram is empty");
            let shape = [batch.len(), 1, height, width];
            let outputs = self
                .classifier
                .run(shape, values)
                .context("its spectrogram does not match the model: export the model again")?;
            all.extend(
                outputs.probabilities.chunks_exact(self.labels().len()).map(<[f32]>::to_vec),
            );
        }
        Ok(all)
    }
}

/// Returns the mean over the parts of a file; `None` without parts.
pub(crate) fn mean<'a>(
    parts: impl IntoIterator<Item = &'a Probabilities>,
) -> Option<Probabilities> {
    let mut parts = parts.into_iter();
    let mut sums = parts.next()?.clone();
    let mut count = 1.0;
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, probability)| *sum += probability);
        count += 1.0;
    }
    sums.iter_mut().for_each(|sum| *sum /= count);
    Some(sums)
}

/// Returns genres with their probabilities, most likely first.
pub(crate) fn ranked<'a>(
    labels: &'a [String],
    probabilities: &Probabilities,
) -> Vec<(&'a str, f32)> {
    let mut genres: Vec<_> =
        labels.iter().map(String::as_str).zip(probabilities.iter().copied()).collect();
    genres.sort_by(|one, other| other.1.total_cmp(&one.1));
    genres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_ranking() {
        let probabilities = mean(&[vec![0.2, 0.8], vec![0.7, 0.3], vec![0.3, 0.7]]).unwrap();
        assert!(
            (probabilities[0] - 0.4).abs() < 1e-6 && (probabilities[1] - 0.6).abs() < 1e-6,
            "{probabilities:?}"
        );
        let labels = ["a".to_owned(), "b".to_owned()];
        assert_eq!(ranked(&labels, &probabilities)[0].0, "b");
        assert_eq!(ranked(&labels, &vec![0.5, 0.5])[0].0, "a", "ties keep the order of labels");
        assert_eq!(mean(&[]), None);
    }
}
