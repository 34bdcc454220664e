//! `repro git hook`: what the hooks of git do. Only pre-commit and `pre-push --push` can fail,
//! since git would report that its own command failed.

use std::path::Path;

use clap::{Args, Subcommand};

#[cfg(feature = "remote")]
use super::pre_push;
use crate::cli::common::amount;
use crate::cli::status::StatusArgs;
use crate::engine::git::follow::{self, Followed, Target, changed_projects};
#[cfg(feature = "remote")]
use crate::engine::git::hook_files::Unpushed;
use crate::error::{Error, Result, exit};
use crate::plural::count;
use crate::repo_path::RepoPath;
use crate::terminal;

/// Do what a hook of git does; the arguments are those that git passes to it
#[derive(Debug, Args)]
pub(super) struct HookArgs {
    #[command(subcommand)]
    hook: Hook,
}

#[derive(Debug, Subcommand)]
enum Hook {
    /// Restore outs after a switch of branches
    PostCheckout {
        /// Commit before the switch
        old: Option<String>,
        /// Commit after the switch
        new: Option<String>,
        /// 1 for a switch, 0 if git restored single files
        kind: Option<String>,
    },
    /// Restore outs after a merge
    PostMerge {
        /// 1 for a merge that is not committed
        squash: Option<String>,
    },
    /// Restore outs after a rebase
    PostRewrite {
        /// `rebase` or `amend`
        command: Option<String>,
    },
    /// Refuse a commit while a stage is out of date
    PreCommit,
    /// Warn of outs that pushed commits need and the remote lacks; git lists the commits on stdin
    PrePush {
        /// Send those outs, and fail if that is not possible
        #[arg(long)]
        push: bool,
        /// Remote of git
        remote: Option<String>,
        /// Its URL
        url: Option<String>,
    },
    /// Do what `pre-commit` says by its variables
    Restore,
}

impl HookArgs {
    /// Runs the hook in `here`, the top of the working tree.
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        let here = &here.canonicalize().map_err(|err| Error::io("open", here, &err))?;
        match self.hook {
            Hook::PostCheckout { old, new, kind } => after_switch(here, old, new, kind.as_deref()),
            Hook::PostMerge { squash: _ } => {
                restore(here, Some("ORIG_HEAD"), &Target::Workspace);
            }
            Hook::PostRewrite { command } => after_rewrite(here, command.as_deref()),
            Hook::PreCommit => return check(here),
            #[cfg(feature = "remote")]
            Hook::PrePush { push, remote, url: _ } => {
                let unpushed = if push { Unpushed::Sent } else { Unpushed::Named };
                return pre_push::execute(here, remote, unpushed);
            }
            #[cfg(not(feature = "remote"))]
            Hook::PrePush { .. } => {}
            Hook::Restore => after_any(here),
        }
        Ok(exit::OK)
    }
}

/// Does what belongs to the hook that `pre-commit` was called by, which it passes in variables.
fn after_any(here: &Path) {
    let variable = |name: &str| std::env::var(format!("PRE_COMMIT_{name}")).ok();
    if let Some(kind) = variable("CHECKOUT_TYPE") {
        after_switch(here, variable("FROM_REF"), variable("TO_REF"), Some(&kind));
    } else if let Some(command) = variable("REWRITE_COMMAND") {
        after_rewrite(here, Some(&command));
    } else {
        restore(here, Some("ORIG_HEAD"), &Target::Workspace);
    }
}

fn after_switch(here: &Path, old: Option<String>, new: Option<String>, kind: Option<&str>) {
    // Otherwise git restored single files.
    let is_switch = kind == Some("1") && old != new;
    if let (Some(old), Some(new), true) = (old, new, is_switch) {
        // A new worktree comes from nowhere.
        let is_commit = old.bytes().any(|byte| byte != b'0');
        restore(here, is_commit.then_some(&old), &Target::Commit(new));
    }
}

fn after_rewrite(here: &Path, command: Option<&str>) {
    if command == Some("rebase") {
        restore(here, Some("ORIG_HEAD"), &Target::Workspace);
    }
}

/// Restores the outs of the projects whose lock has changed.
fn restore(here: &Path, from: Option<&str>, to: &Target) {
    for root in changed_projects(here, from, to) {
        match follow::follow(&root, from) {
            Ok(followed) => report(&followed),
            Err(error) => {
                let failed = Error {
                    what: format!("outs were not restored: {}", error.what),
                    ..error.clone()
                };
                terminal::warn_of(&failed);
                error.others.iter().for_each(terminal::warn_of);
            }
        }
    }
}

fn report(followed: &Followed) {
    let Followed { report, edited, missing, has_remote } = followed;
    report.warnings.iter().for_each(|warning| terminal::warn(warning));
    if !report.brought.is_empty() {
        let stages = count(report.brought.len(), "stage");
        terminal::note(&format!("restored the outs of {stages}: {}", amount(report.written)));
    }
    if !edited.is_empty() {
        terminal::warn_of(
            &Error::usage(format!("{} edited, and stays as it is", names(edited)))
                .hint("`repro checkout` replaces it and keeps your version in the trash"),
        );
    }
    if !missing.is_empty() {
        terminal::warn_of(
            &Error::usage(format!("{} not in the cache, and not restored", names(missing))).hint(
                match has_remote {
                    true => "`repro pull` brings what a remote has, `repro run` makes the rest",
                    false => "`repro run` makes what is missing",
                },
            ),
        );
    }
}

/// Maximum number of paths that a message names.
const MOST_NAMED: usize = 3;

/// Returns the subject of a sentence and its verb: `` `a` is ``, `` `a`, `b` are ``.
fn names(paths: &[RepoPath]) -> String {
    let mut named: Vec<String> =
        paths.iter().take(MOST_NAMED).map(|path| format!("`{path}`")).collect();
    if let Some(more) = paths.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        named.push(count(more, "more out"));
    }
    format!("{} {}", named.join(", "), if paths.len() == 1 { "is" } else { "are" })
}

/// Runs `repro status --check` for each project.
fn check(here: &Path) -> Result<u8> {
    let mut worst = exit::OK;
    for root in changed_projects(here, None, &Target::Workspace) {
        worst = worst.max(StatusArgs::check().execute(&root, &root)?);
    }
    if worst == exit::CHECK {
        let error = Error::usage("the commit is refused because stages are out of date");
        let hint = "`repro run` brings them up to date; `git commit --no-verify` skips the check";
        terminal::warn_of(&error.hint(hint));
    }
    Ok(worst)
}
