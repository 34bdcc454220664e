//! Many files at once, on all processors; answers come in the order of the files.
//!
//! Knows nothing about how answers are shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, mpsc};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use features::{Array, Extractor};

use crate::answers::Answer;
use crate::inputs::{Fault, Input};
use crate::judge::{Judge, Shares, mean};
use crate::segments::{Span, segments};

/// The sound that is judged at once, in seconds: what bounds memory.
const BATCH: f64 = 160.0;
/// A file of no more than these seconds is judged as a whole.
pub(crate) const WHOLE: f64 = 600.0;

/// What of a file is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Extent {
    /// Its first seconds, as the model's params have it.
    Beginning,
    /// All of it; the mean of parts of [`WHOLE`], if it is longer.
    Whole,
    /// Each segment of so many seconds, and their mean.
    Segments(f64),
}

/// Who judges, and what.
#[derive(Debug)]
pub(crate) struct Crew<'a> {
    pub(crate) judge: &'a Judge,
    pub(crate) extent: Extent,
}

impl Crew<'_> {
    /// Judges each file. `tell` gets an answer, or why there is none, when it has got those of the files before.
    ///
    /// # Errors
    /// What `tell` fails with.
    pub(crate) fn judge_all(
        &self,
        inputs: Vec<Result<Input, Fault>>,
        mut tell: impl FnMut(Result<Answer, Fault>) -> Result<()>,
    ) -> Result<()> {
        let count = inputs.len();
        let hands = thread::available_parallelism().map_or(1, |hands| hands.get()).min(count);
        let extractors =
            (0..hands).map(|_| Extractor::new(self.judge.params())).collect::<Result<Vec<_>>>()?;
        let inputs = Mutex::new(inputs.into_iter().enumerate());
        let next = || inputs.lock().unwrap_or_else(|poison| poison.into_inner()).next();
        let (done, outcomes) = mpsc::channel();
        thread::scope(|scope| {
            for mut extractor in extractors {
                let done = done.clone();
                scope.spawn(move || {
                    while let Some((index, input)) = next() {
                        let outcome = input.and_then(|input| self.judge_one(input, &mut extractor));
                        if done.send((index, outcome)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(done);
            let mut early = BTreeMap::new();
            let mut turn = 0;
            for (index, outcome) in outcomes {
                early.insert(index, outcome);
                while let Some(outcome) = early.remove(&turn) {
                    tell(outcome)?;
                    turn += 1;
                }
            }
            Ok(())
        })
    }

    fn judge_one(&self, input: Input, extractor: &mut Extractor) -> Result<Answer, Fault> {
        let outcome = match self.extent {
            Extent::Beginning => {
                self.beginning(&input, extractor).map(|shares| (shares, Vec::new()))
            }
            Extent::Whole => {
                self.parts(&input, extractor, WHOLE).map(|(shares, _)| (shares, Vec::new()))
            }
            Extent::Segments(seconds) => self.parts(&input, extractor, seconds),
        };
        match outcome {
            Ok((shares, timeline)) => {
                Ok(Answer { path: input.path, label: input.label, shares, timeline })
            }
            Err(error) => Err(Fault { path: input.path, error }),
        }
    }

    fn beginning(&self, input: &Input, extractor: &mut Extractor) -> Result<Shares> {
        let spectrogram = extractor.file(input.file())?;
        self.judge.shares(&[spectrogram])?.pop().context("BUG: no answer to a clip")
    }

    /// The mean, and what each part is.
    fn parts(
        &self,
        input: &Input,
        extractor: &mut Extractor,
        seconds: f64,
    ) -> Result<(Shares, Vec<(Span, Shares)>)> {
        let at_once = (BATCH / seconds).max(1.0) as usize;
        let mut waiting: Vec<Array> = Vec::new();
        let mut shares = Vec::new();
        let rate = self.judge.params().sample_rate;
        let spans = segments(input.file(), rate, seconds, |samples| {
            waiting.push(extractor.samples(samples)?);
            if waiting.len() == at_once {
                shares.extend(self.judge.shares(&waiting)?);
                waiting.clear();
            }
            Ok(())
        })?;
        shares.extend(self.judge.shares(&waiting)?);
        let whole = mean(&shares).ok_or_else(|| anyhow!("it holds no audio"))?;
        Ok((whole, spans.into_iter().zip(shares).collect()))
    }
}
