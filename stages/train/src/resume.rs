//! Training that was broken off goes on where it was: the file that keeps how far it had come.
//!
//! `models/train.resume` is no out: the engine neither keeps nor removes it. It is written after an epoch, when the
//! last one is old enough, and removed when training is over. What it holds counts only for the same program, params
//! and clips, so that a resumed training ends in the bytes that an unbroken one ends in.

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
use crate::trainer::Learnt;

/// Where and how often progress is kept, and what it counts for.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    key: u64,
    every: Duration,
    written: Instant,
}

/// How far training has come.
#[derive(Debug)]
pub(crate) struct Progress {
    pub curves: Curves,
    pub best: Weights,
    pub learnt: Learnt,
}

/// The file: MessagePack.
#[derive(Serialize, Deserialize)]
struct File {
    key: u64,
    curves: Curves,
    weights: serde_bytes::ByteBuf,
    average: Option<(serde_bytes::ByteBuf, u64)>,
    best: serde_bytes::ByteBuf,
    steps: i32,
    moments: serde_bytes::ByteBuf,
}

impl Keeper {
    /// For a file at `path`, written at most once in `every`.
    ///
    /// # Errors
    /// The program cannot read its own file.
    pub(crate) fn new(
        path: PathBuf,
        every: Duration,
        params: &TrainParams,
        seed: u64,
        (dataset, parts): (&Dataset, &[Part]),
    ) -> Result<Keeper> {
        let program = std::env::current_exe()
            .and_then(fs::read)
            .context("cannot read the program's own file")?;
        let mut hash = DefaultHasher::new();
        (program, seed, format!("{params:?}"), format!("{parts:?}"), &dataset.labels)
            .hash(&mut hash);
        for (index, clip) in dataset.clips.iter().enumerate() {
            (&clip.path, clip.label).hash(&mut hash);
            dataset.image(index).iter().for_each(|value| value.to_bits().hash(&mut hash));
        }
        Ok(Keeper { path, key: hash.finish(), every, written: Instant::now() })
    }

    /// What an earlier training had come to, if it was this one. A file that cannot be used is told of, and
    /// training begins anew.
    pub(crate) fn load(&self) -> Option<Progress> {
        let bytes = fs::read(&self.path).ok()?;
        let progress = rmp_serde::from_slice::<File>(&bytes)
            .context("cut short")
            .and_then(|file| (file.key == self.key).then(|| file.progress()).transpose());
        progress.unwrap_or_else(|error| {
            kit::warn!("`{}` is damaged ({error:#}): training begins anew", self.path.display());
            None
        })
    }

    /// Whether the last write is long enough ago for another.
    pub(crate) fn is_due(&self) -> bool {
        self.written.elapsed() >= self.every
    }

    /// Keeps the progress.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub(crate) fn keep(&mut self, progress: Progress) -> Result<()> {
        let bytes = rmp_serde::to_vec_named(&File::new(self.key, progress)?)
            .context("cannot encode progress")?;
        kit::files::write_atomic(&self.path, bytes)?;
        self.written = Instant::now();
        Ok(())
    }

    /// Removes the file: training is over.
    pub(crate) fn forget(&self) {
        // Where it stays, it counts for nothing worse than a training that is over at once.
        let _ = fs::remove_file(&self.path);
    }
}

impl File {
    fn new(key: u64, progress: Progress) -> Result<File> {
        let Progress { curves, best, learnt: Learnt { weights, average, optimizer } } = progress;
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
        Ok(File { key, curves, weights, average, best, steps: optimizer.steps, moments })
    }

    fn progress(self) -> Result<Progress> {
        let stored = Weights::from_bytes(&self.moments)?;
        let values =
            |at: usize, name: &str| Some(stored.get(&format!("{at}.{name}")).ok()?.values.clone());
        let pairs = (0..).map_while(|at| Some([values(at, "first")?, values(at, "second")?]));
        let optimizer = State { steps: self.steps, moments: pairs.collect() };
        ensure!(self.curves.best_epoch() <= self.curves.len(), "the best epoch is none of them");
        let average =
            self.average.map(|(bytes, steps)| Weights::from_bytes(&bytes).map(|it| (it, steps)));
        let learnt = Learnt {
            weights: Weights::from_bytes(&self.weights)?,
            average: average.transpose()?,
            optimizer,
        };
        Ok(Progress { curves: self.curves, best: Weights::from_bytes(&self.best)?, learnt })
    }
}
