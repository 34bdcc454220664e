//! A remote as this program uses it: index files over a [`Backend`], and the catalog of its blobs.
//!
//! # Mechanism
//!
//! ```text
//! repro-remote      marker with the version of the format
//! packs/ab/cdef…    bytes of blobs, named by the BLAKE3 of the pack
//! index/NAME        immutable; names blobs in packs, and is written after them
//! heads             names of the index files, for stores without listing
//! pruned/NAME       lists packs that no index file named when it was written
//! ```
//! All files but `heads` are immutable and named by their content, so two writers cannot disturb
//! each other. An index file is the commit point of a push.
//!
//! # Invariants
//!
//! - An index file names no pack that was not written before it.
//! - The index files that count are those that are listed and that no other listed one replaces.
//! - A place without marker and index files is new only if no index file of it was ever read here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::backend::{Backend, FaultKind};
use super::catalog::Catalog;
use super::foreign;
use super::index::{BadIndex, Index};
use super::local::LocalState;
use super::location;
use super::trouble;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::parallel;
use crate::pipeline::RemoteSpec;

pub(super) const MARKER: &str = "repro-remote";
const MARKER_TEXT: &str = "repro.remote 1\n";
const HEADS: &str = "heads";
const HEADS_HEADER: &str = "repro.heads 1\n";
/// Number of times that a listing is repeated while another command replaces index files.
const MAX_REFRESHES: usize = 5;

/// A remote with what is known of it.
#[derive(Debug)]
pub struct Remote {
    pub name: String,
    pub(super) backend: Box<dyn Backend>,
    pub(super) local: LocalState,
    pub(super) catalog: Catalog,
    /// The index files that count, by name.
    pub(super) indexes: BTreeMap<Digest, Index>,
    /// All listed index files.
    pub(super) listed: BTreeSet<Digest>,
    is_new: bool,
    /// Index files that could not be read, as messages.
    pub warnings: Vec<String>,
    jobs: usize,
}

impl Remote {
    /// Opens a remote. Makes no request: call [`Remote::refresh`] before anything else.
    ///
    /// Relative paths start at `root`. `remotes` is the folder of the local knowledge about all
    /// remotes.
    ///
    /// # Errors
    /// The URL is not valid.
    pub fn open(spec: &RemoteSpec, root: &Path, remotes: &Path) -> Result<Remote> {
        Ok(Remote::at(spec, location::open(spec, root)?, remotes))
    }

    /// Opens a remote that another project declares, as [`Remote::open`] does; `own` are the
    /// remotes of this project.
    ///
    /// # Errors
    /// The URL is not valid.
    pub fn open_foreign(
        spec: &RemoteSpec,
        own: &[RemoteSpec],
        root: &Path,
        remotes: &Path,
    ) -> Result<Remote> {
        Ok(Remote::at(spec, foreign::open(spec, own, root)?, remotes))
    }

    fn at(spec: &RemoteSpec, backend: Box<dyn Backend>, remotes: &Path) -> Remote {
        let jobs = spec.jobs.unwrap_or_else(|| backend.parallelism());
        let local = LocalState::of(remotes, &backend.place());
        Remote { jobs, ..Remote::over(&spec.name, backend, local) }
    }

    pub(super) fn over(name: &str, backend: Box<dyn Backend>, local: LocalState) -> Remote {
        Remote {
            name: name.to_owned(),
            jobs: backend.parallelism(),
            backend,
            local,
            catalog: Catalog::default(),
            indexes: BTreeMap::new(),
            listed: BTreeSet::new(),
            is_new: false,
            warnings: Vec::new(),
        }
    }

    pub fn jobs(&self) -> usize {
        self.jobs
    }

    /// Returns the place as a message shows it.
    pub fn place(&self) -> String {
        self.backend.place()
    }

    /// Returns the blobs that the remote had when it was last refreshed.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Reports whether nothing was ever pushed.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Brings the catalog up to date: one listing, and one request for each new index file.
    ///
    /// # Errors
    /// The store cannot be reached, or a newer version of this program wrote to it.
    pub fn refresh(&mut self) -> Result<()> {
        for _ in 0..MAX_REFRESHES {
            let listed = self.listing()?;
            self.check_version(&listed)?;
            if self.read(listed)? == Read::Complete {
                return Ok(());
            }
        }
        Err(Error::environment(format!("the index of remote `{}` changes all the time", self.name))
            .hint("wait until other commands that use the remote have finished"))
    }

    fn listing(&self) -> Result<BTreeSet<Digest>> {
        let fault = |verb: &'static str, path: &'static str| {
            move |fault| trouble::error(&*self.backend, verb, path, &fault)
        };
        match self.backend.list("index") {
            Ok(listed) => Ok(listed.iter().filter_map(|file| name_of(&file.path)).collect()),
            Err(unsupported) if unsupported.kind == FaultKind::Unsupported => {
                match self.backend.get(HEADS, None) {
                    Ok(bytes) => Ok(heads(&bytes)),
                    Err(missing) if missing.kind == FaultKind::Missing => Ok(BTreeSet::new()),
                    Err(other) => Err(fault("read", HEADS)(other)),
                }
            }
            Err(other) => Err(fault("list", "index")(other)),
        }
    }

    /// Checks the marker at the first contact.
    fn check_version(&mut self, listed: &BTreeSet<Digest>) -> Result<()> {
        if !listed.is_empty() && self.local.is_known() {
            return Ok(());
        }
        self.is_new = false;
        match self.backend.get(MARKER, None) {
            Ok(bytes) if bytes == MARKER_TEXT.as_bytes() => Ok(()),
            Ok(bytes) if bytes.starts_with(b"repro.remote ") => Err(self.newer(MARKER)),
            Ok(_) => Err(Error::environment(format!(
                "`{MARKER}` of `{}` is not the marker of a remote",
                self.place()
            ))
            .hint("check `url` of the remote in `pipeline.toml`")),
            Err(fault) if fault.kind == FaultKind::Missing => {
                if listed.is_empty() && self.local.is_known() {
                    return Err(self.gone());
                }
                self.is_new = listed.is_empty();
                Ok(())
            }
            Err(fault) => Err(trouble::error(&*self.backend, "read", MARKER, &fault)),
        }
    }

    /// Returns the error for a place that has lost everything: it is not new, since an index file
    /// of it was read before. The disk of a folder may not be mounted; its mount point is empty.
    fn gone(&self) -> Error {
        Error::environment(format!("remote `{}` is gone", self.name))
            .because(format!("`{}` is empty, and had an index before", self.place()))
            .hint(format!(
                "mount its disk, or correct `url`; if its files were deleted on purpose, \
                 `rm -r {}` lets `repro push` begin again",
                self.local.dir().display()
            ))
    }

    fn newer(&self, path: &str) -> Error {
        let what =
            format!("`{path}` of remote `{}` was written by a newer version of repro", self.name);
        Error::environment(what).hint("update repro")
    }

    /// Reads the listed index files and builds the catalog.
    fn read(&mut self, listed: BTreeSet<Digest>) -> Result<Read> {
        self.warnings.clear();
        let unread: Vec<Digest> =
            listed.iter().filter(|name| !self.indexes.contains_key(name)).copied().collect();
        let found = parallel::map(unread, |name| (name, self.read_index(&name)));
        for (name, index) in found {
            match index? {
                Found::Index(index) => drop(self.indexes.insert(name, index)),
                Found::Damaged(warning) => self.warnings.push(warning),
                Found::Gone => return Ok(Read::Incomplete),
            }
        }
        let replaced: BTreeSet<Digest> = self
            .indexes
            .iter()
            .filter(|(name, _)| listed.contains(*name))
            .flat_map(|(_, index)| index.replaces.iter().copied())
            .collect();
        let counts = |name: &Digest| listed.contains(name) && !replaced.contains(name);
        self.indexes.retain(|name, _| counts(name));
        self.catalog = Catalog::default();
        self.indexes.values().for_each(|index| self.catalog.add(index));
        self.local.retain(|name| listed.contains(name));
        self.listed = listed;
        Ok(Read::Complete)
    }

    fn read_index(&self, name: &Digest) -> Result<Found> {
        let path = index_path(name);
        let known = self.local.index(name);
        let is_new = known.is_none();
        let bytes = match known {
            Some(bytes) => bytes,
            None => match self.backend.get(&path, None) {
                Ok(bytes) => bytes,
                Err(fault) if fault.kind == FaultKind::Missing => return Ok(Found::Gone),
                Err(fault) => return Err(trouble::error(&*self.backend, "read", &path, &fault)),
            },
        };
        let damaged = |why| {
            let what = format!("ignored `{path}` of remote `{}`: {why}", self.name);
            Ok(Found::Damaged(what))
        };
        if is_new && Digest::of(&bytes) != *name {
            return damaged("its bytes do not match its name");
        }
        match Index::decode(&bytes) {
            Ok(index) => {
                if is_new {
                    self.local.keep_index(name, &bytes);
                }
                Ok(Found::Index(index))
            }
            Err(BadIndex::Newer) => Err(self.newer(&path)),
            Err(BadIndex::Malformed) => damaged("it is not an index"),
        }
    }

    /// Writes the marker of a new remote.
    pub(super) fn mark(&mut self) -> Result<()> {
        if self.is_new {
            self.put(MARKER, MARKER_TEXT.as_bytes())?;
            self.is_new = false;
        }
        Ok(())
    }

    /// Writes an index file, and the hint for stores without listing. All its packs must have been
    /// written. Afterwards the catalog is up to date.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn commit(&mut self, index: &Index) -> Result<Digest> {
        let bytes = index.encode();
        let name = Digest::of(&bytes);
        self.put(&index_path(&name), &bytes)?;
        self.local.keep_index(&name, &bytes);
        self.listed.insert(name);
        self.write_heads()?;
        Ok(name)
    }

    /// Writes `heads` until it equals the listing, so that the last of several writers is right,
    /// and refreshes the catalog.
    pub(super) fn write_heads(&mut self) -> Result<()> {
        for _ in 0..MAX_REFRESHES {
            let written = self.listed.clone();
            let names = written.iter().map(|name| format!("{name}\n"));
            let text: String = std::iter::once(HEADS_HEADER.to_owned()).chain(names).collect();
            self.put(HEADS, text.as_bytes())?;
            self.refresh()?;
            if self.listed == written {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let put = self.backend.put(path, bytes);
        put.map_err(|fault| trouble::error(&*self.backend, "write", path, &fault))
    }
}

/// Success of reading all listed index files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Complete,
    /// A file has been deleted since it was listed.
    Incomplete,
}

enum Found {
    Index(Index),
    Damaged(String),
    Gone,
}

pub(super) fn index_path(name: &Digest) -> String {
    format!("index/{name}")
}

pub(super) fn pack_path(name: &Digest) -> String {
    let hex = name.to_string();
    let (shard, rest) = hex.split_at(2);
    format!("packs/{shard}/{rest}")
}

/// Returns the digest that is the last part of a path.
pub(super) fn name_of(path: &str) -> Option<Digest> {
    path.rsplit('/').next()?.parse().ok()
}

fn heads(bytes: &[u8]) -> BTreeSet<Digest> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let names = text.strip_prefix(HEADS_HEADER).unwrap_or_default();
    names.lines().filter_map(|name| name.parse().ok()).collect()
}
