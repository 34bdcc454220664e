//! Prepares the outs of a stage with items: stores and removes those that no item keeps, and
//! restores those that the cache has.

use std::borrow::Cow;
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
use crate::plan::OutContents;
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
            let mut leaving = Vec::new();
            collect_leaving(&out.path, seen, &staying, &mut leaving);
            let places: Vec<(&RepoPath, &Observed)> =
                leaving.iter().map(|(path, seen)| (path, &**seen)).collect();
            replaced.append(commit::store_all_durably(project, &places)?);
            leaving.iter().try_for_each(|(path, _)| project.workspace.remove(path))?;
        }
        project.workspace.make_parent(&out.path)?;
        project.workspace.make_dir(&out.path)?;
    }
    let mut restored = OutContents::new();
    for item in &items.all {
        match &item.state {
            State::Fresh => {}
            State::Restore(outs) => {
                restored.extend(outs.iter().map(|(path, content)| (path.clone(), *content)));
            }
            State::Stale => {
                item.outs.iter().try_for_each(|out| project.workspace.make_parent(out))?;
            }
        }
    }
    // All at once: what is displaced is synced and recorded once, not per item.
    let seen = restored.keys();
    let seen = seen.map(|path| (path.clone(), found(observation, path).map(Observed::Leaf)));
    let (_written, others) = commit::restore(project, &restored, &seen.collect())?;
    replaced.append(others);
    Ok(replaced)
}

/// Collects everything at `path` except `staying`: whole folders where nothing stays in them.
fn collect_leaving<'o>(
    path: &RepoPath,
    seen: &'o Observed,
    staying: &BTreeSet<&RepoPath>,
    leaving: &mut Vec<(RepoPath, Cow<'o, Observed>)>,
) {
    if staying.contains(path) {
        return;
    }
    let holds = || {
        let next = staying.range::<RepoPath, _>((Bound::Excluded(path), Bound::Unbounded));
        let mut next = next.take_while(|other| other.as_str().starts_with(path.as_str()));
        next.any(|other| path.contains(other))
    };
    match seen {
        Observed::Dir { tree, dirs, .. } if holds() => {
            for (name, content) in &tree.entries {
                let path = path.join(name);
                match dirs.get(name) {
                    Some(dir) => collect_leaving(&path, dir, staying, leaving),
                    None if staying.contains(&path) => {}
                    None => leaving.push((path, Cow::Owned(Observed::Leaf(*content)))),
                }
            }
        }
        _ => leaving.push((path.clone(), Cow::Borrowed(seen))),
    }
}
