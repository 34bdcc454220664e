//! Warns of files of the project that a command names and that are not deps: a change to one is not
//! noticed. Only stages that are out of date are checked, so a no-op costs nothing more.

use std::collections::BTreeMap;

use super::Project;
use crate::error::Error;
use crate::pipeline::command_files::named_paths;
use crate::pipeline::{Policy, Stage, StageName};
use crate::plural::count;
use crate::repo_path::RepoPath;

/// Maximum number of warnings.
const MOST: usize = 10;
/// Maximum number of files that a warning names.
const MOST_NAMED: usize = 5;

/// The warnings of each stage.
pub type Warnings = Vec<(StageName, Error)>;

/// Returns a warning for each of the `stages` that names files that are not deps, and one for each
/// stage whose outs it names so.
///
/// To be called before a run: the commands may create other files that they name.
pub fn find<'s>(project: &Project, stages: impl Iterator<Item = &'s Stage>) -> Warnings {
    let of_stage = |stage: &'s Stage| {
        let warnings = warnings(project, stage, &undeclared(project, stage)).into_iter();
        warnings.map(|warning| (stage.name.clone(), warning))
    };
    stages.flat_map(of_stage).collect()
}

/// Returns the warnings to show for some stages, each once.
pub fn to_show(found: Warnings, is_wanted: impl Fn(&StageName) -> bool) -> Vec<Error> {
    let mut warnings: Vec<Error> = Vec::new();
    for (_, warning) in found.into_iter().filter(|(stage, _)| is_wanted(stage)) {
        // The stages of a matrix have equal warnings.
        if !warnings.iter().any(|other| other.what == warning.what) {
            warnings.push(warning);
        }
    }
    let more = warnings.len().saturating_sub(MOST);
    if more > 0 {
        warnings.truncate(MOST);
        let what = format!("there are {} of files that are not deps", count(more, "more warning"));
        warnings.push(Error::usage(what));
    }
    warnings
}

/// Returns the files that the stage's command names and that neither count nor are ignored.
fn undeclared(project: &Project, stage: &Stage) -> Vec<RepoPath> {
    let is_shell = stage.shell.first().is_none_or(|program| program.ends_with("sh"));
    let is_decided = matches!(stage.policy, Policy::Always | Policy::Frozen);
    let Some(cmd) = stage.cmd.as_ref().filter(|_| is_shell && !is_decided) else {
        return Vec::new();
    };
    let mut paths = named_paths(cmd, stage.wdir.as_ref());
    paths.retain(|path| {
        !path.is_reserved()
            && !is_declared(stage, path)
            && path.to_path(&project.root).is_file()
            && !project.workspace.is_ignored(path)
    });
    paths
}

/// Reports whether a path is a dep or an out of the stage, or is inside one.
fn is_declared(stage: &Stage, path: &RepoPath) -> bool {
    let is_dep = stage.deps.iter().any(|dep| {
        let real = dep.source();
        [(&dep.path, dep.glob.as_ref()), real].into_iter().any(|(dep, glob)| match glob {
            Some(glob) => {
                glob.matches(path.as_str()) || path.ancestors().any(|above| glob.matches(above))
            }
            None => dep.contains(path),
        })
    });
    let is_out = |out: &RepoPath| out.contains(path);
    is_dep || stage.outs.iter().any(|out| is_out(&out.path) || is_out(out.place()))
}

fn warnings(project: &Project, stage: &Stage, paths: &[RepoPath]) -> Vec<Error> {
    let mut by_maker: BTreeMap<Option<&StageName>, Vec<&RepoPath>> = BTreeMap::new();
    for path in paths {
        let mut makers = project.pipeline.stages.iter();
        let maker = makers.find(|maker| maker.outs.iter().any(|out| out.path.contains(path)));
        by_maker.entry(maker.map(|maker| &maker.name)).or_default().push(path);
    }
    by_maker.into_iter().map(|(maker, paths)| warning(stage, maker, &paths)).collect()
}

/// Returns the warning of files that one stage makes, or that none makes.
fn warning(stage: &Stage, maker: Option<&StageName>, paths: &[&RepoPath]) -> Error {
    let name = stage.family.as_ref().unwrap_or(&stage.name);
    let (line, files) = (stage.line, listed(paths));
    let is_one = paths.len() == 1;
    let (are, deps, them) = if is_one { ("is", "a dep", "it") } else { ("are", "deps", "them") };
    let add = format!("add {them} to `deps` of stage `{name}` (pipeline.toml:{line})");
    match maker {
        Some(maker) => {
            let outs = if is_one { "an out" } else { "outs" };
            let written = if is_one { "the file is written" } else { "they are written" };
            Error::usage(format!(
                "stage `{name}` names {files}, {outs} of stage `{maker}`, which {are} not {deps}: \
                 it may run before {written}"
            ))
            .hint(add)
        }
        None => Error::usage(format!(
            "stage `{name}` names {files}, which {are} not {deps}: a change to {them} will not be \
             noticed"
        ))
        .hint(format!(
            "{add}, or to `outs` if the stage writes {them}, or list {them} in `.reproignore`"
        )),
    }
}

/// `a`, `b` and 2 more
fn listed(paths: &[&RepoPath]) -> String {
    let more = paths.len().saturating_sub(MOST_NAMED);
    let mut named: Vec<String> =
        paths.iter().take(MOST_NAMED).map(|path| format!("`{path}`")).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let last = named.pop().unwrap_or_default();
    match &named[..] {
        [] => last,
        others => format!("{} and {last}", others.join(", ")),
    }
}
