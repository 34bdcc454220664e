//! Running a model file.
//!
//! Knows nothing about where its inputs come from.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use judge::compiled::Compiled;
use prost::bytes::Bytes;

use crate::metadata::Metadata;
use crate::operators::Operators;
use crate::recognise::recognise;

/// The name of the input, `[N, channels, height, width]`.
pub const INPUT: &str = "spectrograms";
/// The name of the output before the softmax, `[N, classes]`.
pub const LOGITS: &str = "logits";
/// The name of the output after it, `[N, classes]`.
pub const PROBABILITIES: &str = "probabilities";

/// A model that is ready to run.
#[derive(Debug)]
pub struct Classifier {
    runtime: Runtime,
    metadata: Metadata,
    input: [Option<usize>; 3],
}

/// What computes the answers.
#[derive(Debug)]
enum Runtime {
    /// The whole network at once.
    Compiled(Compiled),
    /// One operator after the other: any graph.
    Operators(Operators),
}

/// What a model says of a batch: a row of as many values as labels for each clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// The scores before the softmax.
    pub logits: Vec<f32>,
    /// The scores as probabilities; each row sums to 1.
    pub probabilities: Vec<f32>,
}

impl Classifier {
    /// The model in the file at `path`.
    ///
    /// # Errors
    /// No such file; as [`Classifier::from_bytes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Classifier> {
        let path = path.as_ref();
        let shown = path.display();
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the model `{shown}`: `repro run` makes it"))?;
        Classifier::from_bytes(bytes).with_context(|| format!("`{shown}` is not a usable model"))
    }

    /// The model in these bytes: compiled, where its operators are those of a network of this pipeline.
    ///
    /// # Errors
    /// As [`Classifier::by_operators`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Classifier> {
        // Weights are shared with the file's bytes until they are packed, not copied.
        let bytes = Bytes::from(bytes);
        let Some(found) = recognise(bytes.clone()) else {
            return Classifier::by_operators(bytes.into());
        };
        let metadata =
            Metadata::from_properties(|key| found.properties.get(key).map(String::as_str))?;
        Ok(Classifier { runtime: Runtime::Compiled(found.network), metadata, input: found.input })
    }

    /// The model in these bytes, run operator by operator: slower, and by none of the code that networks judge with.
    ///
    /// # Errors
    /// Bytes that are no ONNX model, that lack the metadata, or whose input and outputs are not those of a
    /// model that `export` wrote.
    pub fn by_operators(bytes: Vec<u8>) -> Result<Classifier> {
        let (operators, metadata) = Operators::from_bytes(bytes)?;
        let input = operators.input()?;
        Ok(Classifier { runtime: Runtime::Operators(operators), metadata, input })
    }

    /// Whether the network was recognised, and runs at once.
    pub fn is_compiled(&self) -> bool {
        matches!(self.runtime, Runtime::Compiled(_))
    }

    /// What the file says beside the network.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The lengths of a clip that the model takes: channels, height and width; none where it takes any.
    pub fn input(&self) -> [Option<usize>; 3] {
        self.input
    }

    /// Whether the model takes clips of this shape: channels, height and width.
    ///
    /// # Errors
    /// It does not; the message says what it takes.
    pub fn check_input(&self, shape: [usize; 3]) -> Result<()> {
        let fits = shape
            .iter()
            .zip(self.input)
            .all(|(found, asked)| asked.is_none_or(|asked| *found == asked));
        let asked =
            self.input.map(|length| length.map_or("any".to_owned(), |length| length.to_string()));
        ensure!(
            fits && shape.iter().all(|length| *length > 0),
            "the shape is {shape:?}, but the model takes [{}]",
            asked.join(", ")
        );
        Ok(())
    }

    /// Runs the model on a batch of clips: their number, channels, height and width, and the values in C order.
    ///
    /// # Errors
    /// As [`Classifier::check_input`]; values that do not fit the shape; outputs that do not fit the labels; a
    /// failure of the runtime.
    pub fn run(&self, shape: [usize; 4], values: Vec<f32>) -> Result<Outputs> {
        let [count, channels, height, width] = shape;
        self.check_input([channels, height, width])?;
        ensure!(
            values.len() == shape.iter().product::<usize>(),
            "{} values are not {count} clips of {channels}×{height}×{width}",
            values.len()
        );
        let classes = self.metadata.labels.len();
        let [logits, probabilities] = match &self.runtime {
            Runtime::Operators(operators) => operators.run(shape, values, classes)?,
            Runtime::Compiled(network) => {
                ensure!(
                    network.takes([height, width]),
                    "clips of {height}×{width} are too small for the model"
                );
                let logits = network.run(&values, [height, width]);
                ensure!(
                    logits.len() == count * classes,
                    "its outputs are not {classes}, as many as its labels"
                );
                let probabilities = logits.chunks(classes.max(1)).flat_map(softmax).collect();
                [logits, probabilities]
            }
        };
        Ok(Outputs { logits, probabilities })
    }
}

/// Scores as shares, which sum to 1.
fn softmax(scores: &[f32]) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut shares: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}
