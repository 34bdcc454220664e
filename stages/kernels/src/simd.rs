//! Runtime dispatch to the vector unit of the CPU.
//!
//! With `vectorized` the compiler vectorises plain loops over slices; `with_vectors` passes
//! explicit vectors.

use pulp::WithSimd;

/// Runs `loops`, compiled for AVX2 and FMA if the CPU has them, or else for the target's baseline.
///
/// Mark the closure's helpers `#[inline(always)]`: functions that are not inlined are compiled for
/// the baseline.
#[inline(always)]
pub(crate) fn vectorized<R>(loops: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = pulp::x86::V3::try_new() {
        return unit.vectorize(loops);
    }
    loops()
}

/// Runs `work` with the vectors of the unit that [`vectorized`] would choose.
#[inline(always)]
pub(crate) fn with_vectors<W: WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(unit, work);
    }
    pulp::Arch::new().dispatch(work)
}

/// Number of partial sums in a sum.
///
/// It is fixed so that a sum has the same bits on every vector unit, and large enough to hide the
/// latency of an addition.
const LANES: usize = 32;

/// Returns the sum of `map` over pairs of values.
#[inline(always)]
pub(crate) fn sum_of(left: &[f32], right: &[f32], map: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (left, right) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| map(*a, *b)).sum();
    for (left, right) in left.zip(right) {
        for lane in 0..LANES {
            lanes[lane] += map(left[lane], right[lane]);
        }
    }
    for half in [16, 8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0] + rest
}
