//! Outs of other projects: their locks are in git repositories, and their objects on this machine
//! or on the remotes that they declare.
//!
//! # Mechanism
//!
//! The nearest `pipeline.lock` on the way to a path that has an out there names the content. It is
//! completed in the cache of this project, from the cache of the other one if it is on this
//! machine, and then from each of its remotes. Anything else is a file of git, or a folder of its
//! files with the outs that locks have in it. All arrives by digest: objects by those in the lock,
//! files of git by git's.

mod outs;
mod stores;
mod wanted;

use std::collections::HashMap;

use self::outs::{FoundOut, Meant};
use self::stores::Stores;
use self::wanted::Wanted;
use super::reach::{Depth, reach};
use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::{Project, elsewhere};
use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{ProjectOrigin, StageName};
use crate::plan::tree::Tree;
use crate::remote::Meter;
use crate::remote::repository::{Entry, EntryKind, Repository};

/// The first bytes of a file that stands for one which git-lfs keeps.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The source of a content in another project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// An out of a stage, or a part of it.
    Stage(StageName),
    /// A file or folder that git tracks, with the outs in it.
    Git,
}

/// A content of another project, all of which the cache has.
#[derive(Debug)]
pub struct Provided {
    pub content: Content,
    /// The full id of the commit.
    pub commit: String,
    pub maker: Maker,
}

/// Opens the repository of an origin. Makes no request.
///
/// # Errors
/// The path is not that of a repository.
pub fn repository(project: &Project, origin: &ProjectOrigin) -> Result<Repository> {
    let copies = elsewhere::repositories(&project.root);
    Repository::open(&origin.repo, &project.root, &copies)
}

/// Brings the content of an origin into the cache: at the commit `pinned`, or else at the one that
/// the revision means now.
///
/// # Errors
/// The repository or the path does not exist, or something of it is on no store.
pub fn provide(
    project: &Project,
    origin: &ProjectOrigin,
    pinned: Option<&str>,
    meter: &Meter,
) -> Result<Provided> {
    let repository = repository(project, origin)?;
    let commit = match pinned {
        Some(commit) => commit.to_owned(),
        None => repository.resolve(origin.rev.as_deref())?,
    };
    repository.need(&commit).map_err(|error| match (pinned, &error.hint) {
        (Some(_), None) => error.hint(
            "`repro update` moves to a commit that exists; `repro pull` brings the content, if a \
             remote of this project has it",
        ),
        _ => error,
    })?;
    let wanted = Wanted { project, origin, repository: &repository, commit: &commit, meter };
    let (content, maker) = wanted.provide()?;
    project.cache.sync()?;
    Ok(Provided { content, commit, maker })
}

/// Reports whether an origin has the same content at two commits, without fetching it.
///
/// # Errors
/// The path does not exist at the new commit, or the repository cannot be read.
pub fn is_same(
    project: &Project,
    origin: &ProjectOrigin,
    repository: &Repository,
    (old, new): (&str, &str),
) -> Result<bool> {
    let meter = Meter::default();
    let meant = |commit: &str| {
        repository.need(commit)?;
        Wanted { project, origin, repository, commit, meter: &meter }.meant()
    };
    let new = meant(new)?;
    // The old commit may be gone.
    Ok(meant(old).is_ok_and(|old| old == new))
}

impl Wanted<'_> {
    fn provide(&self) -> Result<(Content, Maker)> {
        match self.meant()? {
            Meant::Out { out, below, in_git } => {
                let error = match (self.complete(&out, &below), in_git) {
                    (Ok(content), _) => return Ok((content, Maker::Stage(out.stage))),
                    (Err(error), None) => return Err(error),
                    // An out that is not in the cache but in git, as metrics often are.
                    (Err(error), Some(entry)) if below.is_empty() => {
                        if self.tracked(&entry)? == out.content {
                            return Ok((out.content, Maker::Stage(out.stage)));
                        }
                        error
                    }
                    (Err(error), Some(_)) => error,
                };
                Err(error)
            }
            Meant::File(entry) => Ok((self.tracked(&entry)?, Maker::Git)),
            Meant::Folder { files, outs } => {
                let mut parts = self.contents(files)?;
                for (path, out) in outs {
                    parts.push((path, self.complete(&out, &[])?));
                }
                parts.sort_by(|(a, _), (b, _)| a.cmp(b));
                Ok((self.folder(&parts)?, Maker::Git))
            }
        }
    }

    /// Brings the part `below` of an out into the cache.
    fn complete(&self, found: &FoundOut, below: &[String]) -> Result<Content> {
        let cache = &self.project.cache;
        let stores = Stores::new(self, found);
        let mut content = found.content;
        let mut folder = found.out.clone();
        for name in below {
            let Content::Tree(digest) = content else {
                return Err(Error::usage(format!("`{folder}` of {self} is not a folder")));
            };
            stores.each(|store| {
                if !cache.has(&digest) {
                    store.bring(cache, &[digest], self.meter)?;
                }
                Ok(cache.has(&digest))
            })?;
            let tree = cache.tree(&digest)?;
            let entry = tree.entries.get(name.as_str());
            content = *entry.ok_or_else(|| {
                let names = tree.entries.keys().map(|name| &**name);
                let error = Error::missing(format!("`{folder}` of {self} has no `{name}`"));
                match did_you_mean(name, names) {
                    Some(meant) => error.hint(format!("did you mean `{}`?", folder.join(meant))),
                    None => error,
                }
            })?;
            folder = folder.join(name);
        }
        stores.each(|store| {
            let reached = reach(cache, [content], Depth::Everything, |trees| {
                store.bring(cache, &trees, self.meter)
            })?;
            // Before the first file is fetched: a tree can be small and stand for 2^40 of them.
            cache.check_possible(&content)?;
            let lacking = cache.missing(reached.files.clone());
            let lacking: Vec<Digest> = lacking.into_iter().collect();
            store.bring(cache, &lacking, self.meter)?;
            Ok(cache.first_missing(&content)?.is_none())
        })?;
        Ok(content)
    }

    /// Brings a file or folder that git tracks into the cache.
    fn tracked(&self, entry: &Entry) -> Result<Content> {
        let path = &self.origin.path;
        let refused = |what: &str, hint: &str| {
            Err(Error::usage(format!("`{path}` of {self} is a {what}")).hint(hint))
        };
        match entry.kind {
            EntryKind::Folder => self.folder(&self.contents(self.files(&entry.id)?)?),
            EntryKind::Submodule => refused("submodule", "name the repository of the submodule"),
            EntryKind::Link => refused("link, not a file", "name the file that it leads to"),
            EntryKind::File | EntryKind::Executable => {
                let contents = self.contents(vec![entry.clone()])?;
                let [(_, content)] = &contents[..] else {
                    panic!("BUG: a file of git without content")
                };
                Ok(*content)
            }
        }
    }

    /// Brings files of git into the cache, and returns the content of each with its path.
    fn contents(&self, files: Vec<Entry>) -> Result<Vec<(String, Content)>> {
        let cache = &self.project.cache;
        let mut ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut digests = HashMap::new();
        self.repository.read_all(&ids, |position, bytes| {
            if bytes.starts_with(LFS_POINTER) {
                return Err(self.in_lfs(files.iter().find(|file| file.id == ids[position])));
            }
            digests.insert(ids[position], cache.put_bytes(&bytes)?);
            Ok(())
        })?;
        let content = |file: &Entry| {
            let digest = digests[file.id.as_str()];
            let content = match file.kind {
                EntryKind::Executable => Content::Executable(digest),
                EntryKind::Link => Content::Link(digest),
                _ => Content::File(digest),
            };
            (file.path.clone(), content)
        };
        Ok(files.iter().map(content).collect())
    }

    /// Stores a folder with these contents, which are sorted by path.
    fn folder(&self, parts: &[(String, Content)]) -> Result<Content> {
        let parts = parts.iter().map(|(path, content)| (path.as_str(), *content));
        folder(&self.project.cache, parts.collect()).map_err(|error| self.not_taken(error))
    }

    fn in_lfs(&self, file: Option<&Entry>) -> Error {
        let top = &self.origin.path;
        let path = match file.map(|file| file.path.as_str()) {
            Some(inside) if inside != top.as_str() => top.join(inside),
            _ => top.clone(),
        };
        Error::usage(format!("`{path}` of {self} is kept by git-lfs"))
            .because("git has only a pointer to it")
            .hint("clone the repository with git-lfs, and `repro add` the file")
    }
}

/// Stores the trees of a folder with these contents, which are sorted by path.
fn folder(cache: &Cache, parts: Vec<(&str, Content)>) -> Result<Content> {
    let mut tree = Tree::default();
    let mut inside: Vec<(&str, Vec<(&str, Content)>)> = Vec::new();
    let twice = |name: &str| {
        Error::usage(format!("it has `{name}` twice")).hint("name the files in it one by one")
    };
    for (path, content) in parts {
        match path.split_once('/') {
            None => match tree.entries.insert(path.into(), content) {
                None => {}
                Some(_) => return Err(twice(path)),
            },
            Some((name, rest)) => match inside.last_mut().filter(|(last, _)| *last == name) {
                Some((_, parts)) => parts.push((rest, content)),
                None => inside.push((name, vec![(rest, content)])),
            },
        }
    }
    for (name, parts) in inside {
        if tree.entries.insert(name.into(), folder(cache, parts)?).is_some() {
            return Err(twice(name));
        }
    }
    Ok(Content::Tree(cache.put_bytes(&tree.encode())?))
}
