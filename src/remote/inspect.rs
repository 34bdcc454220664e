//! Verifies everything on a remote, and stops naming what is lost.
//!
//! # Mechanism
//!
//! Each index file is read from the store, and each pack as a whole. A blob is intact if it decodes
//! to its digest. [`Remote::mend`] writes a new index file without the others, which replaces all
//! index files. So the next push of a clone that has the contents sends them again. An index file
//! of which this clone has an intact copy is written again instead.
//!
//! Does not know which contents a push would need: a tree stays if something in it is lost.

use std::collections::{BTreeMap, HashSet};

use super::backend::FaultKind;
use super::codec;
use super::index::{Blob, Index, Pack, merged};
use super::meter::{Amount, Meter};
use super::prune::PrunePlan;
use super::store::{Remote, index_path, pack_path};
use super::trouble;
use crate::digest::Digest;
use crate::error::Result;
use crate::parallel;

/// The state of the files of a remote.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Number of packs, and the bytes that they have by the index.
    pub packs: Amount,
    /// Number of objects, segments of objects, traces and runs in them.
    pub blobs: usize,
    /// Sorted by path.
    pub faults: Vec<FileFault>,
    lost: Lost,
}

/// A pack, by its digest, and the offset of a blob in it.
type Lost = HashSet<(Digest, u32)>;

/// A damaged or missing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    pub path: String,
    pub state: FileState,
    /// Number of blobs that are lost with it.
    pub lost: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    Missing,
    Damaged,
    /// Damaged or missing, but this clone has a copy.
    Copied,
}

impl Inspection {
    /// Returns the number of blobs that are lost.
    pub fn lost(&self) -> usize {
        self.lost.len()
    }
}

impl Remote {
    /// Reads all index files and packs. The remote must have been refreshed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn inspect(&self, meter: &Meter) -> Result<Inspection> {
        let mut inspection = Inspection::default();
        for name in &self.listed {
            if let Some(state) = self.state_of_index(name)? {
                let copy = self.local.index(name);
                let state = copy.map_or(state, |_| FileState::Copied);
                inspection.faults.push(FileFault { path: index_path(name), state, lost: 0 });
            }
        }
        let packs = merged(self.indexes.values());
        let bytes = packs.iter().map(|(pack, _)| u64::from(pack.bytes)).sum();
        inspection.packs = Amount { objects: packs.len() as u64, bytes };
        inspection.blobs = packs.iter().map(|(_, blobs)| blobs.len()).sum();
        meter.expect(inspection.packs);
        let found = parallel::map(packs, |(pack, blobs)| {
            let found = match meter.is_stopped() {
                true => Ok(None),
                false => self.inspect_pack(&pack, &blobs),
            };
            meter.advance(Amount { objects: 1, bytes: pack.bytes.into() });
            (pack.digest, found)
        });
        for (pack, found) in found {
            if let Some((state, offsets)) = found? {
                let path = pack_path(&pack);
                inspection.faults.push(FileFault { path, state, lost: offsets.len() });
                inspection.lost.extend(offsets.into_iter().map(|offset| (pack, offset)));
            }
        }
        inspection.faults.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(inspection)
    }

    /// Returns what is wrong with an index file in the store.
    fn state_of_index(&self, name: &Digest) -> Result<Option<FileState>> {
        let path = index_path(name);
        match self.backend.get(&path, None) {
            Ok(bytes) if Digest::of(&bytes) == *name && Index::decode(&bytes).is_ok() => Ok(None),
            Ok(_) => Ok(Some(FileState::Damaged)),
            Err(fault) if fault.kind == FaultKind::Missing => Ok(Some(FileState::Missing)),
            Err(fault) => Err(trouble::error(&*self.backend, "read", &path, &fault)),
        }
    }

    /// Returns what is wrong with a pack, and the offsets of the blobs that are lost.
    fn inspect_pack(
        &self,
        pack: &Pack,
        blobs: &BTreeMap<u32, &Blob>,
    ) -> Result<Option<(FileState, Vec<u32>)>> {
        let path = pack_path(&pack.digest);
        let bytes = match self.backend.get(&path, None) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind == FaultKind::Missing => {
                return Ok(Some((FileState::Missing, blobs.keys().copied().collect())));
            }
            Err(fault) if fault.kind == FaultKind::Truncated => Vec::new(),
            Err(fault) => return Err(trouble::error(&*self.backend, "read", &path, &fault)),
        };
        let is_intact = |blob: &Blob| {
            let slice = blob.slice;
            let (start, length) = (slice.offset as usize, slice.stored as usize);
            let stored = bytes.get(start..start + length);
            let raw = stored
                .and_then(|stored| codec::decode(slice.codec, stored, slice.raw as usize).ok());
            raw.is_some_and(|raw| Digest::of(&raw) == blob.digest)
        };
        let lost = blobs.iter().filter(|(_, blob)| !is_intact(blob));
        let lost: Vec<u32> = lost.map(|(offset, _)| *offset).collect();
        Ok((!lost.is_empty()).then_some((FileState::Damaged, lost)))
    }

    /// Writes index files again of which there is a copy, and stops naming what is lost.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn mend(&mut self, inspection: &Inspection) -> Result<()> {
        for name in &self.listed {
            let path = index_path(name);
            if inspection.faults.iter().any(|fault| fault.path == path)
                && let Some(copy) = self.local.index(name)
            {
                self.put(&path, &copy)?;
            }
        }
        let is_gone = |fault: &FileFault| {
            fault.path.starts_with("index/") && fault.state != FileState::Copied
        };
        if inspection.lost.is_empty() && !inspection.faults.iter().any(is_gone) {
            return Ok(());
        }
        let plan = |remote: &mut Remote| Ok(remote.without(&inspection.lost));
        let first = self.without(&inspection.lost);
        self.prune(first, plan).map(drop)
    }

    fn without(&self, lost: &Lost) -> PrunePlan {
        let packs = merged(self.indexes.values()).into_iter().filter_map(|(pack, blobs)| {
            let stay = blobs.into_values();
            let stay = stay.filter(|blob| !lost.contains(&(pack.digest, blob.slice.offset)));
            let blobs: Vec<Blob> = stay.cloned().collect();
            (!blobs.is_empty()).then_some(Pack { blobs, ..pack })
        });
        let mut seen = HashSet::new();
        let larges = self.indexes.values().flat_map(|index| &index.larges);
        let larges = larges.filter(|large| seen.insert(large.digest)).cloned();
        let replaces = self.listed.iter().copied().collect();
        PrunePlan::replacing(Index { replaces, packs: packs.collect(), larges: larges.collect() })
    }
}
