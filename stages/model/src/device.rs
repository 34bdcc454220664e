//! Where tensors live and are computed.
//!
//! Knows nothing about what is computed.

use anyhow::Result;
use burn::tensor::Device;
use serde::Deserialize;

/// What a user can ask for with `train.device` and `evaluate.device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The processor, with all its cores.
    #[default]
    Cpu,
    /// The graphics card, through Vulkan, Metal or DirectX 12.
    Wgpu,
    /// The graphics card, through Nvidia's driver and compiler.
    Cuda,
}

impl DeviceChoice {
    /// The device, without autodiff, for the program of `stage`.
    ///
    /// # Errors
    /// A card, in a program that was built without it, or on a machine that has none.
    pub fn open(self, stage: &str) -> Result<Device> {
        match self {
            DeviceChoice::Cpu => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            DeviceChoice::Wgpu => opened(stage, "Vulkan, Metal or DirectX 12", || {
                Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)
            }),
            #[cfg(feature = "cuda")]
            DeviceChoice::Cuda => {
                opened(stage, "CUDA", || Device::cuda(burn::tensor::DeviceIndex::Default))
            }
            #[cfg(not(feature = "wgpu"))]
            DeviceChoice::Wgpu => not_built(stage, "wgpu"),
            #[cfg(not(feature = "cuda"))]
            DeviceChoice::Cuda => not_built(stage, "cuda"),
        }
    }
}

/// What `open` gives, once it has shown that it computes: the library opens late, and panics where it cannot.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn opened(
    stage: &str,
    through: &str,
    open: impl FnOnce() -> Device + std::panic::UnwindSafe,
) -> Result<Device> {
    use std::panic;

    // Whoever has no card is to read one line, not where in the library it was missed.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let device = panic::catch_unwind(|| {
        let device = open();
        burn::tensor::Tensor::<1>::zeros([1], &device).try_into_data().ok().map(|_| device)
    });
    panic::set_hook(hook);
    device.ok().flatten().ok_or_else(|| {
        anyhow::anyhow!(
            "param `{stage}.device`: no graphics card can be reached through {through}: \
             install the card's driver, or set the param to `cpu`"
        )
    })
}

#[cfg(not(all(feature = "wgpu", feature = "cuda")))]
fn not_built(stage: &str, feature: &str) -> Result<Device> {
    anyhow::bail!(
        "param `{stage}.device`: this program was built without `{feature}`: build it with \
         `cargo run --release -p {stage} --features {feature}`, or set the param to `cpu`"
    )
}
