//! The stage `export`: the trained network as an ONNX file that gives the same answers.

mod check;
mod graph;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use features::SpectrogramParams;
use kit::files;
use model::burn::tensor::Device;
use model::checkpoint;
use model::dataset::{Clip, Dataset};
use model::split;
use onnx::classifier::Classifier;
use onnx::metadata::Metadata;
use serde::Serialize;

// Every batch allocates the same large buffers; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Write the model as ONNX and check it against the network.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of class folders of `.npy` spectrograms.
    #[arg(long, value_name = "DIR", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Where genre.mpk, genre.json and split.csv are, and genre.onnx goes.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// Where export.json goes.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// A param in place of the pipeline's, as in `spectrogram.seconds=5`.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// `export.json`.
#[derive(Debug, Serialize)]
struct Report {
    max_abs_difference: f64,
    bytes: usize,
    clips_compared: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let params = kit::Params::load(&args.params)?;
    let spectrogram: SpectrogramParams = params.section("spectrogram")?;
    params.reject_unread_overrides()?;
    spectrogram.validate()?;
    let models = &args.models;
    let device = Device::flex();
    let (network, manifest) = checkpoint::load(models.join("genre.mpk"), models.join("genre.json"), &device)?;
    let clips = clips_to_compare(&models.join("split.csv"), &manifest.labels)?;
    let dataset = Dataset::read(&args.spectrograms, manifest.labels.clone(), clips)?;
    manifest.check_input(&dataset)?;

    // All of them, defaults too: what a default is may change, the model's inputs may not.
    let spectrogram = serde_json::to_value(spectrogram)?;
    let metadata = Metadata { labels: manifest.labels, spectrogram };
    let graph = graph::build(network.config(), network.weights())?;
    let bytes = graph.encode(&metadata.to_properties()?);
    let path = models.join("genre.onnx");
    // A model of an older network beside the weights of this one would be taken for it.
    remove(&path)?;
    let classifier = Classifier::from_bytes(bytes.clone()).context("the file that was to be written")?;
    let difference = check::compare(&network, &classifier, &dataset, &device)?;
    files::write_atomic(&path, &bytes)?;

    let clips = dataset.clips.len();
    let report = Report { max_abs_difference: difference, bytes: bytes.len(), clips_compared: clips };
    files::write_json(args.metrics.join("export.json"), &report)?;
    kit::say!(
        "wrote `{}`, {} bytes; on {clips} clips it differs from the network by at most {difference:.1e}",
        path.display(),
        bytes.len()
    );
    Ok(())
}

/// The clips that training held out; all of them where it held out none.
fn clips_to_compare(path: &std::path::Path, labels: &[String]) -> Result<Vec<Clip>> {
    let (clips, parts) = split::read(path, labels)?;
    let held_out = split::measured(&parts);
    Ok(match held_out.is_empty() {
        true => clips,
        false => held_out.into_iter().map(|index| clips[index].clone()).collect(),
    })
}

fn remove(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
