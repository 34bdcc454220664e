//! SIMD levels of x86-64.

use std::arch::x86_64::*;

use pulp::f32x8;
use pulp::x86::V3;

use super::{F32x16, Kernel, Simd};

/// AVX-512F. A value proves that the CPU supports it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Avx512> {
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calls a function with target features from one without")]
    pub(crate) fn run(self, kernel: impl Kernel) {
        #[target_feature(enable = "avx512f")]
        fn run(simd: Avx512, kernel: impl Kernel) {
            kernel.run(simd);
        }
        // SAFETY: an `Avx512` exists only if the CPU has the feature.
        unsafe { run(self, kernel) }
    }
}

#[expect(unsafe_code, reason = "the intrinsics of the standard library are unsafe")]
impl Simd for Avx512 {
    type Vector = __m512;

    const ACCUMULATORS: usize = 26;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: an `Avx512` exists only if the CPU has the feature.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &F32x16) -> __m512 {
        // SAFETY: as in `splat`; reads the 16 floats of `values`.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, values: &mut F32x16) {
        // SAFETY: as in `splat`; writes the 16 floats of `values`.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: as in `splat`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as in `splat`.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as in `splat`.
        unsafe { _mm512_max_ps(a, b) }
    }
}

/// AVX2 and FMA, as two halves of 8 floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(V3);

impl Avx2 {
    pub(crate) fn detect() -> Option<Avx2> {
        V3::try_new().map(Avx2)
    }

    #[inline(always)]
    pub(crate) fn run(self, kernel: impl Kernel) {
        self.0.vectorize(
            #[inline(always)]
            || kernel.run(self),
        );
    }
}

impl Simd for Avx2 {
    type Vector = [f32x8; 2];

    const ACCUMULATORS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [self.0.splat_f32x8(value); 2]
    }

    #[inline(always)]
    fn load(self, values: &F32x16) -> Self::Vector {
        pulp::cast(*values)
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, values: &mut F32x16) {
        *values = pulp::cast(vector);
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        [0, 1].map(|half| self.0.mul_add_f32x8(a[half], b[half], c[half]))
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        [0, 1].map(|half| self.0.mul_f32x8(a[half], b[half]))
    }

    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        [0, 1].map(|half| self.0.max_f32x8(a[half], b[half]))
    }
}
