//! The conformance suite of the stores behind [`Backend`]: each operation on each store, with real
//! servers on loopback, and faults that a proxy injects. The last lines are a table.
//!
//! A server that is not installed is skipped with a line that says so, and is a failure if the
//! variable `CI` is `true`. Programs are found on `PATH`, or by variables such as `REPRO_S3S_FS`.
//!
//! Arguments choose stores: `cargo test --test remotes -- sshd moto`; `faults` is one of them.
//!
//! The settings and credentials of a store are variables of the environment, so the operations on a
//! store run in a process of their own: this program again.

#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

mod elsewhere;
mod faults;
mod operations;
mod project;
mod proxy;
mod server;
mod setting;
mod ssh;

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::process::{Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

use setting::Setting;

/// The result of one operation, as a child reports it on a line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub operation: String,
    pub failure: Option<String>,
    pub millis: u128,
}

const CHILD: &str = "REPRO_TEST_REMOTES_CHILD";

fn main() -> ExitCode {
    if let Ok(text) = std::env::var(CHILD) {
        child(&serde_json::from_str(&text).unwrap());
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|part| name.contains(part));
    let mut failures = Vec::new();
    let mut table: BTreeMap<usize, (String, Vec<Outcome>)> = BTreeMap::new();
    for (at, (name, start)) in server::ALL.iter().enumerate() {
        if !is_chosen(name) {
            continue;
        }
        match start() {
            Ok(server) => {
                let mut outcomes = Vec::new();
                for setting in &server.settings {
                    outcomes.extend(run(setting));
                }
                for outcome in &outcomes {
                    if let Some(failure) = &outcome.failure {
                        failures.push(format!("{name}: {}: {failure}", outcome.operation));
                    }
                }
                table.insert(at, ((*name).to_owned(), outcomes));
            }
            Err(missing) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                failures.push(format!("{name}: {missing}"));
            }
            Err(missing) => println!("remotes: SKIPPED {name}: {missing}"),
        }
    }
    print_table(&table.into_values().collect::<Vec<_>>());
    for failure in &failures {
        println!("remotes: FAILED {failure}");
    }
    match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(setting: &Setting) -> Vec<Outcome> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| is_of_a_store(name)) {
        command.env_remove(name);
    }
    command
        .env(CHILD, serde_json::to_string(setting).unwrap())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", &setting.home)
        .envs(setting.variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for line in lines.map(Result::unwrap) {
        match serde_json::from_str(&line) {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => println!("{line}"),
        }
    }
    if !child.wait().unwrap().success() {
        outcomes.push(Outcome {
            operation: "process".to_owned(),
            failure: Some("it panicked".to_owned()),
            millis: 0,
        });
    }
    outcomes
}

/// Reports whether a variable has settings for a store or a client.
fn is_of_a_store(name: &str) -> bool {
    let prefixes = ["AWS_", "AZURE_", "GOOGLE_", "REPRO_REMOTE_", "SSH_", "SSL_"];
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || proxies.contains(&name.to_uppercase().as_str())
}

fn child(setting: &Setting) {
    for (name, test) in setting.suite.tests() {
        let start = std::time::Instant::now();
        let result = test(setting);
        let outcome = Outcome {
            operation: name.to_owned(),
            failure: result.err(),
            millis: start.elapsed().as_millis(),
        };
        println!("{}", serde_json::to_string(&outcome).unwrap());
    }
}

fn print_table(stores: &[(String, Vec<Outcome>)]) {
    let mut operations: Vec<&str> = Vec::new();
    for outcome in stores.iter().flat_map(|(_, outcomes)| outcomes) {
        if !operations.contains(&outcome.operation.as_str()) {
            operations.push(&outcome.operation);
        }
    }
    let width = operations.iter().map(|name| name.len()).max().unwrap_or(0);
    print!("{:width$}", "");
    for (name, _) in stores {
        print!("  {name}");
    }
    println!();
    for operation in operations {
        print!("{operation:width$}");
        for (name, outcomes) in stores {
            let outcome = outcomes.iter().find(|outcome| outcome.operation == operation);
            let cell = match outcome {
                None => "-".to_owned(),
                Some(Outcome { failure: Some(_), .. }) => "FAILED".to_owned(),
                Some(outcome) => format!("{} ms", outcome.millis),
            };
            print!("  {cell:>0$}", name.len());
        }
        println!();
    }
}
