//! Copies files of a workspace to another root, as independent files with the same bytes, modes and
//! times, by reflink where the disk can. The other root gets a stat index with the digests that
//! are known here, so that nothing is hashed again. Does not know which files are wanted.
//!
//! # Invariants
//!
//! - No file of the copy is a hard link to a file of the workspace. A symlink that leads into the
//!   workspace leads into the copy.
//! - A symlink that leads out keeps its target: a relative one becomes absolute.
//! - A digest is passed on only if the file had its recorded stat before and after it was copied.
//!   The index is written a clock tick after the last copy, before anybody else can write there.
//!
//! # Known limits
//!
//! - Owners, ACLs and extended attributes are not copied. Hard links become separate files.
//! - Sockets, FIFOs and devices are left out.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Workspace;
use super::filter::{Context, Filter, Named};
use super::index::{Index, TICK};
use super::reproignore;
use super::scan::Stat;
use crate::clock::now_nanos;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::parallel;
use crate::regular_file;

/// Paths relative to the root: files and links, and folders that are wanted even if empty.
#[derive(Debug, Default)]
pub struct Wanted {
    pub files: BTreeSet<PathBuf>,
    pub folders: BTreeSet<PathBuf>,
}

/// The entries of a folder that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    All,
    /// Entries that count as content, and the `.reproignore` files.
    Counted,
}

impl Workspace {
    /// Adds everything at `path`, relative to the root, to `wanted`; links are not followed, but
    /// what a link above or at `path` leads to is added as well if it is in the workspace.
    ///
    /// `is_left_out` is asked about every path.
    pub fn want(
        &self,
        path: &Path,
        entries: Entries,
        is_left_out: &dyn Fn(&Path) -> bool,
        wanted: &mut Wanted,
    ) -> Result<()> {
        let mut at = PathBuf::new();
        for part in path.components() {
            at.push(part);
            if is_left_out(&at) {
                return Ok(());
            }
            if self.root.join(&at).is_symlink() {
                wanted.files.insert(at);
                let real = self.root.join(path).canonicalize().ok();
                let inside = real.as_deref().and_then(|real| real.strip_prefix(&self.root).ok());
                return inside.map_or(Ok(()), |path| self.want(path, entries, is_left_out, wanted));
            }
        }
        match self.root.join(path).symlink_metadata() {
            Ok(meta) if meta.is_dir() => self.want_below(path, entries, is_left_out, wanted),
            Ok(_) => {
                wanted.files.insert(path.to_owned());
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    fn want_below(
        &self,
        top: &Path,
        entries: Entries,
        is_left_out: &dyn Fn(&Path) -> bool,
        wanted: &mut Wanted,
    ) -> Result<()> {
        let context = Context {
            root: &self.root,
            ignores: &self.ignores,
            is_out: &|path| self.is_out(path),
            has_outs: &|path| self.has_outs(path),
            on_link: &|_| {},
        };
        let full = self.root.join(top);
        let filter = match (entries, context.inside(&full)) {
            (Entries::All, _) => Filter::Everything,
            // The root.
            (Entries::Counted, None) => Filter::Ruled(None),
            (Entries::Counted, Some(path)) => match context.filter(&path, Named::Explicitly)? {
                Some(filter) => filter,
                None => return Ok(()),
            },
        };
        let mut open = vec![(top.to_owned(), filter)];
        while let Some((folder, filter)) = open.pop() {
            let full = self.root.join(&folder);
            let listed = fs::read_dir(&full).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let listed = match listed {
                // It belongs to another user, so that no stage reads it, either.
                Err(err) if err.kind() == ErrorKind::PermissionDenied => continue,
                listed => listed.map_err(|err| Error::io("read", &full, &err))?,
            };
            let rules = folder.join(reproignore::FILE);
            if self.root.join(&rules).symlink_metadata().is_ok() && !is_left_out(&rules) {
                wanted.files.insert(rules);
            }
            wanted.folders.insert(folder.clone());
            for (entry, filter) in context.counted(&full, &filter, listed)? {
                let path = folder.join(entry.file_name());
                if is_left_out(&path) {
                    continue;
                }
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                match is_folder {
                    true => open.push((path, filter)),
                    false => drop(wanted.files.insert(path)),
                }
            }
        }
        Ok(())
    }

    /// Copies what is `wanted` to the folder `to`, which has no such files, and adds them to its
    /// stat index in the folder `state`. Files that have disappeared are left out; returns those
    /// that cannot be read.
    pub fn duplicate(&self, wanted: &Wanted, to: &Path, state: &Path) -> Result<Vec<PathBuf>> {
        let mut folders: BTreeSet<&Path> = wanted.folders.iter().map(PathBuf::as_path).collect();
        folders.extend(wanted.files.iter().flat_map(|file| file.ancestors().skip(1)));
        folders.remove(Path::new(""));
        for folder in &folders {
            let full = to.join(folder);
            match fs::create_dir(&full) {
                Err(err) if err.kind() == ErrorKind::AlreadyExists && full.is_dir() => {}
                created => created.map_err(|err| Error::io("create", &full, &err))?,
            }
        }
        let copier = Copier { from: self, to, known: Mutex::default(), unread: Mutex::default() };
        let files: Vec<&PathBuf> = wanted.files.iter().collect();
        parallel::try_for_each(&files, |file| copier.copy(file))?;
        // In reverse: a folder may become read-only.
        for folder in folders.iter().rev() {
            let Ok(meta) = self.root.join(folder).symlink_metadata() else { continue };
            let full = to.join(folder);
            fs::set_permissions(&full, bits(&meta))
                .map_err(|err| Error::io("create", &full, &err))?;
        }
        copier.save_index(state)?;
        let mut unread = copier.unread.into_inner().unwrap_or_else(PoisonError::into_inner);
        unread.sort();
        Ok(unread)
    }
}

/// A file whose digest is known.
type Known = (String, Stat, Digest);

struct Copier<'a> {
    from: &'a Workspace,
    to: &'a Path,
    known: Mutex<Vec<Known>>,
    unread: Mutex<Vec<PathBuf>>,
}

impl Copier<'_> {
    fn copy(&self, file: &Path) -> Result<()> {
        let (from, to) = (self.from.root.join(file), self.to.join(file));
        let Ok(meta) = from.symlink_metadata() else { return Ok(()) };
        let copied = if meta.is_symlink() {
            self.link(&from, &to)
        } else if meta.is_file() {
            match regular_file::open(&from) {
                Ok(source) => self.copy_open(file, &source, &to),
                Err(err) if err.kind() == ErrorKind::PermissionDenied => {
                    self.unread
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(file.to_owned());
                    Ok(())
                }
                Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
                Err(err) => Err(err),
            }
        } else {
            Ok(())
        };
        copied.map_err(|err| Error::io_into(&to, "copy", &from, &err))
    }

    fn copy_open(&self, file: &Path, source: &File, to: &Path) -> io::Result<()> {
        const OWNER_WRITES: u32 = 0o200;
        let meta = source.metadata()?;
        let mode = bits(&meta).mode();
        let mut options = OpenOptions::new();
        let target = options.write(true).create_new(true).mode(mode | OWNER_WRITES).open(to)?;
        fill(source, &meta, &target)?;
        if target.metadata()?.mode() & 0o777 != mode {
            target.set_permissions(bits(&meta))?;
        }
        target.set_times(FileTimes::new().set_modified(meta.modified()?))?;
        let before = Stat::of(&meta);
        if let Some(path) = file.to_str()
            && let Some(digest) = self.from.index.get(path, &before)
            && Stat::of(&source.metadata()?) == before
        {
            let known = (path.to_owned(), Stat::of(&target.metadata()?), digest);
            self.known.lock().unwrap_or_else(PoisonError::into_inner).push(known);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let target = fs::read_link(from)?;
        let root = &self.from.root;
        let folder = from.parent().unwrap_or(root);
        let stays = target.is_relative() && is_below(root, &folder.join(&target));
        let real = if stays { None } else { from.canonicalize().ok() };
        let target = match real {
            // One that dangles is content by its text, so it stays as it is.
            None => target,
            Some(real) => match real.strip_prefix(root) {
                Ok(inside) => self.to.join(inside),
                Err(_) => real,
            },
        };
        std::os::unix::fs::symlink(target, to)
    }

    /// Writes the stat index of the copy.
    fn save_index(&self, state: &Path) -> Result<()> {
        let known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(last) = known.iter().map(|(_, stat, _)| stat.ctime).max() else { return Ok(()) };
        let index = Index::load(&state.join("index"));
        let left = last.saturating_add(TICK).saturating_sub(now_nanos()).clamp(-1, TICK) + 1;
        std::thread::sleep(Duration::from_nanos(left.unsigned_abs()));
        let at = now_nanos();
        for (path, stat, digest) in known {
            index.insert(&path, stat, digest, at);
        }
        index.save()
    }
}

/// Returns the permissions of a file, without those for running as another user.
fn bits(meta: &fs::Metadata) -> fs::Permissions {
    fs::Permissions::from_mode(meta.mode() & 0o777)
}

/// Reports whether a path, read as text, is inside `root`.
fn is_below(root: &Path, path: &Path) -> bool {
    let mut at = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(at.pop()),
            Component::CurDir => {}
            part => at.push(part),
        }
        // It may leave and come back by the name of the root, which another root does not have.
        if part == Component::ParentDir && !at.starts_with(root) {
            return false;
        }
    }
    at.starts_with(root)
}

/// Copies the bytes of `source` to the empty file `target`.
fn fill(source: &File, meta: &fs::Metadata, target: &File) -> io::Result<()> {
    /// Set once the disk has refused a reflink.
    static NO_REFLINKS: AtomicBool = AtomicBool::new(false);
    const BLOCK: u64 = 512;
    if !NO_REFLINKS.load(Ordering::Relaxed) && meta.len() > 0 {
        match rustix::fs::ioctl_ficlone(target, source) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOTTY) => NO_REFLINKS.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }
    if meta.blocks() * BLOCK < meta.len() && copy_data(source, meta.len(), target)? {
        return Ok(());
    }
    let (mut source, mut target) = (source, target);
    io::copy(&mut source, &mut target).map(drop)
}

/// Copies a sparse file and keeps its holes; returns false if the disk cannot tell where they are.
fn copy_data(mut source: &File, length: u64, mut target: &File) -> io::Result<bool> {
    let mut at = 0;
    loop {
        let data = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) if at == 0 => return Ok(false),
            Err(err) => return Err(err.into()),
        };
        at = rustix::fs::seek(source, SeekFrom::Hole(data))?;
        source.seek(io::SeekFrom::Start(data))?;
        target.seek(io::SeekFrom::Start(data))?;
        io::copy(&mut source.take(at - data), &mut target)?;
    }
    target.set_len(length)?;
    Ok(true)
}
