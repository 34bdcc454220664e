//! `cache/started`: the outs of stages that were started and have not finished. A stage that
//! failed or was killed left the content there; it is not a user's.
//!
//! The outs are appended before they are cleared. If the file is lost, the remains count as files
//! of a user, so that the stage is refused; nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Project;
use super::project::cache_dir;
use crate::error::{Error, Result};
use crate::pipeline::Stage;
use crate::plan::Claims;
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::workspace::write::{self, Durability};

fn file(root: &Path) -> PathBuf {
    cache_dir(root).join("started")
}

/// Returns the outs of stages that had not finished when this was first called. Later calls return
/// the same, to distinguish remains from what this run leaves.
pub(super) fn earlier(project: &Project) -> &Claims {
    project.makers.started.get_or_init(|| read(&project.root))
}

/// Reads the outs of unfinished stages; none if the file is missing or is not a plain file.
fn read(root: &Path) -> Claims {
    let file = file(root);
    let bytes = regular_file::read(&file).unwrap_or_default();
    Claims::decode(&String::from_utf8_lossy(&bytes))
}

/// Adds the outs of a stage, whose command is about to start.
pub(super) fn add(project: &Project, stage: &Stage) -> Result<()> {
    earlier(project);
    let claims: Claims = stage.outs.iter().map(|out| out.path.clone()).collect();
    if claims.is_empty() {
        return Ok(());
    }
    let file = file(&project.root);
    // The first line feed ends a line that a crash cut off.
    let text = format!("\n{}", claims.encode());
    regular_file::open_to_append(&file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .map_err(|err| Error::io("write", &file, &err))
}

/// Removes the outs of stages that the lock now names.
///
/// Errors are ignored: the claims then last until these stages finish again.
pub(super) fn remove(project: &Project, outs: &BTreeSet<&RepoPath>) {
    let (file, claims) = (file(&project.root), read(&project.root));
    if claims.is_empty() {
        return;
    }
    let left = claims.without(outs);
    let _ = match left.is_empty() {
        true => fs::remove_file(&file).map_err(|err| Error::io("remove", &file, &err)),
        false => write::atomic(&file, left.encode().as_bytes(), Durability::Relaxed),
    };
}
