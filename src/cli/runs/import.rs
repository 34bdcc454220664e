//! `repro runs import`: reads runs from a file.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::engine::{Project, transfer};
use crate::error::{Result, exit};
use crate::plural::count;
use crate::terminal::{self, stdout};

/// Add the runs of a file that `repro runs export` wrote
///
/// Each run gets a new number and keeps its identity. Runs that are there already stay as they are.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// File to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl ImportArgs {
    pub(super) fn execute(&self, here: &Path, root: &Path) -> Result<u8> {
        let open = || Project::load_with_locked(root);
        let imported = transfer::import(root, &here.join(&self.file), open)?;
        for (run, name) in &imported.nameless {
            terminal::warn(&format!(
                "another run has the name `{name}`, so {run} has none; `repro runs rename {run} \
                 NAME` gives it one"
            ));
        }
        for (run, was) in &imported.runs {
            stdout::say!("imported {run} ({was} in the file)");
        }
        if imported.objects > 0 {
            stdout::say!("added {} to the cache", count(imported.objects, "object"));
        }
        if imported.known > 0 {
            stdout::say!(
                "{} there already",
                match imported.known {
                    1 => "1 run is".to_owned(),
                    known => format!("{known} runs are"),
                }
            );
        }
        Ok(exit::OK)
    }
}
