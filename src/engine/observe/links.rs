//! Refuses a dep with a link inside that leads to an out of a stage that need not run before.
//!
//! The graph follows the links on the way to a dep. Links inside it are found only when it is read.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::engine::Project;
use crate::error::{Error, Result};
use crate::pipeline::{Dep, Glob, StageIx};
use crate::repo_path::RepoPath;

/// Checks the links that the observation of a dep came across.
pub(super) fn check_order(project: &Project, ix: StageIx, dep: &Dep) -> Result<()> {
    let top = match dep.source() {
        (path, None) => Some(path),
        (_, Some(glob)) => Glob::base(glob),
    };
    let found = project.workspace.links_to_outs(top);
    if found.is_empty() {
        return Ok(());
    }
    let stage = &project.pipeline.stages[ix];
    let places = Places::not_needed_by(project, ix);
    let Some((link, target, maker)) = found.iter().find_map(|(link, target)| {
        let maker = places.overlapping(target)?;
        Some((link, target, maker))
    }) else {
        return Ok(());
    };
    Err(Error::usage(format!(
        "dep `{}` of stage `{}` contains `{link}`, a link to `{target}`, which stage `{maker}` \
         writes",
        dep.path, stage.name
    ))
    .hint(format!(
        "add `{target}` to the `deps` of stage `{}` (pipeline.toml:{}), so that it runs after \
         stage `{maker}`",
        stage.name, stage.line
    )))
}

/// Outs by their places, each with the name of its stage.
struct Places<'p>(BTreeMap<RepoPath, &'p str>);

impl<'p> Places<'p> {
    /// Returns the outs of all stages that `reader` does not need.
    fn not_needed_by(project: &'p Project, reader: StageIx) -> Places<'p> {
        let (stages, graph) = (&project.pipeline.stages, &project.pipeline.graph);
        let needed = graph.with_needs([reader]);
        let others = StageIx::enumerate(stages).filter(|(maker, _)| !needed.contains(*maker));
        let loaded = others.flat_map(|(_, stage)| {
            stage.outs.iter().map(|out| (out.place().clone(), stage.name.as_str()))
        });
        let left_out = project.up_to_date.outs_not_needed_by(&stages[reader].name);
        Places(left_out.into_iter().chain(loaded).collect())
    }

    /// Returns the stage of an out at, in or around `path`.
    fn overlapping(&self, path: &RepoPath) -> Option<&'p str> {
        let around = || path.ancestors().find_map(|above| self.0.get(above));
        let inside = || {
            // Names such as `path.x` sort between `path` and `path/x`.
            let from = (Bound::Included(path.as_str()), Bound::Unbounded);
            let after = self.0.range::<str, _>(from);
            let mut after = after.take_while(|(out, _)| out.as_str().starts_with(path.as_str()));
            after.find(|(out, _)| path.contains(out)).map(|(_, stage)| stage)
        };
        around().or_else(inside).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_places() {
        let path = |text: &str| RepoPath::parse(text).unwrap();
        let places =
            Places(["a/b", "a.x", "c/d/e"].map(|out| (path(out), "s")).into_iter().collect());
        for (text, overlaps) in [
            ("a/b", true),
            ("a/b/c", true),
            ("a", true),
            ("a/bc", false),
            ("b", false),
            ("c/d", true),
            ("c/d/f", false),
            ("a.x/y", true),
        ] {
            assert_eq!(places.overlapping(&path(text)).is_some(), overlaps, "{text}");
        }
    }
}
