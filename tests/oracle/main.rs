//! The model-based test: random pipelines, random edits, and after each of them the verdicts of the engine against those of an
//! oracle that reads everything each time. Run without arguments it is short; ARCHITECTURE.md has the long form.
//!
//! `ORACLE_STEPS` (how many steps), `ORACLE_SECONDS` (or how long), `ORACLE_SEED` (the first sequence), `ORACLE_DIR`
//! (where the projects lie), `ORACLE_PROGRAM` (a copy of `repro` that no build replaces meanwhile). A step is one edit,
//! or one comparison of the verdicts on a project.

#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

mod checks;
mod choice;
mod commands;
mod declared;
mod drive;
mod edits;
mod foresee;
mod items;
mod model;
mod pipelines;
mod random;
mod reasons;
mod sequence;
mod traces;
mod tree;
mod work;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use sequence::{Counts, Sequence};

/// Of one sequence, which starts with a project of its own.
const LONGEST: usize = 150;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("work") => ExitCode::from(work::process(&args[2..])),
        Some("oracle") => oracle(),
        Some("--list") => ExitCode::SUCCESS,
        _ => in_an_environment_of_its_own(),
    }
}

/// The engine is asked in this process, so this process has the environment of a user, and no git on its path.
fn in_an_environment_of_its_own() -> ExitCode {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("oracle").env_clear().stdin(Stdio::null());
    command.env("PATH", "/nonexistent").env("LC_ALL", "C").env("ORACLE_SET", "set");
    for (name, value) in std::env::vars() {
        if name.starts_with("ORACLE_") {
            command.env(name, value);
        }
    }
    if command.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn oracle() -> ExitCode {
    let steps = number("ORACLE_STEPS").unwrap_or(if number("ORACLE_SECONDS").is_some() {
        u64::MAX
    } else {
        1500
    });
    let seconds = number("ORACLE_SECONDS").unwrap_or(u64::MAX);
    let first = number("ORACLE_SEED").unwrap_or(1);
    let dir = std::env::var_os("ORACLE_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let began = Instant::now();
    let mut total = Counts::default();
    let mut told = Instant::now();
    for seed in first.. {
        if total.steps() >= steps || began.elapsed().as_secs() >= seconds {
            println!(
                "oracle: seeds {first} to {} in {}s: {total}",
                seed - 1,
                began.elapsed().as_secs()
            );
            return ExitCode::SUCCESS;
        }
        match attempt(&dir, seed, &BTreeSet::new(), LONGEST) {
            Ok(counts) => total += counts,
            Err((at, what)) => {
                println!(
                    "oracle: seeds {first} to {} in {}s: {total}",
                    seed - 1,
                    began.elapsed().as_secs()
                );
                println!("seed {seed}: after step {at}: {what}");
                shrink(&dir, seed, at);
                return ExitCode::FAILURE;
            }
        }
        if told.elapsed().as_secs() >= 60 {
            told = Instant::now();
            println!("oracle: seeds {first} to {seed} in {}s: {total}", began.elapsed().as_secs());
        }
    }
    ExitCode::SUCCESS
}

fn attempt(
    dir: &std::path::Path,
    seed: u64,
    left_out: &BTreeSet<usize>,
    steps: usize,
) -> Result<Counts, (usize, String)> {
    let place = tempfile::tempdir_in(dir).unwrap();
    let mut sequence = Sequence::begin(place.path(), seed);
    for at in (0..steps).filter(|at| !left_out.contains(at)) {
        sequence.step(at).map_err(|what| (at, what))?;
    }
    Ok(sequence.counts)
}

/// Leaves out as many steps as still end in a fault, and shows those that remain.
fn shrink(dir: &std::path::Path, seed: u64, at: usize) {
    let mut left_out = BTreeSet::new();
    let mut size = at.div_ceil(2).max(1);
    let mut last = at;
    while size > 0 {
        let mut from = 0;
        while from < last {
            let mut more = left_out.clone();
            more.extend(from..(from + size).min(last));
            if let Err((failed, _)) = attempt(dir, seed, &more, last + 1) {
                left_out = more;
                last = failed;
            }
            from += size;
        }
        size /= 2;
    }
    let place = tempfile::tempdir_in(dir).unwrap().keep();
    let mut sequence = Sequence::begin(&place, seed);
    println!(
        "--- pipeline.toml at first\n{}",
        std::fs::read_to_string(place.join("p/pipeline.toml")).unwrap()
    );
    sequence.tells = true;
    for at in (0..=last).filter(|at| !left_out.contains(at)) {
        println!("--- step {at}");
        if let Err(what) = sequence.step(at) {
            println!("!!! {what}\nthe project lies in {}", place.display());
            return;
        }
    }
    println!(
        "!!! does not happen again: it hangs on time; the project lies in {}",
        place.display()
    );
}
