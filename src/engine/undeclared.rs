//! Warns of files of the project that a command names and that are not deps: a change to one is not
//! noticed. Only stages that are out of date are checked, so a no-op costs nothing more.

use super::Project;
use crate::error::Error;
use crate::pipeline::command_files::named_paths;
use crate::pipeline::{Policy, Stage, StageName};
use crate::plural::count;
use crate::repo_path::RepoPath;

/// Maximum number of warnings.
const MOST: usize = 10;

/// The warnings of each stage.
pub type Warnings = Vec<(StageName, Error)>;

/// Returns a warning for each file that one of the `stages` names and that is not a dep.
///
/// To be called before a run: the commands may create other files that they name.
pub fn find<'s>(project: &Project, stages: impl Iterator<Item = &'s Stage>) -> Warnings {
    let of_stage = |stage: &'s Stage| {
        let name = stage.family.as_ref().unwrap_or(&stage.name);
        let paths = undeclared(project, stage).into_iter();
        paths.map(move |path| (stage.name.clone(), warning(project, stage, name, &path)))
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
        let what = format!("commands name {} more that are not deps", count(more, "file"));
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

fn warning(project: &Project, stage: &Stage, name: &StageName, path: &RepoPath) -> Error {
    let makers = project.pipeline.stages.iter();
    let mut makers = makers.filter(|maker| maker.outs.iter().any(|out| out.path.contains(path)));
    let (line, deps) = (stage.line, format!("add it to `deps` of stage `{name}`"));
    match makers.next() {
        Some(maker) => Error::usage(format!(
            "stage `{name}` names `{path}`, an out of stage `{}`, which is not a dep: it may run \
             before the file is written",
            maker.name
        ))
        .hint(format!("{deps} (pipeline.toml:{line})")),
        None => Error::usage(format!(
            "stage `{name}` names `{path}`, which is not a dep: a change to it will not be noticed"
        ))
        .hint(format!("{deps} (pipeline.toml:{line}), or list it in `.reproignore`")),
    }
}
