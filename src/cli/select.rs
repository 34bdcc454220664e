//! Stage names on the command line, as membership lists.

use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{Pipeline, Stage, StageIx};

/// The stage of that name.
pub(super) fn find(pipeline: &Pipeline, name: &str) -> Result<StageIx> {
    pipeline.find(name).ok_or_else(|| {
        let families = pipeline.stages.iter().filter_map(|stage| stage.family.as_ref());
        let names = pipeline.stages.iter().map(|stage| &stage.name).chain(families).map(|name| name.as_str());
        let error = Error::usage(format!("there is no stage `{name}`"));
        match did_you_mean(name, names.clone()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!("the stages are {}", names.take(20).collect::<Vec<_>>().join(", "))),
        }
    })
}

/// The stage of that name, or all that a matrix made under it.
pub(super) fn find_all(pipeline: &Pipeline, name: &str) -> Result<Vec<StageIx>> {
    let family = |stage: &Stage| stage.family.as_ref().is_some_and(|family| family.as_str() == name);
    let found: Vec<StageIx> = (0..pipeline.stages.len()).filter(|&ix| family(&pipeline.stages[ix])).collect();
    if found.is_empty() { find(pipeline, name).map(|ix| vec![ix]) } else { Ok(found) }
}

/// The named stages and all that they need; all stages if none is named.
pub(super) fn with_needs(pipeline: &Pipeline, names: &[String]) -> Result<Vec<bool>> {
    if names.is_empty() {
        return Ok(vec![true; pipeline.stages.len()]);
    }
    Ok(pipeline.graph.with_needs(find_each(pipeline, names)?))
}

/// The named stages and nothing else.
pub(super) fn only(pipeline: &Pipeline, names: &[String]) -> Result<Vec<bool>> {
    let targets = find_each(pipeline, names)?;
    Ok((0..pipeline.stages.len()).map(|ix| targets.contains(&ix)).collect())
}

/// The named stages and all that, directly or not, read what they write; with what those need besides.
pub(super) fn downstream(pipeline: &Pipeline, names: &[String]) -> Result<Vec<bool>> {
    let after = pipeline.graph.with_dependents(find_each(pipeline, names)?);
    let targets = (0..after.len()).filter(|&ix| after[ix]);
    Ok(pipeline.graph.with_needs(targets))
}

fn find_each(pipeline: &Pipeline, names: &[String]) -> Result<Vec<StageIx>> {
    let found: Vec<Vec<StageIx>> =
        names.iter().map(|name| find_all(pipeline, name)).collect::<Result<_>>()?;
    Ok(found.concat())
}
