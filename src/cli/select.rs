//! Resolves stages on the command line: by name, or by the path of an out.

use std::path::Path;

use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{Pipeline, Stage, StageIx, StageSet};
use crate::repo_path::RepoPath;
use crate::workspace::root;

/// Maximum number of names in a hint.
const MOST_LISTED: usize = 20;

/// Returns targets with the paths among them counted from the root: those that begin with `./`,
/// `../` or `/`, which count from `here`. Other targets are names, or paths from the root already.
///
/// # Errors
/// A path is not inside the project.
pub(super) fn from_root(root: &Path, here: &Path, targets: &[String]) -> Result<Vec<String>> {
    let is_path = |text: &str| ["./", "../", "/"].iter().any(|start| text.starts_with(start));
    let converted = targets.iter().map(|target| match is_path(target) {
        true => root::to_repo_path(root, here, Path::new(target)).map(|path| path.to_string()),
        false => Ok(target.clone()),
    });
    converted.collect()
}

/// Finds the stage called `name`, or else the stage that writes the path `name`.
pub(super) fn find(pipeline: &Pipeline, name: &str) -> Result<StageIx> {
    pipeline.find(name).or_else(|| writer(pipeline, name)).ok_or_else(|| {
        let variants = variants(pipeline, name);
        if !variants.is_empty() {
            return Error::usage(format!("`{name}` is a matrix of stages, not a stage"))
                .hint(format!("name one of {}", listed(&variants)));
        }
        let what = match name.contains('/') || name.contains('.') {
            true => format!("there is no stage `{name}`, and no stage has an out of this name"),
            false => format!("there is no stage `{name}`"),
        };
        let error = Error::usage(what);
        if name.contains('=') {
            return error.hint(format!("to set a param for this run, write `-p {name}`"));
        }
        if let Some((family, _)) = name.split_once('@') {
            let variants = self::variants(pipeline, family);
            if !variants.is_empty() {
                return error.hint(format!("the stages of `{family}` are {}", listed(&variants)));
            }
        }
        // The stages of a matrix are listed by its name.
        let mut names: Vec<&str> = Vec::new();
        for stage in &pipeline.stages {
            let name = stage.family.as_ref().unwrap_or(&stage.name).as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let all = pipeline.stages.iter().map(|stage| stage.name.as_str());
        let outs = pipeline.stages.iter().flat_map(|stage| &stage.outs);
        let paths = outs.map(|out| out.path.as_str());
        match did_you_mean(name, all.chain(names.iter().copied()).chain(paths)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!("the stages are {}", listed(&names))),
        }
    })
}

/// Returns the stage with an out that is, or contains, the path `text`.
fn writer(pipeline: &Pipeline, text: &str) -> Option<StageIx> {
    let path = RepoPath::parse(text).ok()?;
    let writes = |stage: &Stage| stage.outs.iter().any(|out| out.path.contains(&path));
    pipeline.stages.iter().position(writes).map(StageIx::new)
}

/// Returns the names of the stages of the matrix called `family`.
fn variants<'p>(pipeline: &'p Pipeline, family: &str) -> Vec<&'p str> {
    let variants = pipeline.stages.iter().filter(|stage| is_variant(stage, family));
    variants.map(|stage| stage.name.as_str()).collect()
}

/// Lists names for a hint.
pub(super) fn listed(names: &[&str]) -> String {
    let more = if names.len() > MOST_LISTED { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(MOST_LISTED)].join(", "))
}

/// Finds the stage called `name`, or all stages of the matrix called `name`.
pub(super) fn find_all(pipeline: &Pipeline, name: &str) -> Result<Vec<StageIx>> {
    let stages = &pipeline.stages;
    let found: Vec<StageIx> =
        StageIx::all(stages.len()).filter(|&ix| is_variant(&stages[ix], name)).collect();
    if found.is_empty() { find(pipeline, name).map(|ix| vec![ix]) } else { Ok(found) }
}

/// Returns whether the stage belongs to the matrix called `name`.
fn is_variant(stage: &Stage, name: &str) -> bool {
    stage.family.as_ref().is_some_and(|family| family.as_str() == name)
}

/// Selects the named stages and the stages they need; all stages if no name is given.
pub(super) fn with_needs(pipeline: &Pipeline, names: &[String]) -> Result<StageSet> {
    if names.is_empty() {
        return Ok(StageSet::all(pipeline.stages.len()));
    }
    Ok(pipeline.graph.with_needs(find_each(pipeline, names)?))
}

/// Selects the named stages alone.
pub(super) fn only(pipeline: &Pipeline, names: &[String]) -> Result<StageSet> {
    let targets = find_each(pipeline, names)?;
    Ok(StageSet::of(pipeline.stages.len(), targets))
}

/// Selects the named stages, all that directly or indirectly depend on them, and what those need.
pub(super) fn downstream(pipeline: &Pipeline, names: &[String]) -> Result<StageSet> {
    let after = pipeline.graph.with_dependents(find_each(pipeline, names)?);
    Ok(pipeline.graph.with_needs(after.iter()))
}

fn find_each(pipeline: &Pipeline, names: &[String]) -> Result<Vec<StageIx>> {
    let found: Vec<Vec<StageIx>> =
        names.iter().map(|name| find_all(pipeline, name)).collect::<Result<_>>()?;
    Ok(found.concat())
}
