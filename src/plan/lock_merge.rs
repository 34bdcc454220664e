//! Merges two versions of a lock that have a common ancestor, stage by stage.
//!
//! Mechanism: a block that only one side changed is that side's. A block that both sides changed
//! differently is a [`Contest`], which the caller settles; until then the merge has our block.
//!
//! Invariants: each block of the result is a block of one side, byte for byte. A block is the
//! record of one execution. A text made of parts of two blocks would describe an execution that
//! never happened, and the stage could count as up to date with the wrong outs.
//!
//! Known limits: a block that cannot be parsed counts as missing.

use std::collections::BTreeMap;

use crate::plan::Trace;
use crate::plan::lock::{self, Blocks};

/// One of the two versions that are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Ours,
    Theirs,
}

/// A stage whose block the two sides changed differently. One of them may have removed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contest<'b> {
    pub stage: &'b str,
    pub ours: Option<&'b str>,
    pub theirs: Option<&'b str>,
}

/// A merge of two versions, with the contests that are not settled.
#[derive(Debug)]
pub struct Merge<'b> {
    blocks: BTreeMap<&'b str, &'b str>,
    /// Sorted by the name of the stage.
    pub contests: Vec<Contest<'b>>,
}

impl<'b> Merge<'b> {
    pub fn new(base: &'b Blocks, ours: &'b Blocks, theirs: &'b Blocks) -> Merge<'b> {
        let (base, ours, theirs) = (valid(base), valid(ours), valid(theirs));
        let mut names: Vec<&str> = ours.keys().chain(theirs.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        let mut merge = Merge { blocks: BTreeMap::new(), contests: Vec::new() };
        for stage in names {
            let at = |version: &BTreeMap<&'b str, &'b str>| version.get(stage).copied();
            let (base, ours, theirs) = (at(&base), at(&ours), at(&theirs));
            let kept = if ours == theirs || theirs == base {
                ours
            } else if ours == base {
                theirs
            } else {
                merge.contests.push(Contest { stage, ours, theirs });
                ours.or(theirs)
            };
            merge.blocks.extend(kept.map(|block| (stage, block)));
        }
        merge
    }

    /// Takes the block of one side, or none.
    pub fn settle(&mut self, contest: Contest<'b>, block: Option<Side>) {
        let chosen = match block {
            Some(Side::Ours) => contest.ours,
            Some(Side::Theirs) => contest.theirs,
            None => None,
        };
        match chosen {
            Some(lines) => drop(self.blocks.insert(contest.stage, lines)),
            None => drop(self.blocks.remove(contest.stage)),
        }
    }

    /// Returns the trace of a stage as merged so far.
    pub fn trace(&self, stage: &str) -> Option<Trace> {
        self.blocks.get(stage).copied().and_then(lock::trace)
    }

    pub fn encode(&self) -> String {
        lock::join(self.blocks.iter().map(|(name, lines)| (*name, *lines)))
    }
}

/// Returns the blocks that can be parsed, by name.
fn valid(blocks: &Blocks) -> BTreeMap<&str, &str> {
    let blocks = blocks.iter().map(|(name, lines)| (name, lines.trim_end_matches('\n')));
    blocks.filter(|(_, lines)| lock::trace(lines).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a lock with a block per stage whose param `v` has the given value.
    fn version(stages: &[(&str, u8)]) -> Blocks {
        let block = |(name, value): &(&str, u8)| format!("\nstage {name}\nparam v {value}\n");
        let blocks: String = stages.iter().map(block).collect();
        Blocks::split(format!("repro.lock 1\n{blocks}")).unwrap()
    }

    fn merged(base: &[(&str, u8)], ours: &[(&str, u8)], theirs: &[(&str, u8)]) -> String {
        let (base, ours, theirs) = (version(base), version(ours), version(theirs));
        let merge = Merge::new(&base, &ours, &theirs);
        let blocks = merge.blocks.iter().map(|(name, lines)| {
            let contested = merge.contests.iter().any(|contest| contest.stage == *name);
            format!("{name}{}{}", &lines["param v ".len()..], if contested { "?" } else { "" })
        });
        blocks.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn merged_blocks() {
        for (base, ours, theirs, expected) in [
            // Unchanged, changed on one side, changed in the same way.
            (&[("a", 0)][..], &[("a", 0)][..], &[("a", 0)][..], "a0"),
            (&[("a", 0)], &[("a", 1)], &[("a", 0)], "a1"),
            (&[("a", 0)], &[("a", 0)], &[("a", 2)], "a2"),
            (&[("a", 0)], &[("a", 3)], &[("a", 3)], "a3"),
            // Added and removed.
            (&[], &[("b", 1)], &[("a", 2)], "a2 b1"),
            (&[("a", 0), ("b", 0)], &[("b", 0)], &[("a", 0), ("b", 5)], "b5"),
            (&[("a", 0)], &[], &[], ""),
            // Contests.
            (&[("a", 0)], &[("a", 1)], &[("a", 2)], "a1?"),
            (&[], &[("a", 1)], &[("a", 2)], "a1?"),
            (&[("a", 0)], &[("a", 1)], &[], "a1?"),
            (&[("a", 0)], &[], &[("a", 2)], "a2?"),
        ] {
            assert_eq!(merged(base, ours, theirs), expected, "{base:?} {ours:?} {theirs:?}");
        }
    }

    #[test]
    fn settled_contests() {
        let (base, ours, theirs) = (
            version(&[]),
            version(&[("a", 1), ("b", 1), ("c", 1)]),
            version(&[("a", 2), ("b", 2)]),
        );
        let mut merge = Merge::new(&base, &ours, &theirs);
        let contests = merge.contests.clone();
        assert_eq!(contests.len(), 2);
        merge.settle(contests[0], Some(Side::Theirs));
        merge.settle(contests[1], None);
        let expected = "repro.lock 1\n\nstage a\nparam v 2\n\nstage c\nparam v 1\n";
        assert_eq!(merge.encode(), expected);
    }

    #[test]
    fn damaged_blocks_are_missing() {
        let split = |text: &str| Blocks::split(String::from(text)).unwrap();
        let base = split("repro.lock 1\n");
        let ours = split("repro.lock 1\n\nstage a\n<<<<<<< HEAD\nparam v 1\n");
        let theirs = split("repro.lock 1\n\nstage a\nparam v 2\n");
        let merge = Merge::new(&base, &ours, &theirs);
        assert_eq!(merge.encode(), "repro.lock 1\n\nstage a\nparam v 2\n");
    }

    fn any_version() -> impl Strategy<Value = Vec<(&'static str, u8)>> {
        let stage = |name| proptest::option::weighted(0.8, (Just(name), 0_u8..3));
        let names: Vec<_> = ["a", "b", "c", "d"].into_iter().map(stage).collect();
        names.prop_map(|stages| stages.into_iter().flatten().collect())
    }

    proptest! {
        #[test]
        fn blocks_stay_whole(
            base in any_version(), ours in any_version(), theirs in any_version()
        ) {
            let (base, ours, theirs) = (version(&base), version(&ours), version(&theirs));
            let merge = Merge::new(&base, &ours, &theirs);
            let result = Blocks::split(merge.encode()).unwrap();
            for block in result.iter() {
                let same = |other: (&str, &str)| {
                    other.0 == block.0 && other.1.trim_end() == block.1.trim_end()
                };
                prop_assert!(ours.iter().chain(theirs.iter()).any(same));
            }
            // In the other direction, what is not contested is the same.
            let other = Merge::new(&base, &theirs, &ours);
            prop_assert_eq!(merge.contests.len(), other.contests.len());
            for (name, lines) in &merge.blocks {
                if merge.contests.iter().all(|contest| contest.stage != *name) {
                    prop_assert_eq!(other.blocks.get(name), Some(lines));
                }
            }
        }
    }
}
