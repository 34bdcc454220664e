//! Moves outs from the workspace into the cache and back.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::replaced::{Replaced, users_content};
use super::size::Tally;
use super::{Project, started};
use crate::digest::{Content, Digest};
use crate::error::{Error, Kind, Result};
use crate::parallel;
use crate::pipeline::Link;
use crate::plan::trash::Found;
use crate::plan::{OutContents, Tree};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;
use crate::workspace::restore::is_restorable_link;
use crate::workspace::traverse::{traverse, visit};

/// Stores the content observed at `path`: files first, trees last, so that every tree in the cache
/// is complete. Asks for all objects at once and writes only those that are missing.
pub(super) fn store(project: &Project, path: &RepoPath, seen: &Observed) -> Result<()> {
    let absent = project.cache.missing(seen.leaf_digests());
    store_absent(project, path, seen, &Mutex::new(absent))
}

/// Stores what is in `absent`; equal contents are written once.
fn store_absent(
    project: &Project,
    path: &RepoPath,
    seen: &Observed,
    absent: &Mutex<HashSet<Digest>>,
) -> Result<()> {
    let is_first =
        |digest: &Digest| absent.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    let store_leaf = |path: &RepoPath, content: &Content| match is_first(&content.digest()) {
        true => store_leaf(project, path, content),
        false => Ok(()),
    };
    let close = |folder: Option<(&Tree, &Digest)>, _: Vec<()>| match folder {
        // Reading verifies the tree: a damaged one is removed and written again, and an unreadable
        // one is an error.
        Some((tree, digest)) if project.cache.bytes(digest).is_err() => {
            project.cache.put_bytes(&tree.encode())?;
            project.cache.bytes(digest).map(drop)
        }
        _ => Ok(()),
    };
    let top = (path.clone(), seen);
    traverse(
        top,
        |(path, seen)| match seen {
            Observed::Leaf(content) => store_leaf(&path, content).map(|()| (None, Vec::new())),
            Observed::Dir { tree, digest, dirs } => {
                let files: Vec<(&Box<str>, &Content)> = tree.leaves().collect();
                parallel::try_for_each(&files, |(name, content)| {
                    store_leaf(&path.join(name), content)
                })?;
                Ok((
                    Some((tree, digest)),
                    dirs.iter().map(|(name, dir)| (path.join(name), dir)).collect(),
                ))
            }
        },
        close,
    )
}

/// Announces what a user made of outs that are about to be accepted: when they are displaced, they
/// go to the trash, although the lock names them.
pub(super) fn announce_adopted(project: &Project, places: &[(&RepoPath, &Observed)]) -> Result<()> {
    let digests = places.iter().flat_map(|(_, seen)| seen.leaf_digests()).collect();
    announce_users(project, places, &project.cache.missing(digests)).map(drop)
}

/// Announces what a user made of the contents, and returns it.
fn announce_users(
    project: &Project,
    places: &[(&RepoPath, &Observed)],
    absent: &HashSet<Digest>,
) -> Result<Vec<Found>> {
    let users = users_content(project, places, absent)?;
    if !users.is_empty() {
        // A folder is announced as a whole; its listing tells its files.
        places.iter().try_for_each(|(_, seen)| store_listing(project, seen))?;
        project.trash.announce(&users)?;
    }
    Ok(users)
}

/// Stores content that is about to be removed or overwritten, and syncs the cache, so that even a
/// power cut does not lose it. Returns the entries of the trash for what a user made.
///
/// Skips what a stage left when it failed. Unlike [`store`], it reads objects that exist already:
/// the bytes in the workspace may be the only intact copy.
pub(super) fn store_durably(
    project: &Project,
    path: &RepoPath,
    seen: &Observed,
) -> Result<Replaced> {
    store_all_durably(project, &[(path, seen)])
}

/// Does the same as [`store_durably`] for several paths, and syncs once.
pub(super) fn store_all_durably(
    project: &Project,
    places: &[(&RepoPath, &Observed)],
) -> Result<Replaced> {
    let are_remains =
        |(path, seen): &(&RepoPath, &Observed)| started::are_remains(project, path, seen);
    let places: Vec<(&RepoPath, &Observed)> =
        places.iter().filter(|place| !are_remains(place)).copied().collect();
    if places.is_empty() {
        return Ok(Replaced::default());
    }
    let digests = || places.iter().flat_map(|(_, seen)| seen.leaf_digests()).collect::<Vec<_>>();
    let absent = project.cache.missing(digests());
    // Announced first: after a kill, nothing else shows that the objects are a user's.
    let users = announce_users(project, &places, &absent)?;
    let store = |digests| {
        let left = Mutex::new(digests);
        places.iter().try_for_each(|(path, seen)| store_absent(project, path, seen, &left))
    };
    store(absent)?;
    let damaged = project.cache.damaged(digests())?;
    if !damaged.is_empty() {
        // Removed after `store`, because a link in the workspace may lead to a damaged object; its
        // bytes were then observed under another digest and stored above.
        for digest in &damaged {
            drop(project.cache.remove_damaged_object(digest));
        }
        store(damaged)?;
    }
    project.cache.sync()?;
    match users.is_empty() {
        true => Ok(Replaced::default()),
        false => project.trash.add(&users).map(Replaced::new),
    }
}

fn store_leaf(project: &Project, path: &RepoPath, content: &Content) -> Result<()> {
    let full = path.to_path(&project.root);
    match content {
        Content::File(digest) | Content::Executable(digest) => {
            project.cache.put_file(&full, digest)
        }
        Content::Link(_) => {
            let target = std::fs::read_link(&full).map_err(|err| Error::io("read", &full, &err))?;
            project.cache.put_bytes(target.as_os_str().as_encoded_bytes()).map(drop)
        }
        Content::Tree(_) => panic!("BUG: a tree among the leaves"),
    }
}

/// Refuses content that could be stored but not restored.
pub(super) fn check_restorable(project: &Project, path: &RepoPath, seen: &Observed) -> Result<()> {
    match seen {
        Observed::Leaf(Content::Link(_)) => check_link(project, path),
        Observed::Leaf(_) => Ok(()),
        Observed::Dir { tree, dirs, .. } => {
            tree.entries.iter().try_for_each(|(name, content)| match (content, dirs.get(name)) {
                (Content::Link(_), _) => check_link(project, &path.join(name)),
                (_, Some(dir)) => check_restorable(project, &path.join(name), dir),
                (_, None) => Ok(()),
            })
        }
    }
}

fn check_link(project: &Project, path: &RepoPath) -> Result<()> {
    let full = path.to_path(&project.root);
    let target = std::fs::read_link(&full).map_err(|err| Error::io("read", &full, &err))?;
    if project.cache.is_link_to_object(&full) {
        let what = format!("`{path}` is a link to an object that is no longer in the cache");
        return Err(
            Error::usage(what).hint("remove the link, or make the out again by running its stage")
        );
    }
    if target.to_str().is_some_and(is_restorable_link) {
        return Ok(());
    }
    let what = format!("`{path}` is a link to `{}`, which does not exist", target.display());
    Err(Error::usage(what).hint(
        "a broken link that is absolute or leads upwards cannot be cached; remove it, or create \
         its target",
    ))
}

/// Stores the listings of a directory without the contents of its files. They suffice to name the
/// changed files later.
pub(super) fn store_listing(project: &Project, seen: &Observed) -> Result<()> {
    let Observed::Dir { tree, digest, dirs } = seen else {
        return Ok(());
    };
    dirs.values().try_for_each(|dir| store_listing(project, dir))?;
    // Checked by name only: a damaged listing costs nothing but the detail of an explanation.
    if project.cache.has(digest) {
        return Ok(());
    }
    project.cache.put_bytes(&tree.encode()).map(drop)
}

/// Makes the workspace hold `left` and returns the files and bytes written. Other content at these
/// paths is stored in the cache first, and also returned.
pub(super) fn restore(
    project: &Project,
    left: &OutContents,
    found: &BTreeMap<RepoPath, Option<Observed>>,
) -> Result<(Tally, Replaced)> {
    let seen = |path: &RepoPath| found.get(path).and_then(Option::as_ref);
    let differing: Vec<(&RepoPath, &Observed)> = left
        .iter()
        .filter_map(|(path, content)| Some((path, seen(path)?, content)))
        .filter(|(_, seen, content)| Some(seen.content()) != **content)
        .map(|(path, seen, _)| (path, seen))
        .collect();
    let replaced = store_all_durably(project, &differing)?;
    let restorer = Restorer::new(project, project.links.kinds());
    for (path, content) in left {
        let seen = seen(path);
        match (content, seen) {
            (Some(content), seen) => {
                project.workspace.make_parent(path)?;
                restorer.put(path, content, seen)?;
            }
            (None, Some(_)) => project.workspace.remove(path)?,
            (None, None) => {}
        }
    }
    Ok((restorer.tally(), replaced))
}

/// Changes the kind of link of files that exist and are in the cache; files of that kind stay.
pub(super) fn relink(
    project: &Project,
    path: &RepoPath,
    seen: &Observed,
    links: &[Link],
) -> Result<Tally> {
    let restorer = Restorer::new(project, links);
    restorer.put_again(path, seen)?;
    Ok(restorer.tally())
}

/// Restores files from the cache and counts them.
struct Restorer<'a> {
    project: &'a Project,
    links: &'a [Link],
    files: AtomicU64,
    bytes: AtomicU64,
    /// Some file is on another disk than the staging folder. Such files are written in place: what
    /// a kill leaves torn is found by its digest, like a file that someone edited.
    is_on_other_disk: AtomicBool,
}

impl Restorer<'_> {
    fn new<'a>(project: &'a Project, links: &'a [Link]) -> Restorer<'a> {
        // If it cannot be created, the first file reports it.
        let _ = project.workspace.staging().create();
        Restorer {
            project,
            links,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_on_other_disk: AtomicBool::new(false),
        }
    }

    fn tally(self) -> Tally {
        let count = usize::try_from(self.files.into_inner()).unwrap_or(usize::MAX);
        Tally { count, bytes: self.bytes.into_inner() }
    }

    fn put(&self, path: &RepoPath, content: &Content, seen: Option<&Observed>) -> Result<()> {
        visit((path.clone(), *content, seen), |(path, content, seen)| match content {
            Content::Tree(_) if is_in_place(&content, seen) => Ok(Vec::new()),
            Content::Tree(digest) => self.tree(&path, &self.project.cache.tree(&digest)?, seen),
            _ => self.leaf(&path, &content, seen).map(|()| Vec::new()),
        })
    }

    fn leaf(&self, path: &RepoPath, content: &Content, seen: Option<&Observed>) -> Result<()> {
        if is_in_place(content, seen) {
            return Ok(());
        }
        let project = self.project;
        match content {
            Content::File(_) | Content::Executable(_) => {
                // A rename replaces a file or a link, but not a folder.
                if matches!(seen, Some(Observed::Dir { .. })) {
                    project.workspace.remove(path)?;
                }
                self.file(path, content)
            }
            Content::Link(digest) => {
                let target = project.cache.bytes(digest)?;
                let target = String::from_utf8(target)
                    .map_err(|_| Error::damaged(format!("object {digest} is not a link")))?;
                project.workspace.restore_link(path, &target)
            }
            Content::Tree(_) => panic!("BUG: a tree among the leaves"),
        }
    }

    fn file(&self, path: &RepoPath, content: &Content) -> Result<()> {
        let mode = if matches!(content, Content::Executable(_)) { 0o777 } else { 0o666 };
        let full = path.to_path(&self.project.root);
        let (cache, digest) = (&self.project.cache, content.digest());
        let mut written = None;
        if !self.is_on_other_disk.load(Ordering::Relaxed) {
            let staged = self.project.workspace.staging().new_path();
            written = cache.restore_file(&digest, &full, &staged, mode, self.links)?;
        }
        let bytes = match written {
            Some(bytes) => bytes,
            None => {
                self.is_on_other_disk.store(true, Ordering::Relaxed);
                self.project.workspace.remove(path)?;
                let written = cache.restore_file(&digest, &full, &full, mode, self.links)?;
                written.unwrap_or_else(|| panic!("BUG: a file on another disk than itself"))
            }
        };
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Creates a folder with its files and links, and returns its subfolders, which are restored
    /// next.
    fn tree<'s>(
        &self,
        path: &RepoPath,
        tree: &Tree,
        seen: Option<&'s Observed>,
    ) -> Result<Vec<Folder<'s>>> {
        let project = self.project;
        // Writing through a link would change the files of another directory.
        let is_link = path.to_path(&project.root).is_symlink();
        let (had, dirs) = match seen {
            Some(Observed::Dir { tree, dirs, .. }) if !is_link => (Some(tree), Some(dirs)),
            _ => (None, None),
        };
        project.workspace.make_dir(path)?;
        if let Some(had) = had {
            for name in had.entries.keys().filter(|name| !tree.entries.contains_key(*name)) {
                project.workspace.remove(&path.join(name))?;
            }
        }
        let dir = |name: &str| dirs.and_then(|dirs| dirs.get(name));
        let files: Vec<(&Box<str>, &Content)> = tree.leaves().collect();
        parallel::try_for_each(&files, |(name, content)| {
            let leaf =
                had.and_then(|had| had.entries.get(*name)).map(|content| Observed::Leaf(*content));
            self.leaf(&path.join(name), content, dir(name).or(leaf.as_ref()))
        })?;
        let trees = tree.entries.iter().filter(|(_, content)| matches!(content, Content::Tree(_)));
        Ok(trees.map(|(name, content)| (path.join(name), *content, dir(name))).collect())
    }

    fn put_again(&self, path: &RepoPath, seen: &Observed) -> Result<()> {
        visit((path.clone(), seen), |(path, seen)| match seen {
            Observed::Leaf(content) => self.leaf_again(&path, content).map(|()| Vec::new()),
            Observed::Dir { tree, dirs, .. } => {
                self.project.workspace.make_writable(&path)?;
                let files: Vec<(&Box<str>, &Content)> = tree.leaves().collect();
                parallel::try_for_each(&files, |(name, content)| {
                    self.leaf_again(&path.join(name), content)
                })?;
                Ok(dirs.iter().map(|(name, dir)| (path.join(name), dir)).collect())
            }
        })
    }

    fn leaf_again(&self, path: &RepoPath, content: &Content) -> Result<()> {
        if matches!(content, Content::Link(_)) {
            return Ok(());
        }
        let has =
            self.project.cache.link_type(&path.to_path(&self.project.root), &content.digest());
        let executable = matches!(content, Content::Executable(_));
        // Use the first configured kind that such a file can have. Objects are not executable, so
        // neither is a link to one.
        let wanted = self.links.iter().copied().find(|link| !(executable && link.is_shared()));
        // A reflink cannot be told from a copy, so files that share nothing stay as they are.
        if has == wanted.filter(|link| link.is_shared()) {
            return Ok(());
        }
        match self.file(path, content) {
            // Something wrote through a link. The file here is intact and becomes the object.
            Err(error) if error.kind == Kind::Damaged => {
                store_leaf(self.project, path, content)?;
                self.file(path, content)
            }
            other => other,
        }
    }
}

/// A path, the content to restore there, and the content observed there.
type Folder<'s> = (RepoPath, Content, Option<&'s Observed>);

fn is_in_place(content: &Content, seen: Option<&Observed>) -> bool {
    seen.map(Observed::content) == Some(*content)
}
