//! Recognizes commands and options of other tools, and names the equivalent here.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::Error;

/// Commands, each with what to type instead.
const COMMANDS: [(&[&str], &str); 15] = [
    (
        &["push", "pull", "fetch", "remote"],
        "this program was built without remotes: the feature `remote` of its crate adds them",
    ),
    (
        &["exp", "experiments", "queue", "multirun"],
        "`repro run -p KEY=VALUE` tries other params, `repro sweep -p KEY=A,B` several values, and \
         `repro runs list` shows all runs",
    ),
    (&["repro", "reproduce", "build", "make"], "`repro run` brings stages up to date"),
    (
        &["diff"],
        "`repro status` and `repro why STAGE` show what changed, `repro runs diff RUN RUN` in what \
         two runs differ",
    ),
    (&["metrics diff", "runs compare", "compare"], "`repro metrics compare RUN RUN` compares runs"),
    (&["params compare"], "`repro params diff RUN RUN` compares the params of runs"),
    (&["runs search"], "`repro runs list --filter FILTER` finds runs"),
    (&["stage", "remove", "move", "rename"], "edit the tables `[stages.NAME]` of pipeline.toml"),
    (&["import", "import-url", "get-url"], "download in a stage, or `repro add` the file"),
    (&["freeze", "unfreeze"], "write `frozen = true` in the table of the stage"),
    (&["config"], "settings are in pipeline.toml"),
    (&["params get", "params list", "params ls"], "`repro params show` lists them"),
    (&["logs", "history"], "`repro runs list` and `repro runs logs RUN STAGE` show it"),
    (&["list", "ls"], "`repro dag` shows the stages, `repro runs list` the runs"),
    (&["clean", "prune"], "`repro gc` removes what nothing needs from the cache"),
];

/// Options, each with what to type instead.
const OPTIONS: [(&[&str], &str); 9] = [
    (&["--dry", "--dry-run", "--dryrun"], "`repro run -n` shows what would run"),
    (&["-m", "--multirun"], "`repro sweep -p KEY=A,B` runs each combination of values"),
    (&["-S", "--set-param", "--config"], "`-p KEY=VALUE` sets a param for one run"),
    (&["-s", "--single-item"], "`--only STAGE` leaves out the stages that it needs"),
    (&["-c", "--cores"], "`-j N` limits the processors"),
    (&["-R", "--forcerun"], "`-f=STAGE` reruns a stage"),
    (&["--cfg"], "`repro params show` prints the params"),
    (&["--list", "-l"], "`repro dag` shows the stages"),
    (&["--no-commit"], "set `cache = false` for an out that is not to be kept"),
];

/// Returns the error for a command line with a word of another tool.
pub(super) fn error(err: &clap::Error, args: &[OsString]) -> Option<Error> {
    let (kind, table, noun): (_, &[(&[&str], &str)], _) = match err.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, &COMMANDS, "command"),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, &OPTIONS, "option"),
        _ => return None,
    };
    let Some(ContextValue::String(word)) = err.get(kind) else { return None };
    let at = args.iter().position(|arg| arg == word.as_str());
    let before = at.and_then(|at| args[..at].last()?.to_str()).unwrap_or_default();
    let full = format!("{before} {word}");
    let [full, word] = [full.as_str(), word.as_str()];
    let find = |name| {
        let (_, hint) = table.iter().find(|(words, _)| words.contains(&name))?;
        Some(Error::usage(format!("there is no {noun} `{name}`")).hint(*hint))
    };
    find(full).or_else(|| find(word))
}
