//! The runs of a remote: manifests, which are records, and their parts, which are contents.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::exchange::Exchange;
use super::round::{MAX_ROUNDS, unsettled};
use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::transfer::version::Version;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::remote::{Meter, Outgoing, Pieces, Record, RecordKey, Remote, Shape, Source};
use crate::runs::{RunName, State};

/// A remote, as far as runs need it. It must have been refreshed.
pub(super) struct Shelf<'a> {
    pub(super) remote: &'a mut Remote,
    pub(super) meter: &'a Meter,
}

impl Shelf<'_> {
    /// Returns a name of the remote that other remotes do not have, and that stays.
    pub(super) fn id(&self) -> String {
        Digest::of(self.remote.place().as_bytes()).to_string()
    }

    /// Returns the versions on the remote.
    pub(super) fn versions(&self) -> BTreeSet<Digest> {
        self.remote.catalog().runs().iter().map(|run| run.digest).collect()
    }

    pub(super) fn has(&self, part: &Digest) -> bool {
        self.remote.catalog().has(part)
    }

    /// Returns the manifests of versions, verified, and the faults of those that are damaged.
    ///
    /// # Errors
    /// The remote cannot be read.
    #[allow(clippy::type_complexity)]
    pub(super) fn manifests(
        &self,
        versions: &[Digest],
    ) -> Result<(Vec<(Digest, Vec<u8>)>, Vec<(Digest, Error)>)> {
        let wanted: HashSet<&Digest> = versions.iter().collect();
        let places: BTreeMap<Digest, _> = self
            .remote
            .catalog()
            .runs()
            .iter()
            .filter(|run| wanted.contains(&run.digest))
            .map(|run| (run.digest, run.place))
            .collect();
        let places: Vec<_> = places.into_iter().collect();
        let (records, fetched) = self.remote.records(&places, self.meter);
        if let Some(error) = fetched.failed {
            return Err(error);
        }
        let named = |(position, bytes): (usize, Vec<u8>)| Some((places.get(position)?.0, bytes));
        Ok((records.into_iter().filter_map(named).collect(), fetched.faults))
    }

    /// Fetches the parts that the cache lacks. Damaged ones are left out.
    ///
    /// # Errors
    /// The remote cannot be read; the cache cannot be written.
    pub(super) fn fetch(&self, cache: &Cache, parts: &BTreeMap<Digest, u64>) -> Result<()> {
        let lacking = cache.missing(parts.keys().copied().collect());
        let lacking: Vec<Digest> = lacking.into_iter().collect();
        let fetched = self.remote.download(&lacking, &Exchange(cache), self.meter);
        cache.sync()?;
        fetched.failed.map_or(Ok(()), Err)
    }

    /// Sends versions with those parts that the remote lacks.
    ///
    /// # Errors
    /// A file cannot be read; the remote cannot be written.
    pub(super) fn send(
        &mut self,
        files: &BTreeMap<Digest, (PathBuf, u64)>,
        versions: &[&(RunName, State, Version)],
    ) -> Result<()> {
        for _ in 0..MAX_ROUNDS {
            let on_remote = self.versions();
            let has_all = |version: &Version| version.parts.keys().all(|part| self.has(part));
            let waiting: Vec<&Version> = versions
                .iter()
                .map(|(.., version)| version)
                .filter(|version| !on_remote.contains(&version.digest) || !has_all(version))
                .collect();
            if waiting.is_empty() || self.meter.is_stopped() {
                return Ok(());
            }
            self.send_once(files, &waiting)?;
        }
        Err(unsettled(&self.remote.name))
    }

    fn send_once(
        &mut self,
        files: &BTreeMap<Digest, (PathBuf, u64)>,
        versions: &[&Version],
    ) -> Result<()> {
        let lacking = files.iter().filter(|(digest, _)| !self.has(digest));
        let outgoing = lacking.map(|(digest, (_, bytes))| Outgoing {
            digest: *digest,
            bytes: *bytes,
            shape: Shape::File,
        });
        let outgoing: Vec<Outgoing> = outgoing.collect();
        let records = versions.iter().map(|version| {
            let refers = version.parts.keys().map(|part| Content::File(*part)).collect();
            let key = RecordKey::Run(version.rows.uid()?.to_bytes());
            Ok(Record { key, bytes: version.manifest.clone(), refers })
        });
        let records: Vec<Record> = records.collect::<Result<_>>()?;
        let mut sent = self.remote.upload(&outgoing, &records, &Files(files), self.meter);
        let failed = sent.failed.take().or_else(|| sent.unreadable.pop());
        let lacks = |digest: &Digest| !self.remote.catalog().has(digest) && !sent.has(digest);
        let lacking: HashSet<Digest> =
            files.keys().filter(|digest| lacks(digest)).copied().collect();
        let published = self.remote.publish(sent, &|digest| !lacking.contains(digest));
        failed.map_or(published, Err)
    }
}

/// Parts of runs as files of the history.
struct Files<'a>(&'a BTreeMap<Digest, (PathBuf, u64)>);

impl Files<'_> {
    fn path(&self, digest: &Digest) -> Result<&Path> {
        let file = self.0.get(digest).map(|(path, _)| path.as_path());
        file.ok_or_else(|| Error::damaged(format!("object {} is missing", digest.short())))
    }
}

impl Source for Files<'_> {
    fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest)?;
        let bytes = regular_file::read(path).map_err(|err| Error::io("read", path, &err))?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(changed(path)),
        }
    }

    fn open(&self, digest: &Digest) -> Result<Box<dyn Pieces + '_>> {
        let path = self.path(digest)?;
        let file = regular_file::open(path).map_err(|err| Error::io("read", path, &err))?;
        Ok(Box::new(Part { digest: *digest, path, file }))
    }
}

/// A long part that is read in pieces.
struct Part<'a> {
    digest: Digest,
    path: &'a Path,
    file: File,
}

impl Pieces for Part<'_> {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map(|()| bytes).map_err(|err| Error::io("read", self.path, &err))
    }

    fn verify(&self, is_stopped: &dyn Fn() -> bool) -> Result<bool> {
        let failed = |err: io::Error| Error::io("read", self.path, &err);
        let mut file = regular_file::open(self.path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                _ if is_stopped() => return Ok(false),
                0 => break,
                count => drop(hasher.update(&buffer[..count])),
            }
        }
        match Digest::from(hasher.finalize()) == self.digest {
            true => Ok(true),
            false => Err(changed(self.path)),
        }
    }
}

fn changed(path: &Path) -> Error {
    Error::damaged(format!("`{}` changed while it was read", path.display()))
}
