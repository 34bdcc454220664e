//! Checks the stages against each other: each out belongs to one stage, outs do not contain each
//! other, every dep exists or is an out, and the graph has no cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::{Glob, Graph, Problem, Stage, StageIx};
use crate::error::did_you_mean;
use crate::repo_path::RepoPath;

/// Number of problems after which a missing dep is not compared with existing files.
const MAX_PROBED: usize = 20;

/// Builds the graph of `stages`.
///
/// # Errors
/// Every problem found.
pub(super) fn graph(
    stages: &[Stage],
    on_disk: &dyn Fn(Option<&RepoPath>) -> bool,
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
            let exists = || on_disk(dep.glob.as_ref().map_or(Some(&dep.path), Glob::base));
            if found.contains(&ix) && dep.glob.is_none() {
                problems.push(
                    Problem::new(
                        dep.line,
                        format!("stage `{}` depends on its own out `{}`", stage.name, dep.path),
                    )
                    .hint("remove the dep or the out"),
                );
            } else if found.is_empty() && !exists() {
                let may_probe = problems.len() < MAX_PROBED;
                let exists = |path: &RepoPath| may_probe && on_disk(Some(path));
                problems.push(missing_dep(stages, &makers, stage, dep, &exists));
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

fn missing_dep(
    stages: &[Stage],
    makers: &Makers,
    stage: &Stage,
    dep: &super::Dep,
    exists: &dyn Fn(&RepoPath) -> bool,
) -> Problem {
    let what = format!(
        "stage `{}` depends on `{}`, which does not exist and is not an out of any stage",
        stage.name, dep.path
    );
    let problem = Problem::new(dep.line, what);
    let others = makers.iter().filter(|(_, maker)| stages[**maker].name != stage.name);
    let likely = did_you_mean(dep.path.as_str(), others.map(|(out, _)| out.as_str()));
    if let Some((out, &maker)) = likely.and_then(|likely| makers.get_key_value(likely)) {
        let maker = &stages[maker].name;
        return problem.hint(format!("did you mean `{out}`, an out of stage `{maker}`?"));
    }
    let in_wdir = |path: &RepoPath| {
        let wdir = stage.wdir.as_ref()?;
        RepoPath::parse(&format!("{wdir}/{path}")).ok()
    };
    let base = dep.glob.as_ref().map_or(Some(&dep.path), Glob::base);
    if base.and_then(in_wdir).is_some_and(|path| exists(&path))
        && let Some(path) = in_wdir(&dep.path)
    {
        return problem
            .hint(format!("paths count from the project root, not from `wdir`: write `{path}`"));
    }
    let similar = dep.glob.is_none().then(|| similar_file(&dep.path, exists)).flatten();
    match similar {
        Some(path) => problem.did_you_mean(Some(path.as_str())),
        None => problem.hint("create it, or correct the path"),
    }
}

/// Returns an existing path whose file name has one character more or less, or two swapped.
fn similar_file(path: &RepoPath, exists: &dyn Fn(&RepoPath) -> bool) -> Option<RepoPath> {
    let text = path.as_str();
    let start = text.rfind('/').map_or(0, |at| at + 1);
    let name: Vec<char> = text[start..].chars().collect();
    if name.len() > 60 {
        return None;
    }
    let swapped = (1..name.len()).map(|at| {
        let mut name = name.clone();
        name.swap(at - 1, at);
        name
    });
    let shorter = (0..name.len()).map(|at| [&name[..at], &name[at + 1..]].concat());
    let letters = ('a'..='z').chain('0'..='9').chain(['.', '_', '-']);
    let longer = letters.flat_map(|letter| {
        let name = &name;
        (0..=name.len()).map(move |at| [&name[..at], &[letter], &name[at..]].concat())
    });
    swapped.chain(shorter).chain(longer).find_map(|name| {
        let name: String = name.into_iter().collect();
        let other = RepoPath::parse(&format!("{}{name}", &text[..start])).ok()?;
        (other != *path && exists(&other)).then_some(other)
    })
}

fn cycle_problem(stages: &[Stage], cycle: &[StageIx]) -> Problem {
    let next = cycle.iter().cycle().skip(1);
    let edges = cycle.iter().zip(next).map(|(&reader, &maker)| {
        let (reader, maker) = (&stages[reader], &stages[maker]);
        let reads = |dep: &&super::Dep| {
            maker.outs.iter().any(|out| match &dep.glob {
                None => dep.path.overlaps(&out.path),
                Some(glob) => glob.may_overlap(&out.path),
            })
        };
        match reader.deps.iter().find(reads) {
            Some(dep) => format!(
                "`{}` (line {}) reads `{}`, made by `{}`",
                reader.name, dep.line, dep.path, maker.name
            ),
            None => format!("`{}` needs `{}`", reader.name, maker.name),
        }
    });
    let edges: Vec<String> = edges.collect();
    let what = format!("stages form a dependency cycle: {}", edges.join("; "));
    Problem::new(stages[cycle[0]].line, what).hint("remove one of these deps")
}
