//! Matrix products of 32-bit floats: a safe interface to the crate `gemm`.
//!
//! Single-threaded, since the callers split their work by sample.
#![allow(unsafe_code, reason = "`gemm::gemm` takes pointers; the bounds are checked first")]

/// A strided view of a matrix in a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    /// Distance between rows.
    pub row_stride: usize,
    /// Distance between columns.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Creates a view in C order with rows `row_stride` apart.
    pub(crate) fn rows(
        values: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Matrix<'a> {
        Matrix { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// Returns the transpose.
    pub(crate) fn transposed(self) -> Matrix<'a> {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        fits(self.values.len(), self.rows, self.columns, self.row_stride, self.column_stride)
    }
}

/// Treatment of the values already in the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Replace,
    Add,
}

/// Computes `target = left · right`, or `target += left · right` for [`Destination::Add`].
///
/// The target has shape (rows of `left`, columns of `right`) in C order, with rows `row_stride`
/// apart.
///
/// # Panics
/// If the shapes do not match or a matrix is empty or larger than its slice.
pub(crate) fn multiply(
    target: &mut [f32],
    row_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    mode: Destination,
) {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(depth, right.rows, "BUG: matrix shapes do not match");
    assert!(left.fits() && right.fits(), "BUG: matrix is larger than its slice");
    assert!(
        fits(target.len(), rows, columns, row_stride, 1),
        "BUG: target is larger than its slice"
    );
    assert!(row_stride >= columns || rows <= 1, "BUG: rows of the target overlap");
    let stride =
        |stride: usize| isize::try_from(stride).expect("BUG: stride exceeds the address space");
    // SAFETY: every element of each matrix is inside its slice, as asserted above, and the target
    // is borrowed exclusively.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            target.as_mut_ptr(),
            1,
            stride(row_stride),
            mode == Destination::Add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn fits(
    length: usize,
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
) -> bool {
    rows > 0 && columns > 0 && (rows - 1) * row_stride + (columns - 1) * column_stride < length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_and_transposed_matrices() {
        // Rows are 4 apart and have 3 values.
        let left = [1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0];
        let left = Matrix::rows(&left, 2, 3, 4);
        let right = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0];
        let right = Matrix::rows(&right, 2, 3, 3).transposed();
        let mut target = [10.0, 10.0, 7.0, 10.0, 10.0];
        multiply(&mut target, 3, left, right, Destination::Add);
        assert_eq!(target, [17.0, 15.0, 7.0, 26.0, 21.0]);
        multiply(&mut target, 3, left, right, Destination::Replace);
        assert_eq!(target, [7.0, 5.0, 7.0, 16.0, 11.0]);
    }

    #[test]
    #[should_panic(expected = "BUG: matrix is larger than its slice")]
    fn matrix_larger_than_slice() {
        let values = [0.0; 5];
        let matrix = Matrix::rows(&values, 2, 3, 3);
        multiply(&mut [0.0; 4], 2, matrix, matrix.transposed(), Destination::Replace);
    }
}
