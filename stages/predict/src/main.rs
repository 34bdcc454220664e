//! `predict`: classifies audio files with the exported model.
//!
//! Needs only the ONNX file, which contains the labels and the spectrogram params. Does not know
//! about the framework that trained the model.

mod inputs;
mod parallel;
mod predictions;
mod predictor;
mod segments;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use serde_json::json;

use crate::inputs::{InputError, STDIN};
use crate::parallel::{Extent, ParallelPredictor, WHOLE};
use crate::predictions::Prediction;
use crate::predictor::Predictor;

// While the model is loaded, each step can reuse the buffers of the previous one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Default length of segments if the model takes clips of any length, in seconds.
const SEGMENT: f64 = 10.0;
/// Valid lengths of segments, in seconds.
const SEGMENTS: RangeInclusive<f64> = 0.5..=WHOLE;

/// Predict the classes of audio files with the exported model.
#[derive(Debug, Parser)]
struct Args {
    /// Audio files, folders of them, folders of class folders, or patterns such as
    /// 'music/**/*.mp3'; `-` reads audio from stdin.
    #[arg(required_unless_present = "files_from", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also process the paths in this list, one per line; `-` reads the list from stdin.
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// The exported model.
    #[arg(long, value_name = "FILE", default_value = "models/genre.onnx")]
    model: PathBuf,
    /// Number of classes to print for each file, most likely first.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    top: u64,
    /// Split each file, of any length, into segments and report each; the result for the file is
    /// their mean.
    #[arg(long)]
    timeline: bool,
    /// Length of the segments in seconds; by default the length the model was trained on, or 10.
    #[arg(long, value_name = "SECONDS", requires = "timeline", value_parser = segment)]
    segment: Option<f64>,
    /// Write a table with the columns path, prediction, label and probability; with --timeline
    /// path, start, end, prediction and probability.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a list of objects with all probabilities, and errors for unreadable files; `-` writes
    /// to stdout instead of the lines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let stdin = Path::new(STDIN);
    if args.files_from.as_deref() == Some(stdin) && args.paths.iter().any(|path| path == stdin) {
        let error = "`-` and `--files-from -` cannot be combined: stdin is either audio or a list";
        Args::command().error(ErrorKind::ArgumentConflict, error).exit();
    }
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let predictor = Predictor::read(&args.model)?;
    let runner = ParallelPredictor { predictor: &predictor, extent: extent(args, &predictor)? };
    let mut paths = args.paths.clone();
    if let Some(list) = &args.files_from {
        paths.extend(inputs::listed(list)?);
    }
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let lines_wanted = args.json.as_deref() != Some(Path::new(STDIN));
    let (mut predictions, mut failed) = (Vec::new(), Vec::new());
    runner.predict_all(inputs::find(&paths), |outcome| {
        match outcome {
            Ok(prediction) => {
                if let Some(doubt) = &prediction.doubt {
                    kit::warn!("`{}`: {doubt}", prediction.path.display());
                }
                if lines_wanted {
                    predictions::print(&predictions::lines(&prediction, predictor.labels(), top))?;
                }
                predictions.push(prediction);
            }
            Err(error) => {
                kit::warn!("`{}`: {:#}", error.path.display(), error.error);
                failed.push(error);
            }
        }
        Ok(())
    })?;
    write_files(args, &predictor, &predictions, &failed)?;
    match failed.len() {
        0 => Ok(()),
        count => bail!("{count} of {} files could not be read", count + predictions.len()),
    }
}

fn segment(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    match SEGMENTS.contains(&seconds) {
        true => Ok(seconds),
        false => Err(format!("must be from {} to {} seconds", SEGMENTS.start(), SEGMENTS.end())),
    }
}

/// Determines which part of each file is classified.
fn extent(args: &Args, predictor: &Predictor) -> Result<Extent> {
    let params = predictor.params();
    let fixed = (params.seconds > 0.0).then_some(params.seconds);
    if !args.timeline {
        return Ok(fixed.map_or(Extent::Whole, |_| Extent::Beginning));
    }
    if let (Some(fixed), Some(asked)) = (fixed, args.segment) {
        ensure!(
            asked == fixed,
            "--segment: the model takes {fixed} seconds at a time, not {asked}"
        );
    }
    let seconds = fixed.or(args.segment).unwrap_or(SEGMENT);
    let (min, max) = (SEGMENTS.start(), SEGMENTS.end());
    ensure!(
        SEGMENTS.contains(&seconds),
        "--timeline: the model takes {seconds} seconds at a time, but segments must be \
         from {min} to {max}"
    );
    Ok(Extent::Segments(seconds))
}

fn write_files(
    args: &Args,
    predictor: &Predictor,
    predictions: &[Prediction],
    failed: &[InputError],
) -> Result<()> {
    let labels = predictor.labels();
    if let Some(path) = &args.csv {
        let (columns, rows): (&[&str], _) = match args.timeline {
            true => {
                (&predictions::TIMELINE_COLUMNS, predictions::timeline_rows(predictions, labels))
            }
            false => (&predictions::COLUMNS, predictions::rows(predictions, labels)),
        };
        kit::csv::write(path, columns, rows)?;
    }
    let Some(path) = &args.json else { return Ok(()) };
    let error = |failed: &InputError| {
        json!({
            "path": failed.path.to_string_lossy(),
            "error": format!("{:#}", failed.error),
        })
    };
    let objects: Vec<_> = predictions
        .iter()
        .map(|prediction| predictions::json(prediction, labels))
        .chain(failed.iter().map(error))
        .collect();
    match path == Path::new(STDIN) {
        true => predictions::print(&format!("{:#}\n", serde_json::Value::Array(objects))),
        false => kit::files::write_json(path, &objects),
    }
}
