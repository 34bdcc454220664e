//! Stage `spectrogram`: one spectrogram and one preview picture for each clip.
//!
//! Reads a folder of class folders, writes two such folders, a third with a text for each clip that cannot be
//! decoded, a table of those, and the counts. Given items, it computes only theirs; table and counts are always of
//! all that is there. Its outs do not depend on the number of threads. Knows nothing about how a spectrogram is
//! computed (crate `features`) and nothing about the network.

mod clips;
mod colours;
mod names;
mod preview;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use features::{Extractor, SpectrogramParams};
use kit::files::{class_files, has_extension, write_atomic, write_json};
use kit::{Events, Params};
use rayon::prelude::*;
use serde_json::json;

use crate::clips::{Clip, Folders};

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
/// What is in the output folders before is replaced.
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
    /// Folder for what is said of clips that cannot be decoded, CLASS/CLIP.txt
    #[arg(long, value_name = "FOLDER", default_value = "data/faults")]
    faults: PathBuf,
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
    let folders =
        Folders { arrays: &args.spectrograms, pictures: &args.previews, faults: &args.faults };
    let clips = clips::load(&args.audio, folders)?;
    process_all(&section, &clips, &events)?;
    summarise(args, &section, clips.len())
}

fn process_all(params: &SpectrogramParams, clips: &[Clip], events: &Events) -> Result<()> {
    let done = Mutex::new(0);
    clips.par_iter().try_for_each_init(
        || Extractor::new(params),
        |extractor, clip| {
            let extractor = extractor.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            process(extractor, params, clip)?;
            // Under the lock, so that progress never goes back.
            let mut done = done.lock().unwrap_or_else(|poison| poison.into_inner());
            *done += 1;
            events.item(&clip.path);
            events.progress(*done, clips.len() as u64);
            Ok(())
        },
    )
}

/// Writes a clip's array and picture, or why it cannot be decoded.
fn process(extractor: &mut Extractor, params: &SpectrogramParams, clip: &Clip) -> Result<()> {
    let array = match extractor.file(&clip.path) {
        Ok(array) => array,
        Err(error) => {
            // A line each for the path and the reason, whatever the library's words are.
            let reason = format!("{error:#}").replace(['\n', '\r'], " ");
            return write_atomic(&clip.fault, format!("{}\n{reason}\n", clip.path.display()));
        }
    };
    kit::npy::write(&clip.array, &array.shape, &array.data)?;
    let png = preview::png(&array, params);
    write_atomic(
        &clip.picture,
        png.with_context(|| format!("cannot draw `{}`", clip.picture.display()))?,
    )
}

/// The table and the counts, of all that lies in the folders of outs.
fn summarise(args: &Args, params: &SpectrogramParams, processed: usize) -> Result<()> {
    let made = count(&args.spectrograms, "npy")?;
    let skipped = read_faults(&args.faults)?;
    kit::csv::write(&args.skipped, &["file", "reason"], &skipped)?;
    warn(&skipped, &args.skipped);
    if made == 0 {
        bail!(
            "none of the {} files in `{}` could be decoded; `{}` says why",
            skipped.len(),
            args.audio.display(),
            args.skipped.display()
        );
    }
    write_json(&args.metrics, &json!({ "files": made, "skipped": skipped.len() }))?;
    let columns = params
        .columns()
        .map_or("as many as a clip has frames".to_owned(), |count| count.to_string());
    kit::say!(
        "{made} spectrograms of {} × {columns} in `{}`, {processed} files processed; {} files skipped",
        params.rows(),
        args.spectrograms.display(),
        skipped.len()
    );
    Ok(())
}

fn count(folder: &Path, extension: &str) -> Result<usize> {
    if !folder.exists() {
        return Ok(0);
    }
    Ok(class_files(folder, |path| has_extension(path, &[extension]))?.len())
}

/// The file and the reason of each fault, by file.
fn read_faults(folder: &Path) -> Result<Vec<[String; 2]>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let read = |path: &Path| -> Result<[String; 2]> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let (file, reason) = text.split_once('\n').unwrap_or((&text, ""));
        Ok([file.to_owned(), reason.trim_end().to_owned()])
    };
    let files = class_files(folder, |path| has_extension(path, &["txt"]))?;
    let mut faults: Vec<_> = files.iter().map(|file| read(&file.path)).collect::<Result<_>>()?;
    faults.sort();
    Ok(faults)
}

fn warn(skipped: &[[String; 2]], table: &Path) {
    const SHOWN: usize = 10;
    for [file, reason] in skipped.iter().take(SHOWN) {
        kit::warn!("skipped `{file}`: {reason}");
    }
    if skipped.len() > SHOWN {
        kit::warn!("skipped {} more; `{}` has them all", skipped.len() - SHOWN, table.display());
    }
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
