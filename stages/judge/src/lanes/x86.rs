//! The vector units of x86-64.
//!
//! Knows nothing about what is computed on them.

use std::arch::x86_64::*;

use pulp::f32x8;
use pulp::x86::V3;

use super::{Lanes, Sixteen, Work};

/// A processor with AVX-512F: the value is the proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Avx512> {
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "what is compiled for the unit is called from what is not")]
    pub(super) fn run(self, work: impl Work) {
        #[target_feature(enable = "avx512f")]
        fn run(lanes: Avx512, work: impl Work) {
            work.on(lanes);
        }
        // SAFETY: there is no `Avx512` without the feature.
        unsafe { run(self, work) }
    }
}

#[expect(unsafe_code, reason = "the standard library's vectors are used in no other way")]
impl Lanes for Avx512 {
    type Vector = __m512;

    const SUMS: usize = 26;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: there is no `Avx512` without the feature.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &Sixteen) -> __m512 {
        // SAFETY: as in `splat`, and sixteen numbers are read where there are sixteen.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, values: &mut Sixteen) {
        // SAFETY: as in `splat`, and sixteen numbers are written where there are sixteen.
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

/// A processor with AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(V3);

impl Avx2 {
    pub(super) fn detect() -> Option<Avx2> {
        V3::try_new().map(Avx2)
    }

    #[inline(always)]
    pub(super) fn run(self, work: impl Work) {
        self.0.vectorize(
            #[inline(always)]
            || work.on(self),
        );
    }
}

impl Lanes for Avx2 {
    type Vector = [f32x8; 2];

    const SUMS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [self.0.splat_f32x8(value); 2]
    }

    #[inline(always)]
    fn load(self, values: &Sixteen) -> Self::Vector {
        pulp::cast(*values)
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, values: &mut Sixteen) {
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
