//! AdamW with PyTorch's constants.
//!
//! Knows nothing about schedules or how gradients are computed.

pub use kernels::adamw::{AdamW, State};

/// AdamW (Loshchilov and Hutter 2019) as `torch.optim.AdamW` has it: β 0.9 and 0.999, ε 1e-8, decay
/// decoupled from the gradients and on all parameters. burn's own defaults differ in ε and decay.
pub fn adamw(weight_decay: f64) -> AdamW {
    AdamW::new(kernels::adamw::Settings { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay })
}
