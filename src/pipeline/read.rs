//! Parses the text of `pipeline.toml` into values and collects every problem found.
//!
//! Checks one declaration at a time; `validate` checks the declarations against each other.

pub(super) mod config;
mod data_params;
pub(super) mod matrix;
pub(super) mod options;
pub(super) mod outs;
pub(super) mod reader;
pub(super) mod source;
pub(super) mod stage;
mod syntax;

use toml::de::DeTable;

use self::config::{Completeness, Composed};
use self::reader::{ROOT, Reader};
use self::source::{FileSource, Override};
use super::{Pipeline, Problem};

/// Parses and validates a pipeline.
///
/// # Errors
/// Every problem in its files, sorted by location.
pub fn parse(
    text: &str,
    overrides: &[Override],
    files: FileSource<'_>,
) -> Result<Pipeline, Vec<Problem>> {
    let mut reader = Reader::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.problems.extend(syntax::problem(&reader, text, &error));
    }
    if !reader.problems.is_empty() {
        return reader.fail();
    }
    let root = root.get_ref();
    reader.reject_unknown_keys(root, "the file", &ROOT);
    let name = reader.name(root);
    let goals = reader.goals(root);
    let tokens = reader.tokens(root);
    let links = reader.links(root);
    let trash = reader.trash(root);
    let Composed { params, written, groups, completeness } = reader.compose(root, overrides, files);
    if completeness == Completeness::Incomplete {
        // Errors about params that are missing for this reason would only repeat it.
        return reader.fail();
    }
    let mut stages = reader.stages(root, &params, &tokens);
    match super::validate::graph(&mut stages, files) {
        Ok(graph) if reader.problems.is_empty() => Ok(Pipeline {
            name,
            params,
            written,
            groups,
            goals,
            tokens,
            links,
            trash,
            stages,
            graph,
        }),
        Ok(_) => reader.fail(),
        Err(problems) => {
            reader.problems.extend(problems);
            reader.fail()
        }
    }
}
