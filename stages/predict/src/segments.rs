//! Splits a file into segments of equal length while it is decoded.
//!
//! Memory does not grow with the file.

use std::path::Path;

use anyhow::Result;
use features::collect::Collector;
use features::decode::{Length, decode_chunks};

/// Minimum length of the remainder, in seconds; a shorter one is merged into the last segment.
///
/// Codecs round lengths up, so short remainders are common.
const SHORTEST: f64 = 0.5;

/// A part of a file, in seconds from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: f64,
    pub(crate) end: f64,
}

/// Calls `each` with the mono samples at `rate` of each segment, and returns the spans and
/// a doubt about the file.
///
/// The last span is the remainder. Its samples are the last `seconds` of the file and start before
/// the span, so that the end is classified with as much sound as the other segments. A file that is
/// shorter than a segment is one segment.
///
/// # Errors
/// If the file cannot be decoded, or `each` fails.
pub(crate) fn segments(
    path: &Path,
    rate: u32,
    seconds: f64,
    mut each: impl FnMut(Vec<f32>) -> Result<()>,
) -> Result<(Vec<Span>, Option<String>)> {
    let mut cutter = Cutter::new(rate, (seconds * f64::from(rate)).round().max(1.0) as usize);
    let mut sound = Collector::new(Some(rate));
    let mut outcome = Ok(());
    let decoded = decode_chunks(path, Length::All, |piece, from| {
        let samples = sound.push(piece, from);
        while let (Ok(()), Some(segment)) = (&outcome, cutter.next_whole(samples)) {
            outcome = each(segment);
        }
        if outcome.is_err() {
            samples.clear();
        }
    })?;
    outcome?;
    let samples = sound.finish();
    while let Some(segment) = cutter.next_whole(samples) {
        each(segment)?;
    }
    cutter.rest(samples).into_iter().try_for_each(each)?;
    Ok((cutter.spans, decoded.doubt()))
}

/// Cuts samples into segments.
struct Cutter {
    rate: u32,
    length: usize,
    spans: Vec<Span>,
    /// Number of samples in the segments so far.
    position: usize,
}

impl Cutter {
    fn new(rate: u32, length: usize) -> Cutter {
        Cutter { rate, length, spans: Vec::new(), position: 0 }
    }

    /// Returns the next segment once two segments are buffered: the remainder may overlap the last.
    fn next_whole(&mut self, samples: &mut Vec<f32>) -> Option<Vec<f32>> {
        if samples.len() < 2 * self.length {
            return None;
        }
        let segment = samples.drain(..self.length).collect();
        self.push_span(self.length);
        Some(segment)
    }

    /// Returns the last one or two segments from the remaining samples.
    fn rest(&mut self, samples: &[f32]) -> Vec<Vec<f32>> {
        let over = samples.len().saturating_sub(self.length);
        if samples.is_empty() {
            return Vec::new();
        }
        if (over as f64) < SHORTEST * f64::from(self.rate) {
            self.push_span(samples.len());
            return vec![samples[over..].to_vec()];
        }
        self.push_span(self.length);
        self.push_span(over);
        vec![samples[..self.length].to_vec(), samples[over..].to_vec()]
    }

    fn push_span(&mut self, length: usize) {
        let seconds = |samples: usize| samples as f64 / f64::from(self.rate);
        let (start, end) = (self.position, self.position + length);
        self.spans.push(Span { start: seconds(start), end: seconds(end) });
        self.position = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts segments of two seconds at 4 Hz; returns the span, first and last sample of each.
    fn cut(count: usize) -> Vec<([f64; 2], [f32; 2])> {
        let mut cutter = Cutter::new(4, 8);
        let mut segments = Vec::new();
        let mut samples = Vec::new();
        for sample in 0..count {
            samples.push(sample as f32);
            segments.extend(cutter.next_whole(&mut samples));
        }
        segments.extend(cutter.rest(&samples));
        let ends = segments.iter().map(|segment| [segment[0], segment[segment.len() - 1]]);
        cutter.spans.iter().map(|span| [span.start, span.end]).zip(ends).collect()
    }

    #[test]
    fn segments_cover_the_file() {
        assert_eq!(cut(0), []);
        assert_eq!(cut(3), [([0.0, 0.75], [0.0, 2.0])]);
        assert_eq!(cut(8), [([0.0, 2.0], [0.0, 7.0])]);
        // A remainder of 0.25 s is merged, and the segment's samples are shifted to the end.
        assert_eq!(cut(9), [([0.0, 2.25], [1.0, 8.0])]);
        assert_eq!(cut(10), [([0.0, 2.0], [0.0, 7.0]), ([2.0, 2.5], [2.0, 9.0])]);
        assert_eq!(cut(16), [([0.0, 2.0], [0.0, 7.0]), ([2.0, 4.0], [8.0, 15.0])]);
        let three =
            [([0.0, 2.0], [0.0, 7.0]), ([2.0, 4.0], [8.0, 15.0]), ([4.0, 5.0], [12.0, 19.0])];
        assert_eq!(cut(20), three);
    }
}
