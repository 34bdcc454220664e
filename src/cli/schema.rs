//! `repro schema`: prints the JSON Schema of pipeline.toml that this version reads.

use clap::Args;

use crate::error::{Result, exit};
use crate::pipeline::schema::SCHEMA;

/// Print the JSON Schema of pipeline.toml, for completion and validation in editors
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {}

impl SchemaArgs {
    pub(super) fn execute(self) -> Result<u8> {
        crate::terminal::stdout::say!("{}", SCHEMA.trim_end());
        Ok(exit::OK)
    }
}
