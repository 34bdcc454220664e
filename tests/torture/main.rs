//! The torture test: kills, damaged state, full disks, low limits, many commands at once, and
//! mutated input. After each of them the next `run` must give the result of an undisturbed one.
//!
//! A round is one disturbance. After it, `repro` must neither panic nor hang nor die of a signal;
//! with the disturbance gone, it must produce the outs and the lock that it produces in a new
//! folder from the same inputs, and `fsck` must find the cache intact.
//!
//! Without options each part makes a few rounds. Environment variables:
//! - `TORTURE_ROUNDS`: rounds of each part; `all` also tries each byte in the part `damage`.
//! - `TORTURE_SEED`: the seed of the random numbers.
//! - `TORTURE_PROGRAM`: the `repro` to test, for example an optimized build.
//!
//! Arguments choose parts: `cargo test --test torture -- kills damage`. The last lines are a table
//! of the rounds, which `docs/explanation/promises.md` quotes.

#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

mod crowd;
mod damage;
mod full_disk;
mod inputs;
mod kills;
mod limits;
mod project;
#[allow(dead_code)]
#[path = "../oracle/random.rs"]
mod random;

use std::process::ExitCode;
use std::time::Instant;

use random::Random;

/// The faults that a part found, and how much it tried.
#[derive(Default)]
pub struct Tally {
    pub rounds: u64,
    /// Remarks on the rounds, such as how many kills met a running stage.
    pub remark: String,
    pub faults: Vec<String>,
}

impl Tally {
    /// Counts a round, and the fault that it found.
    pub fn round(&mut self, name: impl FnOnce() -> String, result: Result<(), String>) {
        self.rounds += 1;
        if let Err(fault) = result {
            let fault = format!("{}: {fault}", name());
            println!("torture: FAULT: {fault}");
            self.faults.push(fault);
        }
    }
}

/// The number of rounds to make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    Rounds(u64),
    All,
}

impl Effort {
    /// Returns the number of rounds of a part that makes `few` by default, and `many` for `all`.
    pub fn rounds(self, few: u64, many: u64) -> u64 {
        match self {
            Effort::Rounds(0) => few,
            Effort::Rounds(rounds) => rounds,
            Effort::All => many,
        }
    }
}

type Part = fn(Effort, &mut Random) -> Tally;

const PARTS: &[(&str, Part)] = &[
    ("kills", kills::part),
    ("damage", damage::part),
    ("limits", limits::part),
    ("full disk", full_disk::part),
    ("crowd", crowd::part),
    ("inputs", inputs::part),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let variable = |name: &str| std::env::var(name).ok();
    let effort = match variable("TORTURE_ROUNDS").as_deref() {
        Some("all") => Effort::All,
        Some(rounds) => Effort::Rounds(rounds.parse().expect("TORTURE_ROUNDS is not a number")),
        None => Effort::Rounds(0),
    };
    let seed = variable("TORTURE_SEED").map_or(1, |seed| seed.parse().expect("TORTURE_SEED"));
    let wanted = |name: &str| {
        let chosen: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
        chosen.is_empty() || chosen.iter().any(|arg| name.contains(arg.as_str()))
    };
    let mut table = Vec::new();
    let mut faults = 0;
    for (name, part) in PARTS.iter().filter(|(name, _)| wanted(name)) {
        let began = Instant::now();
        let tally = part(effort, &mut Random::new(seed));
        faults += tally.faults.len();
        table.push(format!(
            "{name:<10} {:>7} rounds {:>4} faults {:>6}s  {}",
            tally.rounds,
            tally.faults.len(),
            began.elapsed().as_secs(),
            tally.remark
        ));
    }
    println!("torture: seed {seed}");
    table.iter().for_each(|line| println!("  {line}"));
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
