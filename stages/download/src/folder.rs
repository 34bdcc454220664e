//! Copies clips from a folder of class folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kit::Events;
use kit::files::fresh_dir;
use walkdir::{DirEntry, WalkDir};

use crate::audio::Tally;
use crate::selection::{Candidate, Choice, LeftOut, select};

/// Copies the first clips of each class to `OUT/CLASS/…`.
///
/// Uses reflinks if the file system supports them. Links are followed; what cannot be read is left
/// out.
///
/// # Errors
/// If the folder does not exist or has no audio in class folders, if the source and the output
/// folder overlap, or if the file system fails.
pub(crate) fn copy(source: &Path, out: &Path, choice: Choice, events: &Events) -> Result<Tally> {
    let shown = source.display();
    ensure!(
        !overlap(source, out),
        "`{shown}` overlaps the output folder `{}`, which is cleared first; move it elsewhere",
        out.display()
    );
    let mut left_out = LeftOut::default();
    let (files, paths) = list(source, &mut left_out);
    let clips = select(files, choice, &mut left_out).with_context(|| format!("`{shown}`"))?;
    if clips.is_empty() {
        if has_folders(source)? {
            bail!("no class folder in `{shown}` contains audio; is `download.source` correct?");
        }
        bail!("`{shown}` has no class folders; put the clips of each class into its own folder");
    }
    left_out.report();
    fresh_dir(out)?;
    for (done, clip) in clips.iter().enumerate() {
        let (from, to) = (&paths[clip.index], out.join(&clip.to));
        let explain = || format!("cannot copy `{}` to `{}`", from.display(), to.display());
        fs::create_dir_all(to.parent().unwrap_or(out)).with_context(explain)?;
        reflink_copy::reflink_or_copy(from, &to).with_context(explain)?;
        events.progress(done as u64 + 1, clips.len() as u64);
    }
    Ok(Tally::of(clips.iter().map(|clip| clip.class.as_str())))
}

/// Lists all visible files below a folder, with their paths.
fn list(source: &Path, left_out: &mut LeftOut) -> (Vec<Candidate>, Vec<PathBuf>) {
    let (mut files, mut paths) = (Vec::new(), Vec::new());
    let walk = WalkDir::new(source).min_depth(1).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(is_visible) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(source).to_string_lossy();
                left_out.add("unreadable, or a link that leads nowhere", path);
                continue;
            }
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let inside = entry.path().strip_prefix(source).unwrap_or(entry.path());
        let names: Option<Vec<String>> =
            inside.iter().map(|name| name.to_str().map(str::to_owned)).collect();
        let Some(mut folders) = names else {
            left_out.add("the path is not UTF-8", inside.to_string_lossy());
            continue;
        };
        let name = folders.pop().unwrap_or_default();
        files.push(Candidate { folders, name, index: paths.len() });
        paths.push(entry.into_path());
    }
    (files, paths)
}

fn is_visible(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
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
