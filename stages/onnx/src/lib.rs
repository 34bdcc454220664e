//! Trained models as ONNX files: written by `export`, run by `export` and `predict`.
//!
//! [`graph`] builds and encodes a model, [`metadata`] is what the file says beside the network, and
//! [`classifier`] runs it, [`once`] any other. This crate knows nothing about audio or how models are trained, and it does not
//! depend on a training framework: a program that only predicts stays small.
//!
//! ```text
//! classifier → recognise → proto      the network, compiled
//!            → operators              any other graph
//! ```

pub mod classifier;
pub mod graph;
pub mod metadata;
pub mod once;
mod operators;
mod proto;
mod recognise;
