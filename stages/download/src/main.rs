//! Stage `download`: a folder of class folders with audio, from the synthesizer, a folder or an archive.
//!
//! Knows nothing about what is in an audio file: a file is audio by its extension.

mod archive;
mod audio;
mod fetch;
mod folder;
mod source;
mod synthetic;
mod unpack;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use kit::{Events, Params};
use serde::Deserialize;

use crate::audio::{Amount, Tally};
use crate::source::Source;

const PARAMS_HELP: &str = "\
Params, with their defaults:
  seed=42                 what the synthesizer draws from
  download.source=synth   synth | a folder of class folders | the http(s) address of a .tar.gz, .tgz, .tar
                          or .zip
  download.per_genre=5    clips of each class, the first by name; 0 takes all there are
  download.seconds=10.0   length of a synthetic clip";

/// Fetch or synthesize the audio: one folder a class.
///
/// What is in the output folder before is replaced.
#[derive(Debug, Parser)]
#[command(name = "download", after_help = PARAMS_HELP)]
struct Args {
    /// Folder for the class folders
    #[arg(long, value_name = "FOLDER", default_value = "data/audio")]
    out: PathBuf,
    /// Folder that keeps archives, whole or in part, between runs
    #[arg(long, value_name = "FOLDER", default_value = "cache/tmp/downloads")]
    downloads: PathBuf,
    /// Wait before the first new attempt at a transfer; it doubles with each
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    retry_wait: f64,
    /// Override a param
    #[arg(short, long, value_name = "KEY=VALUE")]
    param: Vec<String>,
}

/// The section `download` of the params.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DownloadParams {
    source: String,
    per_genre: u32,
    seconds: f64,
}

impl Default for DownloadParams {
    fn default() -> Self {
        DownloadParams { source: "synth".to_owned(), per_genre: 5, seconds: 10.0 }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    kit::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let params = Params::load(&args.param)?;
    let section: DownloadParams = params.section("download")?;
    let seed = params.seed()?;
    params.reject_unread_overrides()?;
    let source = Source::parse(&section.source)?;
    let amount = Amount::per_class(section.per_genre);
    let events = Events::open()?;

    let tally = match &source {
        Source::Synth => synthetic::write(&args.out, seed, amount, section.seconds, &events)?,
        Source::Folder(folder) => folder::copy(folder, &args.out, amount, &events)?,
        Source::Address(address) => {
            // A wait that is no number, or below 0, is none.
            let wait = Duration::try_from_secs_f64(args.retry_wait).unwrap_or_default();
            let archive = fetch::fetch(address, &args.downloads, wait, &events)?;
            unpack::unpack(&archive, &args.out, amount, &events)?
        }
    };
    let Tally { files, classes } = tally;
    println!("{files} clips of {classes} classes in `{}`, from {source}", args.out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_the_defaults() {
        let DownloadParams { source, per_genre, seconds } = DownloadParams::default();
        for line in [
            format!("download.source={source} "),
            format!("download.per_genre={per_genre} "),
            format!("download.seconds={seconds:?} "),
        ] {
            assert!(PARAMS_HELP.contains(&line), "{line}");
        }
    }
}
