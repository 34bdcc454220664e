//! `repro completions`: prints the script for a shell, and answers its requests.
//!
//! Every argument whose value is named STAGE, RUN, REV:PATH|REPOSITORY, ID, KEY, METRIC or FIELD is
//! completed with those of the project in the current directory.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use clap_complete::env::{CompleteEnv, Shells};

use crate::engine::{Project, get, project};
use crate::error::{Error, Result, exit};
use crate::filter::{Attribute, MetricName};
use crate::pipeline::Pipeline;
use crate::plan::trash::Displaced;
use crate::runs::Store;
use crate::workspace::root;

/// Environment variable in which the script passes the name of the shell.
const VARIABLE: &str = "REPRO_COMPLETE";

/// Maximum number of completed runs.
const MOST_RUNS: usize = 100;

/// Print a shell script that completes commands, stages, runs and params
///
/// To load it in every shell, add `source <(repro completions bash)` to the startup file of the
/// shell; in fish: `repro completions fish | source`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(
        value_name = "SHELL",
        value_parser = PossibleValuesParser::new(Shells::builtins().names())
    )]
    shell: String,
}

impl CompletionsArgs {
    pub(super) fn execute(self) -> Result<u8> {
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(&self.shell) else {
            panic!("BUG: the argument parser accepted an unknown shell");
        };
        let mut script = Vec::new();
        shell
            .write_registration(VARIABLE, "repro", "repro", "repro", &mut script)
            .map_err(|err| Error::environment("cannot write the script").because(err))?;
        crate::terminal::stdout::say!("{}", String::from_utf8_lossy(&script).trim_end());
        Ok(exit::OK)
    }
}

/// Answers a request for completions and returns the exit code; `None` if there is no request.
///
/// `command` defines the command line to complete.
pub(super) fn answer(args: &[OsString], command: fn() -> Command) -> Option<u8> {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(|| completed(command()))
        .var(VARIABLE)
        .try_complete(args, here.as_deref());
    match asked {
        Ok(true) => Some(exit::OK),
        Ok(false) => None,
        Err(err) => {
            let _ = err.print();
            Some(exit::USAGE)
        }
    }
}

/// Adds dynamic completions to a command and its subcommands.
fn completed(command: Command) -> Command {
    command.mut_args(with_candidates).mut_subcommands(completed)
}

fn with_candidates(arg: Arg) -> Arg {
    let name =
        arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    match name {
        "STAGE" => arg.add(ArgValueCandidates::new(stages)),
        "STAGE|PATH" => arg.add(ArgValueCompleter::new(stages_and_paths)),
        "RUN" => arg.add(ArgValueCandidates::new(runs)),
        "METRIC" => arg.add(ArgValueCandidates::new(metrics)),
        "FIELD" | "FIELD[:asc|desc]" => arg.add(ArgValueCandidates::new(fields)),
        "REV:PATH|REPOSITORY" => arg.add(ArgValueCompleter::new(old_outs)),
        "ID" => arg.add(ArgValueCandidates::new(trash)),
        "KEY" => arg.add(ArgValueCandidates::new(|| params(""))),
        "KEY=VALUE" => arg.add(ArgValueCandidates::new(|| params("="))),
        _ => arg,
    }
}

fn pipeline() -> Option<Pipeline> {
    project::load_pipeline(&project_root()?, &[]).ok()
}

fn project_root() -> Option<PathBuf> {
    root::find(Path::new(".")).ok()
}

/// Returns stages, and the names that stand for all stages of a matrix.
fn stages() -> Vec<CompletionCandidate> {
    let Some(pipeline) = pipeline() else {
        return Vec::new();
    };
    let mut candidates: Vec<CompletionCandidate> = Vec::new();
    let mut family = None;
    for stage in &pipeline.stages {
        if stage.family.is_some() && stage.family != family {
            candidates
                .extend(stage.family.as_ref().map(|name| CompletionCandidate::new(name.as_str())));
        }
        family.clone_from(&stage.family);
        let help = stage.desc.as_ref().map(|desc| desc.clone().into());
        candidates.push(CompletionCandidate::new(stage.name.as_str()).help(help));
    }
    candidates
}

fn stages_and_paths(typed: &OsStr) -> Vec<CompletionCandidate> {
    let begins = |candidate: &CompletionCandidate| {
        candidate.get_value().as_encoded_bytes().starts_with(typed.as_encoded_bytes())
    };
    stages().into_iter().filter(begins).chain(PathCompleter::any().complete(typed)).collect()
}

fn store() -> Option<Store> {
    Store::open_existing(&project_root()?).ok().flatten()
}

/// Returns the latest runs, newest first, each by its number and its name.
fn runs() -> Vec<CompletionCandidate> {
    let Some(store) = store() else { return Vec::new() };
    let runs = store.latest_with_names(MOST_RUNS).unwrap_or_default();
    let latest = (!runs.is_empty()).then(|| CompletionCandidate::new("latest"));
    let names = runs.iter().filter_map(|(run, name)| {
        let help = Some(run.to_string().into());
        name.as_ref().map(|name| CompletionCandidate::new(name).help(help))
    });
    let numbers = runs.iter().map(|(run, name)| {
        CompletionCandidate::new(run.to_string()).help(name.clone().map(Into::into))
    });
    latest.into_iter().chain(numbers).chain(names).collect()
}

/// Returns the metrics of all runs.
fn metrics() -> Vec<CompletionCandidate> {
    let known = store().and_then(|store| store.known().ok()).unwrap_or_default();
    let names: BTreeSet<String> = known.metrics.iter().map(MetricName::of_family).collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Returns what a column or an order can name.
fn fields() -> Vec<CompletionCandidate> {
    let known = store().and_then(|store| store.known().ok()).unwrap_or_default();
    let metrics = metrics();
    let metrics = metrics.iter().map(|metric| metric.get_value().to_string_lossy());
    let attributes = Attribute::ALL.map(|attribute| attribute.name().to_owned());
    attributes
        .into_iter()
        .chain(metrics.map(|name| format!("metrics.{name}")))
        .chain(known.params.iter().map(|key| format!("params.{key}")))
        .chain(known.tags.iter().map(|key| format!("tags.{key}")))
        .map(CompletionCandidate::new)
        .collect()
}

/// Returns the runs, each with a colon; after the colon, the outs of that run or git revision.
fn old_outs(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let candidates: Vec<String> = match typed.split_once(':') {
        None => {
            runs().iter().map(|run| format!("{}:", run.get_value().to_string_lossy())).collect()
        }
        Some((revision, _)) => {
            let project = project_root().and_then(|root| Project::load(&root, &[]).ok());
            let outs = project.and_then(|project| get::out_paths(&project, revision).ok());
            outs.into_iter().flatten().map(|path| format!("{revision}:{path}")).collect()
        }
    };
    let begins = |candidate: &String| candidate.starts_with(&*typed);
    candidates.into_iter().filter(begins).map(CompletionCandidate::new).collect()
}

/// Returns the ids of the trash, newest first, with the paths as help.
fn trash() -> Vec<CompletionCandidate> {
    let project = project_root().and_then(|root| Project::load(&root, &[]).ok());
    let trash = project.and_then(|project| project.trash.read().ok()).unwrap_or_default();
    let candidate = |entry: &Displaced| {
        CompletionCandidate::new(entry.id.to_string()).help(Some(entry.path.to_string().into()))
    };
    trash.entries.iter().rev().map(candidate).collect()
}

/// Returns the keys of params, each followed by `after`, with the values as help.
fn params(after: &str) -> Vec<CompletionCandidate> {
    let Some(pipeline) = pipeline() else {
        return Vec::new();
    };
    let candidate = |(key, value): (&crate::pipeline::ParamKey, &crate::pipeline::ParamValue)| {
        CompletionCandidate::new(format!("{}{after}", key.as_str()))
            .help(Some(value.to_string().into()))
    };
    pipeline.params.iter().map(candidate).collect()
}
