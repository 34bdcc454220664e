//! `repro git`: keeps `pipeline.lock` and the outs right through merges and switches of branches.

mod hook;
mod install;
mod merge_lock;
#[cfg(feature = "remote")]
mod pre_push;
mod resolve;

use std::path::Path;

use clap::{Args, Subcommand};

use crate::error::Result;
use crate::workspace::root;

/// Merge pipeline.lock without conflicts, and restore outs when git switches branches
#[derive(Debug, Args)]
pub(super) struct GitArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up the merge driver for pipeline.lock, and the hooks
    ///
    /// The driver takes each stage's record as a whole from one side, and never leaves conflict
    /// markers. The hooks restore outs after a switch of branches, a merge or a rebase, and warn
    /// when pushed commits need outs that the remote lacks. Hooks that exist already are kept and
    /// run first. The command can be repeated.
    Install(install::InstallArgs),
    /// Remove the merge driver and the hooks
    Uninstall(install::UninstallArgs),
    /// Resolve a conflict in pipeline.lock that git has left
    ///
    /// Takes the record of each stage from one side, as the merge driver does. For a stage that
    /// both sides changed, it takes the record whose inputs are those in the files now, so resolve
    /// the other conflicts first.
    Resolve(resolve::ResolveArgs),
    /// Show what is set up
    Status(install::StatusArgs),
    #[command(hide = true)]
    Hook(hook::HookArgs),
    #[command(hide = true)]
    MergeLock(merge_lock::MergeLockArgs),
}

impl GitArgs {
    /// Runs the command in the directory `here`.
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        match self.command {
            Command::Install(args) => args.execute(&root::find(here)?),
            Command::Uninstall(args) => args.execute(&root::find(here)?),
            Command::Resolve(args) => args.execute(&root::find(here)?),
            Command::Status(args) => args.execute(&root::find(here)?),
            Command::Hook(args) => args.execute(here),
            Command::MergeLock(args) => args.execute(here),
        }
    }
}
