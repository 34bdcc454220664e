//! Sixteen numbers at once, on whatever vector unit there is.
//!
//! A lane is a number, never a part of a sum: what is computed is the same on all units that have a fused multiply-add.
//! Knows nothing about what that is.

#[cfg(target_arch = "x86_64")]
mod x86;

/// Sixteen numbers in memory.
pub(crate) type Sixteen = [f32; LANES];

/// How many numbers there are at once.
pub(crate) const LANES: usize = 16;

/// All of the values, with zeros at the end.
pub(crate) fn sixteens(values: &[f32]) -> Vec<Sixteen> {
    let sixteen = |values: &[f32]| std::array::from_fn(|at| values.get(at).copied().unwrap_or(0.0));
    values.chunks(LANES).map(sixteen).collect()
}

/// A vector unit that is there.
pub(crate) trait Lanes: Copy {
    /// Sixteen numbers in registers.
    type Vector: Copy;

    /// How many sums of sixteen numbers stay in registers while others are loaded.
    const SUMS: usize;

    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, values: &Sixteen) -> Self::Vector;
    fn store(self, vector: Self::Vector, values: &mut Sixteen);
    /// `a · b + c`, rounded once where the unit can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` where one is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
}

/// What can be done on any vector unit.
pub(crate) trait Work {
    /// Mark it and all that it calls `#[inline(always)]`: what is not inlined is compiled for the baseline.
    fn on<L: Lanes>(self, lanes: L);
}

/// The vector units of this project's processors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    Any(Plain),
}

impl Unit {
    /// Those that are there, the best first.
    pub(crate) fn there() -> impl Iterator<Item = Unit> {
        #[cfg(target_arch = "x86_64")]
        let vectors =
            [x86::Avx512::detect().map(Unit::Avx512), x86::Avx2::detect().map(Unit::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors: [Option<Unit>; 0] = [];
        vectors.into_iter().flatten().chain([Unit::Any(Plain)])
    }

    #[inline(always)]
    pub(crate) fn run(self, work: impl Work) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512(lanes) => lanes.run(work),
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2(lanes) => lanes.run(work),
            Unit::Any(lanes) => work.on(lanes),
        }
    }
}

impl Default for Unit {
    /// The best.
    fn default() -> Unit {
        Unit::there().next().expect("BUG: one is always there")
    }
}

/// Loops that the compiler makes of it what it can.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

impl Lanes for Plain {
    type Vector = Sixteen;

    const SUMS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> Sixteen {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &Sixteen) -> Sixteen {
        *values
    }

    #[inline(always)]
    fn store(self, vector: Sixteen, values: &mut Sixteen) {
        *values = vector;
    }

    #[inline(always)]
    fn mul_add(self, a: Sixteen, b: Sixteen, c: Sixteen) -> Sixteen {
        // Without an instruction for it, a fused multiply-add is a call.
        let fused = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        std::array::from_fn(
            |at| if fused { a[at].mul_add(b[at], c[at]) } else { a[at] * b[at] + c[at] },
        )
    }

    #[inline(always)]
    fn mul(self, a: Sixteen, b: Sixteen) -> Sixteen {
        std::array::from_fn(|at| a[at] * b[at])
    }

    #[inline(always)]
    fn max(self, a: Sixteen, b: Sixteen) -> Sixteen {
        std::array::from_fn(|at| if a[at] > b[at] { a[at] } else { b[at] })
    }
}
