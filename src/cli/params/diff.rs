//! `repro params diff`: the params that differ between runs, git revisions and the workspace.

use std::path::Path;

use clap::Args;

use crate::cli::comparison::{equal_rows, params_table, them};
use crate::engine::side::{Side, WORKSPACE};
use crate::error::{Result, exit};
use crate::report;
use crate::report::compare::{ParamsReport, Rows};
use crate::terminal::{self, stdout};

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// Runs to compare, git revisions, or `workspace` for the present files [default: latest]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Also list params that are equal
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DiffArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let mut names = self.runs;
        if names.is_empty() {
            names.push("latest".to_owned());
        }
        if names.len() == 1 {
            names.push(WORKSPACE.to_owned());
        }
        let sides = names.iter().map(|name| Side::find(root, name)).collect::<Result<Vec<_>>>()?;
        let rows = if self.all { Rows::All } else { Rows::Differing };
        let report = ParamsReport::read(root, &sides, rows)?;
        if self.json {
            stdout::write(&report::json(&report))?;
            return Ok(exit::OK);
        }
        if !report.params.is_empty() {
            stdout::write(&params_table(report.runs.iter(), &report.params).plain(""))?;
        }
        if let Some(equal) = equal_rows(report.params.len(), report.omitted, "param") {
            terminal::note(&format!("{equal}: `--all` lists {}", them(report.omitted)));
        }
        Ok(exit::OK)
    }
}
