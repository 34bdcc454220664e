//! `repro import`: outs of other projects, and runs from other tools.

use std::path::Path;
#[cfg(feature = "remote")]
use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "remote")]
use super::add::{add_origin, stage_name};
#[cfg(feature = "remote")]
use super::elsewhere;
#[cfg(feature = "ui")]
use super::mlflow::From;
#[cfg(feature = "remote")]
use crate::engine::add::Wishes;
use crate::error::{Error, Result};
#[cfg(feature = "remote")]
use crate::pipeline::{Origin, StageName};
#[cfg(feature = "remote")]
use crate::workspace::root;

/// Import an out of another project, or runs from another tool
///
/// `repro import REPOSITORY PATH` declares a stage without a command in pipeline.toml, whose out
/// comes from another project that git reaches at REPOSITORY: an out that its remotes or its cache
/// have, or a file or folder in git. PATH counts from the top of the repository. pipeline.lock
/// names the commit; `repro update` moves to a newer one. A repository in the folder `mlflow` is
/// `./mlflow`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ImportArgs {
    #[cfg(feature = "ui")]
    #[command(subcommand)]
    from: Option<From>,
    #[cfg(feature = "remote")]
    #[command(flatten)]
    out: Option<OutArgs>,
}

/// An out of another project.
#[cfg(feature = "remote")]
#[derive(Debug, Args)]
struct OutArgs {
    /// URL or path of the git repository of another project
    #[arg(value_name = "REPOSITORY", required = true)]
    repo: String,
    /// Path in the repository: an out, a path inside one, or a file or folder in git
    #[arg(value_name = "PATH", required = true)]
    path: String,
    /// Branch, tag or commit [default: the default branch]
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// File or folder to write [default: the name of PATH in the current directory]
    #[arg(long, short, value_name = "DEST")]
    output: Option<PathBuf>,
    /// Name of the stage [default: derived from the path]
    #[arg(long, value_name = "NAME", value_parser = stage_name)]
    name: Option<StageName>,
    /// Description of the data
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
}

#[cfg(feature = "remote")]
impl OutArgs {
    fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let origin = elsewhere::origin(here, Some(root), (&self.repo, &self.path), self.rev)?;
        let name = origin.path.as_str().rsplit('/').next().unwrap_or_default();
        let typed = match self.output {
            None => PathBuf::from(name),
            Some(dest) if dest.as_os_str().as_encoded_bytes().ends_with(b"/") => dest.join(name),
            Some(dest) => dest,
        };
        let path = root::to_repo_path(root, here, &typed)?;
        let wishes = Wishes { name: self.name, desc: self.desc };
        add_origin(root, &path, &Origin::Project(origin), &wishes)
    }
}

impl ImportArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        #[cfg(feature = "remote")]
        if let Some(out) = self.out {
            return out.execute(here, root);
        }
        #[cfg(feature = "ui")]
        if let Some(from) = &self.from {
            return from.execute(here, root);
        }
        Err(Error::usage("the command does not say what to import"))
    }
}
