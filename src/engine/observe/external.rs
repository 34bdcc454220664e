//! Deps at places outside the project: a place that is missing must not look like other content.

use std::fs;

use crate::engine::{Project, external};
use crate::error::{Error, Result};
use crate::pipeline::{Dep, Glob, Stage};

/// Refuses a dep of which the place cannot be read.
///
/// # Errors
/// The link is missing or leads elsewhere, or its place is missing, empty, in the project or around
/// it.
pub(super) fn check(project: &Project, stage: &Stage, dep: &Dep) -> Result<()> {
    let Some(path) = dep.glob.as_ref().map_or(Some(&dep.path), Glob::base) else { return Ok(()) };
    let mut declared = project.pipeline.external.iter();
    let Some((top, place)) = declared.find(|(top, _)| top.contains(path)) else {
        return Ok(());
    };
    let link = top.to_path(&project.root);
    let variable = external::variable(top);
    let of = format!("dep `{}` of stage `{}`", dep.path, stage.name);
    let target = fs::read_link(&link);
    if let Some(place) = external::misplaced(&project.root, top, place) {
        let what = match &target {
            Ok(former) => format!("{of} is linked to `{}`, another place", former.display()),
            Err(_) => format!("{of} is outside the project, and not linked yet"),
        };
        let hint = format!("`repro run` makes `{top}` a link to `{}`", place.display());
        return Err(Error::usage(what).hint(hint));
    }
    let Ok(target) = target else { return Ok(()) };
    let elsewhere =
        format!("mount it, or set `{variable}` to its place on this machine and call `repro run`");
    let shown = target.display();
    let Ok(real) = link.canonicalize() else {
        return Err(Error::environment(format!("{of} is at `{shown}`, which does not exist"))
            .hint(elsewhere));
    };
    if real.starts_with(&project.root) || project.root.starts_with(&real) {
        return Err(Error::usage(format!(
            "`{top}` leads to `{shown}`, which is in the project or contains it"
        ))
        .hint("`[external]` is for places outside; name a dep in the project by its path"));
    }
    // The folder on which a disk would be mounted.
    if fs::read_dir(&real).is_ok_and(|mut entries| entries.next().is_none()) {
        return Err(
            Error::environment(format!("{of} is at `{shown}`, which is empty")).hint(elsewhere)
        );
    }
    Ok(())
}
