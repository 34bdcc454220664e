//! The engine, asked the way the commands ask it: as a library in this process, or as the program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use repro::engine::Project;
use repro::engine::run::{Options, run};
use repro::engine::status::assess;
use repro::event::Outcome;
use repro::schedule::OnFailure;

use serde_json::{Value, json};

use crate::choice::Choice;
use crate::model::value_of;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Library,
    Program,
}

pub type Answer = Result<BTreeMap<String, String>, String>;

/// A stage's verdict, in a word, and the changes that are named as its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub verdict: String,
    pub changes: Vec<Value>,
}

/// Of each stage; a wanted stage that is not told of is fresh.
pub fn status(root: &Path, face: Face, choice: &Choice) -> Result<BTreeMap<String, Told>, String> {
    match face {
        Face::Library => {
            let loaded =
                if choice.is_all() { Project::load_stale(root) } else { Project::load(root, &[]) };
            let project = loaded.map_err(|error| error.to_string())?;
            let (wanted, forced) = lists(&project, choice);
            let verdicts = assess(&project, &wanted, &forced);
            let _ = project.workspace.save_index();
            let name = |ix: usize| project.pipeline.stages[ix].name.to_string();
            let told = verdicts.into_iter().map(|(ix, verdict)| {
                let changes = verdict.changes().iter().map(|change| json!(change)).collect();
                (name(ix), Told { verdict: verdict.word().to_owned(), changes })
            });
            Ok(told.collect())
        }
        Face::Program => {
            let done = program(root, &[&["status", "--json"], &texts(&choice.words)[..]].concat());
            let (_, stdout, stderr) = done;
            if stdout.is_empty() {
                return Err(stderr);
            }
            let value = value_of(&stdout);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let told = value["stages"].as_array().unwrap().iter().map(|stage| {
                let changes = stage["changes"].as_array().unwrap().clone();
                (text(&stage["stage"]), Told { verdict: text(&stage["verdict"]), changes })
            });
            Ok(told.collect())
        }
    }
}

/// The word of each stage's outcome; a wanted stage without one was fresh.
pub fn go(root: &Path, face: Face, cpus: usize, choice: &Choice) -> Answer {
    match face {
        Face::Library => {
            let loaded = match choice.is_all() {
                true => Project::load_stale_exclusively(root),
                false => Project::load_exclusively(root, &[]),
            };
            let (project, held) = loaded.map_err(|error| error.to_string())?;
            let project = Arc::new(project);
            let (wanted, forced) = lists(&project, choice);
            let options = Options {
                wanted,
                forced,
                cpus,
                on_failure: choice.on_failure,
                command: Vec::new(),
                overrides: Vec::new(),
            };
            let report =
                run(&project, &held, &options, Vec::new()).map_err(|error| error.to_string())?;
            let stages = report.stages.into_iter();
            Ok(stages.map(|(name, outcome, _)| (name.to_string(), told(&outcome))).collect())
        }
        Face::Program => {
            let jobs = format!("-j{cpus}");
            let on: &[&str] = if choice.on_failure == OnFailure::KeepGoing { &["-k"] } else { &[] };
            let args = [&["run", "--json", &jobs], on, &texts(&choice.words)].concat();
            let (_, stdout, stderr) = program(root, &args);
            let ended =
                stdout.lines().map(value_of).filter(|event| event["event"] == "stage_ended");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let outcomes: BTreeMap<String, String> =
                ended.map(|event| (text(&event["stage"]), text(&event["outcome"]))).collect();
            if outcomes.is_empty() && !stderr.is_empty() { Err(stderr) } else { Ok(outcomes) }
        }
    }
}

/// With the reason of a failure, for whoever reads about it.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("failed: {failure}"),
        outcome => outcome.word().to_owned(),
    }
}

fn lists(project: &Project, choice: &Choice) -> (Vec<bool>, Vec<bool>) {
    let list = |is: &dyn Fn(&str) -> bool| {
        project.pipeline.stages.iter().map(|stage| is(stage.name.as_str())).collect()
    };
    (list(&|name| choice.wants(name)), list(&|name| choice.forces(name)))
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

pub fn command(root: &Path, args: &[&str]) -> Command {
    let program =
        std::env::var_os("ORACLE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_repro").into());
    let mut command = Command::new(program);
    command.arg("-C").arg(root).args(args).stdin(Stdio::null());
    command
}

pub fn program(root: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(root, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}
