//! Parses the text of `pipeline.toml` into values and collects every problem found.
//!
//! Checks one declaration at a time; `validate` checks the declarations against each other.

pub(super) mod config;
mod data_params;
mod external;
pub(super) mod matrix;
pub(super) mod options;
mod origin;
pub(super) mod outs;
mod overrides;
pub(super) mod reader;
mod remote_settings;
pub(super) mod remotes;
pub(super) mod source;
pub(super) mod stage;
pub(super) mod sweeps;
mod syntax;
pub(super) mod texts;
pub(super) mod worktrees;

use std::collections::BTreeMap;

use self::config::{Completeness, Composed};
use self::reader::{ROOT, Reader};
use self::source::{FileSource, Override, unix_line_ends};
use super::{ParamKey, Params, Pipeline, Problem, RemoteSpec, SweepSpec, Written};
use crate::repo_path::RepoPath;

/// Parses and validates a pipeline.
///
/// # Errors
/// Every problem in its files, sorted by location.
pub fn parse(
    text: &str,
    overrides: &[Override],
    files: FileSource<'_>,
) -> Result<Pipeline, Vec<Problem>> {
    let text = &unix_line_ends(text);
    let mut reader = Reader::new(text);
    let root = syntax::parse(&mut reader, text)?;
    let root = root.get_ref();
    reader.reject_unknown_keys(root, "the file", &ROOT);
    let name = reader.name(root);
    let goals = reader.goals(root);
    let tokens = reader.tokens(root);
    let (links, cache_dir) = reader.cache(root);
    let outs_in_git = reader.outs_in_git(root);
    let trash = reader.trash(root);
    let remotes = reader.remotes(root);
    let composed = reader.compose(root, overrides, files);
    if composed.completeness == Completeness::Incomplete {
        // Errors about params that are missing for this reason would only repeat it.
        return Err(reader.sorted());
    }
    let (warnings, overridden) = (composed.without_effect(), composed.overridden());
    let Composed { params, set, groups, .. } = composed;
    reader.sweeps(root, &params, &groups);
    let (mut stages, rendered_params) = reader.stages(root, &params, &tokens, &set);
    reader.check_remotes_of_urls(&stages, &remotes);
    let external = reader.external(root, &stages);
    let exists = |path: Option<&RepoPath>| {
        let is_outside = |path: &RepoPath| external.keys().any(|external| external.contains(path));
        path.is_some_and(is_outside) || (files.exists)(path)
    };
    let files = FileSource { exists: &exists, ..files };
    let graph = super::validate::graph(&mut stages, files);
    let shared_by_worktrees = reader.shared_by_worktrees(root, &stages);
    match graph {
        Ok(graph) if reader.problems.is_empty() => Ok(Pipeline {
            name,
            params,
            overridden,
            warnings,
            goals,
            tokens,
            links,
            outs_in_git,
            cache_dir,
            trash,
            shared_by_worktrees,
            remotes,
            external,
            rendered_params,
            stages,
            graph,
        }),
        Ok(_) => Err(reader.sorted()),
        Err(problems) => {
            reader.problems.extend(problems);
            Err(reader.sorted())
        }
    }
}

/// Parses only `[remotes]`, for a project whose other files are not on this machine.
///
/// # Errors
/// Every problem with the remotes, sorted by location.
pub fn parse_remotes(text: &str) -> Result<Vec<RemoteSpec>, Vec<Problem>> {
    let text = &unix_line_ends(text);
    let mut reader = Reader::new(text);
    let root = syntax::parse(&mut reader, text)?;
    let remotes = reader.remotes(root.get_ref());
    match reader.problems.is_empty() {
        true => Ok(remotes),
        false => Err(reader.sorted()),
    }
}

/// The params of a pipeline, without its stages.
#[derive(Debug)]
pub struct Declared {
    pub params: Params,
    /// The origin of each param that comes from a file other than `pipeline.toml`.
    pub written: BTreeMap<ParamKey, Written>,
    /// Definitions in other files that `[params]` of `pipeline.toml` replaces.
    pub shadowed: BTreeMap<ParamKey, Written>,
    /// The chosen option of each params group.
    pub groups: BTreeMap<String, String>,
    /// The declared sweeps by name.
    pub sweeps: BTreeMap<String, SweepSpec>,
}

/// Parses only the params, so that they can be shown and changed while a stage is faulty.
///
/// # Errors
/// Every problem with the params, sorted by location.
pub fn parse_params(
    text: &str,
    overrides: &[Override],
    files: FileSource<'_>,
) -> Result<Declared, Vec<Problem>> {
    let text = &unix_line_ends(text);
    let mut reader = Reader::new(text);
    let root = syntax::parse(&mut reader, text)?;
    let Composed { params, written, shadowed, groups, .. } =
        reader.compose(root.get_ref(), overrides, files);
    let sweeps = reader.sweeps(root.get_ref(), &params, &groups);
    match reader.problems.is_empty() {
        true => Ok(Declared { params, written, shadowed, groups, sweeps }),
        false => Err(reader.sorted()),
    }
}
