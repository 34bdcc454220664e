//! `repro git install`, `uninstall` and `status`.

use std::path::Path;

use clap::Args;

use crate::engine::git::hook_files::{Hook, Unpushed};
use crate::engine::git::setup::{self, Changes, Driver};
use crate::error::{Result, exit};
use crate::terminal::{self, stdout};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// Set up only the merge driver
    #[arg(long, conflicts_with_all = ["pre_commit", "push"])]
    no_hooks: bool,
    /// Also refuse commits while a stage is out of date (`repro status --check`)
    #[arg(long)]
    pre_commit: bool,
    /// Send the outs that pushed commits need before git pushes them, instead of warning that the
    /// remote lacks them
    #[arg(long)]
    push: bool,
}

#[derive(Debug, Args)]
pub(super) struct UninstallArgs {}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {}

impl InstallArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let unpushed = if self.push { Unpushed::Sent } else { Unpushed::Named };
        let wanted = |hook: &Hook| match hook {
            Hook::PreCommit => self.pre_commit,
            Hook::PrePush(_) => !self.no_hooks && cfg!(feature = "remote"),
            Hook::PostCheckout | Hook::PostMerge | Hook::PostRewrite => !self.no_hooks,
        };
        let hooks: Vec<Hook> = Hook::all(unpushed).into_iter().filter(wanted).collect();
        show(&setup::install(root, &hooks)?, "already installed")
    }
}

impl UninstallArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let UninstallArgs {} = self;
        show(&setup::uninstall(root)?, "nothing was installed")
    }
}

impl StatusArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let StatusArgs {} = self;
        let state = setup::state(root)?;
        let attribute = match state.attribute {
            true => "yes, by .gitattributes",
            false => "no: `repro git install` adds the line to .gitattributes",
        };
        let driver = match state.driver {
            Driver::Current => "set up",
            Driver::Outdated => "calls another program: `repro git install` updates it",
            Driver::Missing => "not set up in this clone: `repro git install` does it",
        };
        let shown = |hook: &Hook| match hook {
            Hook::PrePush(Unpushed::Sent) => "pre-push (sends outs)",
            hook => hook.name(),
        };
        let hooks: Vec<&str> = state.hooks.iter().map(shown).collect();
        let hooks = match &hooks[..] {
            [] => "none".to_owned(),
            hooks => format!("{} in {}", hooks.join(", "), state.folder.display()),
        };
        stdout::say!("lock uses the merge driver: {attribute}");
        stdout::say!("merge driver: {driver}");
        stdout::say!("hooks: {hooks}");
        Ok(exit::OK)
    }
}

fn show(changes: &Changes, nothing: &str) -> Result<u8> {
    changes.left.iter().for_each(terminal::warn_of);
    for change in &changes.made {
        stdout::say!("{change}");
    }
    if changes.made.is_empty() && changes.left.is_empty() {
        stdout::say!("{nothing}");
    }
    Ok(exit::OK)
}
