//! Sample rate conversion: a linear-phase low pass, applied block by block in the frequency domain.
//!
//! The filter is a Kaiser-windowed sinc with the band edges of soxr's HQ, librosa's default. It is
//! flat up to 91.3 % of the lower Nyquist frequency and rejects everything above that frequency,
//! which would alias, by 120 dB. Each block is transformed, multiplied by the response, cut or
//! zero-padded to the bins of the new rate, and transformed back. The ends of a block, where the
//! circular convolution wraps around, are discarded (overlap-save).

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::audio::Audio;

/// End of the passband, as a fraction of the lower Nyquist frequency.
const PASSBAND: f64 = 0.913;

/// Stopband attenuation in dB.
const REJECTION: f64 = 120.0;

/// Approximate ratio of block length to half the filter length. At this ratio little of a block is
/// discarded, and the block still fits in the cache.
const BLOCK_TO_HALF: usize = 16;

/// Resamples a sound without delay: sample `n` of the result is at `n / sample_rate` seconds.
///
/// The length is that of the input times the ratio of the rates, rounded up. Frequencies above the
/// new Nyquist frequency are filtered out.
///
/// # Panics
/// If a rate is 0.
pub fn resample(audio: &Audio, sample_rate: u32) -> Audio {
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(audio.sample_rate, sample_rate);
    resampler.push(&audio.samples, &mut samples);
    resampler.finish(&mut samples);
    Audio { samples, sample_rate }
}

/// Resamples a sound that arrives in chunks. Memory use does not grow with the sound.
pub struct Resampler {
    rates: [u32; 2],
    /// `None` if the rates are equal.
    filter: Option<Filter>,
    /// The next block. It begins with the last samples of the previous one.
    block: Vec<f32>,
    received: usize,
    produced: usize,
}

impl Resampler {
    /// Creates a resampler between two rates in Hz.
    ///
    /// # Panics
    /// If a rate is 0.
    pub fn new(from: u32, to: u32) -> Resampler {
        assert!(from > 0 && to > 0, "BUG: a sample rate of 0");
        let filter = (from != to).then(|| Filter::new(from, to));
        let mut resampler =
            Resampler { rates: [from, to], filter, block: Vec::new(), received: 0, produced: 0 };
        resampler.restart();
        resampler
    }

    /// Returns the input rate and the output rate.
    pub fn rates(&self) -> [u32; 2] {
        self.rates
    }

    /// Takes more input and appends to `out` the output that is complete.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        self.received += samples.len();
        let Some(filter) = &mut self.filter else {
            self.produced += samples.len();
            out.extend_from_slice(samples);
            return;
        };
        while !samples.is_empty() {
            let (head, rest) =
                samples.split_at(samples.len().min(filter.block_in() - self.block.len()));
            self.block.extend_from_slice(head);
            samples = rest;
            if self.block.len() == filter.block_in() {
                let filtered = filter.apply(&self.block);
                out.extend_from_slice(filtered);
                self.produced += filtered.len();
                self.block.drain(..filter.block_in() - 2 * filter.edge_in);
            }
        }
    }

    /// Appends the rest, as if silence followed, and resets the resampler.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some(filter) = &self.filter {
            let (block_in, ratio) = (filter.block_in(), filter.ratio);
            let out_len = (self.received * ratio[1]).div_ceil(ratio[0]);
            let silence = vec![0.0; block_in - 2 * filter.edge_in];
            let missing = |resampler: &Resampler| out_len.saturating_sub(resampler.produced);
            while missing(self) > 0 {
                self.push(&silence, out);
            }
            out.truncate(out.len() - (self.produced - out_len));
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.block.clear();
        (self.received, self.produced) = (0, 0);
        if let Some(filter) = &self.filter {
            // Silence before the first sample.
            self.block.resize(filter.edge_in, 0.0);
        }
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("rates", &self.rates).finish_non_exhaustive()
    }
}

/// The low pass for blocks of one length.
struct Filter {
    /// Input and output rate, divided by their greatest common divisor.
    ratio: [usize; 2],
    forward: Arc<dyn RealToComplex<f32>>,
    backward: Arc<dyn ComplexToReal<f32>>,
    /// Response at each bin that input and output share; real, since the filter has no delay.
    response: Vec<f32>,
    /// Samples to discard at each end of a block, at the input rate.
    edge_in: usize,
    time_in: Vec<f32>,
    spectrum_in: Vec<Complex<f32>>,
    spectrum_out: Vec<Complex<f32>>,
    time_out: Vec<f32>,
    scratch: Vec<Complex<f32>>,
}

impl Filter {
    fn new(from: u32, to: u32) -> Filter {
        let divisor = common_divisor(from, to);
        let ratio = [(from / divisor) as usize, (to / divisor) as usize];
        // The lower Nyquist frequency, as a fraction of the input's.
        let narrower = (ratio[1] as f64 / ratio[0] as f64).min(1.0);
        let half_length = half_length(narrower);
        // Edges and blocks are whole numbers of samples at both rates.
        let edge_in = half_length.next_multiple_of(ratio[0]);
        let blocks = (BLOCK_TO_HALF * half_length / ratio[0]).next_power_of_two().max(4);
        let (length_in, length_out) = (blocks * ratio[0], blocks * ratio[1]);

        let mut planner = RealFftPlanner::new();
        let (forward, backward) =
            (planner.plan_fft_forward(length_in), planner.plan_fft_inverse(length_out));
        let common = length_in.min(length_out) / 2 + 1;
        let mut time_in = forward.make_input_vec();
        let mut spectrum_in = forward.make_output_vec();
        let scratch =
            vec![Complex::default(); forward.get_scratch_len().max(backward.get_scratch_len())];
        low_pass(&mut time_in, half_length, narrower);
        transform(forward.process(&mut time_in, &mut spectrum_in));
        // Neither transform divides by its length.
        let scale = 1.0 / length_in as f32;
        let response = spectrum_in[..common].iter().map(|bin| bin.re * scale).collect();
        Filter {
            ratio,
            response,
            edge_in,
            spectrum_out: backward.make_input_vec(),
            time_out: backward.make_output_vec(),
            time_in,
            spectrum_in,
            scratch,
            forward,
            backward,
        }
    }

    fn block_in(&self) -> usize {
        self.time_in.len()
    }

    /// Returns the filtered middle of a block at the output rate.
    fn apply(&mut self, block: &[f32]) -> &[f32] {
        self.time_in.copy_from_slice(block);
        let Filter { time_in, spectrum_in, spectrum_out, time_out, scratch, .. } = self;
        let forward_scratch = self.forward.get_scratch_len();
        transform(self.forward.process_with_scratch(
            time_in,
            spectrum_in,
            &mut scratch[..forward_scratch],
        ));
        for ((out, bin), weight) in spectrum_out.iter_mut().zip(&*spectrum_in).zip(&self.response) {
            *out = bin * weight;
        }
        // The inverse transform requires these two to be real. The filter leaves almost nothing of
        // the last one.
        spectrum_out[0].im = 0.0;
        if let Some(last) = spectrum_out.last_mut() {
            last.im = 0.0;
        }
        spectrum_out.get_mut(self.response.len()..).unwrap_or_default().fill(Complex::default());
        let backward_scratch = self.backward.get_scratch_len();
        transform(self.backward.process_with_scratch(
            spectrum_out,
            time_out,
            &mut scratch[..backward_scratch],
        ));
        let edge_out = self.edge_in / self.ratio[0] * self.ratio[1];
        &time_out[edge_out..time_out.len() - edge_out]
    }
}

fn transform(result: Result<(), realfft::FftError>) {
    if let Err(error) = result {
        panic!("BUG: buffers do not fit the plan that made them: {error}");
    }
}

/// Returns the number of taps on each side of the middle one, by Kaiser's length formula.
fn half_length(narrower: f64) -> usize {
    let transition = PI * narrower * (1.0 - PASSBAND);
    ((REJECTION - 7.95) / (2.285 * transition) / 2.0).ceil() as usize
}

/// Writes the filter into `taps` in circular order: the middle at 0 and the left half at the end.
fn low_pass(taps: &mut [f32], half_length: usize, narrower: f64) {
    let cutoff = narrower * (1.0 + PASSBAND) / 2.0;
    let beta = 0.1102 * (REJECTION - 8.7);
    let tap = |n: usize| {
        let x = cutoff * n as f64;
        let sinc = if n == 0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let inside = (1.0 - (n as f64 / (half_length + 1) as f64).powi(2)).sqrt();
        cutoff * sinc * bessel(beta * inside) / bessel(beta)
    };
    taps.fill(0.0);
    let length = taps.len();
    taps[0] = tap(0) as f32;
    for n in 1..=half_length {
        taps[n] = tap(n) as f32;
        taps[length - n] = taps[n];
    }
}

/// Returns the modified Bessel function of the first kind, order 0, by its power series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-17 * sum {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

fn common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a sine that fades in and out, so that its ends do not widen the spectrum.
    fn tone(frequency: f64, sample_rate: u32, seconds: f64) -> Audio {
        let samples = (0..(seconds * f64::from(sample_rate)) as usize)
            .map(|n| {
                let time = n as f64 / f64::from(sample_rate);
                let fade = (PI * time / seconds).sin().powi(2);
                (fade * (std::f64::consts::TAU * frequency * time).sin()) as f32
            })
            .collect();
        Audio { samples, sample_rate }
    }

    fn loudest(samples: impl IntoIterator<Item = f32>) -> f64 {
        f64::from(samples.into_iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs())))
    }

    /// Returns the largest difference between a resampled tone and the tone at the new rate.
    fn error(frequency: f64, from: u32, to: u32) -> f64 {
        let resampled = resample(&tone(frequency, from, 0.5), to).samples;
        let expected = tone(frequency, to, 0.5).samples;
        assert!(resampled.len().abs_diff(expected.len()) <= 1, "{from} → {to}");
        loudest(resampled.iter().zip(&expected).map(|(one, other)| one - other))
    }

    #[test]
    fn passband_is_flat_without_delay() {
        for (from, to) in [
            (44_100, 22_050),
            (48_000, 22_050),
            (44_100, 16_000),
            (8_000, 22_050),
            (22_050, 44_100),
            (44_101, 22_050),
        ] {
            for share in [0.01, 0.1, 0.5, 0.8, 0.91] {
                let frequency = share * f64::from(from.min(to)) / 2.0;
                let error = error(frequency, from, to);
                assert!(error < 1e-5, "{from} → {to}: {error:e} at {frequency} Hz");
            }
        }
    }

    #[test]
    fn aliases_are_rejected() {
        for (from, to) in [(44_100, 22_050), (48_000, 22_050), (44_100, 16_000)] {
            for share in [1.001, 1.05, 1.3, 1.9] {
                let frequency = share * f64::from(to) / 2.0;
                let left = loudest(resample(&tone(frequency, from, 0.5), to).samples);
                // The limit is -110 dB: the fade widens the tone by a few Hz, and floats round.
                assert!(left < 3e-6, "{from} → {to}: {left:e} at {frequency} Hz");
            }
        }
    }

    #[test]
    fn upsampling_adds_no_images() {
        let up = resample(&tone(3_900.0, 8_000, 0.5), 44_100);
        let back = resample(&up, 8_000);
        let lost = loudest(up.samples.iter().copied());
        // The tone is in the transition band: it is attenuated, and nothing else appears.
        assert!(lost < 1.0 && back.samples.len() == 4000, "{lost}");
        assert!(error(3_600.0, 8_000, 44_100) < 1e-5);
    }

    #[test]
    fn lengths_of_short_sounds() {
        for frames in [0, 1, 2, 3, 100] {
            let audio = Audio { samples: vec![0.5; frames], sample_rate: 44_100 };
            assert_eq!(resample(&audio, 22_050).samples.len(), frames.div_ceil(2));
            assert_eq!(resample(&audio, 44_100).samples, audio.samples);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn chunked_input_matches_whole_input(
            cuts in prop::collection::vec(0_usize..3000, 0..8),
            to in 4000_u32..20_000,
        ) {
            let audio = tone(440.0, 11_025, 0.7);
            let expected = resample(&audio, to).samples;
            let mut resampler = Resampler::new(11_025, to);
            for _ in 0..2 {
                let (mut out, mut rest) = (Vec::new(), audio.samples.as_slice());
                for cut in &cuts {
                    let (chunk, after) = rest.split_at(rest.len().min(*cut));
                    resampler.push(chunk, &mut out);
                    rest = after;
                }
                resampler.push(rest, &mut out);
                resampler.finish(&mut out);
                prop_assert!(out == expected);
            }
        }
    }
}
