//! Time per inference pass of a model file, compared with onnxruntime on the same file.
//!
//! ```sh
//! export PEER_PYTHON=venv/bin/python                    # with torch, onnx and onnxruntime
//! REPRO_BENCH_MODEL=$PWD/genre.onnx cargo bench -p onnx # default: models/genre.onnx
//! ```
//!
//! Each side uses 2 threads, or BENCH_THREADS. CPU time is in parentheses.
#![allow(clippy::unwrap_used, reason = "a failing bench should stop")]

#[path = "../../model/benches/compare/mod.rs"]
mod compare;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use compare::{Peer, ROUNDS, compare};
use onnx::classifier::Classifier;

const CLIPS: usize = 128;
/// Width of a clip if the model accepts any.
const FREE_WIDTH: usize = 128;

fn main() {
    let path = std::env::var_os("REPRO_BENCH_MODEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/genre.onnx"),
        PathBuf::from,
    );
    if !path.exists() {
        println!("skipped: no model at `{}`; `repro run` makes it", path.display());
        return;
    }
    let classifier = Classifier::read(&path).unwrap();
    let shape = classifier.input().map(|length| length.unwrap_or(FREE_WIDTH));
    let clip: usize = shape.iter().product();
    let clips: Vec<f32> =
        (0..CLIPS * clip).map(|at| (at * 7919 % 1009) as f32 / 252.0 - 2.0).collect();
    let mut peer = Peer::start(compare::threads());
    println!("{CLIPS} clips of {shape:?}; medians of {ROUNDS} rounds");
    let [channels, height, width] = shape;
    for batch in [1, 4, 32] {
        compare(&format!("forward {} {batch}", path.display()), &mut peer, || {
            for clips in clips.chunks(batch * clip) {
                let shape = [clips.len() / clip, channels, height, width];
                black_box(classifier.run(shape, clips.to_vec()).unwrap());
            }
        });
    }
}
