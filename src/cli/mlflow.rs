//! `repro import mlflow` and `repro export`: runs from and to other tools.

use std::path::Path;

use clap::{Args, Subcommand};

use super::common::{load, store};
use crate::error::{Result, exit};
use crate::import;
use crate::plural::count;
use crate::report;
use crate::report::import::Skipped;
use crate::terminal::size::size;
use crate::terminal::{self, stdout};

#[derive(Debug, Subcommand)]
pub(super) enum From {
    /// Import experiments, runs and models from MLflow
    ///
    /// Runs keep their identities, so importing again adds only what is new. A run that has ended
    /// stays as it is here. Artifacts are copied. To move runs between projects of `repro`, use
    /// `repro runs export` and `repro runs import`.
    Mlflow(FromMlflow),
}

#[derive(Debug, Args)]
pub(super) struct FromMlflow {
    /// The folder `mlruns`, a database such as `mlflow.db`, or the address of a server
    #[arg(value_name = "PATH|URI")]
    from: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Export runs to another tool
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(subcommand)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum To {
    /// Export runs to a tracking server of MLflow's
    ///
    /// A server gives runs identities of its own; the tag `repro.uid` keeps that of the run here,
    /// so exporting again sends only what is new.
    Mlflow(ToMlflow),
}

#[derive(Debug, Args)]
struct ToMlflow {
    /// Address of the server: `http://localhost:5000`
    #[arg(value_name = "URI")]
    to: String,
    /// Runs to export [default: all that are not deleted]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl From {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(&self, here: &Path, root: &Path) -> Result<u8> {
        let From::Mlflow(args) = self;
        let imported = import::import(&load(root)?, here, &args.from)?;
        if args.json {
            stdout::write(&report::json(&imported))?;
            return Ok(exit::OK);
        }
        warn_of(&imported.skipped);
        stdout::say!(
            "imported {}, {}, {} ({})",
            count(imported.runs, "run"),
            count(imported.points, "point"),
            count(imported.files, "file"),
            size(imported.bytes)
        );
        if imported.models + imported.versions > 0 {
            let (models, versions) = (imported.models, imported.versions);
            stdout::say!(
                "imported {} and {}",
                count(models, "logged model"),
                count(versions, "registered version")
            );
        }
        if imported.known > 0 {
            stdout::say!("{} known already", count(imported.known, "run"));
        }
        Ok(exit::OK)
    }
}

impl ExportArgs {
    /// Runs the command.
    pub(super) fn execute(&self, root: &Path) -> Result<u8> {
        let To::Mlflow(args) = &self.to;
        let (project, store) = (load(root)?, store(root)?);
        let runs = match &args.runs[..] {
            [] => store.names(usize::MAX)?.into_iter().rev().collect(),
            named => named
                .iter()
                .map(|name| store.resolve(name, || super::common::goals(root)))
                .collect::<Result<Vec<_>>>()?,
        };
        let exported = import::export(&project, &store, &args.to, &runs)?;
        if args.json {
            stdout::write(&report::json(&exported))?;
            return Ok(exit::OK);
        }
        warn_of(&exported.skipped);
        stdout::say!(
            "exported {}, {}, {} ({})",
            count(exported.runs.len(), "run"),
            count(exported.points, "point"),
            count(exported.files, "file"),
            size(exported.bytes)
        );
        if exported.known > 0 {
            stdout::say!("{} known already", count(exported.known, "run"));
        }
        Ok(exit::OK)
    }
}

fn warn_of(skipped: &[Skipped]) {
    for Skipped { what, why } in skipped {
        terminal::warn(&format!("left out {what}: {why}"));
    }
}
