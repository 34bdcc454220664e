//! AdamW with PyTorch's constants.
//!
//! Knows nothing about schedules or how gradients are computed.

use burn::optim::{AdamWConfig, ModuleOptimizer};

/// AdamW (Loshchilov and Hutter 2019) as `torch.optim.AdamW` has it: β 0.9 and 0.999, ε 1e-8, decay
/// decoupled from the gradients and on all parameters. The library's own defaults differ in ε and decay.
pub fn adamw(weight_decay: f64) -> ModuleOptimizer {
    AdamWConfig::new()
        .with_beta_1(0.9)
        .with_beta_2(0.999)
        .with_epsilon(1e-8)
        .with_weight_decay(weight_decay as f32)
        .init()
}
