//! Stratified assignment of groups of clips to held-out sets and folds.
//!
//! If each clip is its own group, shares are exact to one clip per class.

use std::collections::BTreeSet;

use crate::random::{Purpose, Random};

/// Clips to assign: the class and group of each clip, and the names of the classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool<'a> {
    pub(super) classes: &'a [usize],
    pub(super) groups: &'a [usize],
    pub(super) names: &'a [String],
}

/// Returns the groups to hold out from the clips `among`.
///
/// In a class with n clips, n · `share` are held out: rounded, but at least one, and at least one
/// remains. If groups do not allow that, a greedy pass in random order comes as close as it can.
pub(super) fn hold_out(pool: Pool<'_>, among: &[usize], share: f64, seed: u64) -> BTreeSet<usize> {
    let sizes = pool.sizes(among);
    let drawn = pool.drawn(among, seed);
    let counts: Vec<usize> = drawn.iter().map(Vec::len).collect();
    let wanted: Vec<usize> = counts.iter().map(|count| share_of(*count, share)).collect();
    let mut held = vec![0; counts.len()];
    let mut chosen = BTreeSet::new();
    for (class, members) in drawn.iter().enumerate() {
        for group in members.iter().map(|clip| pool.groups[*clip]) {
            if held[class] >= wanted[class] {
                break;
            }
            let size = &sizes[group];
            let leaves_some = size.iter().all(|(class, size)| held[*class] + size < counts[*class]);
            let distance = |extra: bool| -> usize {
                let of = |(class, size): &(usize, usize)| {
                    (held[*class] + size * usize::from(extra)).abs_diff(wanted[*class])
                };
                size.iter().map(of).sum()
            };
            if !chosen.contains(&group) && leaves_some && distance(true) < distance(false) {
                chosen.insert(group);
                for (class, size) in size {
                    held[*class] += size;
                }
            }
        }
    }
    chosen
}

/// Returns the fold of each group, from 0.
///
/// If there are as many groups as folds, each group is a fold, in order. Otherwise groups are
/// assigned greedily, largest first, to the fold with the fewest clips of their classes.
pub(super) fn folds(pool: Pool<'_>, folds: usize, seed: u64) -> Vec<usize> {
    let all: Vec<usize> = (0..pool.classes.len()).collect();
    let sizes = pool.sizes(&all);
    if sizes.len() == folds {
        return (0..folds).collect();
    }
    let mut seen = BTreeSet::new();
    let drawn = pool.drawn(&all, seed);
    let mut order: Vec<usize> = drawn.into_iter().flatten().map(|clip| pool.groups[clip]).collect();
    order.retain(|group| seen.insert(*group));
    let total = |group: usize| -> usize { sizes[group].iter().map(|(_, size)| size).sum() };
    order.sort_by_key(|group| std::cmp::Reverse(total(*group)));

    let mut filled = vec![vec![0; pool.names.len()]; folds];
    let mut fold_of = vec![0; sizes.len()];
    for group in order {
        let crowd = |fold: &usize| -> (usize, usize) {
            let same = sizes[group].iter().map(|(class, size)| filled[*fold][*class] * size).sum();
            (same, filled[*fold].iter().sum())
        };
        let fold = (0..folds).min_by_key(crowd).unwrap_or_default();
        for (class, size) in &sizes[group] {
            filled[fold][*class] += size;
        }
        fold_of[group] = fold;
    }
    fold_of
}

impl Pool<'_> {
    /// Returns, by group, the classes in it and their number of clips `among` the given ones.
    fn sizes(&self, among: &[usize]) -> Vec<Vec<(usize, usize)>> {
        let mut sizes = vec![Vec::new(); self.groups.iter().max().map_or(0, |last| last + 1)];
        for clip in among {
            let (class, of_group): (usize, &mut Vec<(usize, usize)>) =
                (self.classes[*clip], &mut sizes[self.groups[*clip]]);
            match of_group.iter_mut().find(|(known, _)| *known == class) {
                Some((_, size)) => *size += 1,
                None => of_group.push((class, 1)),
            }
        }
        sizes
    }

    /// Returns the clips by class, in an order that depends only on `seed`, the class name and its
    /// clips.
    fn drawn(&self, among: &[usize], seed: u64) -> Vec<Vec<usize>> {
        let draw = |(class, name): (usize, &String)| {
            let mut members: Vec<usize> =
                among.iter().copied().filter(|clip| self.classes[*clip] == class).collect();
            Random::new(seed, Purpose::Split(name)).shuffle(&mut members);
            members
        };
        self.names.iter().enumerate().map(draw).collect()
    }
}

/// Rounds `count · share`, but keeps at least one clip on both sides; 0 if that is impossible.
fn share_of(count: usize, share: f64) -> usize {
    if count < 2 || share == 0.0 {
        return 0;
    }
    ((count as f64 * share).round() as usize).clamp(1, count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    #[test]
    fn share_rounding() {
        for (count, share, expected) in [
            (5, 0.4, 2),
            (10, 0.4, 4),
            (100, 0.2, 20),
            (2, 0.01, 1),
            (2, 0.99, 1),
            (3, 0.99, 2),
            (1, 0.5, 0),
            (0, 0.5, 0),
            (50, 0.0, 0),
        ] {
            assert_eq!(share_of(count, share), expected, "{count} × {share}");
        }
    }

    /// Three classes of 20 clips in groups of 1 to 4; a group may span two classes.
    fn grouped() -> (Vec<usize>, Vec<usize>, Vec<String>) {
        let classes: Vec<usize> = (0..60).map(|clip| clip / 20).collect();
        let sizes = [3, 1, 4, 2, 1, 4, 3, 3, 1, 2, 4, 2, 1, 4, 1, 2, 3, 4, 2, 1, 4, 3, 3, 2];
        let groups: Vec<usize> = sizes
            .iter()
            .enumerate()
            .flat_map(|(group, size)| vec![group; *size])
            .take(60)
            .collect();
        assert_eq!(groups.len(), 60);
        (classes, groups, names(3))
    }

    #[test]
    fn hold_out_keeps_groups_whole() {
        let (classes, groups, names) = grouped();
        let pool = Pool { classes: &classes, groups: &groups, names: &names };
        let all: Vec<usize> = (0..60).collect();
        for seed in 0..50 {
            let held = hold_out(pool, &all, 0.4, seed);
            for class in 0..3 {
                let of_class =
                    |clip: &&usize| classes[**clip] == class && held.contains(&groups[**clip]);
                let count = all.iter().filter(of_class).count();
                assert!((6..=10).contains(&count), "seed {seed}: {count} of class {class}");
            }
        }
        // A single group cannot be split, so nothing is held out.
        let pool = Pool { classes: &[0; 10], groups: &[0; 10], names: &names[..1] };
        assert!(hold_out(pool, &all[..10], 0.9, 1).is_empty());
    }

    #[test]
    fn folds_are_stratified() {
        for seed in 0..20 {
            // 23 clips of one class and 11 of another in 5 folds.
            let classes: Vec<usize> = (0..34).map(|clip| usize::from(clip >= 23)).collect();
            let groups: Vec<usize> = (0..34).collect();
            let names = names(2);
            let fold_of =
                folds(Pool { classes: &classes, groups: &groups, names: &names }, 5, seed);
            for fold in 0..5 {
                let count = |class| {
                    (0..34).filter(|clip| fold_of[*clip] == fold && classes[*clip] == class).count()
                };
                assert!((4..=5).contains(&count(0)) && (2..=3).contains(&count(1)));
                assert!((6..=7).contains(&(count(0) + count(1))));
            }
        }
        let (classes, groups, names) = grouped();
        let fold_of = folds(Pool { classes: &classes, groups: &groups, names: &names }, 4, 7);
        for fold in 0..4 {
            let count = groups.iter().filter(|group| fold_of[**group] == fold).count();
            assert!((13..=17).contains(&count), "{count}");
        }
    }

    #[test]
    fn one_group_per_fold() {
        let names = names(1);
        let pool = Pool { classes: &[0; 6], groups: &[2, 2, 2, 0, 1, 1], names: &names };
        assert_eq!(folds(pool, 3, 1), [0, 1, 2]);
    }
}
