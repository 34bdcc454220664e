//! Runs a plan on the CPU.
//!
//! A clip passes through all convolutions in its own buffers, which stay in the CPU cache for short
//! clips and are reused for the next clip of the same size. Each thread takes an equal number of
//! whole clips; for the remaining clips, threads share the rows of each layer. Sums are always
//! added in the same order, so results do not depend on the number of threads or on the rest of the
//! batch.
//!
//! ```text
//! Compiled → conv_layers → row_block → tile → simd
//!          → linear ─────────────────→ tile
//! ```

mod conv_layers;
mod convolution;
mod feature_map;
mod linear;
mod row_block;
#[cfg(test)]
mod tests;
mod tile;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::level::Level;
use crate::plan::{Head, Plan};
use conv_layers::{Buffers, ConvLayers, Parallel};
use feature_map::FeatureMap;
use linear::Linear;

/// A [`Plan`] with its weights packed for the kernels.
#[derive(Debug)]
pub struct Compiled {
    conv_layers: ConvLayers,
    head: Head,
    /// Length of the head's output, including padding lanes.
    features: usize,
    linears: Vec<Linear>,
    /// Output index of each value of the last row; `None` for padding.
    places: Vec<Option<usize>>,
    /// Buffers not in use by any thread.
    idle: Mutex<Vec<Buffers>>,
}

impl Compiled {
    /// Packs the weights.
    pub fn new(plan: &Plan) -> Compiled {
        Compiled::with_level(Level::default(), plan)
    }

    fn with_level(level: Level, plan: &Plan) -> Compiled {
        let conv_layers = ConvLayers::new(plan, level);
        let mut places = places(&conv_layers, plan.head);
        let features = places.len();
        let linears = plan.linears.iter().map(|layer| {
            let linear = Linear::pack(layer, &places, level);
            places = (0..linear.outputs())
                .map(|at| Some(at).filter(|at| *at < layer.bias.len()))
                .collect();
            linear
        });
        let linears = linears.collect();
        Compiled { conv_layers, head: plan.head, features, linears, places, idle: Mutex::default() }
    }

    /// Reports whether clips of this height and width are valid: no feature map is empty, and the
    /// last has the size that the head requires.
    pub fn accepts(&self, size: [usize; 2]) -> bool {
        self.layouts(size).is_some()
    }

    fn layouts(&self, size: [usize; 2]) -> Option<Vec<FeatureMap>> {
        let layouts = self.conv_layers.layouts(size)?;
        let last = layouts.last()?.size;
        let head = match self.head {
            Head::Mean => last,
            Head::Flatten(size) => size,
        };
        (last == head && !size.contains(&0)).then_some(layouts)
    }

    /// Returns the outputs `[N, outputs]` of the clips `[N, channels, height, width]`, in C order.
    ///
    /// # Panics
    /// If clips of this size are not [accepted](Compiled::accepts), or if `clips` ends within a
    /// clip.
    pub fn run(&self, clips: &[f32], size: [usize; 2]) -> Vec<f32> {
        // Enter the pool once: otherwise each layer would have to wake its threads.
        rayon::scope(|_| self.rows(self.features(clips, size)))
    }

    /// Returns the output of the head for each clip.
    fn features(&self, clips: &[f32], size: [usize; 2]) -> Vec<f32> {
        let layouts = self.layouts(size).expect("BUG: clips of an invalid size");
        let last = layouts.last().expect("BUG: the input is always a feature map");
        let clip = self.conv_layers.clip(size);
        assert!(clips.len().is_multiple_of(clip), "BUG: incomplete clip");
        let count = clips.len() / clip;
        let mut features = vec![0.0; count * self.features];
        // Whole clips are distributed evenly; for the remaining ones, threads share the rows.
        let whole = count - count % rayon::current_num_threads();
        let (by_clips, by_rows) = features.split_at_mut(whole * self.features);
        let (clips, left) = clips.split_at(whole * clip);
        for (features, clips, parallel) in
            [(by_clips, clips, Parallel::Clips), (by_rows, left, Parallel::Rows)]
        {
            let features = features.par_chunks_exact_mut(self.features);
            features.zip(clips.par_chunks_exact(clip)).for_each(|(features, clip)| {
                let mut buffers = self.idle().pop().unwrap_or_default();
                buffers.fit(&layouts);
                let feature_map = self.conv_layers.run(clip, &layouts, parallel, &mut buffers);
                match self.head {
                    Head::Mean => last.mean(feature_map, features),
                    Head::Flatten(_) => features.copy_from_slice(&feature_map[last.rows()]),
                }
                self.idle().push(buffers);
            });
        }
        features
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Buffers>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the linear layers on all clips at once, so that each read of their large weights serves
    /// several clips.
    fn rows(&self, mut rows: Vec<f32>) -> Vec<f32> {
        for linear in &self.linears {
            rows = linear.run(&rows);
        }
        let outputs = self.places.iter().flatten().count();
        let mut output = vec![0.0; rows.len() / self.places.len() * outputs];
        for (output, row) in
            output.chunks_exact_mut(outputs).zip(rows.chunks_exact(self.places.len()))
        {
            for (place, value) in self.places.iter().zip(row) {
                place.iter().for_each(|place| output[*place] = *value);
            }
        }
        output
    }
}

/// Maps each value of the head's output to its index in the plan's vector; `None` for padding.
fn places(conv_layers: &ConvLayers, head: Head) -> Vec<Option<usize>> {
    let (channels, count) = conv_layers.last();
    let size = match head {
        Head::Mean => [1, 1],
        Head::Flatten(size) => size,
    };
    FeatureMap { channels, size, border: 0 }.places(count)
}
