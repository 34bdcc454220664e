//! CPU inference for convolutional networks, without tensors.
//!
//! Does not know which networks exist, how they are trained or where they are stored. Independent
//! of the training framework, so that `predict` stays small.
//!
//! ```text
//! plan → compiled → level → simd
//!      → statistics
//! ```

pub mod compiled;
mod level;
pub mod plan;
mod simd;
pub mod statistics;
