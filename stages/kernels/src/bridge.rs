//! Conversion between burn's tensors and slices.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Bytes, DType, Shape, Tensor};

/// A tensor on an autodiff graph.
pub(crate) type Recorded = FloatTensor<Autodiff<Flex>>;

/// Primitives of 32-bit float tensors on the CPU backend.
pub(crate) enum Host<const N: usize> {
    /// Without gradients.
    Plain([FlexTensor; N]),
    /// On an autodiff device, without gradient checkpointing.
    Recorded([Recorded; N]),
}

/// Returns the primitives of the tensors if the kernels support all of them.
pub(crate) fn host<const N: usize>(tensors: [Erased; N]) -> Option<Host<N>> {
    if tensors.iter().all(|tensor| matches!(tensor, Erased::Plain(_))) {
        return Some(Host::Plain(tensors.map(|tensor| match tensor {
            Erased::Plain(tensor) => tensor,
            _ => unreachable!("BUG: every tensor is plain"),
        })));
    }
    if tensors.iter().all(|tensor| matches!(tensor, Erased::Recorded(_))) {
        return Some(Host::Recorded(tensors.map(|tensor| match tensor {
            Erased::Recorded(tensor) => tensor,
            _ => unreachable!("BUG: every tensor is recorded"),
        })));
    }
    None
}

/// A tensor of any rank.
pub(crate) enum Erased {
    Plain(FlexTensor),
    Recorded(Recorded),
    /// On another backend, of another element type, or with gradient checkpointing.
    Foreign,
}

/// Erases the rank of a tensor.
pub(crate) fn erase<const D: usize>(tensor: &Tensor<D>) -> Erased {
    if tensor.dtype() != DType::F32 {
        return Erased::Foreign;
    }
    let tensor = tensor.clone();
    if tensor.is_autodiff() {
        tensor.try_into_primitive::<Autodiff<Flex>>().map_or(Erased::Foreign, Erased::Recorded)
    } else {
        tensor.try_into_primitive::<Flex>().map_or(Erased::Foreign, Erased::Plain)
    }
}

/// Returns the same values, contiguous in C order.
pub(crate) fn packed(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Returns the values of a packed tensor.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("BUG: tensor is not packed")
}

/// Creates a tensor from values in C order.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}
