//! Loops compiled for the vector unit that is there.
//!
//! Knows nothing about what is computed: a loop over slices, written plainly, is what the compiler vectorises.

use pulp::WithSimd;

/// Runs `loops` compiled for AVX2 and FMA where the processor has them, else for the target's baseline.
///
/// Mark the closure's own helpers `#[inline(always)]`: what is not inlined is compiled for the baseline.
#[inline(always)]
pub(crate) fn vectorized<R>(loops: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = pulp::x86::V3::try_new() {
        return unit.vectorize(loops);
    }
    loops()
}

/// Does `work` with the vectors of the unit that [`vectorized`] would compile for.
#[inline(always)]
pub(crate) fn with_vectors<W: WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(unit, work);
    }
    pulp::Arch::new().dispatch(work)
}

/// How many partial sums a sum is split into: fixed, so that a sum is the same on every vector unit, and enough
/// to hide the latency of an addition.
const LANES: usize = 32;

/// The sum of `map` over pairs of values.
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
