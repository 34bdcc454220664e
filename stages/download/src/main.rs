//! Stage `download`: collects audio from the synthesizer, this machine or a server.
//!
//! Does not read audio files: a file is audio if its extension says so.

mod archive;
mod audio;
mod byte_ranges;
mod checksums;
mod collect;
mod endpoint;
mod folder;
mod http;
mod layout;
mod manifest;
mod parallel;
mod progress;
mod remote;
mod retry;
mod selection;
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
use crate::collect::Collector;
use crate::remote::Transfers;
use crate::selection::Choice;
use crate::source::Source;

const PARAMS_HELP: &str = "\
Params, with their defaults:
  seed=42                 seed of the synthesizer
  download.source=synth   synth | gtzan | a folder of class folders
                          | an archive (.tar.gz, .tgz, .tar, .zip)
                          | a manifest (.csv of url, label[, blake3][, path])
                          | the URL of an archive or a manifest: http(s)://,
                          hf://datasets/OWNER/NAME/PATH, kaggle://OWNER/NAME
  download.per_genre=5    maximum number of clips per class, the first by name; all: no limit
  download.class_depth=0  depth of the class folders in a folder or an archive, from 1;
                          0: detected
  download.seconds=10.0   length of a synthetic clip";

/// Fetch or synthesize the audio: one folder per class.
///
/// The previous contents of the output folder are replaced.
#[derive(Debug, Parser)]
#[command(name = "download", after_help = PARAMS_HELP)]
struct Args {
    /// Output folder for the class folders
    #[arg(long, value_name = "FOLDER", default_value = "data/audio")]
    out: PathBuf,
    /// Folder that keeps complete and partial downloads between runs
    #[arg(long, value_name = "FOLDER", default_value = "cache/tmp/downloads")]
    downloads: PathBuf,
    /// Table of the checksums recorded at the first download
    #[arg(long, value_name = "FILE", default_value = "download.lock")]
    checksums: PathBuf,
    /// Wait before the first retry of a transfer; doubles with each retry
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    retry_wait: f64,
    /// Time without data after which a connection counts as broken
    #[arg(long, alias = "patience", value_name = "SECONDS", default_value_t = 60.0)]
    stall_timeout: f64,
    /// Override a param
    #[arg(short, long, value_name = "KEY=VALUE")]
    param: Vec<String>,
}

/// Section `download` of the params.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DownloadParams {
    source: String,
    per_genre: Amount,
    class_depth: usize,
    seconds: f64,
}

impl Default for DownloadParams {
    fn default() -> Self {
        DownloadParams {
            source: "synth".to_owned(),
            per_genre: Amount::First(5),
            class_depth: 0,
            seconds: 10.0,
        }
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
    let amount = section.per_genre;
    let events = Events::open()?;

    // A time that is negative or not a number counts as 0.
    let seconds_or_zero = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let collector = || Collector {
        out: &args.out,
        choice: Choice { amount, class_depth: section.class_depth },
        transfers: Transfers {
            agent: http::agent(seconds_or_zero(args.stall_timeout)),
            folder: args.downloads.clone(),
            retry_wait: seconds_or_zero(args.retry_wait),
        },
        checksums: &args.checksums,
        events: &events,
    };
    let tally = match &source {
        Source::Synth => synthetic::write(&args.out, seed, amount, section.seconds, &events)?,
        Source::Local(path) => collector().local(path)?,
        Source::Remote(addresses) => collector().remote(addresses)?,
    };
    let Tally { files, classes } = tally;
    kit::say!("{files} clips of {classes} classes in `{}`, from {source}", args.out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_defaults() {
        let DownloadParams { source, per_genre, class_depth, seconds } = DownloadParams::default();
        for line in [
            format!("download.source={source} "),
            format!(
                "download.per_genre={} ",
                if let Amount::First(count) = per_genre { count } else { 0 }
            ),
            format!("download.class_depth={class_depth} "),
            format!("download.seconds={seconds:?} "),
        ] {
            assert!(PARAMS_HELP.contains(&line), "{line}");
        }
    }
}
