//! To judge with a network on the processor: all of it at once, without tensors.
//!
//! Knows nothing about which networks there are, how they learn or where they are kept, and depends on no training
//! framework: a program that only predicts stays small.
//!
//! ```text
//! plan → compiled → lanes
//! ```

pub mod compiled;
mod lanes;
pub mod plan;
