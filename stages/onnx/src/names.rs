//! Names of the inputs and outputs of a model, as `export` writes them.

/// Input, `[N, channels, height, width]`.
pub const INPUT: &str = "spectrograms";
/// Output before the softmax, `[N, classes]`.
pub const LOGITS: &str = "logits";
/// Output after the softmax, `[N, classes]`.
pub const PROBABILITIES: &str = "probabilities";
