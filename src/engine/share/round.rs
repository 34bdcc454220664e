//! One attempt of a push: finds what a remote lacks, sends it and publishes it.

use std::collections::HashSet;

use super::exchange::Exchange;
use super::reach::Reach;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::error::Error;
use crate::parallel;
use crate::remote::{Amount, Catalog, Meter, Outgoing, Record, Remote, Sent, Shape};

/// Number of times that a push is repeated while another command removes what it relied on.
pub(super) const MAX_ROUNDS: usize = 4;

/// Returns the error for a push that has sent everything several times, in vain.
pub(super) fn unsettled(remote: &str) -> Error {
    Error::environment(format!("remote `{remote}` lacks again what was just sent"))
        .because("another command removes it meanwhile")
        .hint("wait until other commands that use the remote have finished, and push again")
}

/// Everything that has to be sent at one moment.
pub(super) struct Round {
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) records: Vec<Record>,
    /// Objects that are neither here nor on the remote.
    pub(super) absent: HashSet<Digest>,
}

/// The result of a round.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) objects: Amount,
    pub(super) records: usize,
    pub(super) packs: Amount,
    pub(super) errors: Vec<Error>,
}

impl Round {
    /// Subtracts what the remote has. Trees in `listings` are sent without the files in them.
    pub(super) fn of(
        project: &Project,
        catalog: &Catalog,
        reached: &Reach,
        listings: &Reach,
        mut records: Vec<Record>,
    ) -> Round {
        let cache = &project.cache;
        let lacking = |digests: &[Digest], shape| -> Vec<(Digest, Shape)> {
            let lacking = digests.iter().filter(|digest| !catalog.has(digest));
            lacking.map(|digest| (*digest, shape)).collect()
        };
        let mut wanted = lacking(&reached.files, Shape::File);
        wanted.extend(lacking(&reached.trees, Shape::Tree));
        let sized = parallel::map(wanted, |(digest, shape)| match cache.size(&digest) {
            Some(bytes) => Ok(Outgoing { digest, bytes, shape }),
            None => Err(digest),
        });
        let mut round = Round { outgoing: Vec::new(), records: Vec::new(), absent: HashSet::new() };
        for sized in sized {
            match sized {
                Ok(content) => round.outgoing.push(content),
                Err(digest) => drop(round.absent.insert(digest)),
            }
        }
        let known: HashSet<Digest> = round.outgoing.iter().map(|content| content.digest).collect();
        let more = listings.trees.iter().filter(|tree| !known.contains(tree) && !catalog.has(tree));
        round.outgoing.extend(more.filter_map(|digest| {
            Some(Outgoing { digest: *digest, bytes: cache.size(digest)?, shape: Shape::Tree })
        }));
        // Whatever refers to an absent object cannot be named, so it is not sent either.
        let incomplete = with_folders(project, reached, round.absent.clone());
        if !incomplete.is_empty() {
            round.outgoing.retain(|content| !incomplete.contains(&content.digest));
            records.retain(|record| {
                !record.refers.iter().any(|content| incomplete.contains(&content.digest()))
            });
        }
        round.records = records;
        round
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.records.is_empty()
    }

    pub(super) fn amount(&self) -> Amount {
        Amount {
            objects: self.outgoing.len() as u64,
            bytes: self.outgoing.iter().map(|content| content.bytes).sum(),
        }
    }

    /// Sends everything and publishes what is complete.
    pub(super) fn send(
        &self,
        project: &Project,
        remote: &mut Remote,
        reached: &Reach,
        meter: &Meter,
    ) -> Outcome {
        let source = Exchange(&project.cache);
        let mut sent = remote.upload(&self.outgoing, &self.records, &source, meter);
        let mut outcome = Outcome { packs: sent.written, ..Outcome::default() };
        for outgoing in self.outgoing.iter().filter(|outgoing| sent.has(&outgoing.digest)) {
            outcome.objects.objects += 1;
            outcome.objects.bytes += outgoing.bytes;
        }
        let is_sent = |record: &&Record| sent.has(&Digest::of(&record.bytes));
        outcome.records = self.records.iter().filter(is_sent).count();
        outcome.errors.append(&mut sent.unreadable);
        outcome.errors.extend(sent.failed.take());
        let incomplete = with_folders(project, reached, lacking(remote.catalog(), &sent, reached));
        let published = remote.publish(sent, &|digest| !incomplete.contains(digest));
        outcome.errors.extend(published.err());
        outcome
    }
}

/// Returns the objects that were neither sent nor on the remote before.
fn lacking(catalog: &Catalog, sent: &Sent, reached: &Reach) -> HashSet<Digest> {
    let lacks = |digest: &&Digest| !catalog.has(digest) && !sent.has(digest);
    reached.digests().filter(lacks).copied().collect()
}

/// Adds the folders around objects.
fn with_folders(
    project: &Project,
    reached: &Reach,
    mut lacking: HashSet<Digest>,
) -> HashSet<Digest> {
    if lacking.is_empty() {
        return lacking;
    }
    let entries = parallel::map(reached.trees.clone(), |tree| {
        let found = project.cache.tree(&tree).unwrap_or_default();
        (tree, found.entries.values().map(Content::digest).collect::<Vec<_>>())
    });
    // Trees mostly follow those that refer to them.
    loop {
        let before = lacking.len();
        for (tree, inside) in entries.iter().rev() {
            if inside.iter().any(|digest| lacking.contains(digest)) {
                lacking.insert(*tree);
            }
        }
        if lacking.len() == before {
            return lacking;
        }
    }
}
