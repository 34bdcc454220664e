//! Training loss and label smoothing.

use burn::tensor::{Tensor, activation};

/// Returns the cross entropy of logits and targets, both `[N, classes]`, as a scalar in nats.
///
/// A target row holds the share of each class. The loss is the mean over N of
/// −Σ target · ln softmax(logit), like `torch.nn.functional.cross_entropy`.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let products = activation::log_softmax(logits, 1) * targets;
    products.sum_dim(1).mean().neg()
}

/// Label smoothing (Szegedy et al. 2016): `(1 − smoothing) · target + smoothing / classes`.
pub fn smooth(targets: &mut [f32], smoothing: f64, classes: usize) {
    let (kept, spread) = ((1.0 - smoothing) as f32, (smoothing / classes as f64) as f32);
    targets.iter_mut().for_each(|target| *target = *target * kept + spread);
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn cross_entropy_of_soft_targets() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0, 0.0], [2.0f32.ln(), 0.0]], &device);
        let of = |targets: [[f32; 2]; 2]| {
            cross_entropy(logits.clone(), Tensor::from_data(targets, &device)).into_scalar::<f32>()
        };
        let ln = |value: f32| value.ln();
        let sure = 0.5 * (ln(2.0) + ln(1.5));
        assert!((of([[1.0, 0.0], [1.0, 0.0]]) - sure).abs() < 1e-6);
        let shared = 0.5 * (ln(2.0) + 0.75 * ln(1.5) + 0.25 * ln(3.0));
        assert!((of([[0.5, 0.5], [0.75, 0.25]]) - shared).abs() < 1e-6);
    }

    #[test]
    fn smoothing_values() {
        let mut targets = [1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0];
        smooth(&mut targets, 0.2, 4);
        let expected = [0.85, 0.05, 0.05, 0.05, 0.45, 0.45, 0.05, 0.05];
        assert!(
            targets
                .iter()
                .zip(expected)
                .all(|(found, value): (&f32, f32)| (found - value).abs() < 1e-6)
        );
        let mut untouched = [0.25, 0.75];
        smooth(&mut untouched, 0.0, 2);
        assert_eq!(untouched, [0.25, 0.75]);
    }
}
