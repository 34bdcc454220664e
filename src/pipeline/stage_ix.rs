//! Stages by position: an index and a set. A position is valid for one [`Pipeline`] only.
//!
//! [`Pipeline`]: super::Pipeline

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// Position of a stage in [`Pipeline::stages`], and in every list with one entry per stage.
///
/// [`Pipeline::stages`]: super::Pipeline::stages
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageIx(usize);

impl StageIx {
    pub const fn new(position: usize) -> StageIx {
        StageIx(position)
    }

    pub const fn position(self) -> usize {
        self.0
    }

    /// Returns the positions of a pipeline of `count` stages, in order.
    pub fn all(count: usize) -> impl DoubleEndedIterator<Item = StageIx> + Clone {
        (0..count).map(StageIx)
    }

    /// Pairs each entry of a per-stage list with its position.
    pub fn enumerate<T>(list: impl IntoIterator<Item = T>) -> impl Iterator<Item = (StageIx, T)> {
        list.into_iter().enumerate().map(|(position, entry)| (StageIx(position), entry))
    }
}

impl<T> Index<StageIx> for Vec<T> {
    type Output = T;

    fn index(&self, ix: StageIx) -> &T {
        &self[ix.0]
    }
}

impl<T> IndexMut<StageIx> for Vec<T> {
    fn index_mut(&mut self, ix: StageIx) -> &mut T {
        &mut self[ix.0]
    }
}

impl<T> Index<StageIx> for [T] {
    type Output = T;

    fn index(&self, ix: StageIx) -> &T {
        &self[ix.0]
    }
}

/// Some of the stages of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSet(Vec<bool>);

impl StageSet {
    /// Returns the empty set for a pipeline of `count` stages.
    pub fn none(count: usize) -> StageSet {
        StageSet(vec![false; count])
    }

    /// Returns the set of all `count` stages of a pipeline.
    pub fn all(count: usize) -> StageSet {
        StageSet(vec![true; count])
    }

    /// Returns the set of `members` in a pipeline of `count` stages.
    ///
    /// # Panics
    /// If a member is not a position in that pipeline.
    pub fn of(count: usize, members: impl IntoIterator<Item = StageIx>) -> StageSet {
        let mut set = StageSet::none(count);
        for ix in members {
            set.insert(ix);
        }
        set
    }

    pub fn contains(&self, ix: StageIx) -> bool {
        self.0[ix.0]
    }

    /// Adds a stage and returns whether it was missing.
    pub fn insert(&mut self, ix: StageIx) -> bool {
        !std::mem::replace(&mut self.0[ix.0], true)
    }

    pub fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns the number of stages in the pipeline, members or not.
    pub fn stage_count(&self) -> usize {
        self.0.len()
    }

    /// Returns the members in the order of their positions.
    pub fn iter(&self) -> impl Iterator<Item = StageIx> + '_ {
        StageIx::enumerate(&self.0).filter(|(_, is_member)| **is_member).map(|(ix, _)| ix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_set_members() {
        let ix = StageIx::new;
        let mut set = StageSet::none(3);
        assert!(set.is_empty() && set.stage_count() == 3);
        assert!(set.insert(ix(2)) && !set.insert(ix(2)));
        assert_eq!(set, StageSet::of(3, [ix(2)]));
        assert!(set.contains(ix(2)) && !set.contains(ix(0)));
        assert!(set.iter().eq([ix(2)]));
        assert_eq!((set.len(), StageSet::all(3).len()), (1, 3));
    }
}
