//! Where tensors live and are computed.
//!
//! Knows nothing about what is computed.

use anyhow::Result;
use burn::tensor::Device;
use serde::Deserialize;

/// What a user can ask for with `train.device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The processor, with all its cores.
    #[default]
    Cpu,
    /// The graphics card, through Vulkan, Metal or DirectX 12.
    Wgpu,
}

impl DeviceChoice {
    /// The device, without autodiff.
    ///
    /// # Errors
    /// `wgpu` in a program that was built without it, or on a machine without a usable card.
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceChoice::Cpu => Ok(Device::flex()),
            DeviceChoice::Wgpu => wgpu(),
        }
    }
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    // The library panics where it finds no adapter.
    std::panic::catch_unwind(|| {
        let device = Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
        let _ = burn::tensor::Tensor::<1>::zeros([1], &device).into_data();
        device
    })
    .map_err(|_| anyhow::anyhow!("no usable graphics card was found: set `train.device` to `cpu`"))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device> {
    anyhow::bail!(
        "param `train.device`: this program was built without `wgpu`: build it with \
         `cargo run --release -p train --features wgpu`, or set the param to `cpu`"
    )
}
