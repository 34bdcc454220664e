//! Copies of the clips in a folder of class folders. Knows nothing about archives.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kit::Events;
use kit::files::{class_files, fresh_dir};

use crate::audio::{Amount, Tally, is_audio};

/// Copies the first clips of each class, sorted by path, to the same place below `out`; by reference where
/// the file system can.
///
/// # Errors
/// No such folder, no class folders, no audio in them; a source that is the output folder, or within it, or
/// around it; any failure of the file system.
pub(crate) fn copy(source: &Path, out: &Path, amount: Amount, events: &Events) -> Result<Tally> {
    let shown = source.display();
    ensure!(
        !overlap(source, out),
        "`{shown}` overlaps the output folder `{}`, which is emptied first; move it elsewhere",
        out.display()
    );
    let clips = amount.take(class_files(source, is_audio)?, |clip| &clip.label);
    if clips.is_empty() {
        if has_folders(source)? {
            bail!("no class folder in `{shown}` has audio in it; is `download.source` right?");
        }
        bail!("`{shown}` has no class folders; put each class's clips into a folder of its own");
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

/// The full path without links, also of a path whose last parts do not exist yet.
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
