//! Hears of changes in folders (inotify). Knows nothing of stages, and not whether a change matters.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// To the entry of that name in a folder, or to the folder itself.
    Entry(WatchId, Option<PathBuf>),
    /// The folder is not where it was.
    FolderGone(WatchId),
    /// So much that the kernel did not keep it all.
    Overflow,
}

/// A folder that is watched, as the kernel calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchId(i32);

/// Folders that are watched.
#[derive(Debug)]
pub struct Watcher {
    inotify: Arc<OwnedFd>,
    /// Where each was when it was last covered: by links it may be in several places.
    folders: HashMap<WatchId, BTreeSet<PathBuf>>,
}

impl Watcher {
    /// Calls `on_change` for all that happens in folders that will be covered, on a thread of its own, as long as it wants to hear.
    pub fn start(mut on_change: impl FnMut(WatchEvent) -> bool + Send + 'static) -> Result<Watcher> {
        let cannot =
            |err: std::io::Error| Error::environment("cannot watch for changes").because(err);
        let inotify = inotify::init(CreateFlags::CLOEXEC).map_err(|err| match err {
            Errno::MFILE => cannot(err.into()).hint(
                "others watch, too: end some of them, or raise it: `sysctl fs.inotify.max_user_instances=1024`",
            ),
            _ => cannot(err.into()),
        })?;
        let inotify = Arc::new(inotify);
        let source = Arc::clone(&inotify);
        let listen = move || {
            let mut room = [MaybeUninit::uninit(); 16 << 10];
            let mut events = inotify::Reader::new(&*source, &mut room);
            loop {
                let changed = match events.next() {
                    Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                        WatchEvent::Overflow
                    }
                    // The watch is gone, which its folder's end has told.
                    Ok(event) if event.events().contains(ReadFlags::IGNORED) => continue,
                    Ok(event)
                        if event
                            .events()
                            .intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) =>
                    {
                        WatchEvent::FolderGone(WatchId(event.wd()))
                    }
                    Ok(event) => {
                        let name =
                            event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).into());
                        WatchEvent::Entry(WatchId(event.wd()), name)
                    }
                    Err(Errno::INTR) => continue,
                    Err(_) => return,
                };
                if !on_change(changed) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("watch".into()).spawn(listen).map_err(cannot)?;
        Ok(Watcher { inotify, folders: HashMap::new() })
    }

    /// What will not be covered again does not changed_path any more.
    pub fn forget(&mut self) {
        self.folders.clear();
    }

    /// Watches a folder from now on; one that is not there is none.
    ///
    /// # Errors
    /// The kernel has no watch left.
    pub fn watch(&mut self, folder: &Path) -> Result<()> {
        let wanted = WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&*self.inotify, folder, wanted) {
            Ok(watch) => {
                drop(self.folders.entry(WatchId(watch)).or_default().insert(folder.to_owned()))
            }
            Err(Errno::NOSPC) => {
                return Err(Error::environment(format!(
                    "cannot watch `{}`: the system has no watch left",
                    folder.display()
                ))
                .hint("raise it: `sysctl fs.inotify.max_user_watches=1048576`"));
            }
            // It went, or is not for us to read: then no run can read it, either.
            Err(
                Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::NAMETOOLONG,
            ) => {}
            Err(err) => {
                let error = Error::environment(format!("cannot watch `{}`", folder.display()));
                return Err(error.because(std::io::Error::from(err)));
            }
        }
        Ok(())
    }

    /// What was changed, by all its paths; none if it cannot be told, or is in a folder that was moved away.
    pub fn paths(&mut self, changed: &WatchEvent) -> Vec<PathBuf> {
        match changed {
            WatchEvent::Overflow => Vec::new(),
            WatchEvent::FolderGone(folder) => {
                let gone = self.folders.remove(folder).unwrap_or_default();
                // Moved with it; what is there again will be covered again.
                let is_inside = |path: &PathBuf| gone.iter().any(|gone| path.starts_with(gone));
                for paths in self.folders.values_mut() {
                    paths.retain(|path| !is_inside(path));
                }
                gone.into_iter().collect()
            }
            WatchEvent::Entry(folder, name) => {
                let folders = self.folders.get(folder).into_iter().flatten();
                folders
                    .map(|folder| name.as_ref().map_or(folder.clone(), |name| folder.join(name)))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc::channel;

    #[test]
    fn a_file_that_is_replaced_is_heard_and_so_is_the_end_of_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a"), "1").unwrap();
        let (sender, inbox) = channel();
        let mut watcher = Watcher::start(move |changed| sender.send(changed).is_ok()).unwrap();
        watcher.watch(&folder).unwrap();
        watcher.watch(&dir.path().join("absent")).unwrap();
        let heard = |watcher: &mut Watcher, path: &Path| {
            inbox.iter().find(|changed| watcher.paths(changed) == [path]).is_some()
        };
        fs::write(dir.path().join("new"), "2").unwrap();
        fs::rename(dir.path().join("new"), folder.join("a")).unwrap();
        assert!(heard(&mut watcher, &folder.join("a")));
        fs::remove_dir_all(&folder).unwrap();
        assert!(heard(&mut watcher, &folder));
    }
}
