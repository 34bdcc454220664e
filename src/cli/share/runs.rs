//! The runs that `repro push`, `pull` and `fetch` send and merge, and what is said about them.

use crate::engine::share::runs::{DryRun, PulledRuns, PushedRuns};
use crate::error::{Error, Result};
use crate::plural::count;
use crate::runs::{Conflict, Field, RunName};
use crate::terminal::size::size;
use crate::terminal::{self, stdout};

/// Maximum number of runs that a message names.
const MOST_NAMED: usize = 10;

/// Says what was sent.
pub(in crate::cli) fn show_pushed(
    remote: &str,
    pushed: &PushedRuns,
    dry_run: DryRun,
) -> Result<()> {
    let sent = count(pushed.sent.len(), "run");
    let text = match (pushed.sent.len(), pushed.known, dry_run) {
        (0, 0, _) => "there are no runs to push".to_owned(),
        (0, known, _) => format!("`{remote}` has {}", all(known)),
        (_, _, DryRun::Yes) => format!("would push {sent} to `{remote}`: {}", parts(pushed)),
        (_, _, DryRun::No) => format!("pushed {sent} to `{remote}`: {}", parts(pushed)),
    };
    stdout::say!("{text}");
    if !pushed.running.is_empty() {
        let verb = if pushed.running.len() == 1 { "is" } else { "are" };
        let runs = named(&pushed.running);
        terminal::note(&format!("{runs} {verb} still running and can be pushed when ended"));
    }
    Ok(())
}

fn all(runs: usize) -> String {
    match runs {
        1 => "the run".to_owned(),
        runs => format!("all {runs} runs"),
    }
}

fn parts(pushed: &PushedRuns) -> String {
    format!("{}, {}", count(pushed.parts.count, "file"), size(pushed.parts.bytes))
}

/// Says what was merged.
pub(in crate::cli) fn show_pulled(
    remote: &str,
    pulled: &PulledRuns,
    dry_run: DryRun,
) -> Result<()> {
    if dry_run == DryRun::Yes {
        let (new, known) = (pulled.new.len(), pulled.edited.len());
        let known = count(known, "known run");
        stdout::say!("would add {} from `{remote}` and merge {known}", count(new, "run"));
        return Ok(());
    }
    let new: Vec<RunName> = pulled.new.iter().map(|(run, _)| *run).collect();
    match &new[..] {
        [] if pulled.edited.is_empty() => stdout::say!("no new runs on `{remote}`"),
        [] => {}
        new => stdout::say!("{} from `{remote}`: {}", count(new.len(), "new run"), named(new)),
    }
    for (run, fields) in &pulled.edited {
        if !pulled.deleted.contains(run) {
            let fields: Vec<String> = fields.iter().map(Field::to_string).collect();
            stdout::say!("{run} was edited elsewhere: {}", fields.join(", "));
        }
    }
    for run in &pulled.deleted {
        terminal::note(&format!(
            "{run} was deleted elsewhere; `repro runs undelete {run}` brings it back"
        ));
    }
    for (run, Conflict { field, kept, dropped }) in &pulled.conflicts {
        let value = |value: &Option<String>| match value {
            Some(value) => format!("`{}`", crate::escape::on_one_line(value)),
            None => "nothing".to_owned(),
        };
        let (kept, dropped) = (value(kept), value(dropped));
        terminal::warn(&format!(
            "{run}: {field} was edited here and elsewhere; it is now {kept}, and was also {dropped}"
        ));
    }
    for (run, name) in &pulled.nameless {
        terminal::warn(&format!(
            "another run has the name `{name}`, so {run} has none; `repro runs rename {run} NAME` \
             gives it one"
        ));
    }
    Ok(())
}

/// Returns one error per run that was refused.
pub(in crate::cli) fn refused(remote: &str, refused: Vec<(String, Error)>) -> Vec<Error> {
    refused
        .into_iter()
        .map(|(run, error)| {
            let short: String = run.chars().take(10).collect();
            let mut refused =
                Error::damaged(format!("run {short} of remote `{remote}` is refused"));
            refused.causes = match error.causes.is_empty() {
                true => vec![error.what],
                false => error.causes,
            };
            refused
        })
        .collect()
}

fn named(runs: &[RunName]) -> String {
    let mut names: Vec<String> = runs.iter().take(MOST_NAMED).map(RunName::to_string).collect();
    if runs.len() > MOST_NAMED {
        names.push(format!("{} more", runs.len() - MOST_NAMED));
    }
    names.join(", ")
}
