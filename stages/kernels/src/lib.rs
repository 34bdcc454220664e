//! Kernels for burn's CPU backend where burn's own are slow: convolution, batch normalisation fused with what
//! follows it, AdamW in one pass.
//!
//! Each operation takes and gives burn's tensors, knows its gradient, and hands over to burn's own where it is
//! not meant for: another backend, another element type, gradient checkpointing. Results do not depend on the
//! number of threads: work is split by the shape of the data, and partial sums are added in a fixed order.
//! Knows nothing about networks, losses or files.
//!
//! ```text
//! conv2d → direct                              tensors → slices: forward
//!        → conv → patches, gemm                backward
//! norm   → block → activation, then            on all: simd
//! adamw
//! ```

mod activation;
pub mod adamw;
mod block;
mod bridge;
mod conv;
pub mod conv2d;
mod direct;
mod gemm;
pub mod norm;
mod patches;
mod simd;
mod then;

pub use activation::Activation;
pub use then::{Pool, Then};
