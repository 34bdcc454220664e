//! Maintenance of the cache: collecting garbage, checking every byte, and repairing.

pub mod downloads;
pub mod fsck;
pub mod gc;
pub mod repair;
pub mod revisions;
pub mod roots;

use std::collections::BTreeMap;

use crate::pipeline::{Cached, Pipeline};

/// Returns the declared outs, and whether the cache is expected to hold each of them.
fn declared(pipeline: &Pipeline) -> BTreeMap<&str, Cached> {
    let outs = pipeline.stages.iter().flat_map(|stage| &stage.outs);
    outs.map(|out| (out.path.as_str(), out.cached)).collect()
}
