//! The jobs of an upload: groups of small contents, and the regions of large ones.

use super::Outgoing;
use super::packing::{LargeState, Upload, lock, to_u32};
use crate::digest::Digest;
use crate::error::Result;
use crate::remote::cut::{MAX_SEGMENT, first_segment};
use crate::remote::index::{Kind, Segment};
use crate::remote::meter::Amount;

/// Length of the part of a large content that one worker cuts. Its end is a cut that does not
/// depend on the content, so shorter regions would save less where bytes are inserted.
const REGION: u64 = 64 << 20;
/// Number of bytes of a region that are read at once.
const READ: usize = 2 * MAX_SEGMENT;
/// Maximum bytes and number of contents that a worker takes at once.
const GROUP_BYTES: u64 = 1 << 20;
const GROUP_COUNT: usize = 64;

#[derive(Debug)]
pub(super) enum Job {
    Small(Vec<Outgoing>),
    Verify(Outgoing),
    Region(Outgoing, usize),
}

impl Upload<'_> {
    /// Divides the work: large contents first, since they take longest.
    pub(super) fn jobs(&self, contents: &[Outgoing]) -> Vec<Job> {
        let mut jobs = Vec::new();
        let (small, large): (Vec<&Outgoing>, Vec<&Outgoing>) =
            contents.iter().partition(|content| content.bytes <= MAX_SEGMENT as u64);
        for &&content in large.iter().filter(|content| !self.remote.catalog.has(&content.digest)) {
            let count = usize::try_from(content.bytes.div_ceil(REGION)).unwrap_or(usize::MAX);
            let shape = content.shape;
            let regions = vec![None; count];
            let state = LargeState { shape, regions, is_verified: false, fault: None };
            lock(&self.larges).insert(content.digest, state);
            self.meter.expect(Amount { objects: 1, bytes: content.bytes });
            jobs.push(Job::Verify(content));
            jobs.extend((0..count).map(|number| Job::Region(content, number)));
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        for &content in small.into_iter().filter(|content| !self.is_known(&content.digest)) {
            self.meter.expect(Amount { objects: 1, bytes: content.bytes });
            if bytes + content.bytes > GROUP_BYTES || group.len() == GROUP_COUNT {
                jobs.push(Job::Small(std::mem::take(&mut group)));
                bytes = 0;
            }
            bytes += content.bytes;
            group.push(content);
        }
        if !group.is_empty() {
            jobs.push(Job::Small(group));
        }
        jobs
    }

    pub(super) fn perform(&self, job: &Job) {
        match job {
            Job::Small(contents) => {
                for content in contents {
                    match self.source.read(&content.digest) {
                        Ok(bytes) => self.add_content(content, &bytes),
                        Err(error) => lock(&self.sent).unreadable.push(error),
                    }
                    self.meter.advance(Amount { objects: 1, bytes: content.bytes });
                }
            }
            Job::Verify(content) => {
                let is_stopped = || !self.goes_on();
                let opened = self.source.open(&content.digest);
                match opened.and_then(|pieces| pieces.verify(&is_stopped)) {
                    Ok(done) => self.note_large(&content.digest, |state| state.is_verified = done),
                    Err(error) => lock(&self.sent).unreadable.push(error),
                }
                self.meter.advance(Amount { objects: 1, bytes: 0 });
            }
            Job::Region(content, number) => {
                let region = self.region(content, *number as u64 * REGION);
                self.note_large(&content.digest, |state| match region {
                    Ok(segments) => state.regions[*number] = segments,
                    Err(error) => drop(state.fault.get_or_insert(error)),
                });
            }
        }
    }

    /// Cuts a region and sends its segments; returns `None` if the upload ends meanwhile.
    fn region(&self, content: &Outgoing, start: u64) -> Result<Option<Vec<Segment>>> {
        let pieces = self.source.open(&content.digest)?;
        let (mut at, end) = (start, content.bytes.min(start + REGION));
        let mut segments = Vec::new();
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let bytes = pieces.read(at, left.min(READ))?;
            let mut rest = &bytes[..];
            while !rest.is_empty() && (rest.len() >= MAX_SEGMENT || bytes.len() == left) {
                if !self.goes_on() {
                    return Ok(None);
                }
                let (segment, others) = rest.split_at(first_segment(rest));
                segments.push(self.segment(segment));
                self.meter.advance(Amount { objects: 0, bytes: segment.len() as u64 });
                rest = others;
            }
            at += (bytes.len() - rest.len()) as u64;
        }
        Ok(Some(segments))
    }

    fn segment(&self, bytes: &[u8]) -> Segment {
        let digest = Digest::of(bytes);
        if !self.is_known(&digest) && lock(&self.claimed).insert(digest) {
            // A segment of a tree is not a tree.
            self.add(&self.files, digest, Kind::Content, bytes);
        }
        Segment { digest, bytes: to_u32(bytes.len()) }
    }

    fn note_large(&self, digest: &Digest, note: impl FnOnce(&mut LargeState)) {
        if let Some(state) = lock(&self.larges).get_mut(digest) {
            note(state);
        }
    }
}
