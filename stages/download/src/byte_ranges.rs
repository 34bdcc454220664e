//! A set of byte ranges: the parts of a file that are present.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of byte ranges, kept sorted, non-empty and merged where they touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ByteRanges(Vec<Range<u64>>);

impl ByteRanges {
    /// Adds a range.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|span| span.end < range.start);
        let to = self.0.partition_point(|span| span.start <= range.end);
        let start =
            self.0[from..to].first().map_or(range.start, |span| span.start.min(range.start));
        let end = self.0[from..to].last().map_or(range.end, |span| span.end.max(range.end));
        self.0.splice(from..to, std::iter::once(start..end));
    }

    /// Reports whether the whole range is present.
    pub(crate) fn contains(&self, range: &Range<u64>) -> bool {
        self.missing(range.clone()).is_empty()
    }

    /// Returns the end of the contiguous range that contains `at`; `at` itself if it is missing.
    pub(crate) fn contiguous_end(&self, at: u64) -> u64 {
        let next = self.0.partition_point(|span| span.end <= at);
        self.0.get(next).filter(|span| span.start <= at).map_or(at, |span| span.end)
    }

    /// Returns the number of bytes present.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|span| span.end - span.start).sum()
    }

    /// Returns the missing parts of a range, in order.
    pub(crate) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut at = range.start;
        let from = self.0.partition_point(|span| span.end <= range.start);
        for span in self.0[from..].iter().take_while(|span| span.start < range.end) {
            if at < span.start {
                missing.push(at..span.start);
            }
            at = span.end;
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// Splits the missing parts of `wanted` into pieces of at most `max_len` bytes to request.
    ///
    /// Parts that are less than `gap` apart are merged, because a request costs more than the gap.
    pub(crate) fn pieces(&self, wanted: &[Range<u64>], gap: u64, max_len: u64) -> Vec<Range<u64>> {
        let mut all = ByteRanges::default();
        wanted
            .iter()
            .flat_map(|range| self.missing(range.clone()))
            .for_each(|range| all.add(range));
        let mut joined: Vec<Range<u64>> = Vec::new();
        for span in all.0 {
            match joined.last_mut().filter(|last| span.start - last.end < gap) {
                Some(last) => last.end = span.end,
                None => joined.push(span),
            }
        }
        let cut = |span: Range<u64>| {
            let starts = std::iter::successors(Some(span.start), move |at| at.checked_add(max_len));
            starts
                .take_while(move |at| *at < span.end)
                .map(move |at| at..span.end.min(at.saturating_add(max_len)))
        };
        joined.into_iter().flat_map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds ranges from pairs of start and end.
    fn ranges(pairs: &[(u64, u64)]) -> Vec<Range<u64>> {
        pairs.iter().map(|(start, end)| *start..*end).collect()
    }

    fn spans(pairs: &[(u64, u64)]) -> ByteRanges {
        let mut spans = ByteRanges::default();
        ranges(pairs).into_iter().for_each(|range| spans.add(range));
        spans
    }

    #[test]
    fn touching_ranges_merge() {
        for (added, expected) in [
            (&[(5, 9), (1, 3)][..], &[(1, 3), (5, 9)][..]),
            (&[(1, 3), (3, 5)], &[(1, 5)]),
            (&[(3, 5), (1, 3)], &[(1, 5)]),
            (&[(1, 3), (5, 7), (9, 11), (2, 10)], &[(1, 11)]),
            (&[(1, 9), (3, 4)], &[(1, 9)]),
            (&[(4, 4)], &[]),
        ] {
            assert_eq!(spans(added).0, ranges(expected), "{added:?}");
        }
    }

    /// Compares with a set of single bytes.
    #[test]
    fn missing_matches_model() {
        let mut state = 7_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..500 {
            let added: Vec<_> =
                (0..draw(6)).map(|_| (draw(40), draw(40))).filter(|(a, b)| a < b).collect();
            let present =
                |byte: u64| added.iter().any(|(start, end)| (*start..*end).contains(&byte));
            let spans = spans(&added);
            let (start, end) = (draw(20), 20 + draw(20));
            let missing: Vec<u64> = spans.missing(start..end).into_iter().flatten().collect();
            let expected: Vec<u64> = (start..end).filter(|byte| !present(*byte)).collect();
            assert_eq!(missing, expected, "{added:?}");
            assert_eq!(spans.contains(&(start..end)), expected.is_empty());
            assert_eq!(Some(spans.contiguous_end(start)), (start..).find(|byte| !present(*byte)));
            assert_eq!(spans.total(), (0..40).filter(|byte| present(*byte)).count() as u64);
        }
    }

    #[test]
    fn pieces_bridge_gaps_and_are_split() {
        let there = spans(&[(10, 20), (50, 52)]);
        assert_eq!(there.pieces(&ranges(&[(0, 30)]), 1, 100), ranges(&[(0, 10), (20, 30)]));
        assert_eq!(there.pieces(&ranges(&[(0, 30)]), 11, 100), ranges(&[(0, 30)]));
        assert_eq!(there.pieces(&ranges(&[(45, 60)]), 3, 100), ranges(&[(45, 60)]));
        assert_eq!(
            there.pieces(&ranges(&[(20, 45)]), 1, 10),
            ranges(&[(20, 30), (30, 40), (40, 45)])
        );
        assert_eq!(
            there.pieces(&ranges(&[(25, 30), (22, 27), (30, 31)]), 1, 10),
            ranges(&[(22, 31)])
        );
        assert_eq!(there.pieces(&ranges(&[(12, 18)]), 1, 10), ranges(&[]));
        let end = u64::MAX;
        assert_eq!(there.pieces(&ranges(&[(end - 3, end)]), 1, 10), ranges(&[(end - 3, end)]));
    }
}
