//! Operations on burn's tensors for the processor, where burn's own are slow: convolution, batch normalisation fused
//! with what follows it, AdamW in one pass. Each knows its gradient, and hands over to burn's own where it is not
//! meant for: another backend, another element type, gradient checkpointing.
//!
//! And burn's own operations for a network to judge with, where it is not on the processor.
//!
//! Results do not depend on the number of threads: work is split by the shape of the data, and partial sums are added
//! in a fixed order. Knows nothing about which networks there are, losses or files.
//!
//! ```text
//! conv2d → direct                              tensors → slices: forward
//!        → conv → patches, gemm                backward
//! norm   → block → activation, then            on all: simd
//! adamw
//! on_device
//! ```

mod activation;
pub mod adamw;
mod block;
mod bridge;
mod conv;
pub mod conv2d;
mod direct;
mod epilogue;
mod gemm;
mod geometry;
pub mod norm;
pub mod on_device;
mod patches;
mod simd;

pub use activation::Activation;
pub use epilogue::{Epilogue, Pool};
