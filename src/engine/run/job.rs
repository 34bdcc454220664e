//! The job of a stage: its command, its environment, the files of the stage contract, and retries.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::ledger::OtherFolder;
use super::meter::Meter;
use super::options::Tracking;
use super::processes::{Deliver, ProcessGroups};
use super::supply::Supply;
use super::units::Units;
use crate::engine::elsewhere::{Sources, Wish};
use crate::engine::{OnForeign, Project};
use crate::error::{Error, Result};
use crate::event::{Millis, RunName, RunUid};
use crate::exec::{Job, StageMessage};
use crate::pipeline::{Stage, nested};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs;
use crate::state_folder;

/// Context that the work on any stage of a run needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunContext<'a> {
    pub project: &'a Project,
    pub run: RunName,
    pub uid: Option<RunUid>,
    /// The folder for the files of the run.
    pub folder: &'a Path,
    pub groups: &'a ProcessGroups,
    pub meter: &'a Meter,
    /// Lets the stage submit its work as units.
    pub units: &'a Units,
    pub on_foreign: OnForeign,
    pub tracking: &'a dyn Tracking,
    pub supply: &'a dyn Supply,
    pub sources: &'a dyn Sources,
    pub wish: Wish,
}

/// Makes attempts until one succeeds or the stage's retries are used up, and returns the last
/// result. The pause between attempts doubles each time.
///
/// `attempt` gets the number of failed attempts so far. `None` if the run stops meanwhile.
pub(super) fn retrying<T>(
    context: RunContext<'_>,
    stage: &Stage,
    deliver: &Deliver<'_>,
    failure: impl Fn(&T) -> Option<String>,
    attempt: impl Fn(u64) -> T,
) -> Option<T> {
    let mut failures = 0;
    loop {
        let ended = attempt(failures);
        let Some(what) = failure(&ended).filter(|_| failures < stage.retries.count) else {
            return Some(ended);
        };
        let delay = stage.retries.delay.saturating_mul(1 << failures.min(16));
        failures += 1;
        let left = stage.retries.count - failures + 1;
        let times =
            if left == 1 { "once more".to_owned() } else { format!("up to {left} more times") };
        deliver(vec![StageMessage::Warning(format!(
            "{what}; it will be retried {times}, after {}",
            Millis::from(delay)
        ))]);
        if context.groups.stops_within(delay) {
            return None;
        }
    }
}

/// Creates the folder for the files of a run.
///
/// If `runs` cannot be written, it is one beside the state of the project: the history must not
/// stop the work.
pub(super) fn create_folder(project: &Project, run: RunName) -> (PathBuf, Option<OtherFolder>) {
    let folder = runs::run_dir(&project.history, run);
    // The recorder may not have created it yet.
    let created = state_folder::create(&project.history.join(runs::FOLDER))
        .and_then(|()| fs::create_dir_all(&folder));
    let Err(err) = created else { return (folder, None) };
    let other = project.markers().with_file_name(run.to_string());
    let path = other.strip_prefix(&project.root).unwrap_or(&other).display().to_string();
    (other, Some(OtherFolder { path, why: err.to_string() }))
}

/// Creates the files of the stage contract and returns the job.
pub(super) fn job(context: RunContext<'_>, stage: &Stage, failures: u64) -> Result<Job> {
    let RunContext { project, .. } = context;
    let dir = make_wdir(project, stage)?;
    let folder = context.folder.join(stage.name.as_str());
    fs::create_dir_all(&folder).map_err(|err| Error::io("create", &folder, &err))?;
    let params = folder.join("params.json");
    let mut text = serde_json::to_string_pretty(&nested(&stage.params)).unwrap_or_default();
    text.push('\n');
    let events = folder.join("events.jsonl");
    if failures > 0 {
        let earlier = folder.join(format!("log.{failures}"));
        fs::rename(folder.join("log"), &earlier)
            .map_err(|err| Error::io("write", &earlier, &err))?;
    }
    // Files are emptied: a stage can run twice within a run, if its cached outs were damaged.
    for (path, bytes) in [(&params, text.as_bytes()), (&events, &[]), (&folder.join("log"), &[])] {
        // They are not written through a link that an earlier stage may have put there.
        regular_file::create(path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|err| Error::io("write", path, &err))?;
    }
    Ok(Job {
        cmd: stage.cmd.clone().unwrap_or_default(),
        shell: stage.shell.clone(),
        dir,
        env: environment(context, stage, params, events)?,
        log: folder.join("log"),
        marker: project.markers().join(stage.name.as_str()),
    })
}

/// Returns the folder in which the command runs. Creates it if the stage writes outs there, like
/// the folders of outs.
fn make_wdir(project: &Project, stage: &Stage) -> Result<PathBuf> {
    check_wdir(project, stage)?;
    let Some(wdir) = &stage.wdir else { return Ok(project.root.clone()) };
    if holds_outs(stage, wdir) {
        project.workspace.make_parent(&wdir.join("_"))?;
    }
    Ok(wdir.to_path(&project.root))
}

/// Refuses a `wdir` that does not exist and will not be created.
pub(super) fn check_wdir(project: &Project, stage: &Stage) -> Result<()> {
    match &stage.wdir {
        Some(wdir) if !wdir.to_path(&project.root).is_dir() && !holds_outs(stage, wdir) => {
            Err(Error::usage(format!("its `wdir` `{wdir}` is not a directory")).hint(format!(
                "create it, or correct stage `{}` (pipeline.toml:{})",
                stage.name, stage.line
            )))
        }
        _ => Ok(()),
    }
}

fn holds_outs(stage: &Stage, wdir: &RepoPath) -> bool {
    stage.outs.iter().any(|out| out.path.overlaps(wdir))
}

fn environment(
    context: RunContext<'_>,
    stage: &Stage,
    params: PathBuf,
    events: PathBuf,
) -> Result<Vec<(String, OsString)>> {
    let mut env: Vec<(String, OsString)> = Vec::new();
    // Python buffers output to a file until it exits, which would hide it from the live display.
    if std::env::var_os("PYTHONUNBUFFERED").is_none() {
        env.push(("PYTHONUNBUFFERED".into(), "1".into()));
    }
    // First, so that variables which the stage declares take precedence.
    if let Some(uid) = context.uid.filter(|_| stage.mlflow) {
        let found = context.tracking.environment(uid, &stage.name)?;
        env.extend(found.into_iter().map(|(name, value)| (name, value.into())));
    }
    env.extend(stage.env.iter().map(|(name, value)| (name.clone(), value.into())));
    env.push(("REPRO_STAGE".into(), stage.name.as_str().into()));
    env.push(("REPRO_RUN".into(), context.run.to_string().into()));
    env.push(("REPRO_ROOT".into(), context.project.root.clone().into()));
    env.push(("REPRO_PARAMS".into(), params.into()));
    env.push(("REPRO_EVENTS".into(), events.into()));
    Ok(env)
}
