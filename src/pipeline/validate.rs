//! Checks the stages against each other: each out belongs to one stage, outs do not contain each
//! other, every dep exists or is an out, and the graph has no cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::glob::{self, Overlap};
use super::resolve::{Last, Resolver};
use super::{FileSource, Glob, Graph, PathEntry, Problem, Source, Stage, StageIx, StageName};
use crate::error::did_you_mean;
use crate::repo_path::RepoPath;

/// Number of problems after which a missing dep is not compared with existing files.
const MAX_PROBED: usize = 20;

/// Finds the real paths of deps and outs, and builds the graph of `stages`.
///
/// # Errors
/// Every problem found.
pub(super) fn graph(stages: &mut [Stage], files: FileSource<'_>) -> Result<Graph, Vec<Problem>> {
    let mut problems = Vec::new();
    let resolver = resolve_outs(stages, files);
    let makers = makers(stages, &mut problems);
    nested_outs(stages, &makers, &mut problems);
    linked_inputs(stages, &makers, &resolver, &mut problems);
    resolve_deps(stages, &makers, &resolver, &mut problems);
    let is_folder =
        |out: &RepoPath| looks_like_folder(out) || (files.entry)(out) == PathEntry::Folder;
    let stages = &*stages;
    let mut needs = Vec::with_capacity(stages.len());
    for (ix, stage) in StageIx::enumerate(stages) {
        let mut needed = BTreeSet::new();
        for dep in &stage.deps {
            let found = match dep.source() {
                (path, None) => makers_of(&makers, path),
                (_, Some(glob)) => read_by(&makers, glob, &is_folder),
            };
            let exists = || (files.exists)(dep.glob.as_ref().map_or(Some(&dep.path), Glob::base));
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
                let exists = |path: &RepoPath| may_probe && (files.exists)(Some(path));
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

/// The stages by the places of their outs: their paths without links.
type Makers = BTreeMap<RepoPath, StageIx>;

/// Finds the outs that links lead to another place.
fn resolve_outs<'f>(stages: &mut [Stage], files: FileSource<'f>) -> Resolver<'f> {
    let declared = stages.iter().flat_map(|stage| &stage.outs).map(|out| out.path.clone());
    let mut resolver = Resolver { entry: files.entry, outs: declared.collect() };
    for out in stages.iter_mut().flat_map(|stage| &mut stage.outs) {
        // The last name may be a link into the cache.
        out.real = resolver.real(&out.path, Last::Kept);
    }
    let places = stages.iter().flat_map(|stage| &stage.outs).filter_map(|out| out.real.clone());
    resolver.outs.extend(places);
    resolver
}

/// Finds the deps that are outs by another name: the text of a glob, or a link.
fn resolve_deps(
    stages: &mut [Stage],
    makers: &Makers,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Problem>,
) {
    for stage in stages {
        let each = stage.each.as_ref().map(|each| each.glob.text());
        for dep in &mut stage.deps {
            if dep.glob.is_some() && each != Some(&dep.path) && makers.contains_key(&dep.path) {
                dep.glob = None;
            }
            match &dep.glob {
                None => {
                    let real = resolver.real(&dep.path, Last::Followed);
                    let real = real.filter(|real| !makers_of(makers, real).is_empty());
                    dep.real = real.map(|path| Source { path, glob: None });
                }
                Some(glob) => {
                    problems.extend(literal_out(&stage.name, dep.line, glob, makers));
                    let base = glob.base().and_then(|base| resolver.real(base, Last::Followed));
                    let moved = base.map(|base| glob.rebased(&base));
                    dep.real = moved
                        .filter(|moved| makers.keys().any(|out| moved.may_overlap(out)))
                        .map(|glob| Source { path: glob.text().clone(), glob: Some(glob) });
                }
            }
        }
    }
}

/// Reports a glob that leads into an out whose name is read as a pattern.
fn literal_out(stage: &StageName, line: usize, glob: &Glob, makers: &Makers) -> Option<Problem> {
    let text = glob.text();
    let is_pattern = |out: &&str| out.contains(['*', '?', '[', '{']) && !glob.leads_into(out);
    let out = text.ancestors().filter(|above| makers.contains_key(*above)).find(is_pattern)?;
    let escaped = glob::escape(out);
    let what = format!(
        "dep `{text}` of stage `{stage}` is a glob, which does not lead into the out `{out}`"
    );
    Some(Problem::new(line, what).hint(format!("write `{escaped}{}`", &text.as_str()[out.len()..])))
}

/// Reports tracked inputs that are links to what a command writes.
fn linked_inputs(
    stages: &[Stage],
    makers: &Makers,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Problem>,
) {
    let inputs = stages.iter().filter(|stage| stage.is_tracked_input());
    for (stage, out) in inputs.flat_map(|stage| stage.outs.iter().map(move |out| (stage, out))) {
        let others = Resolver { entry: resolver.entry, outs: BTreeSet::new() };
        let Some(real) = others.real(&out.path, Last::Followed) else { continue };
        let mut found = makers_of(makers, &real).into_iter();
        if let Some(maker) = found.find(|&maker| stages[maker].name != stage.name) {
            let what = format!(
                "input `{}` tracked by stage `{}` is a link to `{real}`, an out of stage `{}`",
                out.path, stage.name, stages[maker].name
            );
            problems.push(
                Problem::new(out.line, what)
                    .hint(format!("remove stage `{}`, and use the out as a dep", stage.name)),
            );
        }
    }
}

/// Reports whether an out that does not exist yet is taken for a folder: its name has no extension
/// such as `csv`.
fn looks_like_folder(out: &RepoPath) -> bool {
    let name = out.as_str().rsplit('/').next().unwrap_or_default();
    let extension = name.trim_start_matches('.').rsplit_once('.').map(|(_, extension)| extension);
    !extension.is_some_and(|extension| extension.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Returns the stages with an out that the glob matches or may have matches in.
///
/// A glob such as `**/*.py` would otherwise need every stage of the pipeline, so an out counts as a
/// file while a file is there, or if its name has an extension.
fn read_by(
    makers: &Makers,
    glob: &Glob,
    is_folder: &dyn Fn(&RepoPath) -> bool,
) -> BTreeSet<StageIx> {
    let reads = |out: &RepoPath| match glob.overlap(out) {
        Overlap::No => false,
        Overlap::IfFolder => is_folder(out),
        Overlap::Yes => true,
    };
    makers.iter().filter(|(out, _)| reads(out)).map(|(_, ix)| *ix).collect()
}

fn makers(stages: &[Stage], problems: &mut Vec<Problem>) -> Makers {
    let mut makers = Makers::new();
    for (ix, stage) in StageIx::enumerate(stages) {
        for out in &stage.outs {
            let shown = match &out.real {
                Some(real) => format!("`{}` (by a link, `{real}`)", out.path),
                None => format!("`{}`", out.path),
            };
            match makers.insert(out.place().clone(), ix) {
                None => {}
                Some(other) if other == ix => {
                    let what = format!("out {shown} of stage `{}` is declared twice", stage.name);
                    problems.push(Problem::new(out.line, what));
                }
                Some(other) => {
                    let first = &stages[other];
                    let what = format!(
                        "out {shown} of stage `{}` is also an out of stage `{}`",
                        stage.name, first.name
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
                out.place().ancestors().find_map(|above| makers.get_key_value(above))
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
        let reads = |dep: &&super::Dep| maker.outs.iter().any(|out| dep.may_read(out.place()));
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
