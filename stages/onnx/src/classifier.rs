//! Runs a model file.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use inference::compiled::Compiled;
use inference::statistics;
use prost::bytes::Bytes;

use crate::interpreter::Interpreter;
use crate::metadata::Metadata;
use crate::recognise::recognise;

/// A loaded model.
#[derive(Debug)]
pub struct Classifier {
    runtime: Runtime,
    metadata: Metadata,
    input: [Option<usize>; 3],
}

/// Backend that runs the network.
#[derive(Debug)]
enum Runtime {
    /// Compiled plan, for the networks of this pipeline.
    Compiled(Compiled, Option<statistics::Classifier>),
    /// rten, for any other graph.
    Interpreted(Interpreter),
}

/// Outputs for a batch, each `[N, classes]` in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// Scores before the softmax.
    pub logits: Vec<f32>,
    /// Softmax of the scores. Each row sums to 1.
    pub probabilities: Vec<f32>,
}

impl Classifier {
    /// Loads the model at `path`.
    ///
    /// # Errors
    /// The file cannot be read; also the errors of [`Classifier::from_bytes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Classifier> {
        let path = path.as_ref();
        let shown = path.display();
        let bytes = std::fs::read(path)
            .with_context(|| format!("cannot read the model `{shown}`: `repro run` makes it"))?;
        Classifier::from_bytes(bytes).with_context(|| format!("`{shown}` is not a usable model"))
    }

    /// Loads a model from bytes. It is compiled if it is one of the networks of this pipeline.
    ///
    /// # Errors
    /// The errors of [`Classifier::by_operators`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Classifier> {
        // With `Bytes`, weights are not copied until they are packed.
        let bytes = Bytes::from(bytes);
        let Some(found) = recognise(bytes.clone()) else {
            return Classifier::by_operators(bytes.into());
        };
        let metadata =
            Metadata::from_properties(|key| found.properties.get(key).map(String::as_str))?;
        let runtime = Runtime::Compiled(found.network, found.statistics);
        Ok(Classifier { runtime, metadata, input: found.input })
    }

    /// Loads a model from bytes and runs it with rten.
    ///
    /// Slower than a compiled plan, but shares no code with [`inference`], so it can be used to
    /// check it.
    ///
    /// # Errors
    /// The bytes are not an ONNX model, the metadata are missing, or the input or outputs are not
    /// those of an exported model.
    pub fn by_operators(bytes: Vec<u8>) -> Result<Classifier> {
        let (interpreter, metadata) = Interpreter::from_bytes(bytes)?;
        let input = interpreter.input()?;
        Ok(Classifier { runtime: Runtime::Interpreted(interpreter), metadata, input })
    }

    /// Reports whether the network runs as a compiled plan.
    pub fn is_compiled(&self) -> bool {
        matches!(self.runtime, Runtime::Compiled(..))
    }

    /// Returns the properties of the model.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns channels, height and width of a clip; `None` for a length that is free.
    pub fn input(&self) -> [Option<usize>; 3] {
        self.input
    }

    /// Checks that the model accepts clips of this shape: channels, height and width.
    ///
    /// # Errors
    /// It does not. The message names the expected shape.
    pub fn check_input(&self, shape: [usize; 3]) -> Result<()> {
        let fits = shape
            .iter()
            .zip(self.input)
            .all(|(found, expected)| expected.is_none_or(|expected| *found == expected));
        let expected =
            self.input.map(|length| length.map_or("any".to_owned(), |length| length.to_string()));
        ensure!(
            fits && shape.iter().all(|length| *length > 0),
            "the shape is {shape:?}, but the model takes [{}]",
            expected.join(", ")
        );
        Ok(())
    }

    /// Runs the model on a batch of shape `[N, channels, height, width]`, with the values in C
    /// order.
    ///
    /// # Errors
    /// The values do not fit the shape, the outputs do not fit the labels, or the runtime fails;
    /// also the errors of [`Classifier::check_input`].
    pub fn run(&self, shape: [usize; 4], values: Vec<f32>) -> Result<Outputs> {
        let [count, channels, height, width] = shape;
        self.check_input([channels, height, width])?;
        ensure!(
            values.len() == shape.iter().product::<usize>(),
            "{} values do not make {count} clips of {channels}×{height}×{width}",
            values.len()
        );
        let classes = self.metadata.labels.len();
        let [logits, probabilities] = match &self.runtime {
            Runtime::Interpreted(interpreter) => interpreter.run(shape, values, classes)?,
            Runtime::Compiled(network, statistics) => {
                ensure!(
                    network.accepts([height, width]),
                    "clips of {height}×{width} are too small for the model"
                );
                let mut logits = network.run(&values, [height, width]);
                ensure!(
                    logits.len() == count * classes,
                    "it must have {classes} outputs, one per label"
                );
                if let Some(statistics) = statistics {
                    statistics.add_to(&mut logits, &values);
                }
                let probabilities = logits.chunks(classes.max(1)).flat_map(softmax).collect();
                [logits, probabilities]
            }
        };
        Ok(Outputs { logits, probabilities })
    }
}

/// Softmax of one row.
fn softmax(scores: &[f32]) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut shares: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}
