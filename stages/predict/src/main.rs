//! `predict`: the genres of audio files, by the exported model.
//!
//! Needs the ONNX file alone: the labels and the spectrogram params are in it. Knows nothing about the
//! framework that trained it.

mod inputs;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use features::{Extractor, SpectrogramParams};
use onnx::classifier::Classifier;

use crate::inputs::Input;

/// Name the genres of audio files with the exported model.
#[derive(Debug, Parser)]
struct Args {
    /// Audio files, folders of them, or folders of class folders.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The exported model.
    #[arg(long, value_name = "FILE", default_value = "models/genre.onnx")]
    model: PathBuf,
    /// How many genres to print for each file, the likeliest first.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    top: u64,
    /// Also write a table with the columns path, prediction, label and probability.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// A file and what the model takes it for, the likeliest genre first.
#[derive(Debug)]
struct Prediction {
    input: Input,
    genres: Vec<(String, f32)>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let classifier = Classifier::read(&args.model)?;
    let params = spectrogram_params(&classifier).with_context(|| format!("`{}`", args.model.display()))?;
    let mut extractor = Extractor::new(&params)?;
    let inputs = inputs::find(&args.paths)?;
    let mut predictions = Vec::with_capacity(inputs.len());
    let mut failed = 0;
    for input in inputs {
        match classify(&classifier, &mut extractor, &input.path) {
            Ok(genres) => {
                let prediction = Prediction { input, genres };
                print(&prediction, args.top)?;
                predictions.push(prediction);
            }
            Err(error) => {
                eprintln!("warning: `{}`: {error:#}", input.path.display());
                failed += 1;
            }
        }
    }
    if let Some(path) = &args.csv {
        write_csv(path, &predictions)?;
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} files could not be read", failed + predictions.len()),
    }
}

/// The params that the model's inputs were made with.
fn spectrogram_params(classifier: &Classifier) -> Result<SpectrogramParams> {
    let section = classifier.metadata().spectrogram.clone();
    let params: SpectrogramParams =
        serde_json::from_value(section).context("its property `spectrogram` is not usable")?;
    params.validate().context("its property `spectrogram`")?;
    Ok(params)
}

fn classify(classifier: &Classifier, extractor: &mut Extractor, path: &Path) -> Result<Vec<(String, f32)>> {
    let array = extractor.file(path)?;
    let [height, width] = array.shape[..] else {
        bail!("its spectrogram has the shape {:?}, not [height, width]", array.shape);
    };
    classifier
        .check_input([1, height, width])
        .context("its spectrogram does not fit: export the model again")?;
    let probabilities = classifier.run([1, 1, height, width], array.data)?.probabilities;
    let mut genres: Vec<_> = classifier.metadata().labels.iter().cloned().zip(probabilities).collect();
    genres.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(genres)
}

fn print(prediction: &Prediction, top: u64) -> Result<()> {
    let genres = prediction.genres.iter().take(usize::try_from(top).unwrap_or(usize::MAX));
    let words: Vec<String> =
        genres.map(|(genre, probability)| format!("{genre} {:.1} %", probability * 100.0)).collect();
    let line = format!("{}: {}\n", prediction.input.path.display(), words.join(", "));
    match std::io::stdout().write_all(line.as_bytes()) {
        // Whoever read the first lines has seen enough; the table is still wanted.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

fn write_csv(path: &Path, predictions: &[Prediction]) -> Result<()> {
    let rows = predictions.iter().map(|Prediction { input, genres }| {
        let (genre, probability) =
            genres.first().map_or(("", 0.0), |(genre, share)| (genre.as_str(), *share));
        [
            input.path.to_string_lossy().into_owned(),
            genre.to_owned(),
            input.label.clone().unwrap_or_default(),
            format!("{probability:.6}"),
        ]
    });
    kit::csv::write(path, &["path", "prediction", "label", "probability"], rows)
}
