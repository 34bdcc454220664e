//! Reads, writes and runs ONNX models: written by `export`, run by `export` and `predict`.
//!
//! [`graph`] builds and encodes a model, [`statistics`] adds the operators of a part of it,
//! [`metadata`] holds its properties, [`classifier`] runs it, and [`once`] runs any other model.
//! This crate does not know about audio or training, and it is independent of the training
//! framework, so that `predict` stays small.
//!
//! ```text
//! classifier → recognise → proto      the network, compiled
//!            → interpreter            any other graph
//! ```

pub mod classifier;
pub mod graph;
mod interpreter;
pub mod metadata;
pub mod names;
pub mod once;
mod proto;
mod recognise;
pub mod statistics;
