//! Image resizing with an antialiased triangle filter.
//!
//! Equal to
//! `torch.nn.functional.interpolate(mode="bilinear", antialias=True, align_corners=False)`, which
//! `torchvision.transforms.functional.resize` calls, and to Pillow's `BILINEAR`.

/// Filter taps of one output pixel: `weights`, which sum to 1, for the inputs from `first` on.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Resizes `data` from shape `from` to shape `to`.
///
/// Shapes are (rows, columns) in C order; all lengths are at least 1.
///
/// # Panics
/// If the length of `data` does not match `from`.
pub fn resize(data: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    assert_eq!(data.len(), from[0] * from[1], "BUG: shape {from:?} does not match the data");
    let columns = taps(from[1], to[1]);
    let narrow: Vec<f32> = data
        .chunks_exact(from[1])
        .flat_map(|row| {
            columns.iter().map(|Taps { first, weights }| {
                weights.iter().zip(&row[*first..]).map(|(weight, value)| weight * value).sum()
            })
        })
        .collect();
    let mut resized = vec![0.0; to[0] * to[1]];
    for (out, Taps { first, weights }) in resized.chunks_exact_mut(to[1]).zip(taps(from[0], to[0]))
    {
        for (weight, row) in weights.iter().zip(narrow.chunks_exact(to[1]).skip(first)) {
            for (sum, value) in out.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
    resized
}

/// Returns the taps along one axis.
///
/// Half the base of the triangle is one input pixel when enlarging and one output pixel when
/// reducing.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    (0..to)
        .map(|index| {
            let centre = scale * (index as f64 + 0.5);
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end)
                .map(|input| (1.0 - ((input as f64 + 0.5 - centre) / support).abs()).max(0.0))
                .collect();
            let total: f64 = weights.iter().sum();
            Taps { first, weights: weights.iter().map(|weight| (weight / total) as f32).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same_size_is_identity() {
        let data: Vec<_> = (0..12).map(|n| n as f32).collect();
        assert_eq!(resize(&data, [3, 4], [3, 4]), data);
    }

    #[test]
    fn reducing_averages_and_enlarging_interpolates() {
        // Computed by hand: 0 1 2 3 halved with triangles of width 4, cut off at the edges.
        let halved = resize(&[0.0, 1.0, 2.0, 3.0], [1, 4], [1, 2]);
        let expected = [(0.75 + 0.5) / 1.75, 3.0 - (0.75 + 0.5) / 1.75];
        for (value, expected) in halved.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{halved:?}");
        }
        assert_eq!(resize(&[0.0, 1.0], [1, 2], [1, 4]), [0.0, 0.25, 0.75, 1.0]);
    }

    proptest! {
        #[test]
        fn constant_image_stays_constant(
            from in [1_usize..40, 1_usize..40],
            to in [1_usize..40, 1_usize..40],
            value in -20.0_f32..5.0,
        ) {
            let resized = resize(&vec![value; from[0] * from[1]], from, to);
            prop_assert_eq!(resized.len(), to[0] * to[1]);
            for pixel in resized {
                prop_assert!((pixel - value).abs() <= 1e-5 * value.abs());
            }
        }
    }
}
