//! Counts the progress of a transfer for another thread, and stops it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The progress of a transfer. Totals grow while the transfer finds more to do.
#[derive(Debug, Default)]
pub struct Meter {
    bytes: AtomicU64,
    total_bytes: AtomicU64,
    objects: AtomicU64,
    total_objects: AtomicU64,
    stop: AtomicBool,
}

/// A number of objects, and their bytes when unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub objects: u64,
    pub bytes: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

impl Meter {
    /// Adds to what is to do.
    pub fn expect(&self, amount: Amount) {
        self.total_objects.fetch_add(amount.objects, Ordering::Relaxed);
        self.total_bytes.fetch_add(amount.bytes, Ordering::Relaxed);
    }

    /// Adds to what is done.
    pub fn advance(&self, amount: Amount) {
        self.objects.fetch_add(amount.objects, Ordering::Relaxed);
        self.bytes.fetch_add(amount.bytes, Ordering::Relaxed);
    }

    pub fn done(&self) -> Amount {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Amount { objects: load(&self.objects), bytes: load(&self.bytes) }
    }

    pub fn total(&self) -> Amount {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Amount { objects: load(&self.total_objects), bytes: load(&self.total_bytes) }
    }

    /// Asks the transfer to end soon and to keep what is complete.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
