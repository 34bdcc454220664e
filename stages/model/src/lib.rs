//! Code shared by `train`, `evaluate` and `export`: networks, weights, data sets, splits, metrics.
//!
//! A folder of spectrograms is loaded as a [`dataset::Dataset`], and [`split`] selects the held-out
//! clips. [`trainable::Trainable`] is the network with gradients, [`network::Network`] the one for
//! inference: a batch of clips in, one logit per class out. [`metrics`] compares predictions with
//! labels, and [`checkpoint`] loads and saves models. This crate does not know about audio, epochs,
//! learning rates or ONNX: those belong to the stages.

mod baseline;
pub mod checkpoint;
pub mod config;
pub mod dataset;
pub mod device;
mod folded;
pub mod init;
mod layers;
pub mod learner;
pub mod loss;
pub mod metrics;
pub mod network;
pub mod norm;
pub mod optimizer;
pub mod random;
mod resnet;
pub mod split;
pub mod threads;
pub mod trainable;
pub mod weights;

pub use burn;
