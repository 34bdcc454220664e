//! AdamW with PyTorch's constants.

pub use kernels::adamw::{AdamW, State};

/// Returns AdamW (Loshchilov and Hutter 2019) with the constants of `torch.optim.AdamW`.
///
/// β is 0.9 and 0.999, ε is 1e-8. Weight decay is decoupled from the gradients and applies to all
/// parameters. burn's defaults differ in ε and decay.
pub fn adamw(weight_decay: f64) -> AdamW {
    AdamW::new(kernels::adamw::Settings { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay })
}
