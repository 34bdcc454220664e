//! The `train` stage: trains a network on spectrograms and writes it with its learning curves.
//!
//! Outs are written only after training ends, so a failed run never leaves outs that do not match.

mod augment;
mod length;
mod params;
mod report;
mod resume;
mod schedule;
mod statistics;
mod trainer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use model::checkpoint::{KeptEpoch, Manifest};
use model::config::NetworkConfig;
use model::dataset::Dataset;
use model::init::initial_weights;
use model::split::{self, Part};

use crate::augment::Augment;
use crate::length::Length;
use crate::params::TrainParams;
use crate::report::Curves;
use crate::resume::{Progress, ResumeFile};
use crate::trainer::{Trainer, steps_per_epoch};

// Training allocates the same large buffers in each step; mimalloc keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train the network on spectrograms; keep the best and the last checkpoint.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of class folders of `.npy` spectrograms.
    #[arg(long, value_name = "DIR", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Output folder for genre.mpk, last.mpk, genre.json and split.csv.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// Output folder for train.json and curves.csv.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// Seconds between saves of the training state, from which an interrupted run resumes.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    keep_every: u64,
    /// Override a param of the pipeline, as in `train.epochs=3`.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    model::threads::init()?;
    let given = kit::Params::load(&args.params)?;
    let seed = given.seed()?;
    let params: TrainParams = given.section("train")?;
    given.reject_unread_overrides()?;
    params.check()?;
    let device = params.device.open("train")?;
    let events = kit::Events::open()?;

    let dataset = Dataset::load(&args.spectrograms)?;
    let parts = split::assign(&dataset.clips, &dataset.labels, &params.split(), seed)?;
    let (train, validation) =
        (split::indices(&parts, Part::Train), split::indices(&parts, Part::Validation));
    ensure!(
        train.len() >= 2,
        "training needs at least 2 clips: add clips to `{}`",
        args.spectrograms.display()
    );
    warn_of_single_clip_classes(&dataset);

    let classes = dataset.labels.len();
    let augment = Augment::new(&dataset, &params.augment, &train, seed)?;
    let (model, input, dropout) = (params.model, augment.input(), params.dropout);
    let config = NetworkConfig { model, input, classes, dropout, statistics: params.statistics };
    let mut manifest = Manifest::new(dataset.labels.clone(), config.clone())?;
    manifest
        .check_input(&dataset)
        .context("param `train.augment.crop`: only `train.model` = `resnet` can train on crops")?;
    let steps = steps_per_epoch(train.len(), params.batch_size);
    let length = Length::new(params.epochs, params.warmup_epochs, steps);
    let mut initial = initial_weights(&config, seed)?;
    if params.statistics {
        statistics::fit(&dataset, &train, &mut initial)?;
    }
    let mut trainer = Trainer::new(&augment, (&config, &initial), (&params, length), device, seed)?;
    kit::say!(
        "training on {} clips of {classes} classes for {} steps; {} other clips choose the epoch",
        train.len(),
        length.epochs * steps,
        validation.len()
    );

    let path = args.models.join("train.resume");
    let every = Duration::from_secs(args.keep_every);
    let mut resume_file = ResumeFile::new(path, every, &params, seed, (&dataset, &parts))?;
    let (mut curves, mut best) = match resume_file.load() {
        None => (Curves::default(), trainer.weights()?),
        Some(Progress { curves, best, state }) => {
            kit::say!("resuming after epoch {}", curves.len());
            curves.send_series(&events);
            trainer.resume(state)?;
            (curves, best)
        }
    };
    for epoch in curves.len() as u64 + 1..=length.epochs {
        let trained = trainer.epoch(epoch, &train, &events)?;
        let validated = trainer.validate(epoch, &validation)?;
        if curves.push(trained, validated) {
            best = trainer.weights()?;
        }
        curves.report_last(length.epochs, &events);
        if params.patience > 0 && curves.epochs_since_best() >= params.patience {
            kit::say!("stopping: no better epoch in the last {}", params.patience);
            break;
        }
        if resume_file.is_due() && epoch < length.epochs {
            let state = trainer.state()?;
            resume_file.save(Progress { curves: curves.clone(), best: best.clone(), state })?;
        }
    }

    let models = &args.models;
    best.write(models.join("genre.mpk"))?;
    trainer.weights()?.write(models.join("last.mpk"))?;
    manifest.epoch = Some(KeptEpoch { kept: curves.best_epoch(), of: curves.len() });
    manifest.write(models.join("genre.json"))?;
    split::write(models.join("split.csv"), &dataset.clips, &dataset.labels, &parts)?;
    curves.write(&args.metrics.join("curves.csv"))?;
    kit::files::write_json(args.metrics.join("train.json"), &curves.summary())?;
    resume_file.remove();
    kit::say!("kept epoch {} as `{}`", curves.best_epoch(), models.join("genre.mpk").display());
    kit::say!(
        "{:.1} % of the training time was spent waiting for batches",
        100.0 * trainer.waiting_share()
    );
    Ok(())
}

fn warn_of_single_clip_classes(dataset: &Dataset) {
    for (label, name) in dataset.labels.iter().enumerate() {
        if dataset.clips.iter().filter(|clip| clip.label == label).count() == 1 {
            kit::warn!(
                "class `{name}` has only one clip: it is used for training and not evaluated"
            );
        }
    }
}
