//! Runs the program against an HTTP server on loopback.
//!
//! Covers ranges, broken connections, secrets and hostile archives.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod archives;
mod make;
mod server;
mod sources;
mod transfers;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn command(root: &Path, source: &str, params: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_download"));
    command.current_dir(root).env_clear().args([
        "--retry-wait",
        "0",
        "-p",
        &format!("download.source={source}"),
    ]);
    command.args(params.iter().flat_map(|param| ["-p", param]));
    command
}

fn download(root: &Path, source: &str, params: &[&str]) -> Output {
    deadline::output(&mut command(root, source, params))
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn check_clips(root: &Path, output: &Output, expected: &[(&str, &str)]) {
    assert!(output.status.success(), "{}", stderr(output));
    let audio = root.join("data/audio");
    let found: Vec<_> = kit::files::class_files(&audio, |_| true)
        .unwrap()
        .iter()
        .map(|file| {
            let name = file.path.strip_prefix(&audio).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file.path).unwrap())
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(found, expected);
}

const FILES: &[(&str, &str)] = &[
    ("genres/rock/b.wav", "rock b"),
    ("genres/rock/a.wav", "rock a"),
    ("genres/blues/c.doc", "not audio here"),
    ("genres/blues/a.wav", "blues a"),
    ("genres/README.md", "words"),
];
const CLIPS: &[(&str, &str)] =
    &[("blues/a.wav", "blues a"), ("rock/a.wav", "rock a"), ("rock/b.wav", "rock b")];
