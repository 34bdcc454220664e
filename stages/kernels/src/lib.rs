//! Fast CPU operations on burn's tensors, where burn's own are slow.
//!
//! They are convolution, batch normalisation fused with its epilogue, and AdamW in one pass. The
//! first two define their gradients. All fall back to burn's own operations for other backends and
//! other element types, and the first two also for gradient checkpointing. The crate also runs
//! inference plans with burn's operations on other devices.
//!
//! Results do not depend on the number of threads: work is split by the shape of the data, and
//! partial sums are added in a fixed order. Unaware of networks, losses and files.
//!
//! ```text
//! conv2d → direct                              tensors → slices: forward
//!        → conv → patches, gemm                backward
//! norm   → block → activation, epilogue        all of them use simd
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
