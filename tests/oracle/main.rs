//! The model-based test: random pipelines and random edits. After each edit, the verdicts of the
//! engine are compared with those of an oracle that reads everything each time.
//!
//! A step is one edit, or one comparison on a project. Compared are verdicts, reasons, outcomes,
//! processes, the disk, the lock, exit codes, and what each error is about ([`problem`]); a panic
//! is never accepted. Steps that compared nothing are counted and printed with their reason.
//!
//! Before the random sequences, [`self_test`] shows that the comparison can fail: every [`mutant`]
//! falsifies the answers of the engine in one way and must be noticed. [`scenarios`] replays
//! sequences that once went wrong.
//!
//! Without options the test is short. Environment variables:
//! - `ORACLE_STEPS`: how many steps; or `ORACLE_SECONDS`: for how long.
//! - `ORACLE_SEED`: the seed of the first sequence; a sequence that fails is printed with its seed.
//! - `ORACLE_DIR`: where the projects are created.
//! - `ORACLE_PROGRAM`: a copy of `repro` that no build replaces during the test.

#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

mod checks;
mod choice;
mod commands;
mod counts;
mod declared;
mod drive;
mod edits;
mod expected_run;
mod foreign;
mod items;
mod model;
mod mutant;
mod past;
mod pipelines;
mod problem;
mod random;
mod reasons;
mod runs;
mod scenarios;
mod sequence;
mod traces;
mod tree;
mod work;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use counts::Counts;
use mutant::{MUTANTS, Mutant};
use sequence::{Sequence, Step};

/// Steps of one sequence; each sequence starts with a new project.
const SEQUENCE_STEPS: usize = 150;

/// Sequences within which every mutant must be noticed.
const MUTANT_SEQUENCES: u64 = 40;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("work") => ExitCode::from(work::process(&args[2..])),
        Some("oracle") => oracle(),
        Some("--list") => ExitCode::SUCCESS,
        _ => with_clean_environment(),
    }
}

/// Restarts this program with a clean environment, since the engine runs in this process. There is
/// no git on the path.
fn with_clean_environment() -> ExitCode {
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
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
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
    if let Err(what) = self_test(&dir) {
        println!("oracle: self-test: {what}");
        return ExitCode::FAILURE;
    }
    let began = Instant::now();
    let mut total = Counts::default();
    let mut printed = Instant::now();
    for seed in first.. {
        if total.steps() >= steps || began.elapsed().as_secs() >= seconds {
            println!(
                "oracle: seeds {first} to {} in {}s: {total}",
                seed - 1,
                began.elapsed().as_secs()
            );
            return ExitCode::SUCCESS;
        }
        match attempt(&dir, seed, &BTreeSet::new(), SEQUENCE_STEPS, None) {
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
        if printed.elapsed().as_secs() >= 60 {
            printed = Instant::now();
            println!("oracle: seeds {first} to {seed} in {}s: {total}", began.elapsed().as_secs());
        }
    }
    ExitCode::SUCCESS
}

/// Checks that the scenarios pass and that every mutant is noticed.
///
/// # Errors
/// The scenario that fails, or the mutant that passes.
fn self_test(dir: &Path) -> Step {
    for (name, scenario) in scenarios::SCENARIOS {
        let place = tempfile::tempdir_in(dir).unwrap();
        guarded(|| scenario(place.path())).map_err(|what| format!("scenario {name}: {what}"))?;
    }
    for mutant in MUTANTS {
        let is_noticed =
            |seed| attempt(dir, seed, &BTreeSet::new(), SEQUENCE_STEPS, Some(mutant)).is_err();
        if !(1..=MUTANT_SEQUENCES).any(is_noticed) {
            return Err(format!("{mutant:?} is not noticed in {MUTANT_SEQUENCES} sequences"));
        }
    }
    Ok(())
}

/// Turns a panic, of the oracle or of the engine in this process, into an error.
fn guarded(work: impl FnOnce() -> Step) -> Step {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a message")))
    })
}

fn attempt(
    dir: &Path,
    seed: u64,
    left_out: &BTreeSet<usize>,
    steps: usize,
    mutant: Option<Mutant>,
) -> Result<Counts, (usize, String)> {
    let place = tempfile::tempdir_in(dir).unwrap();
    let mut sequence = Sequence::begin(place.path(), seed);
    sequence.mutant = mutant;
    for at in (0..steps).filter(|at| !left_out.contains(at)) {
        guarded(|| sequence.step(at)).map_err(|what| (at, what))?;
    }
    Ok(sequence.counts)
}

/// Leaves out as many steps as possible so that the sequence still fails, and prints the rest.
fn shrink(dir: &Path, seed: u64, at: usize) {
    let mut left_out = BTreeSet::new();
    let mut size = at.div_ceil(2).max(1);
    let mut last = at;
    while size > 0 {
        let mut from = 0;
        while from < last {
            let mut more = left_out.clone();
            more.extend(from..(from + size).min(last));
            if let Err((failed, _)) = attempt(dir, seed, &more, last + 1, None) {
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
    sequence.verbose = true;
    for at in (0..=last).filter(|at| !left_out.contains(at)) {
        println!("--- step {at}");
        if let Err(what) = guarded(|| sequence.step(at)) {
            println!("!!! {what}\nthe project is in {}", place.display());
            return;
        }
    }
    println!(
        "!!! does not happen again: it depends on timing; the project is in {}",
        place.display()
    );
}
