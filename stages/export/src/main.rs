//! Stage `export`: writes the trained network as ONNX files, and a model card.

mod card;
mod check;
mod frontend;
mod graph;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use features::SpectrogramParams;
use kit::files;
use model::burn::tensor::Device;
use model::checkpoint::{self, Manifest};
use model::config::STATISTICS_NORM;
use model::dataset::{Clip, Dataset};
use model::network::Network;
use model::split::{self, Part};
use onnx::classifier::Classifier;
use onnx::metadata::Metadata;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::card::Card;

// Every batch allocates the same large buffers; this allocator keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Write the model as ONNX with a model card, and compare it with the network.
#[derive(Debug, Parser)]
struct Args {
    /// Folder with one folder of `.npy` spectrograms per class.
    #[arg(long, value_name = "DIR", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Folder with genre.mpk, genre.json and split.csv; genre.onnx, genre_waveform.onnx and
    /// genre.md are written there.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// Scores for the model card, written by `evaluate`.
    #[arg(long, value_name = "FILE", default_value = "metrics/evaluate.json")]
    scores: PathBuf,
    /// Output folder for export.json.
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    metrics: PathBuf,
    /// Override a param, as in `spectrogram.seconds=5`.
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// Contents of `export.json`.
#[derive(Debug, Serialize)]
struct Report {
    clips_compared: usize,
    #[serde(flatten)]
    file: File,
    /// The model that takes waveforms, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    waveform: Option<File>,
}

#[derive(Debug, Serialize)]
struct File {
    bytes: usize,
    max_abs_difference: f64,
}

/// A trained model as written by `train`.
struct Trained {
    network: Network,
    manifest: Manifest,
    clips: Vec<Clip>,
    parts: Vec<Part>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    model::threads::init()?;
    let given = kit::Params::load(&args.params)?;
    let spectrogram: SpectrogramParams = given.section("spectrogram")?;
    let mut sections = Map::from_iter([("seed".to_owned(), given.seed()?.into())]);
    for name in ["download", "spectrogram", "train"] {
        sections.insert(name.to_owned(), given.section(name)?);
    }
    given.reject_unread_overrides()?;
    spectrogram.validate()?;
    let models = &args.models;
    let trained = Trained::read(models)?;
    let scores = read_scores(&args.scores)?;
    let labels = trained.manifest.labels.clone();
    // Write all params, including defaults: a default may change, the model's input must not.
    let metadata = Metadata { labels, spectrogram: serde_json::to_value(&spectrogram)? };
    let [path, waveform_path, card_path] =
        ["genre.onnx", "genre_waveform.onnx", "genre.md"].map(|name| models.join(name));
    // If a later step fails, no files of an older network may remain.
    [&path, &waveform_path, &card_path].into_iter().try_for_each(|path| remove(path))?;

    let (bytes, file, clips) = plain(&trained, &metadata, &args.spectrograms)?;
    let waveform = with_waveform(&trained, &metadata, &spectrogram)?;
    let sample_rate = waveform.as_ref().map(|_| spectrogram.sample_rate);
    let card = card(&trained, models, &scores, &sections, sample_rate)?;
    kit::say!(
        "wrote `{}`, {} bytes; on {clips} clips it differs from the network by at most {:.1e}",
        path.display(),
        file.bytes,
        file.max_abs_difference
    );
    files::write_atomic(&path, bytes)?;
    let waveform = match waveform {
        Some((bytes, file)) => {
            files::write_atomic(&waveform_path, bytes)?;
            Some(file)
        }
        None => None,
    };
    files::write_atomic(&card_path, card)?;
    files::write_json(
        args.metrics.join("export.json"),
        &Report { clips_compared: clips, file, waveform },
    )
}

impl Trained {
    fn read(models: &Path) -> Result<Trained> {
        let (network, manifest) =
            checkpoint::load(models.join("genre.mpk"), models.join("genre.json"), &Device::flex())?;
        let (clips, parts) = split::read(models.join("split.csv"), &manifest.labels)?;
        Ok(Trained { network, manifest, clips, parts })
    }

    /// Returns the held-out clips, or all clips if none are held out.
    fn clips_to_compare(&self) -> Vec<Clip> {
        let held_out = split::measured(&self.parts);
        match held_out.is_empty() {
            true => self.clips.clone(),
            false => held_out.into_iter().map(|index| self.clips[index].clone()).collect(),
        }
    }
}

/// Builds the model that takes spectrograms; also returns the number of compared clips.
fn plain(
    trained: &Trained,
    metadata: &Metadata,
    spectrograms: &Path,
) -> Result<(Vec<u8>, File, usize)> {
    let Trained { network, manifest, .. } = trained;
    let dataset = Dataset::read(spectrograms, manifest.labels.clone(), trained.clips_to_compare())?;
    manifest.check_input(&dataset)?;
    let bytes =
        graph::build(network.config(), network.weights())?.encode(&metadata.to_properties()?);
    let classifier =
        Classifier::by_operators(bytes.clone()).context("cannot load the exported model")?;
    let difference = check::compare(network, &classifier, &dataset)?;
    let file = File { bytes: bytes.len(), max_abs_difference: difference };
    Ok((bytes, file, dataset.clips.len()))
}

/// Builds the model that takes waveforms, if the features can be expressed as operators.
fn with_waveform(
    trained: &Trained,
    metadata: &Metadata,
    params: &SpectrogramParams,
) -> Result<Option<(Vec<u8>, File)>> {
    let network = &trained.network;
    if let Err(obstacle) = frontend::check(params) {
        kit::warn!("not writing a model that takes waveforms: {obstacle}");
        return Ok(None);
    }
    let graph = graph::build_with_frontend(network.config(), network.weights(), params)?;
    let bytes = graph.encode(&metadata.to_properties()?);
    let difference = check::compare_waveform(network, &bytes, params)?;
    let file = File { bytes: bytes.len(), max_abs_difference: difference };
    Ok(Some((bytes, file)))
}

fn card(
    trained: &Trained,
    models: &Path,
    scores: &Value,
    params: &Map<String, Value>,
    waveform: Option<u32>,
) -> Result<String> {
    // The running statistics of a batch norm are computed, not trained.
    let mut tensors = trained.manifest.network.tensors()?;
    tensors.retain(|(name, _)| !name.contains(".running_") && !name.starts_with(STATISTICS_NORM));
    let card = Card {
        manifest: &trained.manifest,
        weights: tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum(),
        digest: blake3::hash(&std::fs::read(models.join("genre.mpk"))?).to_string(),
        parts: &trained.parts,
        scores,
        params,
        waveform,
    };
    Ok(card.text())
}

fn read_scores(path: &Path) -> Result<Value> {
    let shown = path.display();
    let scores =
        std::fs::read(path).with_context(|| format!("`{shown}`: `repro run evaluate` makes it"))?;
    serde_json::from_slice(&scores).with_context(|| format!("`{shown}` is not JSON"))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
