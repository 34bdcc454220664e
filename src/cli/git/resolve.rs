//! `repro git resolve`.

use std::path::Path;

use clap::Args;

use super::merge_lock::report;
use crate::engine::git::resolve::resolve;
use crate::error::{Result, exit};
use crate::plan::lock;
use crate::plan::lock_merge::Side;
use crate::terminal::stdout;

#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    /// Take our record of STAGE; in a rebase, that of the branch rebased onto
    #[arg(long, value_name = "STAGE")]
    ours: Vec<String>,
    /// Take their record of STAGE; in a rebase, that of the rebased commit
    #[arg(long, value_name = "STAGE")]
    theirs: Vec<String>,
}

impl ResolveArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let ours = self.ours.into_iter().map(|stage| (stage, Side::Ours));
        let theirs = self.theirs.into_iter().map(|stage| (stage, Side::Theirs));
        let chosen: Vec<(String, Side)> = ours.chain(theirs).collect();
        let settled = resolve(root, &chosen)?;
        report(lock::FILE, &settled);
        stdout::say!("resolved `{0}`; `git add {0}` tells git", lock::FILE);
        Ok(exit::OK)
    }
}
