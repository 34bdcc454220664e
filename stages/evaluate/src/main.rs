//! Stage `evaluate`: measures the model on the held-out clips.

mod calibration;
mod figures;
mod params;
mod plot;
mod predictions;
mod scores;
mod svg;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Parser;
use kit::{Events, files};
use model::burn::tensor::Device;
use model::checkpoint;
use model::dataset::{Clip, Dataset};
use model::metrics::{ClassScores, Confusion};
use model::split;
use serde::Serialize;

use crate::calibration::Bin;
use crate::params::EvaluateParams;
use crate::predictions::Prediction;
use crate::scores::{Interval, Scores};

// Every batch allocates the same large buffers; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Evaluate the model on the held-out clips.
#[derive(Debug, Parser)]
struct Args {
    /// Folder with one folder of `.npy` spectrograms per class.
    #[arg(long, value_name = "DIR", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Folder with genre.mpk, genre.json and split.csv.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// Folder with the preview images of the clips, for the gallery.
    #[arg(long, value_name = "DIR", default_value = "data/previews")]
    previews: PathBuf,
    /// Learning curves written by `train`.
    #[arg(long, value_name = "FILE", default_value = "metrics/curves.csv")]
    curves: PathBuf,
    /// Output folder for evaluate.json, tables and figures.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// Override a param, as in `evaluate.resamples=5000`.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// Contents of `evaluate.json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    scores: Scores<f64>,
    loss: f64,
    /// Expected calibration error.
    ece: f64,
    clips: usize,
    /// 95 % bootstrap interval of each score.
    interval: Scores<Interval>,
    per_class: BTreeMap<&'a str, ClassScores>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    model::threads::init()?;
    let given = kit::Params::load(&args.params)?;
    let (seed, params): (u64, EvaluateParams) = (given.seed()?, given.section("evaluate")?);
    given.reject_unread_overrides()?;
    params.check()?;
    let (dataset, logits) = measure(args, &params.device.open("evaluate")?)?;
    let labels = &dataset.labels;
    let predictions = predictions::predictions(&dataset.clips, &logits, labels.len());
    let all: Vec<&Prediction<'_>> = predictions.iter().collect();
    let scores = scores::scores(labels.len(), &all);
    let interval = scores::intervals(labels.len(), &all, params.resamples, seed);
    let confusion = predictions::confusion(labels.len(), &predictions);
    let confidences =
        predictions.iter().map(|prediction| (prediction.confidence(), prediction.is_correct()));
    let bins = calibration::bins(confidences, params.bins);

    let report = Report {
        scores,
        loss: predictions.iter().map(|prediction| prediction.loss).sum::<f64>()
            / predictions.len() as f64,
        ece: calibration::expected_error(&bins),
        clips: predictions.len(),
        interval,
        per_class: labels.iter().map(String::as_str).zip(confusion.per_class()).collect(),
    };
    files::write_json(args.metrics.join("evaluate.json"), &report)?;
    write_tables(args, labels, &predictions, &confusion, &bins)?;
    draw_figures(args, labels, &predictions, &confusion, &bins, params.gallery)?;
    let Interval { low, high } = interval.accuracy;
    kit::say!(
        "{} held-out clips: accuracy {:.3} ({low:.3} to {high:.3}), balanced {:.3}, \
         macro F1 {:.3}, top-3 {:.3}, calibration error {:.3}; see `{}`",
        predictions.len(),
        scores.accuracy,
        scores.balanced_accuracy,
        scores.macro_f1,
        scores.top3_accuracy,
        report.ece,
        args.metrics.join("confusion.svg").display()
    );
    Ok(())
}

/// Reads the held-out clips and computes the network's logits for them.
fn measure(args: &Args, device: &Device) -> Result<(Dataset, Vec<f32>)> {
    let models = &args.models;
    let (network, manifest) =
        checkpoint::load(models.join("genre.mpk"), models.join("genre.json"), device)?;
    let split = models.join("split.csv");
    let (clips, parts) = split::read(&split, &manifest.labels)?;
    let clips: Vec<Clip> =
        split::measured(&parts).into_iter().map(|index| clips[index].clone()).collect();
    ensure!(
        !clips.is_empty(),
        "`{}` has no held-out clips to evaluate: raise `train.val_size`",
        split.display()
    );
    let dataset = Dataset::read(&args.spectrograms, manifest.labels.clone(), clips)?;
    manifest.check_input(&dataset)?;
    let all: Vec<usize> = (0..dataset.clips.len()).collect();
    let logits = network.logits(&dataset, &all)?;
    Ok((dataset, logits))
}

fn write_tables(
    args: &Args,
    labels: &[String],
    predictions: &[Prediction<'_>],
    confusion: &Confusion,
    bins: &[Bin],
) -> Result<()> {
    let at = |name: &str| args.metrics.join(name);
    tables::predictions(&at("predictions.csv"), labels, predictions)?;
    tables::mistakes(&at("mistakes.csv"), labels, predictions)?;
    tables::per_class(&at("per_class.csv"), labels, confusion)?;
    tables::calibration(&at("calibration.csv"), bins)?;
    tables::confusion_json(&at("confusion.json"), labels, confusion)?;
    tables::confusion_csv(&at("confusion.csv"), labels, confusion)
}

fn draw_figures(
    args: &Args,
    labels: &[String],
    predictions: &[Prediction<'_>],
    confusion: &Confusion,
    bins: &[Bin],
    gallery: usize,
) -> Result<()> {
    let curves = kit::csv::read(&args.curves)
        .and_then(|table| figures::curves::draw(&table))
        .with_context(|| format!("`{}`: `repro run train` makes it", args.curves.display()))?;
    let png = |clip: &str| {
        let path = args.previews.join(clip).with_extension("png");
        std::fs::read(path).ok().map(|bytes| BASE64_STANDARD.encode(bytes))
    };
    let events = Events::open()?;
    for (name, figure) in [
        ("curves.svg", curves),
        ("confusion.svg", figures::confusion::draw(labels, confusion)),
        ("reliability.svg", figures::reliability::draw(bins)),
        ("gallery.svg", figures::gallery::draw(labels, predictions, gallery, png)),
    ] {
        let path = args.metrics.join(name);
        files::write_atomic(&path, figure)?;
        events.artifact(&path);
    }
    Ok(())
}
