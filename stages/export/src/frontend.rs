//! The features of crate `features` as ONNX operators, from waveforms to the network's input.
//!
//! The short-time Fourier transform is a convolution with windowed cosines and sines; mel bands and
//! the resize are matrix products. Every runtime has these operators, but they are several times
//! slower than a fast transform. Does not know about the network.

use std::f64::consts::TAU;

use anyhow::{Result, ensure};
use features::level::{LOG_FLOOR, SMALLEST_DEVIATION};
use features::mel::MelBank;
use features::params::{Kind, Normalise, Padding, Scale, SpectrogramParams};
use features::resize::resize;
use features::{hann, window_spectrum};
use onnx::graph::{Attribute, Dim, Graph};

/// Name of the input, `[N, samples]`: mono, at the params' sample rate, full scale 1.
pub(crate) const WAVEFORM: &str = "waveform";
/// Lower bound on a divisor, so that 0 / 0 is 0: the smallest normal number.
const TINY: f32 = f32::MIN_POSITIVE;

/// Checks that the features can be expressed as operators.
///
/// # Errors
/// If spectrograms of unknown length are resized.
pub(crate) fn check(params: &SpectrogramParams) -> Result<()> {
    let resized = params.kind == Kind::LogPower && params.resize;
    ensure!(
        !resized || params.samples().is_some(),
        "a resize needs clips of one length: set `spectrogram.seconds`"
    );
    Ok(())
}

/// Adds the input and the operators up to `output`, `[N, 1, rows, columns]`.
///
/// A waveform may have any length. As in `features`, it is cut to `seconds` if the params set them,
/// and padded with silence to that length or to one frame.
///
/// # Errors
/// As [`check`].
pub(crate) fn waveform(graph: &mut Graph, params: &SpectrogramParams, output: &str) -> Result<()> {
    check(params)?;
    graph.input(WAVEFORM, &[Dim::Symbol("N"), Dim::Symbol("samples")]);
    graph.integers("front.channel", &[1]);
    fit_length(graph, params);
    graph.node("Unsqueeze", &["front.fitted", "front.channel"], "front.mono", &[]);
    let padded = pad(graph, params);
    power(graph, params, padded);
    let levels = match params.kind {
        Kind::LogPower => log_power(graph, params),
        Kind::LogMel => log_mel(graph, params),
    };
    graph.node("Unsqueeze", &[levels, "front.channel"], output, &[]);
    Ok(())
}

/// Appends silence to clips that are too short, and cuts clips to `seconds`, as `front.fitted`.
fn fit_length(graph: &mut Graph, params: &SpectrogramParams) {
    let shortest = params.samples().unwrap_or(params.shortest()) as i64;
    graph.integers("front.shortest", &[shortest]);
    graph.integers("front.none", &[0]);
    graph.integers("front.not_at_end", &[0, 0, 0]);
    graph.node("Shape", &[WAVEFORM], "front.shape", &[("start", Attribute::Int(1))]);
    graph.node("Sub", &["front.shortest", "front.shape"], "front.lacking", &[]);
    graph.node("Max", &["front.lacking", "front.none"], "front.silence", &[]);
    let along = [("axis", Attribute::Int(0))];
    graph.node("Concat", &["front.not_at_end", "front.silence"], "front.ends", &along);
    let fitted = if params.samples().is_some() { "front.filled" } else { "front.fitted" };
    graph.node("Pad", &[WAVEFORM, "front.ends"], fitted, &[]);
    if params.samples().is_some() {
        graph.node(
            "Slice",
            &[fitted, "front.none", "front.shortest", "front.channel"],
            "front.fitted",
            &[],
        );
    }
}

/// Pads half a window on both sides, as the param `padding` requires.
fn pad(graph: &mut Graph, params: &SpectrogramParams) -> &'static str {
    let mode = match params.padding {
        Padding::Reflect => "reflect",
        Padding::Zeros => "constant",
        Padding::None => return "front.mono",
    };
    let half = (params.n_fft / 2) as i64;
    graph.integers("front.pads", &[0, 0, half, 0, 0, half]);
    let mode = [("mode", Attribute::Text(mode))];
    graph.node("Pad", &["front.mono", "front.pads"], "front.padded", &mode);
    "front.padded"
}

/// Computes the squared magnitudes, `[N, bins, frames]`, as `front.power`.
///
/// Like `features`, it subtracts a dominant mean of a clip and adds its spectrum afterwards.
fn power(graph: &mut Graph, params: &SpectrogramParams, samples: &str) {
    let (n_fft, bins) = (params.n_fft, bins(params));
    let window: Vec<f64> = hann(n_fft).collect();
    let kernel = |wave: fn(f64) -> f64| -> Vec<f32> {
        // Reduce bin × sample modulo `n_fft` first: full turns would cost precision.
        let angle = |bin: usize, n: usize| TAU * (bin * n % n_fft) as f64 / n_fft as f64;
        let taps = |bin| {
            window.iter().enumerate().map(move |(n, weight)| (weight * wave(angle(bin, n))) as f32)
        };
        (0..bins).flat_map(taps).collect()
    };
    let attributes = [
        ("kernel_shape", Attribute::Ints(vec![n_fft as i64])),
        ("strides", Attribute::Ints(vec![params.hop_length as i64])),
    ];
    let all = [("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(1))];
    graph.node("ReduceMean", &["front.mono"], "front.mean_sample", &all);
    graph.node("Mul", &["front.mono", "front.mono"], "front.sample_squares", &[]);
    graph.node("ReduceMean", &["front.sample_squares"], "front.energy", &all);
    graph.node("Mul", &["front.mean_sample", "front.mean_sample"], "front.level_square", &[]);
    // The mean is larger than the standard deviation if its square is more than half the energy.
    graph.node("Add", &["front.level_square", "front.level_square"], "front.level_energy", &[]);
    graph.node("Greater", &["front.level_energy", "front.energy"], "front.dominates", &[]);
    graph.node("Cast", &["front.dominates"], "front.is_dominant", &[("to", Attribute::Int(1))]);
    graph.node("Mul", &["front.mean_sample", "front.is_dominant"], "front.level", &[]);
    graph.node("Sub", &[samples, "front.level"], "front.swings", &[]);
    let mut spectrum = vec![0.0; bins];
    for (bin, weight) in spectrum.iter_mut().zip(window_spectrum(n_fft)) {
        *bin = weight as f32;
    }
    graph.constant("front.window_spectrum", &[bins, 1], &spectrum);
    graph.node("Mul", &["front.level", "front.window_spectrum"], "front.level_spectrum", &[]);
    for (part, wave) in [("cosine", f64::cos as fn(f64) -> f64), ("sine", f64::sin)] {
        let [weights, sums, squares] =
            ["weights", "sums", "squares"].map(|name| format!("front.{part}.{name}"));
        graph.constant(&weights, &[bins, 1, n_fft], &kernel(wave));
        graph.node("Conv", &["front.swings", &weights], &sums, &attributes);
        let whole = match part {
            "cosine" => {
                graph.node("Add", &[&sums, "front.level_spectrum"], "front.cosine.whole", &[]);
                "front.cosine.whole"
            }
            _ => &sums,
        };
        graph.node("Mul", &[whole, whole], &squares, &[]);
    }
    graph.node("Add", &["front.cosine.squares", "front.sine.squares"], "front.power", &[]);
}

fn log_power(graph: &mut Graph, params: &SpectrogramParams) -> &'static str {
    floor_and_log(graph, "front.power", LOG_FLOOR, "front.log");
    let (true, Some(samples)) = (params.resize, params.samples()) else {
        return "front.log";
    };
    // Resizing the identity matrix gives the resize as a matrix.
    let (bins, frames, size) = (bins(params), params.frames(samples), params.size);
    graph.constant(
        "front.rows",
        &[size, bins],
        &resize(&identity(bins), [bins, bins], [size, bins]),
    );
    graph.constant(
        "front.columns",
        &[frames, size],
        &resize(&identity(frames), [frames, frames], [frames, size]),
    );
    graph.node("MatMul", &["front.log", "front.columns"], "front.narrow", &[]);
    graph.node("MatMul", &["front.rows", "front.narrow"], "front.resized", &[]);
    "front.resized"
}

fn log_mel(graph: &mut Graph, params: &SpectrogramParams) -> &'static str {
    let bins = bins(params);
    graph.constant("front.bank", &[params.n_mels, bins], &MelBank::of(params).matrix(bins));
    let values = match params.power {
        1 => {
            graph.node("Sqrt", &["front.power"], "front.magnitude", &[]);
            "front.magnitude"
        }
        _ => "front.power",
    };
    graph.node("MatMul", &["front.bank", values], "front.bands", &[]);
    let levels = match params.scale {
        Scale::Log => {
            floor_and_log(graph, "front.bands", LOG_FLOOR, "front.log");
            "front.log"
        }
        Scale::Log1p => log1p(graph),
        Scale::Db => decibels(graph, params),
    };
    match params.normalise {
        Normalise::None => levels,
        Normalise::Clip => normalised(graph, levels),
    }
}

/// Converts to decibels like `features::level::to_scale`, for power or magnitude.
fn decibels(graph: &mut Graph, params: &SpectrogramParams) -> &'static str {
    let exponent = f32::from(params.power);
    floor_and_log(graph, "front.bands", LOG_FLOOR.powf(exponent / 2.0), "front.log");
    graph.constant("front.per_decade", &[], &[20.0 / exponent * std::f32::consts::LOG10_E]);
    graph.node("Mul", &["front.log", "front.per_decade"], "front.decibels", &[]);
    if params.top_db == 0.0 {
        return "front.decibels";
    }
    graph.constant("front.top_db", &[], &[params.top_db as f32]);
    graph.node("ReduceMax", &["front.decibels"], "front.loudest", &per_clip());
    graph.node("Sub", &["front.loudest", "front.top_db"], "front.lowest", &[]);
    graph.node("Max", &["front.decibels", "front.lowest"], "front.limited", &[]);
    "front.limited"
}

/// Computes ln(1 + x) of the bands without losing the digits of a small x.
///
/// With u = 1 + x as rounded, ln(u) · x / (u − 1) makes up for the rounding; where u is 1 the
/// result is x itself (Higham 2002, "Accuracy and Stability of Numerical Algorithms", problem 1.5).
fn log1p(graph: &mut Graph) -> &'static str {
    graph.constant("front.one", &[], &[1.0]);
    graph.constant("front.tiny", &[], &[TINY]);
    graph.node("Add", &["front.bands", "front.one"], "front.above_one", &[]);
    graph.node("Sub", &["front.above_one", "front.one"], "front.rounded", &[]);
    graph.node("Log", &["front.above_one"], "front.log_above_one", &[]);
    graph.node("Max", &["front.rounded", "front.tiny"], "front.rounded_divisor", &[]);
    graph.node("Div", &["front.bands", "front.rounded_divisor"], "front.correction", &[]);
    graph.node("Mul", &["front.log_above_one", "front.correction"], "front.corrected", &[]);
    graph.node("Greater", &["front.rounded", "front.tiny"], "front.is_above_one", &[]);
    graph.node(
        "Where",
        &["front.is_above_one", "front.corrected", "front.bands"],
        "front.log",
        &[],
    );
    "front.log"
}

/// Normalises each clip like `features::level::normalise`.
///
/// The levels are first shifted by their maximum: sums of a large constant would round to something
/// else than the constant in 32 bits, and a silent clip would not become 0.
fn normalised(graph: &mut Graph, levels: &str) -> &'static str {
    graph.constant("front.smallest_share", &[], &[SMALLEST_DEVIATION as f32]);
    graph.constant("front.smallest_divisor", &[], &[TINY]);
    graph.node("ReduceMax", &[levels], "front.highest", &per_clip());
    graph.node("Sub", &[levels, "front.highest"], "front.shifted", &[]);
    graph.node("ReduceMean", &["front.shifted"], "front.mean", &per_clip());
    graph.node("Sub", &["front.shifted", "front.mean"], "front.almost_centred", &[]);
    // What the first mean lost to rounding matters beside a small deviation.
    graph.node("ReduceMean", &["front.almost_centred"], "front.residue", &per_clip());
    graph.node("Sub", &["front.almost_centred", "front.residue"], "front.centred", &[]);
    graph.node("Mul", &["front.centred", "front.centred"], "front.centred_squares", &[]);
    graph.node("ReduceMean", &["front.centred_squares"], "front.variance", &per_clip());
    graph.node("Sqrt", &["front.variance"], "front.deviation", &[]);
    graph.node("Abs", &[levels], "front.sizes", &[]);
    graph.node("ReduceMax", &["front.sizes"], "front.largest", &per_clip());
    graph.node("Mul", &["front.largest", "front.smallest_share"], "front.still", &[]);
    let bounds = ["front.deviation", "front.still", "front.smallest_divisor"];
    graph.node("Max", &bounds, "front.divisor", &[]);
    graph.node("Div", &["front.centred", "front.divisor"], "front.normalised", &[]);
    "front.normalised"
}

fn floor_and_log(graph: &mut Graph, input: &str, floor: f32, output: &str) {
    graph.constant("front.floor", &[], &[floor]);
    graph.node("Max", &[input, "front.floor"], "front.floored", &[]);
    graph.node("Log", &["front.floored"], output, &[]);
}

fn per_clip() -> [(&'static str, Attribute); 2] {
    [("axes", Attribute::Ints(vec![1, 2])), ("keepdims", Attribute::Int(1))]
}

fn bins(params: &SpectrogramParams) -> usize {
    params.n_fft / 2 + 1
}

fn identity(size: usize) -> Vec<f32> {
    (0..size * size).map(|at| if at % (size + 1) == 0 { 1.0 } else { 0.0 }).collect()
}
