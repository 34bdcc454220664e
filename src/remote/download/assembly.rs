//! Large contents of a download: opened in groups, put together from segments.

use std::sync::Arc;

use super::{Assembly, Download, Item, Target, length, lock};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::remote::index::Segment;
use crate::remote::meter::Amount;
use crate::remote::sink::Partial;

impl<'a> Download<'a> {
    /// Fetches some large contents.
    pub(super) fn assemble(&self, larges: &[(Digest, &'a [Segment])]) {
        let mut items = Vec::new();
        for (digest, segments) in larges {
            if let Err(error) = self.open(digest, segments, &mut items) {
                lock(&self.fetched).failed.get_or_insert(error);
            }
        }
        self.work(&self.requests(items));
        lock(&self.partials).clear();
    }

    /// Opens a large content, and adds the segments that are still to come.
    fn open(&self, digest: &Digest, segments: &'a [Segment], items: &mut Vec<Item>) -> Result<()> {
        let bytes = length(segments);
        let partial: Arc<dyn Partial + 'a> = self.sink.partial(digest, bytes)?.into();
        let mut offset = 0;
        let mut left = 0;
        for segment in segments {
            let length = u64::from(segment.bytes);
            match self.remote.catalog.place(&segment.digest) {
                Some(_) if partial.has(offset, length, &segment.digest) => {
                    self.meter.advance(Amount { objects: 0, bytes: length });
                }
                Some(place) => {
                    left += 1;
                    let target = Target::Segment { of: *digest, offset };
                    items.push(Item { digest: segment.digest, place, target });
                }
                None => {}
            }
            offset += length;
        }
        if left == 0 {
            self.finish(digest, &*partial, bytes);
        }
        lock(&self.partials).insert(*digest, Assembly { partial, bytes, left });
        Ok(())
    }

    pub(super) fn segment(&self, of: &Digest, offset: u64, raw: &[u8]) -> Result<()> {
        let partial = lock(&self.partials).get(of).map(|large| large.partial.clone());
        let Some(partial) = partial else { return Ok(()) };
        partial.put(offset, raw)?;
        let mut partials = lock(&self.partials);
        let Some(large) = partials.get_mut(of) else { return Ok(()) };
        large.left -= 1;
        let (left, bytes) = (large.left, large.bytes);
        drop(partials);
        if left == 0 {
            self.finish(of, &*partial, bytes);
        }
        Ok(())
    }

    /// Adds a large content of which all segments have arrived.
    fn finish(&self, digest: &Digest, partial: &dyn Partial, bytes: u64) {
        match partial.finish(&|| !self.goes_on()) {
            Ok(None) => return,
            Ok(Some(true)) => self.added(bytes),
            Ok(Some(false)) => {
                let what = format!("object {} is damaged", digest.short());
                let error = Error::damaged(what)
                    .because(format!("its segments in `{}` make other bytes", self.remote.place()));
                lock(&self.fetched).faults.push((*digest, error));
            }
            Err(error) => drop(lock(&self.fetched).failed.get_or_insert(error)),
        }
        self.meter.advance(Amount { objects: 1, bytes: 0 });
    }
}
