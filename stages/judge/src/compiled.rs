//! A plan on the processor.
//!
//! A clip goes through all convolutions in buffers of its own, waiting for no other: where it is short, they stay in
//! the cache. They are kept for the next clip, if that has the same size. Threads get equally many clips each; of those
//! that are left, they share the rows, layer by layer. A sum is always made in the same order: results depend neither on
//! the number of threads nor on what else is in the batch. Knows nothing about tensors.
//!
//! ```text
//! Compiled → body → strip → tile → lanes
//!          → linear ───────→ tile
//! ```

mod body;
mod convolution;
mod linear;
mod picture;
mod strip;
#[cfg(test)]
mod tests;
mod tile;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::lanes::Unit;
use crate::plan::{Head, Plan};
use body::{Body, Buffers, Sharing};
use linear::Linear;
use picture::Picture;

/// The layers of a [`Plan`], with their weights as the kernels want them.
#[derive(Debug)]
pub struct Compiled {
    body: Body,
    head: Head,
    /// How many numbers the head makes.
    features: usize,
    linears: Vec<Linear>,
    /// Which output each number of the last row is; some are none.
    places: Vec<Option<usize>>,
    /// Buffers that no thread uses now.
    idle: Mutex<Vec<Buffers>>,
}

impl Compiled {
    /// Packs the weights.
    pub fn new(plan: &Plan) -> Compiled {
        Compiled::on(Unit::default(), plan)
    }

    fn on(unit: Unit, plan: &Plan) -> Compiled {
        let body = Body::new(plan, unit);
        let mut places = places(&body, plan.head);
        let features = places.len();
        let linears = plan.linears.iter().map(|layer| {
            let linear = Linear::pack(layer, &places, unit);
            places = (0..linear.outputs())
                .map(|at| Some(at).filter(|at| *at < layer.bias.len()))
                .collect();
            linear
        });
        let linears = linears.collect();
        Compiled { body, head: plan.head, features, linears, places, idle: Mutex::default() }
    }

    /// Whether clips of this height and width can be judged: each picture has a pixel, and the last one the size that
    /// the head is for.
    pub fn takes(&self, size: [usize; 2]) -> bool {
        self.layouts(size).is_some()
    }

    fn layouts(&self, size: [usize; 2]) -> Option<Vec<Picture>> {
        let layouts = self.body.layouts(size)?;
        let last = layouts.last()?.size;
        let head = match self.head {
            Head::Mean => last,
            Head::Flatten(size) => size,
        };
        (last == head && !size.contains(&0)).then_some(layouts)
    }

    /// A row of outputs for each of the clips `[N, channels, height, width]`.
    ///
    /// # Panics
    /// Clips of a size that it does not [take](Compiled::takes); a part of a clip.
    pub fn run(&self, clips: &[f32], size: [usize; 2]) -> Vec<f32> {
        // Inside the pool, where threads go from layer to layer without being woken.
        rayon::scope(|_| self.rows(self.features(clips, size)))
    }

    /// What the head makes of each clip.
    fn features(&self, clips: &[f32], size: [usize; 2]) -> Vec<f32> {
        let layouts = self.layouts(size).expect("BUG: clips of another size");
        let last = layouts.last().expect("BUG: there is always the clip itself");
        let clip = self.body.clip(size);
        assert!(clips.len().is_multiple_of(clip), "BUG: a part of a clip");
        let count = clips.len() / clip;
        let mut features = vec![0.0; count * self.features];
        // Each thread gets as many clips as the others; of those that are left, all share the rows.
        let whole = count - count % rayon::current_num_threads();
        let (by_clips, by_rows) = features.split_at_mut(whole * self.features);
        let (clips, left) = clips.split_at(whole * clip);
        for (features, clips, sharing) in
            [(by_clips, clips, Sharing::Clips), (by_rows, left, Sharing::Rows)]
        {
            let features = features.par_chunks_exact_mut(self.features);
            features.zip(clips.par_chunks_exact(clip)).for_each(|(features, clip)| {
                let mut buffers = self.idle().pop().unwrap_or_default();
                buffers.fit(&layouts);
                let picture = self.body.run(clip, &layouts, sharing, &mut buffers);
                match self.head {
                    Head::Mean => last.mean(picture, features),
                    Head::Flatten(_) => features.copy_from_slice(&picture[last.rows()]),
                }
                self.idle().push(buffers);
            });
        }
        features
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Buffers>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The linear layers, of all clips at once: their weights are many, and are read once for several clips.
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

/// Which number of the plan's row each of the head's numbers is; some are none.
fn places(body: &Body, head: Head) -> Vec<Option<usize>> {
    let (channels, count) = body.last();
    let size = match head {
        Head::Mean => [1, 1],
        Head::Flatten(size) => size,
    };
    Picture { channels, size, border: 0 }.places(count)
}
