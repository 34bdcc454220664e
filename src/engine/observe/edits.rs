//! Detects that deps of a stage were written or replaced while it ran, by comparing stamps and
//! contents. Decides nothing: the worker does not record the result of such a stage.

use std::time::Instant;

use super::dep_stamps::DepStamps;
use super::{Observation, is_own, observe_dep, touches};
use crate::clock::now_nanos;
use crate::engine::Project;
use crate::error::{Error, Result};
use crate::event::{ChangedDep, ChangedFile};
use crate::pipeline::{Dep, Glob, Stage, StageIx};
use crate::plan::change::Fate;
use crate::workspace::{Observed, Stamp};

/// Number of waits for a dep that is being written. After that many, it would also be written
/// while the stage runs.
const MOST_WAITS: usize = 10;

/// Records the stamp of each dep, so that later writes to it can be detected.
///
/// Waits until a file written a moment ago is older than the clock's resolution. Outs of other
/// stages need no wait: nobody else writes them.
pub(in crate::engine) fn dep_stamps(project: &Project, ix: StageIx) -> Result<DepStamps> {
    let stage = &project.pipeline.stages[ix];
    let mut stamps = DepStamps::default();
    for dep in &stage.deps {
        let is_made =
            || project.pipeline.graph.needs(ix).iter().any(|&maker| touches(project, maker, dep));
        let mut waits = 0;
        let noted = loop {
            let began = Instant::now();
            let noted = stamp(project, stage, dep)?;
            let took = began.elapsed();
            if noted.settles_in(now_nanos()).is_zero() || is_made() {
                stamps.took += took;
                break noted;
            }
            if waits == MOST_WAITS {
                return Err(Error::environment(format!("its dep `{}` keeps changing", dep.path))
                    .hint("wait until the program that writes it has finished"));
            }
            waits += 1;
            std::thread::sleep(noted.settles_in(now_nanos()));
        };
        stamps.by_dep.insert(dep.path.clone(), noted);
    }
    Ok(stamps)
}

/// Returns the dep with the files in it that were written or replaced since its stamp was taken;
/// `None` if there are none. Reads no file.
pub(in crate::engine) fn touched(
    project: &Project,
    stage: &Stage,
    dep: &Dep,
    observation: &Observation,
) -> Result<Option<ChangedDep>> {
    let Some(before) = observation.stamps.by_dep.get(&dep.path) else { return Ok(None) };
    let files = stamp(project, stage, dep)?.changes_since(before);
    let files: Vec<_> = files.into_iter().map(|(path, fate)| ChangedFile { path, fate }).collect();
    Ok((!files.is_empty()).then(|| ChangedDep::new(dep.path.clone(), files)))
}

/// Returns the dep as [`touched`] does, or if its content differs from the observed one: it may
/// have changed before its stamp was taken. Comparing contents alone is not enough: the stage may
/// have read a dep that was changed and then changed back.
pub(in crate::engine) fn changed(
    project: &Project,
    stage: &Stage,
    dep: &Dep,
    observation: &Observation,
) -> Result<Option<ChangedDep>> {
    let Some(before) = observation.deps.get(&dep.path) else { return Ok(None) };
    if let Some(touched) = touched(project, stage, dep, observation)? {
        return Ok(Some(touched));
    }
    let after = observe_dep(project, stage, dep)?;
    let is_same = after.as_ref().map(Observed::content) == Some(before.content());
    let whole = ChangedFile { path: dep.path.clone(), fate: Fate::Changed };
    Ok((!is_same).then(|| ChangedDep::new(dep.path.clone(), vec![whole])))
}

fn stamp(project: &Project, stage: &Stage, dep: &Dep) -> Result<Stamp> {
    let stamp = match dep.source() {
        (path, None) => project.workspace.stamp(path)?,
        (_, Some(glob)) => project.workspace.stamp_glob(glob, &|path| is_own(stage, path))?,
    };
    let declared = dep.glob.as_ref().map_or(Some(&dep.path), Glob::base);
    Ok(match declared {
        Some(path) => project.workspace.with_way(stamp, path),
        None => stamp,
    })
}
