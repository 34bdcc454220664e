//! Copies clips from a folder of class folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use features::is_audio;
use kit::Events;
use kit::files::{class_files, fresh_dir};

use crate::audio::{Amount, Tally};

/// Copies the first clips of each class, sorted by path, to the same relative path below `out`.
///
/// Uses reflinks if the file system supports them.
///
/// # Errors
/// If the folder or its class folders do not exist or have no audio, if the source and the output
/// folder overlap, or if the file system fails.
pub(crate) fn copy(source: &Path, out: &Path, amount: Amount, events: &Events) -> Result<Tally> {
    let shown = source.display();
    ensure!(
        !overlap(source, out),
        "`{shown}` overlaps the output folder `{}`, which is cleared first; move it elsewhere",
        out.display()
    );
    let clips = amount.take(class_files(source, is_audio)?, |clip| &clip.label);
    if clips.is_empty() {
        if has_folders(source)? {
            bail!("no class folder in `{shown}` contains audio; is `download.source` correct?");
        }
        bail!("`{shown}` has no class folders; put the clips of each class into its own folder");
    }
    fresh_dir(out)?;
    for (done, clip) in clips.iter().enumerate() {
        let to = out.join(clip.path.strip_prefix(source).unwrap_or(&clip.path));
        let explain = || format!("cannot copy `{}` to `{}`", clip.path.display(), to.display());
        fs::create_dir_all(to.parent().unwrap_or(out)).with_context(explain)?;
        reflink_copy::reflink_or_copy(&clip.path, &to).with_context(explain)?;
        events.progress(done as u64 + 1, clips.len() as u64);
    }
    Ok(Tally::of(clips.iter().map(|clip| clip.label.as_str())))
}

fn overlap(source: &Path, out: &Path) -> bool {
    let (source, out) = (resolve(source), resolve(out));
    source.starts_with(&out) || out.starts_with(&source)
}

/// Returns the absolute path with links resolved; its last components need not exist yet.
fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors()
        .find_map(|existing| {
            let full = existing.canonicalize().ok()?;
            Some(full.join(path.strip_prefix(existing).ok()?))
        })
        .unwrap_or(path)
}

fn has_folders(source: &Path) -> Result<bool> {
    let explain = || format!("cannot list `{}`", source.display());
    for entry in fs::read_dir(source).with_context(explain)? {
        if entry.with_context(explain)?.path().is_dir() {
            return Ok(true);
        }
    }
    Ok(false)
}
