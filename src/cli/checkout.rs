//! `repro checkout`.

use std::path::Path;

use clap::Args;

use crate::engine::Project;
use crate::engine::checkout::{Checked, checkout};
use crate::error::{Error, Result, did_you_mean, exit};
use crate::plan::lock;

/// Make the workspace hold the outs that pipeline.lock names, from the cache
#[derive(Debug, Args)]
pub(super) struct CheckoutArgs {
    /// Stages whose outs to bring back [default: every stage in the lock]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
}

impl CheckoutArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_exclusively(root, &[])?;
        if project.lock.stages.is_empty() {
            return Err(
                Error::usage(format!("`{}` names no outs yet", lock::FILE)).hint("`repro run` makes them")
            );
        }
        let names = || project.lock.stages.keys().map(|name| name.as_str());
        if let Some(unknown) = self.stages.iter().find(|stage| !names().any(|name| name == stage.as_str())) {
            let error = Error::usage(format!("`{}` knows no stage `{unknown}`", lock::FILE));
            return Err(match did_you_mean(unknown, names()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("it knows {}", names().collect::<Vec<_>>().join(", "))),
            });
        }
        let wanted = |name: &crate::pipeline::StageName| {
            self.stages.is_empty() || self.stages.iter().any(|stage| stage == name.as_str())
        };
        let done = checkout(&project, &held, &wanted)?;
        done.warnings.iter().for_each(|warning| crate::terminal::warn(warning));
        let brought: Vec<&str> = done
            .stages
            .iter()
            .filter(|(_, checked)| *checked == Checked::Brought)
            .map(|(name, _)| name.as_str())
            .collect();
        if brought.is_empty() {
            crate::terminal::stdout::say!("the workspace already holds what `{}` names", lock::FILE);
        } else {
            crate::terminal::stdout::say!("brought back the outs of {}", brought.join(", "));
        }
        Ok(exit::OK)
    }
}
