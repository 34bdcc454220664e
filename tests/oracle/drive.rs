//! Runs the engine the way the commands do: as a library in this process, or as the program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use repro::engine::elsewhere::{NoSources, Wish};
use repro::engine::run::{NoSupply, NoTracking, Options, Role, run};
use repro::engine::status::{Verdict, assess};
use repro::engine::{OnForeign, Project};
use repro::event::{Failure, Outcome};
use repro::pipeline::{StageIx, StageSet};
use repro::schedule::OnFailure;

use serde_json::{Value, json};

use crate::choice::Choice;
use crate::model::value_of;
use crate::problem::{Refusal, check_no_panic};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    Library,
    Program,
}

/// A verdict or an outcome that the engine reported about one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    pub word: String,
    /// The changes given as reasons of a verdict.
    pub changes: Vec<Value>,
    /// The message of a failure, with its causes and without its hint.
    pub failure: Option<String>,
}

/// Everything a command reported. A selected stage that is not listed is fresh.
#[derive(Debug)]
pub struct Answer {
    pub stages: BTreeMap<String, Reported>,
    pub exit: i32,
}

/// Exit code, stdout and stderr of the program.
#[derive(Debug)]
pub struct Done {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn word(&self, stage: &str) -> &str {
        self.stages.get(stage).map_or("fresh", |reported| reported.word.as_str())
    }

    /// The words of all stages that are not fresh, for messages.
    pub fn words(&self) -> BTreeMap<&str, &str> {
        let words = self.stages.iter().map(|(name, reported)| (name.as_str(), &*reported.word));
        words.filter(|(_, word)| *word != "fresh").collect()
    }

    /// Checks that no stage failed by a panic in a thread of the engine.
    ///
    /// # Errors
    /// The failure with the panic.
    pub fn check_no_panic(&self) -> Result<(), String> {
        let mut failures = self.stages.values().filter_map(|reported| reported.failure.as_ref());
        failures.try_for_each(|failure| check_no_panic(self.exit, failure))
    }
}

/// # Errors
/// The program panicked.
pub fn status(
    root: &Path,
    interface: Interface,
    choice: &Choice,
) -> Result<Result<Answer, Refusal>, String> {
    match interface {
        Interface::Library => {
            let loaded =
                if choice.is_all() { Project::load_stale(root) } else { Project::load(root, &[]) };
            let project = match loaded {
                Ok(project) => project,
                Err(error) => return Ok(Err(error.into())),
            };
            let (selected, forced) = sets(&project, choice);
            let verdicts = assess(&project, &selected, &forced, OnForeign::Refuse);
            let _ = project.workspace.save_index();
            let exit = verdicts.iter().map(|(_, verdict)| verdict.exit_code()).max().unwrap_or(0);
            let stages = verdicts.into_iter().map(|(ix, verdict)| {
                let reported = Reported {
                    word: verdict.word().to_owned(),
                    changes: verdict.changes().iter().map(|change| json!(change)).collect(),
                    failure: match &verdict {
                        Verdict::Fails(failure, _) => Some(message(failure)),
                        _ => None,
                    },
                };
                (project.pipeline.stages[ix].name.to_string(), reported)
            });
            Ok(Ok(Answer { stages: stages.collect(), exit: i32::from(exit) }))
        }
        Interface::Program => {
            let args = [&["status", "--json"], &texts(&choice.args)[..]].concat();
            let Done { exit, stdout, stderr } = program(root, &args)?;
            if stdout.is_empty() {
                return Ok(Err(Refusal::parse(exit, &stderr)));
            }
            let value = value_of(&stdout);
            let stages = value["stages"].as_array().unwrap().iter().map(|stage| {
                let reported = Reported {
                    word: text(&stage["verdict"]),
                    changes: stage["changes"].as_array().unwrap().clone(),
                    failure: message_of(&stage["failure"]),
                };
                (text(&stage["stage"]), reported)
            });
            Ok(Ok(Answer { stages: stages.collect(), exit }))
        }
    }
}

/// # Errors
/// The program panicked.
pub fn run_stages(
    root: &Path,
    interface: Interface,
    cpus: usize,
    choice: &Choice,
) -> Result<Result<Answer, Refusal>, String> {
    match interface {
        Interface::Library => Ok(run_in_process(root, cpus, choice).map_err(Refusal::from)),
        Interface::Program => {
            let jobs = format!("-j{cpus}");
            let on: &[&str] = if choice.on_failure == OnFailure::KeepGoing { &["-k"] } else { &[] };
            let args = [&["run", "--json", &jobs], on, &texts(&choice.args)].concat();
            let Done { exit, stdout, stderr } = program(root, &args)?;
            if stdout.is_empty() {
                return Ok(Err(Refusal::parse(exit, &stderr)));
            }
            let ended =
                stdout.lines().map(value_of).filter(|event| event["event"] == "stage_ended");
            let stages = ended.map(|event| {
                let reported = Reported {
                    word: text(&event["outcome"]),
                    changes: Vec::new(),
                    failure: message_of(&event["failure"]),
                };
                (text(&event["stage"]), reported)
            });
            Ok(Ok(Answer { stages: stages.collect(), exit }))
        }
    }
}

fn run_in_process(
    root: &Path,
    cpus: usize,
    choice: &Choice,
) -> Result<Answer, repro::error::Error> {
    let (project, held) = match choice.is_all() {
        true => Project::load_stale_exclusively(root)?,
        false => Project::load_exclusively(root, &[])?,
    };
    let project = Arc::new(project);
    let (wanted, forced) = sets(&project, choice);
    let options = Options {
        wanted,
        forced,
        cpus,
        on_failure: choice.on_failure,
        on_foreign: choice.on_foreign,
        command: Vec::new(),
        overrides: Vec::new(),
        role: Role::Ordinary,
        git: None,
        tracking: Arc::new(NoTracking),
        sources: Arc::new(NoSources),
        origins: Wish::Locked,
        supply: Arc::new(NoSupply),
    };
    let report = run(&project, &held, &options, Vec::new(), || ())?;
    let stages = report.stages.into_iter().map(|(name, outcome, _)| {
        let failure = match &outcome {
            Outcome::Failed(failure) => Some(message(failure)),
            _ => None,
        };
        let word = outcome.word().to_owned();
        (name.to_string(), Reported { word, changes: Vec::new(), failure })
    });
    Ok(Answer { stages: stages.collect(), exit: i32::from(report.exit) })
}

fn message(failure: &Failure) -> String {
    let causes = failure.causes.iter().map(|cause| format!(": {cause}"));
    failure.what.clone() + &causes.collect::<String>()
}

fn message_of(failure: &Value) -> Option<String> {
    let causes = failure["causes"].as_array()?.iter().map(|cause| format!(": {}", text(cause)));
    Some(text(&failure["what"]) + &causes.collect::<String>())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The selected and the forced stages.
fn sets(project: &Project, choice: &Choice) -> (StageSet, StageSet) {
    let stages = &project.pipeline.stages;
    let set = |is_in: &dyn Fn(&str) -> bool| {
        let members = StageIx::enumerate(stages).filter(|(_, stage)| is_in(stage.name.as_str()));
        StageSet::of(stages.len(), members.map(|(ix, _)| ix))
    };
    (set(&|name| choice.selects(name)), set(&|name| choice.forces(name)))
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

/// # Errors
/// The program panicked.
pub fn program(root: &Path, args: &[&str]) -> Result<Done, String> {
    let output = deadline::output(&mut command(root, args));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let exit = output.status.code().unwrap_or(-1);
    let done = Done { exit, stdout: text(output.stdout), stderr: text(output.stderr) };
    check_no_panic(exit, &done.stderr)?;
    check_no_panic(exit, &done.stdout)?;
    Ok(done)
}
