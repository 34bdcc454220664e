//! The stage `train`: spectrograms in, a trained network and its curves out.
//!
//! Writes its outs when training is over, so that a run that fails leaves none that do not fit together.

mod augment;
mod params;
mod report;
mod resume;
mod schedule;
mod trainer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use model::checkpoint::Manifest;
use model::config::NetworkConfig;
use model::dataset::Dataset;
use model::split::{self, Part};

use crate::augment::Augment;
use crate::params::TrainParams;
use crate::report::Curves;
use crate::resume::{Keeper, Progress};
use crate::trainer::Trainer;

// Training allocates the same large buffers over and over; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train the network on the spectrograms; keep the best and the last checkpoint.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of class folders of `.npy` spectrograms.
    #[arg(long, value_name = "DIR", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Where genre.mpk, last.mpk, genre.json and split.csv go.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// Where train.json and curves.csv go.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// Seconds after which what has been learnt is kept, so that a training that is broken off can go on.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    keep_every: u64,
    /// A param in place of the pipeline's, as in `train.epochs=3`.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    model::threads::share()?;
    let given = kit::Params::load(&args.params)?;
    let seed = given.seed()?;
    let params: TrainParams = given.section("train")?;
    given.reject_unread_overrides()?;
    params.check()?;
    let device = params.device.open("train")?;
    let events = kit::Events::open()?;

    let dataset = Dataset::load(&args.spectrograms)?;
    let parts = split::assign(&dataset.clips, &dataset.labels, &params.split(), seed)?;
    let (train, held_out) =
        (split::indices(&parts, Part::Train), split::indices(&parts, Part::Validation));
    ensure!(
        train.len() >= 2,
        "one clip is too few to train with: add some below `{}`",
        args.spectrograms.display()
    );
    warn_of_lonely_classes(&dataset);

    let classes = dataset.labels.len();
    let augment = Augment::new(&dataset, &params.augment, &train, seed)?;
    let (model, input, dropout) = (params.model, augment.input(), params.dropout);
    let config = NetworkConfig { model, input, classes, dropout };
    let manifest = Manifest::new(dataset.labels.clone(), config.clone())?;
    manifest.check_input(&dataset).context(
        "param `train.augment.crop`: only `train.model` = `resnet` learns from cuts of a clip",
    )?;
    let mut trainer = Trainer::new(&augment, &config, &params, device, seed)?;
    kit::say!(
        "training on {} clips of {classes} classes, {} held out",
        train.len(),
        held_out.len()
    );

    let path = args.models.join("train.resume");
    let every = Duration::from_secs(args.keep_every);
    let mut keeper = Keeper::new(path, every, &params, seed, (&dataset, &parts))?;
    let (mut curves, mut best) = match keeper.load() {
        None => (Curves::default(), trainer.weights()?),
        Some(Progress { curves, best, learnt }) => {
            kit::say!("going on after epoch {}", curves.len());
            curves.tell_series(&events);
            trainer.resume(learnt)?;
            (curves, best)
        }
    };
    for epoch in curves.len() as u64 + 1..=params.epochs {
        let trained = trainer.epoch(epoch, &train, &events)?;
        let validated = trainer.validate(epoch, &held_out)?;
        if curves.push(trained, validated) {
            best = trainer.weights()?;
        }
        curves.tell_last(params.epochs, &events);
        if params.patience > 0 && curves.epochs_since_best() >= params.patience {
            kit::say!("no better epoch in {}: training stops", params.patience);
            break;
        }
        if keeper.is_due() && epoch < params.epochs {
            let learnt = trainer.learnt()?;
            keeper.keep(Progress { curves: curves.clone(), best: best.clone(), learnt })?;
        }
    }

    let models = &args.models;
    best.write(models.join("genre.mpk"))?;
    trainer.weights()?.write(models.join("last.mpk"))?;
    manifest.write(models.join("genre.json"))?;
    split::write(models.join("split.csv"), &dataset.clips, &dataset.labels, &parts)?;
    curves.write(&args.metrics.join("curves.csv"))?;
    kit::files::write_json(args.metrics.join("train.json"), &curves.summary())?;
    keeper.forget();
    kit::say!("kept epoch {} as `{}`", curves.best_epoch(), models.join("genre.mpk").display());
    kit::say!("{:.1} % of the training went by waiting for batches", 100.0 * trainer.waiting());
    Ok(())
}

fn warn_of_lonely_classes(dataset: &Dataset) {
    for (label, name) in dataset.labels.iter().enumerate() {
        if dataset.clips.iter().filter(|clip| clip.label == label).count() == 1 {
            kit::warn!("class `{name}` has one clip: it trains with it and is not measured");
        }
    }
}
