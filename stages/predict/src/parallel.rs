//! Classifies many files in parallel on all CPU cores; results are in the order of the files.

use std::collections::BTreeMap;
use std::sync::{Mutex, mpsc};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use features::{Array, Extractor};

use crate::inputs::{Input, InputError};
use crate::predictions::Prediction;
use crate::predictor::{Predictor, Probabilities, mean};
use crate::segments::{Span, segments};

/// Maximum length of sound per batch, in seconds. This bounds memory.
const BATCH: f64 = 160.0;
/// Files of up to this many seconds are classified as a whole.
pub(crate) const WHOLE: f64 = 600.0;

/// Part of a file to classify.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Extent {
    /// The first seconds, as set in the model's params.
    Beginning,
    /// The whole file; the mean over parts of [`WHOLE`] seconds if it is longer.
    Whole,
    /// Each segment of this many seconds, and their mean.
    Segments(f64),
}

/// Runs a predictor on many files.
#[derive(Debug)]
pub(crate) struct ParallelPredictor<'a> {
    pub(crate) predictor: &'a Predictor,
    pub(crate) extent: Extent,
}

/// The result for one file.
struct Found {
    /// The mean over its parts.
    probabilities: Probabilities,
    /// The result of each part.
    timeline: Vec<(Span, Probabilities)>,
    /// A doubt about the sound of the file.
    doubt: Option<String>,
}

impl ParallelPredictor<'_> {
    /// Classifies each file and passes the results to `report`, in the order of the files.
    ///
    /// # Errors
    /// If `report` fails.
    pub(crate) fn predict_all(
        &self,
        inputs: Vec<Result<Input, InputError>>,
        mut report: impl FnMut(Result<Prediction, InputError>) -> Result<()>,
    ) -> Result<()> {
        let count = inputs.len();
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get()).min(count);
        let extractors = (0..threads)
            .map(|_| Extractor::new(self.predictor.params()))
            .collect::<Result<Vec<_>>>()?;
        let inputs = Mutex::new(inputs.into_iter().enumerate());
        let next = || inputs.lock().unwrap_or_else(|poison| poison.into_inner()).next();
        let (done, outcomes) = mpsc::channel();
        thread::scope(|scope| {
            for mut extractor in extractors {
                let done = done.clone();
                scope.spawn(move || {
                    while let Some((index, input)) = next() {
                        let outcome =
                            input.and_then(|input| self.predict_one(input, &mut extractor));
                        if done.send((index, outcome)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(done);
            let mut pending = BTreeMap::new();
            let mut next_index = 0;
            for (index, outcome) in outcomes {
                pending.insert(index, outcome);
                while let Some(outcome) = pending.remove(&next_index) {
                    report(outcome)?;
                    next_index += 1;
                }
            }
            Ok(())
        })
    }

    fn predict_one(
        &self,
        input: Input,
        extractor: &mut Extractor,
    ) -> Result<Prediction, InputError> {
        let outcome = match self.extent {
            Extent::Beginning => self.beginning(&input, extractor),
            Extent::Whole => self
                .parts(&input, extractor, WHOLE)
                .map(|found| Found { timeline: Vec::new(), ..found }),
            Extent::Segments(seconds) => self.parts(&input, extractor, seconds),
        };
        match outcome {
            Ok(Found { probabilities, timeline, doubt }) => {
                let Input { path, label, .. } = input;
                Ok(Prediction { path, label, probabilities, timeline, doubt })
            }
            Err(error) => Err(InputError { path: input.path, error }),
        }
    }

    fn beginning(&self, input: &Input, extractor: &mut Extractor) -> Result<Found> {
        let spectrogram = extractor.file(input.file())?;
        let doubt = extractor.outcome().and_then(|outcome| outcome.doubt());
        let probabilities = self.predictor.probabilities(&[spectrogram])?.pop();
        let probabilities = probabilities.context("BUG: no result for a clip")?;
        Ok(Found { probabilities, timeline: Vec::new(), doubt })
    }

    fn parts(&self, input: &Input, extractor: &mut Extractor, seconds: f64) -> Result<Found> {
        let at_once = (BATCH / seconds).max(1.0) as usize;
        let mut waiting: Vec<Array> = Vec::new();
        let mut probabilities = Vec::new();
        let rate = self.predictor.params().sample_rate;
        let (spans, doubt) = segments(input.file(), rate, seconds, |samples| {
            waiting.push(extractor.samples(samples)?);
            if waiting.len() == at_once {
                probabilities.extend(self.predictor.probabilities(&waiting)?);
                waiting.clear();
            }
            Ok(())
        })?;
        probabilities.extend(self.predictor.probabilities(&waiting)?);
        let whole = mean(&probabilities).ok_or_else(|| anyhow!("it contains no audio"))?;
        let timeline = spans.into_iter().zip(probabilities).collect();
        Ok(Found { probabilities: whole, timeline, doubt })
    }
}
