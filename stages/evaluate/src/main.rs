//! The stage `evaluate`: how good the model is on the clips that training held out.

mod answers;
mod calibration;
mod params;
mod pictures;
mod plot;
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

use crate::answers::Answer;
use crate::calibration::Bin;
use crate::params::EvaluateParams;
use crate::scores::{Interval, Scores};

// Every batch allocates the same large buffers; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure the model on the clips that training held out.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of class folders of `.npy` spectrograms.
    #[arg(long, value_name = "DIR", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Where genre.mpk, genre.json and split.csv are.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// The folder of the clips' pictures, for the gallery.
    #[arg(long, value_name = "DIR", default_value = "data/previews")]
    previews: PathBuf,
    /// The learning curves: what `train` wrote.
    #[arg(long, value_name = "FILE", default_value = "metrics/curves.csv")]
    curves: PathBuf,
    /// Where evaluate.json, tables and pictures go.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// A param in place of the pipeline's, as in `evaluate.resamples=5000`.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// `evaluate.json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    scores: Scores<f64>,
    loss: f64,
    /// The expected calibration error.
    ece: f64,
    clips: usize,
    /// The middle 95 % of each score with clips drawn anew.
    interval: Scores<Interval>,
    per_class: BTreeMap<&'a str, ClassScores>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    model::threads::share()?;
    let given = kit::Params::load(&args.params)?;
    let (seed, params): (u64, EvaluateParams) = (given.seed()?, given.section("evaluate")?);
    given.reject_unread_overrides()?;
    params.check()?;
    let (dataset, logits) = measure(args, &params.device.open("evaluate")?)?;
    let labels = &dataset.labels;
    let answers = answers::answers(&dataset.clips, &logits, labels.len());
    let all: Vec<&Answer<'_>> = answers.iter().collect();
    let scores = scores::scores(labels.len(), &all);
    let interval = scores::intervals(labels.len(), &all, params.resamples, seed);
    let confusion = answers::confusion(labels.len(), &answers);
    let confidences = answers.iter().map(|answer| (answer.confidence(), answer.is_right()));
    let bins = calibration::bins(confidences, params.bins);

    let report = Report {
        scores,
        loss: answers.iter().map(|answer| answer.loss).sum::<f64>() / answers.len() as f64,
        ece: calibration::expected_error(&bins),
        clips: answers.len(),
        interval,
        per_class: labels.iter().map(String::as_str).zip(confusion.per_class()).collect(),
    };
    files::write_json(args.metrics.join("evaluate.json"), &report)?;
    write_tables(args, labels, &answers, &confusion, &bins)?;
    draw_pictures(args, labels, &answers, &confusion, &bins, params.gallery)?;
    let Interval { low, high } = interval.accuracy;
    kit::say!(
        "{} held-out clips: accuracy {:.3} ({low:.3} to {high:.3}), balanced {:.3}, macro F1 {:.3}, top 3 {:.3}, \
         calibration error {:.3}; see `{}`",
        answers.len(),
        scores.accuracy,
        scores.balanced_accuracy,
        scores.macro_f1,
        scores.top3_accuracy,
        report.ece,
        args.metrics.join("confusion.svg").display()
    );
    Ok(())
}

/// The clips that training held out, and the network's logits for them.
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
        "`{}` holds no clip out, so there is nothing to measure: raise `train.val_size`",
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
    answers: &[Answer<'_>],
    confusion: &Confusion,
    bins: &[Bin],
) -> Result<()> {
    let at = |name: &str| args.metrics.join(name);
    tables::predictions(&at("predictions.csv"), labels, answers)?;
    tables::mistakes(&at("mistakes.csv"), labels, answers)?;
    tables::per_class(&at("per_class.csv"), labels, confusion)?;
    tables::calibration(&at("calibration.csv"), bins)?;
    tables::confusion_json(&at("confusion.json"), labels, confusion)?;
    tables::confusion_csv(&at("confusion.csv"), labels, confusion)
}

fn draw_pictures(
    args: &Args,
    labels: &[String],
    answers: &[Answer<'_>],
    confusion: &Confusion,
    bins: &[Bin],
    gallery: usize,
) -> Result<()> {
    let curves = kit::csv::read(&args.curves)
        .and_then(|table| pictures::curves::draw(&table))
        .with_context(|| format!("`{}`: `repro run train` makes it", args.curves.display()))?;
    let png = |clip: &str| {
        let path = args.previews.join(clip).with_extension("png");
        std::fs::read(path).ok().map(|bytes| BASE64_STANDARD.encode(bytes))
    };
    let events = Events::open()?;
    for (name, picture) in [
        ("curves.svg", curves),
        ("confusion.svg", pictures::confusion::draw(labels, confusion)),
        ("reliability.svg", pictures::reliability::draw(bins)),
        ("gallery.svg", pictures::gallery::draw(labels, answers, gallery, png)),
    ] {
        let path = args.metrics.join(name);
        files::write_atomic(&path, picture)?;
        events.artifact(&path);
    }
    Ok(())
}
