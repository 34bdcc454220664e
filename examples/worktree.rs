//! Creates a worktree of the project in a folder, for `benches/files.py`:
//! `cargo run --release --example worktree -- FOLDER`.

use std::path::Path;

use repro::engine::Project;
use repro::engine::worktree::Worktree;
use repro::error::Result;

fn main() -> Result<()> {
    let root = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let project = Project::load(Path::new(&root), &[])?;
    let worktree = Worktree::create(&project)?;
    // The peer does not remove its copy, either; the next command does.
    std::mem::forget(worktree);
    Ok(())
}
