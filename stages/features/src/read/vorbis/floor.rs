//! Floors, the coarse shape of a spectrum: section 7 of the Vorbis I specification.
//!
//! Type 0 is not supported; no encoder since 2001 writes it.

use super::bits::Bits;
use super::codebook::Codebook;

/// A floor of type 1: line segments between points, in decibels.
#[derive(Debug)]
pub(super) struct Floor {
    /// Class of each partition.
    partitions: Vec<usize>,
    classes: Vec<Class>,
    multiplier: u32,
    /// Position of each point.
    points: Vec<u32>,
    /// Points in the order of their positions.
    order: Vec<usize>,
    /// The points before each one that enclose it most closely.
    neighbours: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct Class {
    dimensions: u32,
    subclass_bits: u32,
    master: usize,
    books: Vec<Option<usize>>,
}

impl Floor {
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Floor> {
        (bits.take(16)? == 1).then_some(())?;
        let count = bits.take(5)?;
        let partitions: Vec<usize> =
            (0..count).map(|_| bits.take(4).map(|class| class as usize)).collect::<Option<_>>()?;
        let mut classes = Vec::new();
        for _ in 0..partitions.iter().max().map_or(0, |most| most + 1) {
            let (dimensions, subclass_bits) = (bits.take(3)? + 1, bits.take(2)?);
            let master = if subclass_bits > 0 { bits.take(8)? as usize } else { 0 };
            let books = (0..1 << subclass_bits)
                .map(|_| Some((bits.take(8)? as usize).checked_sub(1)))
                .collect::<Option<_>>()?;
            classes.push(Class { dimensions, subclass_bits, master, books });
        }
        let (multiplier, range) = (bits.take(2)? + 1, bits.take(4)?);
        let mut points = vec![0, 1 << range];
        for class in &partitions {
            for _ in 0..classes.get(*class)?.dimensions {
                points.push(bits.take(range)?);
            }
        }
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by_key(|index| points[*index]);
        let are_distinct = order.array_windows().all(|[one, two]| points[*one] != points[*two]);
        are_distinct.then_some(())?;
        let neighbours = (0..points.len()).map(|index| neighbours(&points[..index], points[index]));
        let neighbours = neighbours.collect();
        Some(Floor { partitions, classes, multiplier, points, order, neighbours })
    }

    /// Reads the heights of the points; `None` inside if the channel is silent.
    ///
    /// The end of the packet makes it silent, too.
    pub(super) fn heights(&self, bits: &mut Bits<'_>, books: &[Codebook]) -> Option<Vec<u32>> {
        if !bits.flag()? {
            return None;
        }
        let range = self.range();
        let size = super::bits::width(range - 1);
        let mut heights = vec![bits.take(size)?, bits.take(size)?];
        for class in &self.partitions {
            let class = &self.classes[*class];
            let mut choice =
                if class.subclass_bits > 0 { books.get(class.master)?.entry(bits)? } else { 0 };
            for _ in 0..class.dimensions {
                let book = class.books[(choice & ((1 << class.subclass_bits) - 1)) as usize];
                choice >>= class.subclass_bits;
                heights.push(match book {
                    Some(book) => books.get(book)?.entry(bits)?,
                    None => 0,
                });
            }
        }
        Some(heights)
    }

    fn range(&self) -> u32 {
        [256, 128, 86, 64][self.multiplier as usize - 1]
    }

    /// Writes the curve through the points to `curve`.
    pub(super) fn curve(&self, heights: &[u32], curve: &mut [f32]) {
        let (heights, is_used) = self.unwrap(heights);
        let height = |index: usize| (heights[index] * self.multiplier as i32).clamp(0, 255);
        let (mut from, mut level) = (0, height(self.order[0]));
        for index in self.order.iter().skip(1).filter(|index| is_used[**index]) {
            let (to, next) = (self.points[*index] as usize, height(*index));
            line((from, level), (to, next), curve);
            (from, level) = (to, next);
        }
        if let Some(rest) = curve.get_mut(from..) {
            rest.fill(decibels(level));
        }
    }

    /// Turns differences from predictions into heights; points without one are not used.
    fn unwrap(&self, values: &[u32]) -> (Vec<i32>, Vec<bool>) {
        let range = self.range() as i32;
        let mut heights: Vec<i32> =
            values.iter().map(|value| (*value).min(1 << 16) as i32).collect();
        let mut is_used = vec![true; heights.len()];
        for index in 2..heights.len() {
            let (low, high) = self.neighbours[index];
            let at = |index: usize| (self.points[index] as i32, heights[index]);
            let predicted = between(at(low), at(high), self.points[index] as i32);
            let value = heights[index];
            let (above, below) = (range - predicted, predicted);
            let room = 2 * above.min(below);
            is_used[index] = value != 0;
            if value != 0 {
                is_used[low] = true;
                is_used[high] = true;
            }
            heights[index] = if value == 0 {
                predicted
            } else if value >= room {
                if above > below {
                    value - below + predicted
                } else {
                    predicted - value + above - 1
                }
            } else if value % 2 == 1 {
                predicted - (value + 1) / 2
            } else {
                predicted + value / 2
            };
        }
        (heights, is_used)
    }
}

/// Returns the indices of the nearest points below and above a position.
fn neighbours(points: &[u32], position: u32) -> (usize, usize) {
    let indices = || 0..points.len();
    let low =
        indices().filter(|index| points[*index] < position).max_by_key(|index| points[*index]);
    let high =
        indices().filter(|index| points[*index] > position).min_by_key(|index| points[*index]);
    (low.unwrap_or(0), high.unwrap_or(0))
}

/// Returns the height of the line between two points, rounded towards the first.
fn between((x0, y0): (i32, i32), (x1, y1): (i32, i32), x: i32) -> i32 {
    let offset = i64::from((y1 - y0).abs()) * i64::from(x - x0) / i64::from((x1 - x0).max(1));
    if y1 < y0 { y0 - offset as i32 } else { y0 + offset as i32 }
}

/// Draws a line without its last point, as Bresenham does.
fn line((x0, y0): (usize, i32), (x1, y1): (usize, i32), curve: &mut [f32]) {
    let (width, rise) = ((x1 - x0) as i32, y1 - y0);
    let (step, sign) = (rise / width.max(1), rise.signum());
    let extra = rise.abs() - step.abs() * width;
    let (mut y, mut error) = (y0, 0);
    for value in curve.iter_mut().take(x1).skip(x0) {
        *value = decibels(y);
        y += step;
        error += extra;
        if error >= width {
            error -= width;
            y += sign;
        }
    }
}

/// Returns the amplitude of a height: 140 dB in 255 steps, as the table in section 10.1.
fn decibels(height: i32) -> f32 {
    DECIBELS[height.clamp(0, 255) as usize]
}

static DECIBELS: std::sync::LazyLock<[f32; 256]> = std::sync::LazyLock::new(|| {
    const LEAST: f64 = 1.064_986_3e-7;
    std::array::from_fn(|height| LEAST.powf(1.0 - height as f64 / 255.0) as f32)
});
