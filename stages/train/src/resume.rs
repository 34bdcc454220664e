//! The file from which an interrupted training resumes.
//!
//! `models/train.resume` is not an out: the engine neither caches nor removes it. It is written
//! after an epoch if the previous write is old enough, and removed when training ends. It is valid
//! only for the same program, params and clips, so a resumed training ends with the same bytes as
//! an uninterrupted one.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use model::dataset::Dataset;
use model::optimizer::State;
use model::split::Part;
use model::weights::Weights;
use serde::{Deserialize, Serialize};

use crate::params::TrainParams;
use crate::report::Curves;
use crate::trainer::TrainingState;

/// Saves and loads the training state at one path.
#[derive(Debug)]
pub(crate) struct ResumeFile {
    path: PathBuf,
    /// Hash of the program, params, seed, split and clips that the file is valid for.
    key: u64,
    every: Duration,
    written: Instant,
}

/// State of a training after some epochs.
#[derive(Debug)]
pub(crate) struct Progress {
    pub curves: Curves,
    pub best: Weights,
    pub state: TrainingState,
}

/// Content of the file, as MessagePack.
#[derive(Serialize, Deserialize)]
struct Stored {
    key: u64,
    curves: Curves,
    weights: serde_bytes::ByteBuf,
    average: Option<(serde_bytes::ByteBuf, u64)>,
    best: serde_bytes::ByteBuf,
    steps: i32,
    moments: serde_bytes::ByteBuf,
}

impl ResumeFile {
    /// Uses the file at `path` and writes it at most once per `every`.
    ///
    /// # Errors
    /// The program cannot read its own executable.
    pub(crate) fn new(
        path: PathBuf,
        every: Duration,
        params: &TrainParams,
        seed: u64,
        (dataset, parts): (&Dataset, &[Part]),
    ) -> Result<ResumeFile> {
        let program = std::env::current_exe()
            .and_then(fs::read)
            .context("cannot read the program's own executable")?;
        let mut hash = DefaultHasher::new();
        (program, seed, format!("{params:?}"), format!("{parts:?}"), &dataset.labels)
            .hash(&mut hash);
        for (index, clip) in dataset.clips.iter().enumerate() {
            (&clip.path, clip.label).hash(&mut hash);
            dataset.image(index).iter().for_each(|value| value.to_bits().hash(&mut hash));
        }
        Ok(ResumeFile { path, key: hash.finish(), every, written: Instant::now() })
    }

    /// Returns the progress of an interrupted run of the same training, if there is one.
    ///
    /// A damaged file is reported as a warning, and training starts over.
    pub(crate) fn load(&self) -> Option<Progress> {
        let bytes = fs::read(&self.path).ok()?;
        let progress = rmp_serde::from_slice::<Stored>(&bytes)
            .context("truncated")
            .and_then(|stored| (stored.key == self.key).then(|| stored.progress()).transpose());
        progress.unwrap_or_else(|error| {
            kit::warn!("`{}` is damaged ({error:#}): training starts over", self.path.display());
            None
        })
    }

    /// Reports whether the last write is old enough for another.
    pub(crate) fn is_due(&self) -> bool {
        self.written.elapsed() >= self.every
    }

    /// Writes the progress to the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&mut self, progress: Progress) -> Result<()> {
        let bytes = rmp_serde::to_vec_named(&Stored::new(self.key, progress)?)
            .context("cannot encode the progress")?;
        kit::files::write_atomic(&self.path, bytes)?;
        self.written = Instant::now();
        Ok(())
    }

    /// Removes the file at the end of training.
    pub(crate) fn remove(&self) {
        // A leftover file does no harm: an equal training would resume from it and end at once.
        let _ = fs::remove_file(&self.path);
    }
}

impl Stored {
    fn new(key: u64, progress: Progress) -> Result<Stored> {
        let Progress { curves, best, state: TrainingState { weights, average, optimizer } } =
            progress;
        let mut moments = Weights::default();
        for (at, pair) in optimizer.moments.into_iter().enumerate() {
            for (name, values) in ["first", "second"].iter().zip(pair) {
                moments.insert(&format!("{at}.{name}"), vec![values.len()], values);
            }
        }
        let bytes = |weights: &Weights| weights.to_bytes().map(serde_bytes::ByteBuf::from);
        let (weights, best, moments) = (bytes(&weights)?, bytes(&best)?, bytes(&moments)?);
        let average = average
            .map(|(average, steps)| Ok::<_, anyhow::Error>((bytes(&average)?, steps)))
            .transpose()?;
        Ok(Stored { key, curves, weights, average, best, steps: optimizer.steps, moments })
    }

    fn progress(self) -> Result<Progress> {
        let moments = Weights::from_bytes(&self.moments)?;
        let values =
            |at: usize, name: &str| Some(moments.get(&format!("{at}.{name}")).ok()?.values.clone());
        let pairs = (0..).map_while(|at| Some([values(at, "first")?, values(at, "second")?]));
        let optimizer = State { steps: self.steps, moments: pairs.collect() };
        ensure!(self.curves.best_epoch() <= self.curves.len(), "the best epoch is out of range");
        let average =
            self.average.map(|(bytes, steps)| Weights::from_bytes(&bytes).map(|it| (it, steps)));
        let state = TrainingState {
            weights: Weights::from_bytes(&self.weights)?,
            average: average.transpose()?,
            optimizer,
        };
        Ok(Progress { curves: self.curves, best: Weights::from_bytes(&self.best)?, state })
    }
}
