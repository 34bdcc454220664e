//! Checks the stages against each other: each out belongs to one stage, outs do not contain each
//! other, every dep exists or is an out, and the graph has no cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::{Glob, Graph, Problem, Stage, StageIx};
use crate::error::did_you_mean;
use crate::repo_path::RepoPath;

/// Builds the graph of `stages`.
///
/// # Errors
/// Every problem found.
pub(super) fn graph(
    stages: &[Stage],
    exists: &dyn Fn(Option<&RepoPath>) -> bool,
) -> Result<Graph, Vec<Problem>> {
    let mut problems = Vec::new();
    let makers = makers(stages, &mut problems);
    nested_outs(stages, &makers, &mut problems);
    let mut needs = Vec::with_capacity(stages.len());
    for (ix, stage) in StageIx::enumerate(stages) {
        let mut needed = BTreeSet::new();
        for dep in &stage.deps {
            let found = match &dep.glob {
                None => makers_of(&makers, &dep.path),
                Some(glob) => makers
                    .iter()
                    .filter(|(out, _)| glob.may_overlap(out))
                    .map(|(_, ix)| *ix)
                    .collect(),
            };
            let exists = || exists(dep.glob.as_ref().map_or(Some(&dep.path), Glob::base));
            if found.contains(&ix) && dep.glob.is_none() {
                problems.push(
                    Problem::new(
                        dep.line,
                        format!("stage `{}` depends on its own out `{}`", stage.name, dep.path),
                    )
                    .hint("remove the dep or the out"),
                );
            } else if found.is_empty() && !exists() {
                problems.push(missing_dep(stages, &makers, stage, dep));
            }
            needed.extend(found.into_iter().filter(|&maker| maker != ix));
        }
        needs.push(needed.into_iter().collect());
    }
    match Graph::new(needs) {
        Ok(graph) if problems.is_empty() => Ok(graph),
        Ok(_) => Err(problems),
        Err(cycle) => {
            problems.push(cycle_problem(stages, &cycle));
            Err(problems)
        }
    }
}

type Makers = BTreeMap<RepoPath, StageIx>;

fn makers(stages: &[Stage], problems: &mut Vec<Problem>) -> Makers {
    let mut makers = Makers::new();
    for (ix, stage) in StageIx::enumerate(stages) {
        for out in &stage.outs {
            match makers.insert(out.path.clone(), ix) {
                None => {}
                Some(other) if other == ix => {
                    let what =
                        format!("out `{}` of stage `{}` is declared twice", out.path, stage.name);
                    problems.push(Problem::new(out.line, what));
                }
                Some(other) => {
                    let first = &stages[other];
                    let what = format!(
                        "out `{}` of stage `{}` is also an out of stage `{}`",
                        out.path, stage.name, first.name
                    );
                    problems.push(Problem::new(out.line, what).hint(format!(
                        "an out belongs to one stage; stage `{}` is declared on line {}",
                        first.name, first.line
                    )));
                }
            }
        }
    }
    makers
}

fn nested_outs(stages: &[Stage], makers: &Makers, problems: &mut Vec<Problem>) {
    for stage in stages {
        for out in &stage.outs {
            let Some((outer, owner)) =
                out.path.ancestors().find_map(|above| makers.get_key_value(above))
            else {
                continue;
            };
            let owner = &stages[*owner].name;
            let what = format!(
                "out `{}` of stage `{}` is inside `{outer}`, an out of stage `{owner}`",
                out.path, stage.name
            );
            problems
                .push(Problem::new(out.line, what).hint("move one of them to another directory"));
        }
    }
}

/// Returns the stages that have an out equal to this path, inside it, or containing it.
fn makers_of(makers: &Makers, path: &RepoPath) -> BTreeSet<StageIx> {
    let exact = makers.get(path).copied();
    let holding = path.ancestors().find_map(|above| makers.get(above).copied());
    let inside = makers
        .range::<str, _>((std::ops::Bound::Excluded(path.as_str()), std::ops::Bound::Unbounded))
        .take_while(|(out, _)| out.as_str().starts_with(path.as_str()))
        .filter(|(out, _)| path.contains(out))
        .map(|(_, &maker)| maker);
    exact.into_iter().chain(holding).chain(inside).collect()
}

fn missing_dep(stages: &[Stage], makers: &Makers, stage: &Stage, dep: &super::Dep) -> Problem {
    let what = format!(
        "stage `{}` depends on `{}`, which does not exist and is not an out of any stage",
        stage.name, dep.path
    );
    let problem = Problem::new(dep.line, what);
    let others = makers.iter().filter(|(_, maker)| stages[**maker].name != stage.name);
    let likely = did_you_mean(dep.path.as_str(), others.map(|(out, _)| out.as_str()));
    match likely.and_then(|likely| makers.get_key_value(likely)) {
        Some((out, &maker)) => {
            problem.hint(format!("did you mean `{out}`, an out of stage `{}`?", stages[maker].name))
        }
        None => problem,
    }
}

fn cycle_problem(stages: &[Stage], cycle: &[StageIx]) -> Problem {
    let first = &stages[cycle[0]];
    let mut names: Vec<String> = cycle.iter().map(|&ix| format!("`{}`", stages[ix].name)).collect();
    names.push(names[0].clone());
    Problem::new(first.line, format!("stages form a dependency cycle: {}", names.join(" needs ")))
}
