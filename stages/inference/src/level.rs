//! Selection of the best SIMD level at run time.

#[cfg(target_arch = "x86_64")]
use crate::simd::x86::{Avx2, Avx512};
use crate::simd::{Kernel, Portable};

/// SIMD level of the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Portable(Portable),
}

impl Level {
    /// Returns the levels that the CPU supports, best first.
    pub(crate) fn available() -> impl Iterator<Item = Level> {
        #[cfg(target_arch = "x86_64")]
        let native = [Avx512::detect().map(Level::Avx512), Avx2::detect().map(Level::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let native: [Option<Level>; 0] = [];
        native.into_iter().flatten().chain([Level::Portable(Portable)])
    }

    /// Runs the kernel on this level.
    #[inline(always)]
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(simd) => simd.run(kernel),
            Level::Portable(simd) => kernel.run(simd),
        }
    }
}

impl Default for Level {
    /// Returns the best level that the CPU supports.
    fn default() -> Level {
        Level::available().next().expect("BUG: the portable level always exists")
    }
}
