//! Stage `spectrogram`: one spectrogram and one preview image for each clip.
//!
//! Reads a folder of class folders. Writes a folder of arrays, a folder of images, a folder with an
//! error text for each clip that cannot be decoded, a table of those errors, and the counts. Given
//! items, it computes only their outs; the table and the counts always cover all outs in the
//! folders. The outs do not depend on the number of threads. Unaware of how a spectrogram is
//! computed (crate `features`) and of the network.

mod audit;
mod clips;
mod colours;
mod names;
mod preview;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser;
use features::{Extractor, SpectrogramParams};
use kit::files::{ClassFile, class_files, has_extension, write_atomic, write_json};
use kit::{Events, Params};
use rayon::prelude::*;
use serde::Serialize;

use crate::audit::{Counts, Findings};
use crate::clips::{Clip, Folders};

const PARAMS_HELP: &str = "\
Params, with their defaults:
  spectrogram.kind=log_power     log_power: frequency bins; log_mel: mel bands
  spectrogram.sample_rate=22050  samples per second after resampling
  spectrogram.n_fft=1024         window length of the Fourier transform, in samples
  spectrogram.hop_length=512     distance between windows, in samples
  spectrogram.padding=reflect    padding of clips: reflect (torchaudio), zeros (librosa), none
  spectrogram.seconds=0.0        cut or pad clips to this many seconds; 0: whole clips
for log_power:
  spectrogram.resize=true        resize to size × size; if false, n_fft / 2 + 1 bins × frames
  spectrogram.size=100           rows and columns after the resize
for log_mel:
  spectrogram.n_mels=128         number of bands
  spectrogram.fmin=0.0           lower edge of the lowest band, in Hz
  spectrogram.fmax=0.0           upper edge of the highest band, in Hz; 0: half the sample rate
  spectrogram.mel_scale=slaney   slaney or htk
  spectrogram.mel_norm=slaney    slaney: bands of equal area; none: of equal height
  spectrogram.power=2            exponent of the magnitude, 1 or 2
  spectrogram.scale=db           db, log or log1p
  spectrogram.top_db=80.0        for db, clamp to this far below the loudest value; 0: no limit
  spectrogram.normalise=none     clip: scale each clip to mean 0 and standard deviation 1";

/// Decode every clip and compute its spectrogram.
///
/// The output folders are replaced.
#[derive(Debug, Parser)]
#[command(name = "spectrogram", after_help = PARAMS_HELP)]
struct Args {
    /// Folder of class folders with the clips
    #[arg(long, value_name = "FOLDER", default_value = "data/audio")]
    audio: PathBuf,
    /// Folder for the arrays, CLASS/CLIP.npy
    #[arg(long, value_name = "FOLDER", default_value = "data/spectrograms")]
    spectrograms: PathBuf,
    /// Folder for the preview images, CLASS/CLIP.png
    #[arg(long, value_name = "FOLDER", default_value = "data/previews")]
    previews: PathBuf,
    /// Folder for the errors of clips that cannot be decoded, CLASS/CLIP.txt
    #[arg(long, value_name = "FOLDER", default_value = "data/faults")]
    faults: PathBuf,
    /// Table of the files that cannot be decoded
    #[arg(long, value_name = "FILE", default_value = "data/skipped.csv")]
    skipped: PathBuf,
    /// File for the counts
    #[arg(long, value_name = "FILE", default_value = "metrics/spectrogram.json")]
    metrics: PathBuf,
    /// Override a param
    #[arg(short, long, value_name = "KEY=VALUE")]
    param: Vec<String>,
}

/// Contents of the file of counts.
#[derive(Debug, Serialize)]
struct Metrics {
    files: usize,
    skipped: usize,
    #[serde(flatten)]
    findings: Counts,
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
        Folders { arrays: &args.spectrograms, previews: &args.previews, faults: &args.faults };
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
            // Send under the lock, so that progress never decreases.
            let mut done = done.lock().unwrap_or_else(|poison| poison.into_inner());
            *done += 1;
            events.item(&clip.path);
            events.progress(*done, clips.len() as u64);
            Ok(())
        },
    )
}

/// Writes a clip's array and image, or the error if it cannot be decoded.
fn process(extractor: &mut Extractor, params: &SpectrogramParams, clip: &Clip) -> Result<()> {
    let decoded = match features::is_audio(&clip.path) {
        true => extractor.file(&clip.path),
        false => Err(anyhow!("its extension is not that of an audio file: rename or remove it")),
    };
    let array = match decoded {
        Ok(array) => array,
        Err(error) => {
            // The reason must be a single line, whatever the library's message.
            let reason = format!("{error:#}").replace(['\n', '\r'], " ");
            let path = clip.path.display().to_string().replace(['\n', '\r'], " ");
            return write_atomic(&clip.fault, format!("{path}\n{reason}\n"));
        }
    };
    kit::npy::write(&clip.array, &array.shape, &array.data)?;
    let png = preview::png(&array, params, extractor.outcome());
    write_atomic(
        &clip.preview,
        png.with_context(|| format!("cannot draw `{}`", clip.preview.display()))?,
    )
}

/// Writes the table and the counts, from all files in the folders of outs.
fn summarise(args: &Args, params: &SpectrogramParams, processed: usize) -> Result<()> {
    let arrays = outs(&args.spectrograms, "npy")?;
    let faults = outs(&args.faults, "txt")?;
    let (made, skipped) = (arrays.len(), read_faults(&faults)?);
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
    let findings = Findings::of([&args.spectrograms, &args.previews], &arrays, &faults, params);
    findings.warn();
    let metrics = Metrics { files: made, skipped: skipped.len(), findings: findings.counts() };
    write_json(&args.metrics, &metrics)?;
    let columns = params.columns().map_or("frames".to_owned(), |count| count.to_string());
    kit::say!(
        "{made} spectrograms of {} × {columns} in `{}`, {processed} files processed; \
         {} files skipped",
        params.rows(),
        args.spectrograms.display(),
        skipped.len()
    );
    Ok(())
}

fn outs(folder: &Path, extension: &str) -> Result<Vec<ClassFile>> {
    match folder.exists() {
        true => class_files(folder, |path| has_extension(path, &[extension])),
        false => Ok(Vec::new()),
    }
}

/// Reads the file and the reason of each error, sorted by file.
fn read_faults(files: &[ClassFile]) -> Result<Vec<[String; 2]>> {
    let read = |path: &Path| -> Result<[String; 2]> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let (file, reason) = text.split_once('\n').unwrap_or((&text, ""));
        Ok([file.to_owned(), reason.trim_end().to_owned()])
    };
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
        kit::warn!("skipped {} more; see `{}` for all", skipped.len() - SHOWN, table.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_param() {
        let defaults = serde_json::to_value(SpectrogramParams::default()).unwrap();
        for (key, value) in defaults.as_object().unwrap() {
            let value = value.to_string().replace('"', "");
            let line = format!("  spectrogram.{key}={value} ");
            assert!(PARAMS_HELP.contains(&line), "{line}");
        }
    }
}
