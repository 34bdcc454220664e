//! Stage names on the command line, as membership lists.

use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{Pipeline, StageIx};

/// The stage of that name.
pub(super) fn find(pipeline: &Pipeline, name: &str) -> Result<StageIx> {
    pipeline.find(name).ok_or_else(|| {
        let names = pipeline.stages.iter().map(|stage| stage.name.as_str());
        let error = Error::usage(format!("there is no stage `{name}`"));
        match did_you_mean(name, names.clone()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!("the stages are {}", names.take(20).collect::<Vec<_>>().join(", "))),
        }
    })
}

/// The named stages and all that they need; all stages if none is named.
pub(super) fn with_needs(pipeline: &Pipeline, names: &[String]) -> Result<Vec<bool>> {
    if names.is_empty() {
        return Ok(vec![true; pipeline.stages.len()]);
    }
    let targets: Vec<StageIx> = names.iter().map(|name| find(pipeline, name)).collect::<Result<_>>()?;
    Ok(pipeline.graph.with_needs(targets))
}
