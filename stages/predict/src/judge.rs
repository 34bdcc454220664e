//! The model and what its inputs are made with: spectrograms in, shares of the genres out.
//!
//! Knows nothing about files or about how answers are shown.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use features::{Array, SpectrogramParams};
use onnx::classifier::Classifier;

/// The probability of each genre, in the order of the model's labels.
pub(crate) type Shares = Vec<f32>;

/// An exported model.
#[derive(Debug)]
pub(crate) struct Judge {
    classifier: Classifier,
    params: SpectrogramParams,
}

impl Judge {
    /// # Errors
    /// No such file; a file that is no model of this pipeline.
    pub(crate) fn read(path: &Path) -> Result<Judge> {
        let classifier = Classifier::read(path)?;
        let params = || -> Result<SpectrogramParams> {
            let section = classifier.metadata().spectrogram.clone();
            let params: SpectrogramParams = serde_json::from_value(section)
                .context("its property `spectrogram` is not usable")?;
            params.validate().context("its property `spectrogram`")?;
            Ok(params)
        };
        let params = params().with_context(|| format!("`{}`", path.display()))?;
        Ok(Judge { classifier, params })
    }

    /// What its spectrograms are made with.
    pub(crate) fn params(&self) -> &SpectrogramParams {
        &self.params
    }

    /// The genres.
    pub(crate) fn labels(&self) -> &[String] {
        &self.classifier.metadata().labels
    }

    /// The shares of each spectrogram. Neighbours of one shape run as one batch.
    ///
    /// # Errors
    /// A spectrogram of a shape that the model does not take; a failure of the runtime.
    pub(crate) fn shares(&self, spectrograms: &[Array]) -> Result<Vec<Shares>> {
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
                .context("its spectrogram does not fit: export the model again")?;
            all.extend(
                outputs.probabilities.chunks_exact(self.labels().len()).map(<[f32]>::to_vec),
            );
        }
        Ok(all)
    }
}

/// The mean of the shares of a clip's parts; none of none.
pub(crate) fn mean<'a>(parts: impl IntoIterator<Item = &'a Shares>) -> Option<Shares> {
    let mut parts = parts.into_iter();
    let mut sums = parts.next()?.clone();
    let mut count = 1.0;
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, share)| *sum += share);
        count += 1.0;
    }
    sums.iter_mut().for_each(|sum| *sum /= count);
    Some(sums)
}

/// Genres and their shares, the likeliest first.
pub(crate) fn ranked<'a>(labels: &'a [String], shares: &Shares) -> Vec<(&'a str, f32)> {
    let mut genres: Vec<_> =
        labels.iter().map(String::as_str).zip(shares.iter().copied()).collect();
    genres.sort_by(|one, other| other.1.total_cmp(&one.1));
    genres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_all_parts_alike_and_the_likeliest_comes_first() {
        let shares = mean(&[vec![0.2, 0.8], vec![0.7, 0.3], vec![0.3, 0.7]]).unwrap();
        assert!((shares[0] - 0.4).abs() < 1e-6 && (shares[1] - 0.6).abs() < 1e-6, "{shares:?}");
        let labels = ["a".to_owned(), "b".to_owned()];
        assert_eq!(ranked(&labels, &shares)[0].0, "b");
        assert_eq!(ranked(&labels, &vec![0.5, 0.5])[0].0, "a", "equals stay in order");
        assert_eq!(mean(&[]), None);
    }
}
