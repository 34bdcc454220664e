//! The sides of a comparison as values, and its rules.

use std::collections::BTreeMap;

use super::tolerance::Tolerance;
use crate::pipeline::{Goals, ParamKey, ParamValue};
use crate::plan::Lock;
use crate::runs::record::{Metrics, Run};

/// Params and metrics of one side of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Values {
    pub label: String,
    pub params: BTreeMap<ParamKey, ParamValue>,
    pub metrics: Metrics,
    /// `None` if it was not kept.
    pub lock: Option<Lock>,
}

/// A run without its lock.
impl From<&Run> for Values {
    fn from(run: &Run) -> Values {
        Values {
            label: run.name.to_string(),
            params: run.info.params.clone(),
            metrics: run.metrics.clone(),
            lock: None,
        }
    }
}

/// The rules of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub goals: Goals,
    pub tolerance: Tolerance,
    pub grouping: Grouping,
}

/// The treatment of sides that differ only in their seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// They are one column, with the mean of their metrics. Seeds are the params with this key, or
    /// with a key that ends in it after a dot.
    BySeed(String),
    None,
}

impl Default for Grouping {
    fn default() -> Grouping {
        Grouping::BySeed("seed".to_owned())
    }
}

impl Grouping {
    /// Reports whether a param is a seed.
    pub(super) fn is_seed(&self, key: &ParamKey) -> bool {
        let Grouping::BySeed(name) = self else { return false };
        let above = key.as_str().strip_suffix(name.as_str());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }
}
