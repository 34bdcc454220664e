//! A file of any length in segments of one length, as it is decoded. Memory does not grow with the file.
//!
//! Knows nothing about spectrograms.

use std::path::Path;

use anyhow::Result;
use features::collect::Collector;
use features::decode::{Length, decode_chunks};

/// A rest that is shorter than this belongs to the segment before it, in seconds: codecs round lengths up.
const SHORTEST: f64 = 0.5;

/// A part of a file, in seconds from its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: f64,
    pub(crate) end: f64,
}

/// Calls `each` for segments of `seconds`, with their mono samples at `rate`, and gives the spans back.
///
/// The last span is what is left; its samples are the last whole segment of the file, which reaches back before the
/// span, so that the end is judged by as much sound as the rest. A file shorter than a segment is one segment.
///
/// # Errors
/// A file that cannot be decoded; what `each` fails with.
pub(crate) fn segments(
    path: &Path,
    rate: u32,
    seconds: f64,
    mut each: impl FnMut(Vec<f32>) -> Result<()>,
) -> Result<Vec<Span>> {
    let mut cutter = Cutter::new(rate, (seconds * f64::from(rate)).round().max(1.0) as usize);
    let mut sound = Collector::new(Some(rate));
    let mut outcome = Ok(());
    decode_chunks(path, Length::All, |piece, from| {
        let samples = sound.push(piece, from);
        while let (Ok(()), Some(segment)) = (&outcome, cutter.whole(samples)) {
            outcome = each(segment);
        }
        if outcome.is_err() {
            samples.clear();
        }
    })?;
    outcome?;
    let samples = sound.finish();
    while let Some(segment) = cutter.whole(samples) {
        each(segment)?;
    }
    cutter.rest(samples).into_iter().try_for_each(each)?;
    Ok(cutter.spans)
}

/// Cuts samples into segments.
struct Cutter {
    rate: u32,
    length: usize,
    spans: Vec<Span>,
    /// Samples of the segments that were cut off.
    before: usize,
}

impl Cutter {
    fn new(rate: u32, length: usize) -> Cutter {
        Cutter { rate, length, spans: Vec::new(), before: 0 }
    }

    /// The next segment, once as much again has come: the end may need what is before it.
    fn whole(&mut self, samples: &mut Vec<f32>) -> Option<Vec<f32>> {
        if samples.len() < 2 * self.length {
            return None;
        }
        let segment = samples.drain(..self.length).collect();
        self.tell(self.length);
        Some(segment)
    }

    /// The one or two segments of what is left at the end.
    fn rest(&mut self, samples: &[f32]) -> Vec<Vec<f32>> {
        let over = samples.len().saturating_sub(self.length);
        if samples.is_empty() {
            return Vec::new();
        }
        if (over as f64) < SHORTEST * f64::from(self.rate) {
            self.tell(samples.len());
            return vec![samples[over..].to_vec()];
        }
        self.tell(self.length);
        self.tell(over);
        vec![samples[..self.length].to_vec(), samples[over..].to_vec()]
    }

    fn tell(&mut self, length: usize) {
        let seconds = |samples: usize| samples as f64 / f64::from(self.rate);
        self.spans.push(Span { start: seconds(self.before), end: seconds(self.before + length) });
        self.before += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of two seconds at 4 samples a second: spans, and first and last sample of each.
    fn cut(count: usize) -> Vec<([f64; 2], [f32; 2])> {
        let mut cutter = Cutter::new(4, 8);
        let mut segments = Vec::new();
        let mut samples = Vec::new();
        for sample in 0..count {
            samples.push(sample as f32);
            segments.extend(cutter.whole(&mut samples));
        }
        segments.extend(cutter.rest(&samples));
        let ends = segments.iter().map(|segment| [segment[0], segment[segment.len() - 1]]);
        cutter.spans.iter().map(|span| [span.start, span.end]).zip(ends).collect()
    }

    #[test]
    fn the_whole_file_is_covered_and_the_end_has_a_whole_segment() {
        assert_eq!(cut(0), []);
        assert_eq!(cut(3), [([0.0, 0.75], [0.0, 2.0])]);
        assert_eq!(cut(8), [([0.0, 2.0], [0.0, 7.0])]);
        // A quarter of a second over joins the segment, whose beginning gives way to it.
        assert_eq!(cut(9), [([0.0, 2.25], [1.0, 8.0])]);
        assert_eq!(cut(10), [([0.0, 2.0], [0.0, 7.0]), ([2.0, 2.5], [2.0, 9.0])]);
        assert_eq!(cut(16), [([0.0, 2.0], [0.0, 7.0]), ([2.0, 4.0], [8.0, 15.0])]);
        let three =
            [([0.0, 2.0], [0.0, 7.0]), ([2.0, 4.0], [8.0, 15.0]), ([4.0, 5.0], [12.0, 19.0])];
        assert_eq!(cut(20), three);
    }
}
