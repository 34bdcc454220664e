//! `repro dag`.

use clap::Args;

use super::select;
use crate::error::{Result, exit};
use crate::pipeline::Pipeline;
use crate::terminal::graph::{self, View};
use crate::terminal::stdout;

/// Draw the graph of stages: what needs what
#[derive(Debug, Args)]
pub(super) struct DagArgs {
    /// Stages to draw, with all that they need [default: every stage]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Write it for Graphviz: `repro dag --dot | dot -Tsvg > dag.svg`
    #[arg(long, conflicts_with = "mermaid")]
    dot: bool,
    /// Write it for Mermaid, which Markdown pages draw
    #[arg(long)]
    mermaid: bool,
}

impl DagArgs {
    pub(super) fn execute(self, pipeline: &Pipeline) -> Result<u8> {
        let wanted = select::with_needs(pipeline, &self.stages)?;
        let view = View::new(pipeline, &wanted);
        let text = match (self.dot, self.mermaid) {
            (true, _) => graph::dot(&view),
            (_, true) => graph::mermaid(&view),
            _ => graph::text(&view),
        };
        stdout::write(&text)?;
        Ok(exit::OK)
    }
}
