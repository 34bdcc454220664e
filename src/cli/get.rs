//! `repro get`: copies an out of an old run or of a git revision to any place.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::common::amount;
#[cfg(feature = "remote")]
use super::elsewhere;
use crate::engine::Project;
use crate::engine::export::{Existing, export, export_uploaded, target};
use crate::engine::get;
use crate::engine::models::{self, Files};
use crate::engine::size::Tally;
use crate::error::{Error, Result, exit};
use crate::pipeline::is_url;
#[cfg(feature = "remote")]
use crate::remote::repository::short;
use crate::repo_path::RepoPath;
use crate::report;
#[cfg(feature = "remote")]
use crate::report::get::GetElsewhereReport;
use crate::report::get::{GetModelReport, GetReport, GetUploadReport};
use crate::terminal::{self, stdout};
use crate::workspace::root;
use crate::workspace::run_lock::RunLock;

/// Copy an out of an old run, of a git revision or of another project, or a registered model, to
/// any place
///
/// PATH is an out, an uploaded file, or a path inside one. It counts from the project root;
/// `./PATH` counts from the current directory. `models:` and a version, such as
/// `models:genre@production`, stands for the files of a registered model. The workspace,
/// pipeline.lock and git stay as they are.
///
/// `repro get REPOSITORY PATH` copies from another project, which git reaches at REPOSITORY: an out
/// that its remotes or its cache have, or a file in git. PATH counts from the top of the
/// repository. This works outside of a project, too.
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Run (`run-3`, `3` or `last`) or git revision, a colon, and the path: `run-3:model.bin`,
    /// `HEAD~2:reports/roc.png`
    #[arg(value_name = "REV:PATH|REPOSITORY")]
    what: String,
    /// Path in the repository of another project
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// Branch, tag or commit of the other project [default: its default branch]
    #[arg(long, value_name = "REV", requires = "path")]
    rev: Option<String>,
    /// File to write, directory to write into, or `-` for stdout [default: the name of PATH in the
    /// current directory]
    #[arg(long, short, value_name = "DEST")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, short)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl GetArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        if let Some(path) = &self.path {
            #[cfg(feature = "remote")]
            return self.get_elsewhere(here, path);
            #[cfg(not(feature = "remote"))]
            return Err(Error::usage(format!("`{path}` is on another machine"))
                .hint("build `repro` with the feature `remote`"));
        }
        if is_url(&self.what) {
            return Err(Error::usage(format!("`{}` has no path", self.what))
                .hint("`repro get REPOSITORY PATH` copies an out of another project"));
        }
        let root = &root::find(here)?;
        let (revision, path) = split(&self.what)?;
        let model = (revision == "models").then_some(path);
        let (project, held) = match self.force {
            true => Project::load_with_locked(root).map(|(project, held)| (project, Some(held)))?,
            false => (Project::load(root, &[])?, None),
        };
        if let Some(version) = model {
            return self.get_model(here, &project, version, held.as_ref());
        }
        let path = to_path(root, here, path)?;
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        if let Some((run, uploaded)) = models::uploaded(&project, revision, &path)? {
            let (from, quoted) = (format!("{path} of {run}"), format!("`{path}` of {run}"));
            let files = Files::Uploaded(uploaded);
            if let Some((to, written)) =
                self.copy(here, &project, held.as_ref(), &files, (name, &quoted))?
            {
                let report = GetUploadReport { from: run, path, to: to.clone(), written };
                self.say(&report, &format!("wrote {to} ({from}): {}", amount(written)))?;
            }
            return Ok(exit::OK);
        }
        let found = get::find(&project, revision, &path)?;
        let (from, quoted) =
            (format!("{path} of {}", found.revision), format!("`{path}` of {}", found.revision));
        let files = Files::Cached(found.content);
        if let Some((to, written)) =
            self.copy(here, &project, held.as_ref(), &files, (name, &quoted))?
        {
            let report = GetReport::new(&found, to.clone(), written);
            self.say(&report, &format!("wrote {to} ({from}): {}", amount(written)))?;
        }
        Ok(exit::OK)
    }

    /// Copies an out of another project.
    #[cfg(feature = "remote")]
    fn get_elsewhere(&self, here: &Path, path: &str) -> Result<u8> {
        let (project, held, scratch) = elsewhere::project(here, self.force)?;
        let root = scratch.is_none().then_some(&*project.root);
        let origin = elsewhere::origin(here, root, (&self.what, path), self.rev.clone())?;
        let provided = elsewhere::provide(&project, &origin)?;
        let commit = short(&provided.commit);
        let shown = format!("{} of {} at {commit}", origin.path, self.what);
        let quoted = format!("`{}` of {} at {commit}", origin.path, self.what);
        let name = origin.path.as_str().rsplit('/').next().unwrap_or_default();
        let files = Files::Cached(provided.content);
        if let Some((to, written)) =
            self.copy(here, &project, held.as_ref(), &files, (name, &quoted))?
        {
            let report = GetElsewhereReport::new(&origin, &provided, to.clone(), written);
            self.say(&report, &format!("wrote {to} ({shown}): {}", amount(written)))?;
        }
        Ok(exit::OK)
    }

    /// Copies the files of a registered model.
    fn get_model(
        &self,
        here: &Path,
        project: &Project,
        version: &str,
        held: Option<&RunLock>,
    ) -> Result<u8> {
        let (found, files) = models::find(project, version.trim_start_matches('/'))?;
        let shown = format!("version {} of model `{}`", found.version, found.name);
        let name = (found.file_name(), &*shown);
        if let Some((to, written)) = self.copy(here, project, held, &files, name)? {
            let report = GetModelReport::new(&found, to.clone(), written);
            self.say(&report, &format!("wrote {to} ({shown}): {}", amount(written)))?;
        }
        Ok(exit::OK)
    }

    /// Copies files called `name`, and returns the place as a user would type it; `None` for
    /// stdout.
    fn copy(
        &self,
        here: &Path,
        project: &Project,
        held: Option<&RunLock>,
        files: &Files,
        (name, shown): (&str, &str),
    ) -> Result<Option<(String, Tally)>> {
        if self.output.as_deref() == Some(Path::new("-")) {
            stdout::copy(models::open(project, files, shown)?)?;
            return Ok(None);
        }
        let to = target(here, self.output.as_deref(), name);
        let existing = held.map_or(Existing::Stays, Existing::Replaced);
        let (written, warnings) = match files {
            Files::Cached(content) => export(project, content, (here, &to), existing)?,
            Files::Uploaded(from) => export_uploaded(project, from, (here, &to), existing)?,
        };
        warnings.iter().for_each(|warning| terminal::warn(warning));
        Ok(Some((self::shown(&to), written)))
    }

    fn say(&self, report: &impl Serialize, line: &str) -> Result<()> {
        if self.json {
            return stdout::write(&report::json(report));
        }
        stdout::say!("{line}");
        Ok(())
    }
}

/// Returns a path as a user would type it.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Splits `REV:PATH` at the first colon.
pub(super) fn split(what: &str) -> Result<(&str, &str)> {
    let example = "`run-3:model.bin` and `HEAD~2:model.bin` are examples";
    match what.split_once(':') {
        Some((revision, path)) if !revision.is_empty() && !path.is_empty() => Ok((revision, path)),
        Some((revision, "")) if !revision.is_empty() => {
            Err(Error::usage(format!("`{what}` has no path after the colon")).hint(example))
        }
        _ => Err(Error::usage(format!("`{what}` does not name a run or a git revision"))
            .hint(format!("{example}; `repro checkout PATH` restores the current version"))),
    }
}

/// Converts a typed path: it counts from the root unless it begins with `./` or `../`.
pub(super) fn to_path(root: &Path, here: &Path, typed: &str) -> Result<RepoPath> {
    if typed.starts_with("./") || typed.starts_with("../") {
        return root::to_repo_path(root, here, Path::new(typed));
    }
    RepoPath::parse(typed).map_err(|bad| Error::usage(format!("path `{typed}` {bad}")))
}
