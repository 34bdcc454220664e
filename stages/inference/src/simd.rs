//! Portable SIMD with vectors of 16 floats, dispatched at run time.
//!
//! Lanes are independent and sums are never split across them, so results are identical on all
//! levels with a fused multiply-add.

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Sixteen floats in memory.
pub(crate) type F32x16 = [f32; LANES];

/// Number of lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Splits `values` into vectors, padding the last one with zeros.
pub(crate) fn to_f32x16(values: &[f32]) -> Vec<F32x16> {
    let vector = |values: &[f32]| std::array::from_fn(|at| values.get(at).copied().unwrap_or(0.0));
    values.chunks(LANES).map(vector).collect()
}

/// Operations of a SIMD level. A value of the type proves that the CPU supports it.
pub(crate) trait Simd: Copy {
    /// Sixteen floats in registers.
    type Vector: Copy;

    /// Number of vector accumulators that fit into registers besides the operands.
    const ACCUMULATORS: usize;

    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, values: &F32x16) -> Self::Vector;
    fn store(self, vector: Self::Vector, values: &mut F32x16);
    /// Returns `a · b + c`, rounded once if the CPU has a fused multiply-add.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Returns the larger of each pair; `b` if either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
}

/// Code that runs on any SIMD level.
pub(crate) trait Kernel {
    /// Runs the code on a SIMD level.
    ///
    /// Mark this and all functions it calls `#[inline(always)]`: code that is not inlined is
    /// compiled for the baseline CPU.
    fn run<S: Simd>(self, simd: S);
}

/// Plain loops that the compiler vectorizes for the baseline CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Simd for Portable {
    type Vector = F32x16;

    const ACCUMULATORS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> F32x16 {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &F32x16) -> F32x16 {
        *values
    }

    #[inline(always)]
    fn store(self, vector: F32x16, values: &mut F32x16) {
        *values = vector;
    }

    #[inline(always)]
    fn mul_add(self, a: F32x16, b: F32x16, c: F32x16) -> F32x16 {
        // Without the instruction, `mul_add` is a slow library call.
        let fused = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        std::array::from_fn(
            |at| if fused { a[at].mul_add(b[at], c[at]) } else { a[at] * b[at] + c[at] },
        )
    }

    #[inline(always)]
    fn mul(self, a: F32x16, b: F32x16) -> F32x16 {
        std::array::from_fn(|at| a[at] * b[at])
    }

    #[inline(always)]
    fn max(self, a: F32x16, b: F32x16) -> F32x16 {
        std::array::from_fn(|at| if a[at] > b[at] { a[at] } else { b[at] })
    }
}
