//! Stage `spectrogram`: one spectrogram and one preview picture for each clip.
//!
//! Reads a folder of class folders, writes two such folders, a table of the files that could not be
//! decoded, and the counts. Its outs do not depend on the number of threads. Knows nothing about how a
//! spectrogram is computed (crate `features`) and nothing about the network.

mod colours;
mod names;
mod preview;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use features::{Extractor, SpectrogramParams};
use kit::files::{ClassFile, class_files, fresh_dir, write_json};
use kit::{Events, Params};
use rayon::prelude::*;
use serde_json::json;

const PARAMS_HELP: &str = "\
Params, with their defaults:
  spectrogram.kind=log_power     log_power: frequency bins; log_mel: mel bands
  spectrogram.sample_rate=22050  samples a second after resampling
  spectrogram.n_fft=1024         samples in a window of the Fourier transform
  spectrogram.hop_length=512     samples from one window to the next
  spectrogram.padding=reflect    before and after the clip: reflect (torchaudio), zeros (librosa), none
  spectrogram.seconds=0.0        the first seconds of a clip that count; shorter clips end in silence; 0: whole clips
of log_power:
  spectrogram.resize=true        reduce to size × size; without it, n_fft / 2 + 1 bins × frames
  spectrogram.size=100           rows and columns after the resize
of log_mel:
  spectrogram.n_mels=128         bands
  spectrogram.fmin=0.0           where the lowest band begins, in Hz
  spectrogram.fmax=0.0           where the highest band ends, in Hz; 0: half the sample rate
  spectrogram.mel_scale=slaney   slaney or htk
  spectrogram.mel_norm=slaney    slaney: bands of one area; none: of one height
  spectrogram.power=2            exponent of the magnitude, 1 or 2
  spectrogram.scale=db           db, log or log1p
  spectrogram.top_db=80.0        in db, nothing is further below the clip's loudest value; 0: no limit
  spectrogram.normalise=none     clip: the clip's mean becomes 0, its standard deviation 1";

/// Decode every clip and compute its spectrogram.
///
/// What is in the two output folders before is replaced.
#[derive(Debug, Parser)]
#[command(name = "spectrogram", after_help = PARAMS_HELP)]
struct Args {
    /// Folder of class folders with the clips
    #[arg(long, value_name = "FOLDER", default_value = "data/audio")]
    audio: PathBuf,
    /// Folder for the arrays, CLASS/CLIP.npy
    #[arg(long, value_name = "FOLDER", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Folder for the pictures, CLASS/CLIP.png
    #[arg(long, value_name = "FOLDER", default_value = "data/previews")]
    previews: PathBuf,
    /// Table of the files that could not be decoded
    #[arg(long, value_name = "FILE", default_value = "data/skipped.csv")]
    skipped: PathBuf,
    /// The counts
    #[arg(long, value_name = "FILE", default_value = "metrics/spectrogram.json")]
    metrics: PathBuf,
    /// Override a param
    #[arg(short, long, value_name = "KEY=VALUE")]
    param: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let params = Params::load(&args.param)?;
    let section: SpectrogramParams = params.section("spectrogram")?;
    params.reject_unread_overrides()?;
    section.validate()?;
    let events = Events::open()?;
    let files = class_files(&args.audio, |_| true)?;
    if files.is_empty() {
        bail!("no class folder with a file in `{}`; run the stage `download` first", args.audio.display());
    }
    for out in [&args.spectrograms, &args.previews] {
        fresh_dir(out)?;
    }

    let faults = process_all(args, &section, &files, &events)?;
    let skipped: Vec<_> = faults.iter().filter_map(|(file, fault)| Some((*file, fault.as_ref()?))).collect();
    write_skipped(&args.skipped, &skipped)?;
    let made = files.len() - skipped.len();
    if made == 0 {
        bail!(
            "none of the {} files in `{}` could be decoded; `{}` says why",
            files.len(),
            args.audio.display(),
            args.skipped.display()
        );
    }
    write_json(&args.metrics, &json!({ "files": made, "skipped": skipped.len() }))?;
    let columns =
        section.columns().map_or("as many as a clip has frames".to_owned(), |count| count.to_string());
    println!(
        "{made} spectrograms of {} × {columns} in `{}`; {} files skipped",
        section.rows(),
        args.spectrograms.display(),
        skipped.len()
    );
    Ok(())
}

/// Each file with the reason why it was skipped, if it was; in the order of `files`.
fn process_all<'a>(
    args: &Args,
    params: &SpectrogramParams,
    files: &'a [ClassFile],
    events: &Events,
) -> Result<Vec<(&'a ClassFile, Option<String>)>> {
    let names = names::out_names(&args.audio, files);
    let done = Mutex::new(0);
    files
        .par_iter()
        .zip(&names)
        .map_init(
            || Extractor::new(params),
            |extractor, (file, name)| {
                let extractor = extractor.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
                let fault = process(args, extractor, file, name)?;
                // Under the lock, so that progress never goes back.
                let mut done = done.lock().unwrap_or_else(|poison| poison.into_inner());
                *done += 1;
                events.progress(*done, files.len() as u64);
                Ok((file, fault))
            },
        )
        .collect()
}

/// Writes a clip's two outs, or says why it cannot be decoded.
fn process(args: &Args, extractor: &mut Extractor, file: &ClassFile, name: &Path) -> Result<Option<String>> {
    let array = match extractor.file(&file.path) {
        Ok(array) => array,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    kit::npy::write(with_suffix(&args.spectrograms, name, "npy"), &array.shape, &array.data)?;
    let picture = with_suffix(&args.previews, name, "png");
    let png = preview::png(&array).with_context(|| format!("cannot draw `{}`", picture.display()))?;
    kit::files::write_atomic(picture, png)?;
    Ok(None)
}

/// Adds to the name: a stem may have dots of its own, as in `blues.00000`.
fn with_suffix(root: &Path, name: &Path, suffix: &str) -> PathBuf {
    let mut path = root.join(name).into_os_string();
    path.push(".");
    path.push(suffix);
    path.into()
}

fn write_skipped(path: &Path, skipped: &[(&ClassFile, &String)]) -> Result<()> {
    const SHOWN: usize = 10;
    for (file, reason) in skipped.iter().take(SHOWN) {
        eprintln!("warning: skipped `{}`: {reason}", file.path.display());
    }
    if skipped.len() > SHOWN {
        eprintln!("warning: skipped {} more; `{}` has them all", skipped.len() - SHOWN, path.display());
    }
    let rows = skipped.iter().map(|(file, reason)| [file.path.to_string_lossy(), reason.as_str().into()]);
    kit::csv::write(path, &["file", "reason"], rows.map(|row| row.map(|cell| cell.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_param_with_its_default() {
        let defaults = serde_json::to_value(SpectrogramParams::default()).unwrap();
        for (key, value) in defaults.as_object().unwrap() {
            let value = value.to_string().replace('"', "");
            let line = format!("  spectrogram.{key}={value} ");
            assert!(PARAMS_HELP.contains(&line), "{line}");
        }
    }
}
