//! The two steps of an upload: sending, and naming what was sent.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::packing::Upload;
use super::{Outgoing, Record, Sent, Source};
use crate::digest::Digest;
use crate::error::Result;
use crate::remote::backend::FaultKind;
use crate::remote::index::{Index, Kind, Pack};
use crate::remote::meter::Meter;
use crate::remote::store::{Remote, pack_path};
use crate::remote::trouble;

impl Remote {
    /// Sends what the remote lacks. Nothing refers to it before [`Remote::publish`].
    ///
    /// An error or [`Meter::stop`] ends it early; the result has what was sent until then.
    pub fn upload(
        &mut self,
        contents: &[Outgoing],
        records: &[Record],
        source: &dyn Source,
        meter: &Meter,
    ) -> Sent {
        if let Err(error) = self.mark() {
            return Sent { failed: Some(error), ..Sent::default() };
        }
        let mut noted = match self.noted() {
            Ok(noted) => noted,
            Err(error) => return Sent { failed: Some(error), ..Sent::default() },
        };
        let of_contents = contents.iter().map(|content| content.digest);
        let of_records = records.iter().map(|record| Digest::of(&record.bytes));
        let wanted: HashSet<Digest> = of_contents.chain(of_records).collect();
        for pack in &mut noted {
            pack.blobs.retain(|blob| blob.kind == Kind::Content || wanted.contains(&blob.digest));
        }
        noted.retain(|pack| !pack.blobs.is_empty());
        let upload = Upload::new(self, noted, source, meter);
        let jobs = upload.jobs(contents);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !upload.goes_on() {
                        break;
                    }
                    upload.perform(job);
                }
            };
            let more = (1..self.jobs().min(jobs.len()))
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok());
            let more: Vec<_> = more.collect();
            work();
            drop(more);
        });
        records.iter().for_each(|record| upload.add_record(record));
        upload.finish()
    }

    /// Returns the packs of an interrupted push that the store still has, but for those that `gc`
    /// has found unused: it may delete them before this push names them.
    fn noted(&self) -> Result<Vec<Pack>> {
        let mut noted = self.local.noted();
        if noted.is_empty() {
            return Ok(noted);
        }
        let listed = match self.backend.list("packs") {
            Ok(listed) => listed,
            Err(fault) if fault.kind == FaultKind::Unsupported => Vec::new(),
            Err(fault) => return Err(trouble::error(&*self.backend, "list", "packs", &fault)),
        };
        let listed: HashMap<&str, u64> =
            listed.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        let unused = if listed.is_empty() { Vec::new() } else { self.notes()? };
        let unused: HashSet<Digest> = unused.into_iter().flat_map(|note| note.packs).collect();
        let (kept, gone): (Vec<Pack>, Vec<Pack>) = noted.drain(..).partition(|pack| {
            listed.get(pack_path(&pack.digest).as_str()) == Some(&pack.bytes.into())
                && !unused.contains(&pack.digest)
        });
        self.local.forget(&gone.iter().map(|pack| pack.digest).collect::<Vec<_>>());
        Ok(kept)
    }

    /// Names what was sent in one index file; from then on, others see it.
    ///
    /// `is_complete` reports whether a content, with everything inside of it, is on the remote or
    /// was sent; it is true for anything but trees and what records refer to. What is not complete
    /// stays unnamed, and in the journal.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn publish(&mut self, sent: Sent, is_complete: &dyn Fn(&Digest) -> bool) -> Result<()> {
        let mut index = Index { larges: sent.larges, ..Index::default() };
        index.larges.retain(|large| is_complete(&large.digest));
        let mut done = Vec::new();
        for mut pack in sent.packs {
            let count = pack.blobs.len();
            pack.blobs.retain(|blob| match &blob.kind {
                Kind::Content | Kind::Tree => is_complete(&blob.digest),
                Kind::Trace { outs: refers, .. } | Kind::Run { refers, .. } => {
                    refers.iter().all(|content| is_complete(&content.digest()))
                }
            });
            if pack.blobs.len() == count {
                done.push(pack.digest);
            }
            if !pack.blobs.is_empty() {
                index.packs.push(pack);
            }
        }
        if !index.packs.is_empty() || !index.larges.is_empty() {
            self.commit(&index)?;
        }
        self.local.forget(&done);
        Ok(())
    }
}
