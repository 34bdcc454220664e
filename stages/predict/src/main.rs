//! `predict`: the genres of audio files, by the exported model.
//!
//! Needs the ONNX file alone: the labels and the spectrogram params are in it. Knows nothing about the
//! framework that trained it.

mod answers;
mod crew;
mod inputs;
mod judge;
mod segments;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use serde_json::json;

use crate::answers::Answer;
use crate::crew::{Crew, Extent, WHOLE};
use crate::inputs::{Fault, STDIN};
use crate::judge::Judge;

// As the model comes in, the buffers of one step are used by the next.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The segments of a timeline where the model takes clips of any length, in seconds.
const SEGMENT: f64 = 10.0;
/// What segments can be, in seconds.
const SEGMENTS: RangeInclusive<f64> = 0.5..=WHOLE;

/// Name the genres of audio files with the exported model.
#[derive(Debug, Parser)]
struct Args {
    /// Audio files, folders of them, folders of class folders, or patterns, as in 'music/**/*.mp3'; `-` is audio
    /// on stdin.
    #[arg(required_unless_present = "files_from", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also the paths in this list, one a line; `-` is a list on stdin.
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// The exported model.
    #[arg(long, value_name = "FILE", default_value = "models/genre.onnx")]
    model: PathBuf,
    /// How many genres to print for each file, the likeliest first.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    top: u64,
    /// Judge each file of any length in segments, and say what each is; the file is their mean.
    #[arg(long)]
    timeline: bool,
    /// The length of the segments, in seconds; by default what the model was trained on, or 10.
    #[arg(long, value_name = "SECONDS", requires = "timeline", value_parser = segment)]
    segment: Option<f64>,
    /// Write a table with the columns path, prediction, label and probability; with --timeline path, start, end,
    /// prediction and probability.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a list of objects, with all probabilities and what could not be read; `-` is stdout, in place of the
    /// lines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let stdin = Path::new(STDIN);
    if args.files_from.as_deref() == Some(stdin) && args.paths.iter().any(|path| path == stdin) {
        let error = "`-` and `--files-from -`: stdin is either audio or a list";
        Args::command().error(ErrorKind::ArgumentConflict, error).exit();
    }
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let judge = Judge::read(&args.model)?;
    let crew = Crew { judge: &judge, extent: extent(args, &judge)? };
    let mut paths = args.paths.clone();
    if let Some(list) = &args.files_from {
        paths.extend(inputs::listed(list)?);
    }
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let lines_wanted = args.json.as_deref() != Some(Path::new(STDIN));
    let (mut answers, mut faults) = (Vec::new(), Vec::new());
    crew.judge_all(inputs::find(&paths), |outcome| {
        match outcome {
            Ok(answer) => {
                if lines_wanted {
                    answers::print(&answers::lines(&answer, judge.labels(), top))?;
                }
                answers.push(answer);
            }
            Err(fault) => {
                kit::warn!("`{}`: {:#}", fault.path.display(), fault.error);
                faults.push(fault);
            }
        }
        Ok(())
    })?;
    write_files(args, &judge, &answers, &faults)?;
    match faults.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} files could not be read", failed + answers.len()),
    }
}

fn segment(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match SEGMENTS.contains(&seconds) {
        true => Ok(seconds),
        false => Err(format!("not from {} to {} seconds", SEGMENTS.start(), SEGMENTS.end())),
    }
}

/// What of each file is judged.
fn extent(args: &Args, judge: &Judge) -> Result<Extent> {
    let params = judge.params();
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
    let (least, most) = (SEGMENTS.start(), SEGMENTS.end());
    ensure!(
        SEGMENTS.contains(&seconds),
        "--timeline: the model takes {seconds} seconds at a time; segments are {least} to {most}"
    );
    Ok(Extent::Segments(seconds))
}

fn write_files(args: &Args, judge: &Judge, answers: &[Answer], faults: &[Fault]) -> Result<()> {
    let labels = judge.labels();
    if let Some(path) = &args.csv {
        let (columns, rows): (&[&str], _) = match args.timeline {
            true => (&answers::TIMELINE_COLUMNS, answers::timeline_rows(answers, labels)),
            false => (&answers::COLUMNS, answers::rows(answers, labels)),
        };
        kit::csv::write(path, columns, rows)?;
    }
    let Some(path) = &args.json else { return Ok(()) };
    let fault = |fault: &Fault| json!({ "path": fault.path.to_string_lossy(), "error": format!("{:#}", fault.error) });
    let objects: Vec<_> = answers
        .iter()
        .map(|answer| answers::json(answer, labels))
        .chain(faults.iter().map(fault))
        .collect();
    match path == Path::new(STDIN) {
        true => answers::print(&format!("{:#}\n", serde_json::Value::Array(objects))),
        false => kit::files::write_json(path, &objects),
    }
}
