//! Stage names on the command line, as membership lists.

use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{Pipeline, Stage, StageIx, StageSet};

/// More names than this are left out of a hint.
const MOST_LISTED: usize = 20;

/// The stage of that name.
pub(super) fn find(pipeline: &Pipeline, name: &str) -> Result<StageIx> {
    pipeline.find(name).ok_or_else(|| {
        let variants = pipeline.stages.iter().filter(|stage| is_variant(stage, name));
        let variants: Vec<&str> =
            variants.map(|stage| stage.name.as_str()).take(MOST_LISTED).collect();
        if !variants.is_empty() {
            return Error::usage(format!("`{name}` stands for several stages"))
                .hint(format!("name one of them: {}", variants.join(", ")));
        }
        let families = pipeline.stages.iter().filter_map(|stage| stage.family.as_ref());
        let names = pipeline
            .stages
            .iter()
            .map(|stage| &stage.name)
            .chain(families)
            .map(|name| name.as_str());
        let error = Error::usage(format!("there is no stage `{name}`"));
        match did_you_mean(name, names.clone()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!(
                "the stages are {}",
                names.take(MOST_LISTED).collect::<Vec<_>>().join(", ")
            )),
        }
    })
}

/// The stage of that name, or all that a matrix made under it.
pub(super) fn find_all(pipeline: &Pipeline, name: &str) -> Result<Vec<StageIx>> {
    let stages = &pipeline.stages;
    let found: Vec<StageIx> =
        StageIx::all(stages.len()).filter(|&ix| is_variant(&stages[ix], name)).collect();
    if found.is_empty() { find(pipeline, name).map(|ix| vec![ix]) } else { Ok(found) }
}

/// Whether a matrix made the stage under that name.
fn is_variant(stage: &Stage, name: &str) -> bool {
    stage.family.as_ref().is_some_and(|family| family.as_str() == name)
}

/// The named stages and all that they need; all stages if none is named.
pub(super) fn with_needs(pipeline: &Pipeline, names: &[String]) -> Result<StageSet> {
    if names.is_empty() {
        return Ok(StageSet::all(pipeline.stages.len()));
    }
    Ok(pipeline.graph.with_needs(find_each(pipeline, names)?))
}

/// The named stages and nothing else.
pub(super) fn only(pipeline: &Pipeline, names: &[String]) -> Result<StageSet> {
    let targets = find_each(pipeline, names)?;
    Ok(StageSet::of(pipeline.stages.len(), targets))
}

/// The named stages and all that, directly or not, read what they write; with what those need besides.
pub(super) fn downstream(pipeline: &Pipeline, names: &[String]) -> Result<StageSet> {
    let after = pipeline.graph.with_dependents(find_each(pipeline, names)?);
    Ok(pipeline.graph.with_needs(after.iter()))
}

fn find_each(pipeline: &Pipeline, names: &[String]) -> Result<Vec<StageIx>> {
    let found: Vec<Vec<StageIx>> =
        names.iter().map(|name| find_all(pipeline, name)).collect::<Result<_>>()?;
    Ok(found.concat())
}
