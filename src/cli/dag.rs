//! `repro dag`: prints the graph of the declared stages. It reads neither the lock nor contents of
//! deps and outs, so it works in a project that has never run.

use std::path::Path;

use clap::Args;

use super::select;
use crate::engine::project;
use crate::error::{Result, exit};
use crate::report::dag::DagReport;
use crate::terminal::{graph, stdout};

/// Draw the graph of stages
#[derive(Debug, Args)]
pub(super) struct DagArgs {
    /// Stages to draw, including the stages they need [default: all stages]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Print Graphviz DOT: `repro dag --dot | dot -Tsvg > dag.svg`
    #[arg(long, conflicts_with = "mermaid")]
    dot: bool,
    /// Print a Mermaid flowchart for a Markdown page
    #[arg(long)]
    mermaid: bool,
}

impl DagArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let pipeline = project::load_pipeline(root, &[])?;
        let stages = select::from_root(root, here, &self.stages)?;
        let wanted = select::with_needs(&pipeline, &stages)?;
        let dag = DagReport::new(&pipeline, &wanted);
        let text = match (self.dot, self.mermaid) {
            (true, _) => graph::dot(&dag),
            (_, true) => graph::mermaid(&dag),
            _ => graph::text(&dag),
        };
        stdout::write(&text)?;
        Ok(exit::OK)
    }
}
