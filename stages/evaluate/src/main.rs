//! The stage `evaluate`: how good the model is on the clips that training held out.

mod confusion;
mod picture;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use kit::files;
use model::burn::tensor::Device;
use model::checkpoint;
use model::dataset::{Clip, Dataset};
use model::metrics::{ClassScores, Tally, argmax, probabilities};
use model::split;
use serde::Serialize;

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
    /// Where evaluate.json, predictions.csv and confusion.{json,csv,svg} go.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// A param in place of the pipeline's. This stage reads none.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// `evaluate.json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    accuracy: f64,
    macro_f1: f64,
    loss: f64,
    clips: usize,
    per_class: BTreeMap<&'a str, ClassScores>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    kit::Params::load(&args.params)?.reject_unread_overrides()?;
    let models = &args.models;
    let device = Device::flex();
    let (network, manifest) = checkpoint::load(models.join("genre.mpk"), models.join("genre.json"), &device)?;
    let split = models.join("split.csv");
    let (clips, parts) = split::read(&split, &manifest.labels)?;
    let clips: Vec<Clip> = split::measured(&parts).into_iter().map(|index| clips[index].clone()).collect();
    ensure!(
        !clips.is_empty(),
        "`{}` holds no clip out, so there is nothing to measure: raise `train.val_size`",
        split.display()
    );
    let dataset = Dataset::read(&args.spectrograms, manifest.labels.clone(), clips)?;
    manifest.check_input(dataset.shape)?;

    let all: Vec<usize> = (0..dataset.clips.len()).collect();
    let logits = network.logits(&dataset, &all, &device)?;
    let mut tally = Tally::new(dataset.labels.len());
    tally.add(&logits, &dataset.targets(&all));

    let metrics = &args.metrics;
    let scores = tally.scores();
    let report = Report {
        accuracy: scores.accuracy,
        macro_f1: scores.macro_f1,
        loss: scores.loss,
        clips: all.len(),
        per_class: dataset.labels.iter().map(String::as_str).zip(tally.confusion().per_class()).collect(),
    };
    files::write_json(metrics.join("evaluate.json"), &report)?;
    write_predictions(&metrics.join("predictions.csv"), &dataset, &logits)?;
    confusion::write_json(&metrics.join("confusion.json"), &dataset.labels, tally.confusion())?;
    confusion::write_csv(&metrics.join("confusion.csv"), &dataset.labels, tally.confusion())?;
    let picture = picture::draw(&dataset.labels, tally.confusion());
    files::write_atomic(metrics.join("confusion.svg"), picture)?;
    println!(
        "{} held-out clips: accuracy {:.3}, macro F1 {:.3}, loss {:.4}; see `{}`",
        all.len(),
        scores.accuracy,
        scores.macro_f1,
        scores.loss,
        metrics.join("confusion.svg").display()
    );
    Ok(())
}

/// `path,prediction,label,probability`: a row a clip, the probability that of the prediction.
fn write_predictions(path: &Path, dataset: &Dataset, logits: &[f32]) -> Result<()> {
    let rows = dataset.clips.iter().zip(logits.chunks_exact(dataset.labels.len())).map(|(clip, logits)| {
        let prediction = argmax(logits);
        let probability = format!("{:.6}", probabilities(logits)[prediction]);
        [
            clip.path.clone(),
            dataset.labels[prediction].clone(),
            dataset.labels[clip.label].clone(),
            probability,
        ]
    });
    kit::csv::write(path, &["path", "prediction", "label", "probability"], rows)
}
