//! Stage `evaluate`: measures the model on the test clips, or else on the validation clips.
//!
//! The validation clips chose the epoch, so scores on them are too high. Every face of the result
//! says which clips were measured.

mod calibration;
mod figures;
mod params;
mod plot;
mod predictions;
mod scores;
mod svg;
mod tables;
mod temperature;
mod verdict;
mod wilson;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Parser;
use kit::csv::Table;
use kit::{Events, files};
use model::burn::tensor::Device;
use model::checkpoint::{self, Manifest};
use model::dataset::{Clip, Dataset};
use model::metrics::{ClassScores, Confusion};
use model::network::Network;
use model::split::{self, Part};
use serde::Serialize;

use crate::calibration::Bin;
use crate::figures::gallery::Preview;
use crate::figures::scale::Scale;
use crate::params::EvaluateParams;
use crate::predictions::Prediction;
use crate::scores::{Bootstrap, Intervals, Scores};
use crate::temperature::{Calibrated, FittedOn, Measured};
use crate::verdict::LastEpoch;

// Every batch allocates the same large buffers; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Evaluate the model on the test clips, or on the validation clips if there are no test clips.
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
    /// Name of the measured part.
    part: &'static str,
    /// Set if the measured clips chose the epoch, so that the scores are too high.
    chose_epoch: bool,
    #[serde(flatten)]
    scores: Scores<f64>,
    loss: f64,
    /// Expected calibration error.
    ece: f64,
    clips: usize,
    /// 95 % intervals.
    interval: Intervals,
    /// Scores of the last epoch on the same clips, if the clips chose the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_epoch: Option<LastEpoch>,
    /// Absent if there are too few clips to fit a temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated: Option<CalibratedScores>,
    per_class: BTreeMap<&'a str, ClassScores>,
}

/// Scores after temperature scaling.
#[derive(Clone, Copy, Debug, Serialize)]
struct CalibratedScores {
    temperature: f64,
    fitted_on: FittedOn,
    loss: f64,
    ece: f64,
}

/// Clips of one part, with the network's logits.
struct Clips {
    dataset: Dataset,
    targets: Vec<usize>,
    logits: Vec<f32>,
}

impl Clips {
    fn measured(&self) -> Measured<'_> {
        Measured { logits: &self.logits, targets: &self.targets }
    }
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
    let model = Model::read(args, &params.device.open("evaluate")?)?;
    let measured = model.measure(args, model.part)?;
    let validation = match model.part {
        Part::Test if model.parts.contains(&Part::Validation) => {
            Some(model.measure(args, Part::Validation)?)
        }
        _ => None,
    };
    let Clips { dataset, logits, .. } = &measured;
    let labels = &dataset.labels;
    let calibrated =
        temperature::calibrate(measured.measured(), validation.as_ref().map(Clips::measured));
    let predictions = predictions::predictions(&dataset.clips, logits, labels.len());
    let all: Vec<&Prediction<'_>> = predictions.iter().collect();
    let scores = scores::scores(labels.len(), &all);
    let bootstrap = Bootstrap { resamples: params.resamples, seed, bins: params.bins };
    let interval = scores::intervals(labels.len(), &all, bootstrap);
    let confusion = predictions::confusion(labels.len(), &predictions);
    let bins = binned(&predictions, params.bins);
    let curves = kit::csv::read(&args.curves)
        .with_context(|| format!("`{}`: `repro run train` makes it", args.curves.display()))?;
    let chose_epoch = model.part == Part::Validation;

    let report = Report {
        part: model.part.name(),
        chose_epoch,
        scores,
        loss: mean_loss(&predictions),
        ece: calibration::expected_error(&bins),
        clips: predictions.len(),
        interval,
        last_epoch: if chose_epoch { LastEpoch::of(&curves, predictions.len())? } else { None },
        calibrated: calibrated.as_ref().map(|calibrated| {
            let scaled = predictions::predictions(&dataset.clips, &calibrated.logits, labels.len());
            CalibratedScores {
                temperature: calibrated.temperature,
                fitted_on: calibrated.fitted_on,
                loss: mean_loss(&scaled),
                ece: calibration::expected_error(&binned(&scaled, params.bins)),
            }
        }),
        per_class: labels.iter().map(String::as_str).zip(confusion.per_class()).collect(),
    };
    files::write_json(args.metrics.join("evaluate.json"), &report)?;
    write_tables(args, labels, (&predictions, calibrated.as_ref()), &confusion, &bins)?;
    let kept = model.manifest.epoch.map(|epoch| epoch.kept);
    let figures = Figures { curves: &curves, kept, confusion: &confusion, bins: &bins, interval };
    figures.draw(args, labels, &predictions, params.gallery)?;
    let figure = args.metrics.join("confusion.svg");
    kit::say!("{}; see `{}`", report.summary(), figure.display());
    if let Some(warning) = verdict::too_few_clips(report.clips, interval.scores.accuracy) {
        kit::warn!("{warning}");
    }
    Ok(())
}

impl Report<'_> {
    /// Returns the line for people.
    fn summary(&self) -> String {
        let clips = verdict::measured_clips(self.clips, self.chose_epoch);
        let accuracy = verdict::with_interval(self.scores.accuracy, self.interval.scores.accuracy);
        let last = self.last_epoch.as_ref().map_or(String::new(), |last| {
            format!(
                " at the best epoch, {} at the last",
                verdict::with_interval(last.accuracy, last.interval.accuracy)
            )
        });
        let calibrated = self.calibrated.as_ref().map_or(String::new(), |calibrated| {
            format!(
                ", {:.3} after scaling by a temperature of {:.2}",
                calibrated.ece, calibrated.temperature
            )
        });
        format!(
            "{clips}: accuracy {accuracy}{last}, balanced {:.3}, macro F1 {:.3}, top-3 {:.3}, \
             calibration error {}{calibrated}",
            self.scores.balanced_accuracy,
            self.scores.macro_f1,
            self.scores.top3_accuracy,
            verdict::with_interval(self.ece, self.interval.ece),
        )
    }
}

fn mean_loss(predictions: &[Prediction<'_>]) -> f64 {
    predictions.iter().map(|prediction| prediction.loss).sum::<f64>() / predictions.len() as f64
}

fn binned(predictions: &[Prediction<'_>], bins: usize) -> Vec<Bin> {
    let pairs =
        predictions.iter().map(|prediction| (prediction.confidence(), prediction.is_correct()));
    calibration::bins(pairs, bins)
}

/// A trained model with its split.
struct Model {
    network: Network,
    manifest: Manifest,
    clips: Vec<Clip>,
    parts: Vec<Part>,
    /// The part to measure.
    part: Part,
}

impl Model {
    fn read(args: &Args, device: &Device) -> Result<Model> {
        let models = &args.models;
        let (network, manifest) =
            checkpoint::load(models.join("genre.mpk"), models.join("genre.json"), device)?;
        let split = models.join("split.csv");
        let (clips, parts) = split::read(&split, &manifest.labels)?;
        let part = split::measured_part(&parts);
        ensure!(
            parts.contains(&part),
            "`{}` has no held-out clips to evaluate: raise `train.val_size`",
            split.display()
        );
        Ok(Model { network, manifest, clips, parts, part })
    }

    /// Reads the clips of a part and computes the network's logits for them.
    fn measure(&self, args: &Args, part: Part) -> Result<Clips> {
        let clips: Vec<Clip> = split::indices(&self.parts, part)
            .into_iter()
            .map(|index| self.clips[index].clone())
            .collect();
        let labels = self.manifest.labels.clone();
        let dataset = Dataset::read(&args.spectrograms, labels, clips)?;
        let all: Vec<usize> = (0..dataset.clips.len()).collect();
        self.manifest.check_input(&dataset)?;
        let logits = self.network.logits(&dataset, &all)?;
        Ok(Clips { targets: dataset.targets(&all), dataset, logits })
    }
}

fn write_tables(
    args: &Args,
    labels: &[String],
    (predictions, calibrated): (&[Prediction<'_>], Option<&Calibrated>),
    confusion: &Confusion,
    bins: &[Bin],
) -> Result<()> {
    let at = |name: &str| args.metrics.join(name);
    let calibrated = calibrated.map(|it| temperature::confidences(it, labels.len()));
    tables::predictions(&at("predictions.csv"), labels, predictions, calibrated.as_deref())?;
    tables::mistakes(&at("mistakes.csv"), labels, predictions)?;
    tables::per_class(&at("per_class.csv"), labels, confusion)?;
    tables::calibration(&at("calibration.csv"), bins)?;
    tables::confusion_json(&at("confusion.json"), labels, confusion)?;
    tables::confusion_csv(&at("confusion.csv"), labels, confusion)
}

/// Contents of the figures.
struct Figures<'a> {
    curves: &'a Table,
    /// Epoch whose weights were kept.
    kept: Option<usize>,
    confusion: &'a Confusion,
    bins: &'a [Bin],
    interval: Intervals,
}

impl Figures<'_> {
    fn draw(
        &self,
        args: &Args,
        labels: &[String],
        predictions: &[Prediction<'_>],
        gallery: usize,
    ) -> Result<()> {
        let Figures { curves, kept, confusion, bins, interval } = *self;
        let curves = figures::curves::draw(curves, kept)
            .with_context(|| format!("`{}`", args.curves.display()))?;
        let shares = [interval.scores.accuracy, interval.scores.macro_f1];
        let preview = |clip: &str| {
            let path = args.previews.join(clip).with_extension("png");
            let bytes = std::fs::read(path).ok()?;
            let scale = Scale::of(&bytes);
            Some(Preview { base64: BASE64_STANDARD.encode(bytes), scale })
        };
        let events = Events::open()?;
        for (name, figure) in [
            ("curves.svg", curves),
            ("confusion.svg", figures::confusion::draw(labels, confusion, shares)),
            ("reliability.svg", figures::reliability::draw(bins, interval.ece)),
            ("gallery.svg", figures::gallery::draw(labels, predictions, gallery, preview)),
        ] {
            let path = args.metrics.join(name);
            files::write_atomic(&path, figure)?;
            events.artifact(&path);
        }
        Ok(())
    }
}
