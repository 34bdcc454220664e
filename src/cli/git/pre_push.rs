//! The hook before `git push`: names the outs that the pushed commits need, or sends them.

use std::io::Read as _;
use std::path::Path;

use crate::cli::share::{self, End, Watched};
use crate::engine::Project;
use crate::engine::git::hook_files::Unpushed;
use crate::engine::git::pushed::{PushedLocks, Update, pushed_locks};
use crate::engine::share::missing::Missing;
use crate::engine::share::push::push_locks;
use crate::engine::share::unpushed::{lost, unpushed};
use crate::error::{Error, Result, exit};
use crate::plan::Lock;
use crate::plural::count;
use crate::remote::Remote;
use crate::terminal;
use crate::terminal::size::size;

/// Runs the hook at `here`, the top of the working tree. Without `remote`, `pre-commit` has called
/// it, which passes one ref in variables.
pub(super) fn execute(here: &Path, remote: Option<String>, treatment: Unpushed) -> Result<u8> {
    let (remote, updates) = match remote {
        Some(remote) => (remote, from_stdin()),
        None => from_variables(),
    };
    for pushed in pushed_locks(here, &updates, &remote) {
        match (treatment, treat(&pushed, treatment)) {
            (_, Ok(code)) if code != exit::OK => return Ok(code),
            (_, Ok(_)) => {}
            (Unpushed::Named, Err(error)) => terminal::warn_of(&Error {
                what: format!("cannot tell whether the outs were pushed: {}", error.what),
                ..error
            }),
            (Unpushed::Sent, Err(error)) => return Err(stopped(error)),
        }
    }
    Ok(exit::OK)
}

/// Adds that nothing was pushed.
fn stopped(mut error: Error) -> Error {
    let what = "`git push` is stopped, because its commits need outs that were not sent";
    let hint = "`git push --no-verify` pushes the commits alone";
    error.others.push(Error { kind: error.kind, ..Error::usage(what).hint(hint) });
    error
}

fn from_stdin() -> Vec<Update> {
    let mut bytes = Vec::new();
    // What was read until an error counts.
    let _ = std::io::stdin().read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).lines().filter_map(Update::parse).collect()
}

fn from_variables() -> (String, Vec<Update>) {
    let variable = |name: &str| std::env::var(format!("PRE_COMMIT_{name}")).ok();
    let name = variable("LOCAL_BRANCH").unwrap_or_default();
    // There is none if all commits are new.
    let commit = variable("TO_REF").unwrap_or_else(|| name.clone());
    let update = Update::new(&name, &commit, variable("FROM_REF").as_deref());
    let update = update.filter(|update| !update.commit.is_empty());
    (variable("REMOTE_NAME").unwrap_or_default(), update.into_iter().collect())
}

fn treat(pushed: &PushedLocks, treatment: Unpushed) -> Result<u8> {
    let project = Project::load(&pushed.root, &[])?;
    if project.pipeline.remotes.is_empty() {
        return Ok(exit::OK);
    }
    project.cache.join()?;
    let locks: Vec<&Lock> = pushed.locks.iter().collect();
    match treatment {
        Unpushed::Named => {
            let remote = crate::engine::share::ask(&project, None)?;
            let found = unpushed(&project, &remote, &locks)?;
            if !found.objects.is_empty() {
                let objects = share::amount(found.amount.objects, 0);
                let (verb, size) = (verb(found.objects.len()), size(found.amount.bytes));
                let what = format!(
                    "{}{objects} ({size}) that the pushed commits need {verb} not on remote `{}`",
                    place(pushed),
                    remote.name
                );
                let remedy = remedy(&project, &remote, pushed)?;
                terminal::warn_of(&Error::usage(what).hint(format!("`{remedy}` sends them")));
            }
            incomplete(&project, &remote, pushed)?.iter().for_each(terminal::warn_of);
            Ok(exit::OK)
        }
        Unpushed::Sent => {
            let mut remote = share::refreshed(&project, None, None)?;
            if !unpushed(&project, &remote, &locks)?.objects.is_empty() {
                let watched = Watched::start("pushing")?;
                let sent = push_locks(&project, &mut remote, &locks, &watched.meter);
                drop(watched);
                let sent = sent?;
                if sent.was_stopped || !sent.errors.is_empty() {
                    return share::outcome(sent.errors, End::Interrupted);
                }
                let (objects, bytes) = (sent.objects.objects, sent.objects.bytes);
                let amount = share::amount(objects, sent.records);
                let bytes = share::bytes(bytes, sent.packs.bytes, "sent");
                let place = place(pushed);
                terminal::note(&format!("{place}pushed {amount} to `{}`: {bytes}", remote.name));
            }
            share::outcome(incomplete(&project, &remote, pushed)?, End::Reached)
        }
    }
}

fn verb(objects: usize) -> &'static str {
    if objects == 1 { "is" } else { "are" }
}

/// Returns the beginning of a message about a project below the top of the repository.
fn place(pushed: &PushedLocks) -> String {
    match pushed.folder.as_os_str().is_empty() {
        true => String::new(),
        false => format!("in `{}`: ", pushed.folder.display()),
    }
}

/// Returns the command that sends all that the pushed commits need.
fn remedy(project: &Project, remote: &Remote, pushed: &PushedLocks) -> Result<String> {
    let locks: Vec<&Lock> = pushed.locks.iter().collect();
    let all = unpushed(project, remote, &locks)?.objects;
    let sends = |lock: &Lock| -> Result<bool> {
        Ok(unpushed(project, remote, &[lock])?.objects.is_superset(&all))
    };
    let mut options = String::new();
    if !sends(&project.lock)? {
        let tip = pushed.tips.iter().find_map(|(name, lock)| match sends(lock) {
            Ok(true) => Some(Ok(name)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        });
        options = match (tip.transpose()?, &pushed.range) {
            (Some(name), _) => format!(" --rev {name}"),
            (None, Some(range)) => range.iter().map(|range| format!(" --rev {range}")).collect(),
            (None, None) => " --all".to_owned(),
        };
    }
    let folder = match pushed.folder.as_os_str().is_empty() {
        true => String::new(),
        false => format!(" -C {}", pushed.folder.display()),
    };
    Ok(format!("repro{folder} push{options}"))
}

/// Returns an error for each out of a pushed ref that nobody can fetch.
fn incomplete(project: &Project, remote: &Remote, pushed: &PushedLocks) -> Result<Vec<Error>> {
    let mut missing = Vec::new();
    for (name, lock) in &pushed.tips {
        for out in lost(project, remote, lock, &pushed.before)? {
            missing.push((name, out));
        }
    }
    let (place, remote) = (place(pushed), &remote.name);
    let error = |(name, out): (&String, Missing)| {
        let Missing { stage, path, objects, of, .. } = out;
        let verb = verb(objects);
        let what = format!(
            "{place}`{path}` of stage `{stage}` is incomplete on `{name}`: {objects} of {} {verb} \
             neither in the cache nor on remote `{remote}`",
            count(of, "object")
        );
        Error::damaged(what).hint(format!("`repro run {stage}` on `{name}` makes it again"))
    };
    Ok(missing.into_iter().take(MOST_NAMED).map(error).collect())
}

/// Maximum number of outs that messages name.
const MOST_NAMED: usize = 3;
