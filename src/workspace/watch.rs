//! Reports changes in folders, by inotify. Does not know about stages or whether a change matters.

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

/// A change that the kernel reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// The named entry of a folder changed; without a name, the folder itself.
    Entry(WatchId, Option<PathBuf>),
    /// The folder was removed or moved.
    FolderGone(WatchId),
    /// The kernel's event queue overflowed, so events were lost.
    Overflow,
}

/// Watch descriptor of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchId(i32);

/// A set of watched folders.
#[derive(Debug)]
pub struct Watcher {
    inotify: Arc<OwnedFd>,
    /// Paths of each folder as passed to [`Watcher::watch`]; several if symlinks lead to it.
    folders: HashMap<WatchId, BTreeSet<PathBuf>>,
}

impl Watcher {
    /// Starts a thread that calls `on_change` for each change in a watched folder, until it returns
    /// false.
    pub fn start(
        mut on_change: impl FnMut(WatchEvent) -> bool + Send + 'static,
    ) -> Result<Watcher> {
        let cannot =
            |err: std::io::Error| Error::environment("cannot watch for changes").because(err);
        let inotify = inotify::init(CreateFlags::CLOEXEC).map_err(|err| match err {
            Errno::MFILE => cannot(err.into()).hint(
                "too many programs use inotify: end some of them, or raise the limit: \
                 `sysctl fs.inotify.max_user_instances=1024`",
            ),
            _ => cannot(err.into()),
        })?;
        let inotify = Arc::new(inotify);
        let source = Arc::clone(&inotify);
        let listen = move || {
            let mut buffer = [MaybeUninit::uninit(); 16 << 10];
            let mut events = inotify::Reader::new(&*source, &mut buffer);
            loop {
                let changed = match events.next() {
                    Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                        WatchEvent::Overflow
                    }
                    // The watch was removed; an event for the end of its folder came before.
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
        std::thread::Builder::new()
            .name("watch".into())
            .spawn(listen)
            .map_err(|err| Error::thread(&err))?;
        Ok(Watcher { inotify, folders: HashMap::new() })
    }

    /// Forgets the paths of all folders. Only folders that are watched again are reported after
    /// this.
    pub fn forget(&mut self) {
        self.folders.clear();
    }

    /// Watches `folder` from now on; does nothing if it does not exist or cannot be read.
    ///
    /// # Errors
    /// The limit of inotify watches is reached.
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
                self.folders.entry(WatchId(watch)).or_default().insert(folder.to_owned());
            }
            Err(Errno::NOSPC) => {
                return Err(Error::environment(format!(
                    "cannot watch `{}`: the limit of inotify watches is reached",
                    folder.display()
                ))
                .hint("raise the limit: `sysctl fs.inotify.max_user_watches=1048576`"));
            }
            // It is gone or unreadable: then a run cannot read it either.
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

    /// Returns all paths of the changed file or folder.
    ///
    /// Empty if events were lost or the folder is no longer watched.
    pub fn paths(&mut self, changed: &WatchEvent) -> Vec<PathBuf> {
        match changed {
            WatchEvent::Overflow => Vec::new(),
            WatchEvent::FolderGone(folder) => {
                let gone = self.folders.remove(folder).unwrap_or_default();
                // Folders inside moved with it. What exists there again will be watched again.
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
    fn reports_replaced_and_removed_paths() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("d");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("a"), "1").unwrap();
            let (sender, inbox) = channel();
            let mut watcher = Watcher::start(move |changed| sender.send(changed).is_ok()).unwrap();
            watcher.watch(&folder).unwrap();
            watcher.watch(&dir.path().join("absent")).unwrap();
            let reported = |watcher: &mut Watcher, path: &Path| {
                inbox.iter().find(|changed| watcher.paths(changed) == [path]).is_some()
            };
            fs::write(dir.path().join("new"), "2").unwrap();
            fs::rename(dir.path().join("new"), folder.join("a")).unwrap();
            assert!(reported(&mut watcher, &folder.join("a")));
            fs::remove_dir_all(&folder).unwrap();
            assert!(reported(&mut watcher, &folder));
        });
    }
}
