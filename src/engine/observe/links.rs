//! Refuses a dep with a link inside that leads to an out of a stage that need not run before.
//!
//! The graph follows the links on the way to a dep. Links inside it are found only when it is read.

use crate::engine::Project;
use crate::error::{Error, Result};
use crate::pipeline::{Dep, Glob, Out, StageIx};

/// Checks the links that the observation of a dep came across.
pub(super) fn check_order(project: &Project, ix: StageIx, dep: &Dep) -> Result<()> {
    let found = project.workspace.links_to_outs();
    if found.is_empty() {
        return Ok(());
    }
    let top = match dep.source() {
        (path, None) => Some(path),
        (_, Some(glob)) => Glob::base(glob),
    };
    let (stages, graph) = (&project.pipeline.stages, &project.pipeline.graph);
    let needed = graph.with_needs([ix]);
    for (link, target) in found.iter().filter(|(link, _)| top.is_none_or(|top| top.contains(link)))
    {
        let writes = |outs: &[Out]| outs.iter().any(|out| out.place().overlaps(target));
        let loaded = StageIx::enumerate(stages)
            .find(|&(maker, stage)| !needed.contains(maker) && writes(&stage.outs))
            .map(|(_, stage)| stage.name.as_str());
        let stage = &stages[ix];
        if let Some(maker) =
            loaded.or_else(|| project.up_to_date.unneeded_maker(&stage.name, target))
        {
            return Err(Error::usage(format!(
                "dep `{}` of stage `{}` contains `{link}`, a link to `{target}`, which stage \
                 `{maker}` writes",
                dep.path, stage.name
            ))
            .hint(format!(
                "add `{target}` to the `deps` of stage `{}` (pipeline.toml:{}), so that it runs \
                 after stage `{maker}`",
                stage.name, stage.line
            )));
        }
    }
    Ok(())
}
