//! Compute devices, and copying tensors from them to the host.

use anyhow::{Context as _, Result};
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

/// The `train.device` and `evaluate.device` params.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// CPU, on all cores.
    #[default]
    Cpu,
    /// Graphics card, through Vulkan, Metal or DirectX 12.
    Wgpu,
    /// Nvidia graphics card, through CUDA: Nvidia's driver and compiler.
    Cuda,
}

impl DeviceChoice {
    /// Opens the device, without autodiff, for the program of `stage`.
    ///
    /// # Errors
    /// The program was built without support for the device, or the machine does not have it.
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

/// Opens a device and runs a first operation on it.
///
/// burn opens devices lazily and panics if it cannot, so the panic is turned into an error here.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn opened(
    stage: &str,
    through: &str,
    open: impl FnOnce() -> Device + std::panic::UnwindSafe,
) -> Result<Device> {
    use std::panic;

    // Suppress the panic message: without a card, the user should see one line.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let device = panic::catch_unwind(|| {
        let device = open();
        burn::tensor::Tensor::<1>::zeros([1], &device).try_into_data().ok().map(|_| device)
    });
    panic::set_hook(hook);
    device.ok().flatten().ok_or_else(|| {
        anyhow::anyhow!(
            "param `{stage}.device`: no graphics card available through {through}: \
             install the card's driver, or set the param to `cpu`"
        )
    })
}

/// Copies a tensor to the host, in C order.
///
/// # Errors
/// Reading from the device fails.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().context("cannot read a tensor from the device")?;
    data.try_into_vec::<f32>().ok().context("the device did not return 32-bit floats")
}

#[cfg(not(all(feature = "wgpu", feature = "cuda")))]
fn not_built(stage: &str, feature: &str) -> Result<Device> {
    anyhow::bail!(
        "param `{stage}.device`: this program was built without `{feature}`: build it with \
         `cargo run --release -p {stage} --features {feature}`, or set the param to `cpu`"
    )
}
