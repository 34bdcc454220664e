//! Maintenance of the cache: collecting garbage, checking every byte, and repairing.

pub mod fsck;
pub mod gc;
pub mod repair;
pub mod revisions;
