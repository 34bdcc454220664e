//! Prepares the outs of a stage with items: stores and removes those that no item keeps, and
//! restores those that the cache has.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::list::{Items, State, found, is_per_item};
use crate::engine::observe::Observation;
use crate::engine::replaced::Replaced;
use crate::engine::run::job::check_wdir;
use crate::engine::run::outs::clear_out;
use crate::engine::{Project, commit, obstacle, started};
use crate::error::Result;
use crate::pipeline::{Each, Stage};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// Keeps outs of fresh items, restores outs that can be restored, and removes all others. Returns
/// what a user made of it.
pub(super) fn prepare(
    project: &Project,
    stage: &Stage,
    each: &Each,
    observation: &Observation,
    items: &Items,
) -> Result<Replaced> {
    check_wdir(project, stage)?;
    started::add(project, stage)?;
    let mut replaced = Replaced::default();
    let mut staying: BTreeSet<&RepoPath> = BTreeSet::new();
    for item in items.all.iter().filter(|item| item.state != State::Stale) {
        staying.extend(&item.outs);
    }
    for out in &stage.outs {
        if !is_per_item(each, &out.path) {
            replaced.append(clear_out(project, stage, out, observation, 0)?);
            continue;
        }
        replaced.append(obstacle::clear(project, &out.path)?);
        if let Some(Some(seen)) = observation.outs.get(&out.path) {
            clear(project, &out.path, seen, &staying, &mut replaced)?;
        }
        project.workspace.make_parent(&out.path)?;
        project.workspace.make_dir(&out.path)?;
    }
    for item in &items.all {
        match &item.state {
            State::Fresh => {}
            State::Restore(outs) => {
                let seen = outs
                    .keys()
                    .map(|path| (path.clone(), found(observation, path).map(Observed::Leaf)));
                let (_written, others) = commit::restore(project, outs, &seen.collect())?;
                replaced.append(others);
            }
            State::Stale => {
                item.outs.iter().try_for_each(|out| project.workspace.make_parent(out))?;
            }
        }
    }
    Ok(replaced)
}

/// Removes everything at `path` except `staying`, and the folders that become empty.
fn clear(
    project: &Project,
    path: &RepoPath,
    seen: &Observed,
    staying: &BTreeSet<&RepoPath>,
    replaced: &mut Replaced,
) -> Result<()> {
    if staying.contains(path) {
        return Ok(());
    }
    let holds = || {
        let next = staying.range::<RepoPath, _>((Bound::Excluded(path), Bound::Unbounded));
        let mut next = next.take_while(|other| other.as_str().starts_with(path.as_str()));
        next.any(|other| path.contains(other))
    };
    match seen {
        Observed::Dir { tree, dirs, .. } if holds() => {
            tree.entries.iter().try_for_each(|(name, content)| {
                let leaf = Observed::Leaf(*content);
                let seen = dirs.get(name).unwrap_or(&leaf);
                clear(project, &path.join(name), seen, staying, replaced)
            })
        }
        _ => {
            replaced.append(commit::store_durably(project, path, seen)?);
            project.workspace.remove(path)
        }
    }
}
