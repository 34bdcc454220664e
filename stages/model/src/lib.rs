//! What the learning stages share: the network, its weights on disk, the labels, the clips and the scores.
//!
//! One folder of spectrograms becomes a [`dataset::Dataset`]; [`split`] says which clips are held out;
//! [`network::Network`] maps a batch of them to one logit a class, and
//! [`trainable::Trainable`] learns to; [`metrics`] compares what it says with
//! the labels; [`checkpoint`] keeps it. This crate knows nothing about audio, epochs, learning rates or
//! ONNX: those belong to the stages.

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
