//! Removes what nobody needs from a remote, in two steps that other commands may overlap.
//!
//! # Mechanism
//!
//! 1. A new index file names what is kept and replaces all others, which are then deleted. Packs
//!    that no index file names any more are noted in `pruned/`, with the time.
//! 2. A later command deletes packs that were noted longer ago than the grace period and that no
//!    index file names.
//!
//! # Invariants
//!
//! - The new index file is written before the listing is read again. A push that ends later sees
//!   it there and finds out whether something that it relied on is gone; the index file of one that
//!   ended before is part of that listing, and the step is then repeated with it.
//! - A pack is never deleted in the command that finds it unused, so a fetch that has read an older
//!   index file still finds its packs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::backend::FaultKind;
use super::index::{Blob, Index, Kind, Pack, merged};
use super::meter::Amount;
use super::store::{Remote, index_path, name_of, pack_path};
use super::trouble;
use crate::clock::now_millis;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};

const FOLDER: &str = "pruned";
const HEADER: &str = "repro.pruned 1";
/// Times before 2024 are those of a wrong clock.
const FIRST_TIME: u64 = 1_704_067_200;

/// References on the remote itself, which keep what they lead to.
#[derive(Debug, Default)]
pub struct OwnRoots {
    /// Contents that runs refer to, the outs of young traces, and young trees.
    pub contents: HashSet<Content>,
    pub runs: usize,
}

/// The parts of a remote that are kept, and those that are not.
#[derive(Debug, Default)]
pub struct PrunePlan {
    /// Contents that are kept and those that are not, with their bytes when unpacked.
    pub kept: Amount,
    pub unused: Amount,
    pub kept_traces: usize,
    pub unused_traces: usize,
    /// Packs that no index file will name, and their bytes.
    pub packs: Amount,
    /// Packs that were noted before the grace period and are deleted now, and their bytes.
    pub old_packs: Amount,
    /// The index names less than before.
    rewrites: bool,
    deletions: Vec<String>,
    /// Packs to note.
    unnamed: BTreeSet<Digest>,
    index: Index,
}

/// A file in `pruned/`.
#[derive(Debug)]
pub(super) struct Note {
    path: String,
    /// Time of the note, in seconds since 1970.
    time: u64,
    pub(super) packs: Vec<Digest>,
}

impl PrunePlan {
    /// Returns a plan by which `index` replaces all index files, and that deletes no pack.
    pub(super) fn replacing(index: Index) -> PrunePlan {
        PrunePlan { index, rewrites: true, ..PrunePlan::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.unused.objects == 0
            && self.unused_traces == 0
            && self.packs.objects == 0
            && self.old_packs.objects == 0
    }
}

/// The objects to keep, and the time since which everything is kept, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'k> {
    pub contents: &'k HashSet<Digest>,
    pub since: u64,
}

/// Returns the time that was `seconds` ago.
pub fn seconds_ago(seconds: u64) -> u64 {
    now().saturating_sub(seconds)
}

fn now() -> u64 {
    u64::try_from(now_millis() / 1000).unwrap_or_default()
}

impl Remote {
    /// Returns the references on the remote itself. The remote must have been refreshed.
    pub fn own_roots(&self, since: u64) -> OwnRoots {
        let mut roots = OwnRoots::default();
        for index in self.indexes.values() {
            for pack in &index.packs {
                let is_young = is_young(pack, since);
                for blob in &pack.blobs {
                    match &blob.kind {
                        Kind::Run { refers, .. } => {
                            roots.runs += 1;
                            roots.contents.extend(refers);
                        }
                        Kind::Trace { outs, .. } if is_young => roots.contents.extend(outs),
                        Kind::Tree if is_young => {
                            roots.contents.insert(Content::Tree(blob.digest));
                        }
                        _ => {}
                    }
                }
            }
            // There are few trees of this size, so their age is not looked up.
            let trees = index.larges.iter().filter(|large| large.is_tree);
            roots.contents.extend(trees.map(|large| Content::Tree(large.digest)));
        }
        roots
    }

    /// Finds what is kept and what is not. Changes nothing.
    ///
    /// # Errors
    /// The store cannot be listed; an index file cannot be read, so what it names is unknown.
    pub fn plan_prune(&self, kept: Kept<'_>) -> Result<PrunePlan> {
        if !self.warnings.is_empty() {
            return Err(self.unreadable());
        }
        let mut plan = PrunePlan::default();
        plan.retain(self.indexes.values(), kept);
        plan.rewrites = plan.unused.objects > 0 || plan.unused_traces > 0;
        plan.index.replaces = self.listed.iter().copied().collect();
        let named: HashSet<Digest> = plan.index.packs.iter().map(|pack| pack.digest).collect();
        let notes = self.notes()?;
        let noted: BTreeMap<Digest, u64> = notes
            .iter()
            .flat_map(|note| note.packs.iter().map(|pack| (*pack, note.time)))
            .collect();
        for file in self.list("packs")? {
            let name = file.path.strip_prefix("packs/").map(|path| path.replace('/', ""));
            let Some(pack) = name.and_then(|name| name.parse::<Digest>().ok()) else { continue };
            let amount = Amount { objects: 1, bytes: file.bytes };
            match noted.get(&pack) {
                _ if named.contains(&pack) => {}
                Some(time) if *time <= kept.since => {
                    plan.old_packs += amount;
                    plan.deletions.push(file.path);
                }
                Some(_) => {}
                None => {
                    plan.packs += amount;
                    plan.unnamed.insert(pack);
                }
            }
        }
        Ok(plan)
    }

    fn unreadable(&self) -> Error {
        Error::damaged(format!("an index of remote `{}` is damaged", self.name))
            .because("what it names is unknown, so nothing is deleted")
            .hint(format!("`repro fsck --remote={}` says what is lost", self.name))
    }

    /// Carries out a plan. `again` makes a new one, if another command has pushed meanwhile.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn prune(
        &mut self,
        mut plan: PrunePlan,
        mut again: impl FnMut(&mut Remote) -> Result<PrunePlan>,
    ) -> Result<PrunePlan> {
        const MAX_ROUNDS: usize = 5;
        let before = self.indexes.clone();
        let mut is_settled = !plan.rewrites;
        for _ in 0..MAX_ROUNDS {
            if is_settled {
                break;
            }
            let known: BTreeSet<Digest> = self.listed.clone();
            let name = self.commit(&plan.index)?;
            let is_known = |listed: &Digest| *listed == name || known.contains(listed);
            is_settled = self.listed.iter().all(is_known);
            if !is_settled {
                // What a push has relied on meanwhile may be in a replaced index file.
                self.indexes.extend(before.clone());
                plan = again(self)?;
            }
        }
        if !is_settled {
            return Err(Error::environment(format!("others push to `{}` all the time", self.name))
                .hint("try again later"));
        }
        self.delete_replaced()?;
        if !plan.unnamed.is_empty() {
            let packs: String = plan.unnamed.iter().map(|pack| format!("{pack}\n")).collect();
            let text = format!("{HEADER}\n{}\n{packs}", now());
            self.put(&format!("{FOLDER}/{}", Digest::of(text.as_bytes())), text.as_bytes())?;
        }
        self.delete_packs(&plan)?;
        Ok(plan)
    }

    /// Deletes index files that another one replaces.
    fn delete_replaced(&mut self) -> Result<()> {
        let replaced: Vec<Digest> =
            self.listed.iter().filter(|name| !self.indexes.contains_key(name)).copied().collect();
        let is_replaced =
            |name: &Digest| self.indexes.values().any(|index| index.replaces.contains(name));
        let replaced: Vec<Digest> = replaced.into_iter().filter(is_replaced).collect();
        if replaced.is_empty() {
            return Ok(());
        }
        for name in replaced {
            self.delete(&index_path(&name))?;
            self.listed.remove(&name);
        }
        self.write_heads()
    }

    /// Deletes old packs that no index file names now, and notes of which nothing is left.
    fn delete_packs(&mut self, plan: &PrunePlan) -> Result<()> {
        if plan.deletions.is_empty() {
            return Ok(());
        }
        self.refresh()?;
        let named: HashSet<String> = self
            .indexes
            .values()
            .flat_map(|index| &index.packs)
            .map(|pack| pack_path(&pack.digest))
            .collect();
        for path in plan.deletions.iter().filter(|path| !named.contains(*path)) {
            self.delete(path)?;
        }
        let left: HashSet<String> = self.list("packs")?.into_iter().map(|file| file.path).collect();
        for note in self.notes()? {
            if !note.packs.iter().any(|pack| left.contains(&pack_path(pack))) {
                self.delete(&note.path)?;
            }
        }
        Ok(())
    }

    /// Returns the lists of packs that no index file named at a time.
    pub(super) fn notes(&self) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        for file in self.list(FOLDER)? {
            let bytes = match self.backend.get(&file.path, None) {
                Err(fault) if fault.kind == FaultKind::Missing => continue,
                got => {
                    got.map_err(|fault| trouble::error(&*self.backend, "read", &file.path, &fault))?
                }
            };
            // A damaged note is one of no packs: they are noted again.
            let is_intact = name_of(&file.path) == Some(Digest::of(&bytes));
            let text = String::from_utf8(bytes).ok().filter(|_| is_intact).unwrap_or_default();
            let mut lines = text.lines();
            let is_known = lines.next() == Some(HEADER);
            let time = lines.next().and_then(|time| time.parse().ok()).filter(|_| is_known);
            let Some(time) = time else { continue };
            let packs = lines.filter_map(|line| line.parse().ok()).collect();
            notes.push(Note { path: file.path, time, packs });
        }
        Ok(notes)
    }

    fn list(&self, folder: &str) -> Result<Vec<super::Listed>> {
        let listed = self.backend.list(folder);
        listed.map_err(|fault| trouble::error(&*self.backend, "list", folder, &fault))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let deleted = self.backend.delete(path);
        deleted.map_err(|fault| trouble::error(&*self.backend, "delete", path, &fault))
    }
}

impl PrunePlan {
    /// Builds the index of what is kept.
    fn retain<'i>(&mut self, indexes: impl Iterator<Item = &'i Index> + Clone, kept: Kept<'_>) {
        let mut segments: HashSet<Digest> = HashSet::new();
        let mut larges: BTreeSet<Digest> = BTreeSet::new();
        let young: HashSet<Digest> = indexes
            .clone()
            .flat_map(|index| &index.packs)
            .filter(|pack| is_young(pack, kept.since))
            .flat_map(|pack| &pack.blobs)
            .map(|blob| blob.digest)
            .collect();
        for large in indexes.clone().flat_map(|index| &index.larges) {
            let bytes = large.segments.iter().map(|segment| u64::from(segment.bytes)).sum();
            let is_young = large.segments.iter().any(|segment| young.contains(&segment.digest));
            if kept.contents.contains(&large.digest) || is_young {
                segments.extend(large.segments.iter().map(|segment| segment.digest));
                if larges.insert(large.digest) {
                    self.index.larges.push(large.clone());
                    self.kept += Amount { objects: 1, bytes };
                }
            } else {
                self.unused += Amount { objects: 1, bytes };
            }
        }
        for (mut pack, blobs) in merged(indexes) {
            let is_young = is_young(&pack, kept.since);
            let stay =
                blobs.into_values().filter(|blob| self.stays(blob, kept, is_young, &segments));
            pack.blobs = stay.cloned().collect();
            if !pack.blobs.is_empty() {
                self.index.packs.push(pack);
            }
        }
    }

    fn stays(
        &mut self,
        blob: &Blob,
        kept: Kept<'_>,
        is_young: bool,
        segments: &HashSet<Digest>,
    ) -> bool {
        let is_kept = |content: &Content| kept.contents.contains(&content.digest());
        match &blob.kind {
            Kind::Run { .. } => true,
            Kind::Trace { outs, .. } => {
                let stays = is_young || outs.iter().all(is_kept);
                if stays {
                    self.kept_traces += 1;
                } else {
                    self.unused_traces += 1;
                }
                stays
            }
            Kind::Content | Kind::Tree => {
                let stays = is_young
                    || kept.contents.contains(&blob.digest)
                    || segments.contains(&blob.digest);
                let amount = Amount { objects: 1, bytes: blob.slice.raw.into() };
                if stays {
                    self.kept += amount;
                } else {
                    self.unused += amount;
                }
                stays
            }
        }
    }
}

/// Reports whether a pack was pushed within the grace period, or when a clock was wrong.
fn is_young(pack: &Pack, since: u64) -> bool {
    pack.since > since || pack.since < FIRST_TIME
}
