//! `repro add`: declares a tracked input for each path, runs the new stages to store the data, and
//! keeps the paths out of git.

mod url;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

#[cfg(feature = "remote")]
pub(super) use self::url::add_origin;
use super::common::{amount, command_line, show_failures};
use crate::engine::add::{self, InGit, Tracked, TrackingState, Wishes};
use crate::engine::elsewhere::{NoSources, Wish};
use crate::engine::run::{NoSupply, NoTracking, Options, Report, Role, run};
use crate::engine::size::measure;
use crate::engine::{OnForeign, Project, processors, project};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::pipeline::{FILE, StageName, StageSet, is_url};
use crate::repo_path::RepoPath;
use crate::runs::Recorder;
use crate::schedule::OnFailure;
use crate::terminal::{self, stdout, style};
use crate::workspace::ignore::GitignoreChange;
use crate::workspace::root;

/// Track data files or directories, or download a URL: store them in the cache and record them in
/// pipeline.lock
///
/// Adds a stage without a command to pipeline.toml and a line to .gitignore. If a path is already
/// tracked, stores its current content. A URL names a file, or a folder of a store; it is
/// downloaded once. pipeline.lock then names its content, and `repro update` asks for a newer one.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Files or directories to track, or one URL: `https://…`, `s3://…`, `sftp://…`, `file:///…`
    #[arg(value_name = "PATH|URL", required = true)]
    paths: Vec<PathBuf>,
    /// Name of the stage [default: derived from the path]
    #[arg(long, value_name = "NAME", value_parser = stage_name)]
    name: Option<StageName>,
    /// Description of the data
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
    /// File or folder for the content of a URL [default: the last name of the URL in the current
    /// directory]
    #[arg(long, short, value_name = "DEST")]
    output: Option<PathBuf>,
    /// Unpack the archive at a URL: zip, tar, tar.gz or tar.zst
    #[arg(long)]
    extract: bool,
    /// SHA-256 that the file at a URL must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

impl AddArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        if self.paths.len() > 1 && (self.name.is_some() || self.desc.is_some()) {
            return Err(Error::usage("`--name` and `--desc` need exactly one path")
                .hint("add the paths one by one"));
        }
        if let Some(url) = self.paths.iter().find_map(|path| path.to_str().filter(|t| is_url(t))) {
            return self.add_url(url, here, root);
        }
        if self.output.is_some() || self.extract || self.sha256.is_some() {
            return Err(Error::usage("`--output`, `--extract` and `--sha256` need a URL")
                .hint("`repro add https://example.org/data.zip --extract` is an example"));
        }
        let inside = |typed: &PathBuf| {
            let path = root::to_repo_path(root, here, typed).map_err(with_hint)?;
            match path.to_path(root).symlink_metadata() {
                Err(err) if err.kind() == ErrorKind::NotFound => Err(missing(here, typed)),
                _ => Ok(path),
            }
        };
        let mut paths: Vec<RepoPath> = self.paths.iter().map(inside).collect::<Result<_>>()?;
        paths.sort();
        paths.dedup();
        let held = project::hold(root)?;
        let tracked =
            add::declare(root, &held, &paths, &Wishes { name: self.name, desc: self.desc })?;
        let project = Arc::new(Project::reload(root, &held, &[])?);
        let stages = &project.pipeline.stages;
        let options = Options {
            on_foreign: OnForeign::Refuse,
            wanted: StageSet::of(
                stages.len(),
                tracked.iter().filter_map(|one| project.pipeline.find(one.stage.as_str())),
            ),
            forced: StageSet::none(stages.len()),
            cpus: processors(),
            on_failure: OnFailure::KeepGoing,
            command: command_line(),
            overrides: Vec::new(),
            role: Role::Ordinary,
            git: None,
            tracking: Arc::new(NoTracking),
            supply: Arc::new(NoSupply),
            sources: Arc::new(NoSources),
            origins: Wish::Locked,
        };
        let mut recorder = Recorder::start(&project.history, terminal::note);
        let report = run(&project, &held, &options, vec![&mut recorder], || ());
        if let Some(warning) = recorder.finish() {
            terminal::warn_of(&warning);
        }
        let report = report?;
        show_failures(&report);
        tracked.iter().try_for_each(|one| show(&project, one, &report))?;
        Ok(report.exit)
    }
}

fn missing(here: &Path, typed: &Path) -> Error {
    let start = match here == Path::new(".") {
        true => "the current directory".to_owned(),
        false => format!("`{}`", here.display()),
    };
    Error::usage(format!("`{}` does not exist", typed.display()))
        .hint(format!("paths are relative to {start}"))
}

fn with_hint(outside: Error) -> Error {
    if outside.hint.is_some() {
        outside
    } else {
        outside.hint("move or copy it into the project, or create a link to it there")
    }
}

fn show(
    project: &Project,
    Tracked { path, stage, state }: &Tracked,
    report: &Report,
) -> Result<()> {
    let outcome =
        report.stages.iter().find(|(name, ..)| name == stage).map(|(_, outcome, _)| outcome);
    let lock = project::load_lock(&project.root)?;
    let content = lock.stages.get(stage).and_then(|trace| trace.outs.get(path));
    let size = content.map(|content| amount(measure(project, content))).unwrap_or_default();
    let stage = format!("stage {}{stage}{:#}", style::STAGE, style::STAGE);
    match (state, outcome) {
        (TrackingState::New, Some(Outcome::Ran | Outcome::Restored { .. })) => {
            stdout::say!("`{path}` is tracked as {stage}: {size}");
        }
        (TrackingState::New, _) => {
            stdout::say!("`{path}` is declared as {stage} in {FILE}, but not stored yet");
        }
        (TrackingState::Existing, Some(Outcome::Fresh)) => {
            stdout::say!("`{path}` is already tracked as {stage} and has not changed");
        }
        (TrackingState::Existing, Some(Outcome::Ran | Outcome::Restored { .. })) => {
            stdout::say!("`{path}` changed and was stored again as {stage}: {size}");
        }
        (TrackingState::Existing, _) => {}
    }
    let (in_git, ignored) = add::keep_out_of_git(&project.root, path)?;
    match ignored {
        GitignoreChange::Created | GitignoreChange::Extended => {
            stdout::say!("added `{path}` to .gitignore");
        }
        GitignoreChange::Unchanged => {}
    }
    if in_git == InGit::Tracked {
        terminal::warn(&format!(
            "git tracks `{path}` too: `git rm -r --cached {path}` leaves it to the cache"
        ));
    }
    Ok(())
}

pub(super) fn stage_name(text: &str) -> Result<StageName, String> {
    StageName::parse(text)
        .filter(|name| !name.as_str().contains('@'))
        .ok_or_else(|| "stage names consist of letters, digits, `_`, `-` and `.`".to_owned())
}
