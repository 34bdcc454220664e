//! Converts the operators of a model file to a [`Plan`], if they are those of one.
//!
//! Graphs that are not exactly the arithmetic of a plan, and invalid files, are not recognised:
//! they are left to [`crate::interpreter`], which runs any graph and reports the errors. Values
//! that may still be folded are removed from the table when an operator reads them, so each has a
//! single reader; only feature maps can have several. Does not know about labels or how a plan is
//! computed.

use std::collections::{BTreeMap, BTreeSet};

use inference::compiled::Compiled;
use inference::plan::{
    Affine, Convolution, FeatureMapId, Head, Linear, NO_ACTIVATION, Plan, Pooling, Term,
};
use inference::statistics::Classifier;
use prost::Message as _;
use prost::bytes::Bytes;

use crate::graph::{Attribute, OPSET};
use crate::names::{INPUT, LOGITS, PROBABILITIES};
use crate::proto::{
    ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS, FLOAT, ModelProto, NodeProto, TensorProto,
    ValueInfoProto,
};
use crate::statistics::STATISTICS_LOGITS;

/// Limit for the number of channels, since it alone determines the size of an allocation.
const MAX_CHANNELS: usize = 1024;
/// Largest kernel, stride and padding that compiled plans are tested with.
const MAX_KERNEL_STRIDE_PADDING: [usize; 3] = [5, 3, 2];

/// A compiled network with the properties of its file.
pub(crate) struct Recognised {
    pub(crate) network: Compiled,
    /// Adds its logits to those of the network.
    pub(crate) statistics: Option<Classifier>,
    /// Channels, height and width of a clip; `None` for a length that is free.
    pub(crate) input: [Option<usize>; 3],
    pub(crate) properties: BTreeMap<String, String>,
}

/// Compiles the network of an ONNX file; `None` if it is not one that can be compiled.
pub(crate) fn recognise(bytes: Bytes) -> Option<Recognised> {
    let model = ModelProto::decode(bytes).ok()?;
    let [opset] = &model.opset_import[..] else { return None };
    let standard = opset.domain.as_deref().unwrap_or_default().is_empty() && opset.version == OPSET;
    let graph = model.graph.as_ref().filter(|_| standard)?;
    let [clips] = &graph.input[..] else { return None };
    let input = input(clips)?;
    let mut constants = BTreeMap::new();
    for tensor in &graph.initializer {
        if constants.insert(tensor.name.as_str(), tensor).is_some() {
            return None;
        }
    }
    let mut reader = Reader::new(constants, input)?;
    let (statistics, nodes) = reader.statistics(&graph.node, input[1])?;
    for node in nodes {
        reader.read(node)?;
    }
    if !reader.complete {
        return None;
    }
    let network = Compiled::new(&reader.plan);
    // If a fixed clip size is invalid, rten reports the error.
    if reader.clip.is_some_and(|size| !network.accepts(size)) {
        return None;
    }
    let mut properties = BTreeMap::new();
    for property in model.metadata_props {
        if properties.insert(property.key, property.value).is_some() {
            return None;
        }
    }
    Some(Recognised { network, statistics, input, properties })
}

/// Returns the dimensions of the input after the batch dimension.
fn input(clips: &ValueInfoProto) -> Option<[Option<usize>; 3]> {
    let tensor = clips.r#type.as_ref()?.tensor_type.as_ref()?;
    let [batch, channels, height, width] = &tensor.shape.as_ref()?.dim[..] else { return None };
    let usable = clips.name == INPUT && tensor.elem_type == FLOAT && batch.dim_value.is_none();
    let mut lengths = [None; 3];
    for (length, dim) in lengths.iter_mut().zip([channels, height, width]) {
        *length = match dim.dim_value {
            Some(value) => Some(usize::try_from(value).ok().filter(|length| *length > 0)?),
            None => None,
        };
    }
    usable.then_some(lengths)
}

/// Value of a name in the graph.
enum Value {
    /// The unchanged input.
    Clip,
    /// A feature map of the plan.
    FeatureMap(FeatureMapId),
    /// A convolution that is not in the plan yet, so that later operators can be folded into it.
    Sum(Convolution),
    /// Mean of each channel of the last feature map.
    Means,
    /// A vector of this length: the output of the head or of the last linear layer.
    Row(usize),
    /// A vector plus the logits of the statistics.
    Total,
}

/// Builds a plan from operators, one by one.
struct Reader<'a> {
    constants: BTreeMap<&'a str, &'a TensorProto>,
    values: BTreeMap<&'a str, Value>,
    /// Number of logits of the statistics, until they are added.
    statistics: Option<usize>,
    /// All names defined so far.
    names: BTreeSet<&'a str>,
    plan: Plan,
    /// Height and width of a clip, if the file fixes them.
    clip: Option<[usize; 2]>,
    /// Set when the softmax has been read.
    complete: bool,
}

impl<'a> Reader<'a> {
    fn new(
        constants: BTreeMap<&'a str, &'a TensorProto>,
        input: [Option<usize>; 3],
    ) -> Option<Reader<'a>> {
        let [channels, height, width] = input;
        let channels = channels.filter(|channels| *channels <= MAX_CHANNELS)?;
        let mut names: BTreeSet<&str> = constants.keys().copied().collect();
        let plan = Plan {
            input: vec![Affine { factor: 1.0, shift: 0.0 }; channels],
            convolutions: Vec::new(),
            head: Head::Mean,
            linears: Vec::new(),
        };
        let values = BTreeMap::from([(INPUT, Value::Clip)]);
        let clip = height.zip(width).map(|(height, width)| [height, width]);
        names.insert(INPUT).then_some(Reader {
            constants,
            values,
            statistics: None,
            names,
            plan,
            clip,
            complete: false,
        })
    }

    /// Reads an operator; `None` if a plan cannot have it at this point.
    fn read(&mut self, node: &'a NodeProto) -> Option<()> {
        let [output] = &node.output[..] else { return None };
        if !node.domain.is_empty() || !self.names.insert(output) {
            return None;
        }
        let inputs: Vec<&'a str> = node.input.iter().map(String::as_str).collect();
        let attributes = attributes(node)?;
        let value = match (node.op_type.as_str(), &inputs[..], &attributes[..]) {
            (
                "Conv",
                [x, weight, bias @ ..],
                [
                    ("kernel_shape", Attribute::Ints(kernel)),
                    ("pads", Attribute::Ints(pads)),
                    ("strides", Attribute::Ints(strides)),
                ],
            ) => self.convolution(x, weight, bias, [kernel, pads, strides])?,
            ("BatchNormalization", [x, parts @ ..], [("epsilon", Attribute::Float(epsilon))]) => {
                self.norm(x, parts, *epsilon)?
            }
            ("LeakyRelu", [x], [("alpha", Attribute::Float(alpha))]) => {
                self.activation(x, *alpha)?
            }
            ("Relu", [x], []) => self.activation(x, 0.0)?,
            (
                "MaxPool",
                [x],
                [("kernel_shape", Attribute::Ints(kernel)), ("strides", Attribute::Ints(strides))],
            ) if kernel == &[2, 2] && strides == &[2, 2] => self.pool(x)?,
            ("Add", [one, other], []) => self.sum(one, other)?,
            ("GlobalAveragePool", [x], []) => self.means(x)?,
            ("Flatten", [x], [("axis", Attribute::Int(1))]) => self.flatten(x)?,
            ("Gemm", [x, weight, bias], [("transB", Attribute::Int(0))]) => {
                self.linear(x, weight, bias)?
            }
            ("Softmax", [x], [("axis", Attribute::Int(-1))]) => return self.softmax(x, output),
            _ => return None,
        };
        self.values.insert(output, value);
        Some(())
    }

    fn convolution(
        &mut self,
        x: &'a str,
        weight: &str,
        bias: &[&str],
        [kernel, pads, strides]: [&[i64]; 3],
    ) -> Option<Value> {
        let from = self.feature_map(x)?;
        let (shape, weight) = self.constant::<4>(weight)?;
        let bias = match bias {
            [] => vec![0.0; shape[0]],
            [bias] => self.per_channel(bias, shape[0])?,
            _ => return None,
        };
        let ([padding, stride], [height, width]) =
            ([all_equal::<4>(pads)?, all_equal::<2>(strides)?], [shape[2], shape[3]]);
        let fits = self.channels(from) == shape[1]
            && kernel
                .iter()
                .map(|side| usize::try_from(*side).ok())
                .eq([Some(height), Some(width)])
            && stride > 0
            && [height.max(width), stride, padding]
                .iter()
                .zip(MAX_KERNEL_STRIDE_PADDING)
                .all(|(found, widest)| *found <= widest);
        let term = Term { from, weight, shape, stride, padding };
        let sum =
            Convolution { terms: vec![term], bias, slope: NO_ACTIVATION, pooling: Pooling::None };
        fits.then_some(Value::Sum(sum))
    }

    fn norm(&mut self, x: &str, parts: &[&str], epsilon: f32) -> Option<Value> {
        let [weight, bias, mean, variance] = parts else { return None };
        let (_, weight) = self.constant::<1>(weight)?;
        let part = |name| self.per_channel(name, weight.len());
        let (bias, mean, variance) = (part(bias)?, part(mean)?, part(variance)?);
        let channel = |at: usize| {
            Affine::from_batch_norm(
                [weight[at], bias[at], mean[at], variance[at]],
                f64::from(epsilon),
            )
        };
        let channels: Vec<Affine> = (0..weight.len()).map(channel).collect();
        let finite =
            channels.iter().all(|channel| channel.factor.is_finite() && channel.shift.is_finite());
        if !finite {
            return None;
        }
        match self.values.remove(x)? {
            Value::Clip if channels.len() == self.plan.input.len() => {
                self.plan.input = channels;
                Some(Value::FeatureMap(FeatureMapId(0)))
            }
            Value::Sum(mut sum)
                if sum.slope == NO_ACTIVATION && sum.bias.len() == channels.len() =>
            {
                for term in &mut sum.terms {
                    let rows = term.weight.chunks_exact_mut(term.shape[1..].iter().product());
                    rows.zip(&channels).for_each(|(row, channel)| {
                        row.iter_mut().for_each(|value| *value *= channel.factor);
                    });
                }
                sum.bias
                    .iter_mut()
                    .zip(&channels)
                    .for_each(|(bias, channel)| *bias = channel.apply(*bias));
                Some(Value::Sum(sum))
            }
            Value::Row(count) if channels.len() == count => {
                let layer =
                    self.plan.linears.last_mut().filter(|layer| layer.slope == NO_ACTIVATION)?;
                for row in layer.weight.chunks_exact_mut(count) {
                    row.iter_mut()
                        .zip(&channels)
                        .for_each(|(value, channel)| *value *= channel.factor);
                }
                layer
                    .bias
                    .iter_mut()
                    .zip(&channels)
                    .for_each(|(bias, channel)| *bias = channel.apply(*bias));
                Some(Value::Row(count))
            }
            _ => None,
        }
    }

    fn activation(&mut self, x: &str, slope: f32) -> Option<Value> {
        let mut value = self.values.remove(x)?;
        let current = match &mut value {
            Value::Sum(sum) => &mut sum.slope,
            Value::Row(_) => &mut self.plan.linears.last_mut()?.slope,
            _ => return None,
        };
        let usable = *current == NO_ACTIVATION && (0.0..=NO_ACTIVATION).contains(&slope);
        *current = slope;
        usable.then_some(value)
    }

    fn pool(&mut self, x: &str) -> Option<Value> {
        let Value::Sum(sum) = self.values.remove(x)? else { return None };
        self.plan.convolutions.push(Convolution { pooling: Pooling::Max2x2, ..sum });
        Some(Value::FeatureMap(self.plan.last()))
    }

    fn sum(&mut self, one: &str, other: &str) -> Option<Value> {
        let one = self.values.remove(one)?;
        if let (Value::Row(count), STATISTICS_LOGITS) = (&one, other) {
            return (self.statistics.take() == Some(*count)).then_some(Value::Total);
        }
        let (Value::Sum(mut one), Value::Sum(other)) = (one, self.values.remove(other)?) else {
            return None;
        };
        let mergeable =
            [one.slope, other.slope] == [NO_ACTIVATION; 2] && one.bias.len() == other.bias.len();
        one.terms.extend(other.terms);
        one.bias.iter_mut().zip(other.bias).for_each(|(one, other)| *one += other);
        mergeable.then_some(Value::Sum(one))
    }

    fn means(&mut self, x: &'a str) -> Option<Value> {
        let last = self.feature_map(x)? == self.plan.last();
        // No more convolutions can follow the head.
        self.values.clear();
        last.then_some(Value::Means)
    }

    fn flatten(&mut self, x: &'a str) -> Option<Value> {
        if let Some(Value::Means) = self.values.get(x) {
            self.values.clear();
            return Some(Value::Row(self.channels(self.plan.last())));
        }
        let Value::Means = self.means(x)? else { return None };
        let [height, width] = *self.plan.sizes(self.clip?)?.last()?;
        self.plan.head = Head::Flatten([height, width]);
        Some(Value::Row(self.channels(self.plan.last()).checked_mul(height)?.checked_mul(width)?))
    }

    fn linear(&mut self, x: &str, weight: &str, bias: &str) -> Option<Value> {
        let Value::Row(count) = self.values.remove(x)? else { return None };
        let ([inputs, outputs], weight) = self.constant::<2>(weight)?;
        let bias = self.per_channel(bias, outputs)?;
        self.plan.linears.push(Linear { weight, bias, slope: NO_ACTIVATION });
        (inputs == count).then_some(Value::Row(outputs))
    }

    fn softmax(&mut self, x: &str, output: &str) -> Option<()> {
        let (Value::Row(_) | Value::Total) = self.values.remove(x)? else { return None };
        self.complete = self.statistics.is_none();
        // Without a linear layer, nothing verifies the length of the row.
        ([x, output] == [LOGITS, PROBABILITIES] && !self.plan.linears.is_empty()).then_some(())
    }

    /// Returns the feature map of this name. From now on nothing can be folded into it.
    fn feature_map(&mut self, name: &'a str) -> Option<FeatureMapId> {
        let id = match self.values.remove(name)? {
            Value::Clip => FeatureMapId(0),
            Value::FeatureMap(id) => id,
            Value::Sum(sum) => {
                self.plan.convolutions.push(sum);
                self.plan.last()
            }
            Value::Means | Value::Row(_) | Value::Total => return None,
        };
        self.values.insert(name, Value::FeatureMap(id));
        Some(id)
    }

    fn channels(&self, FeatureMapId(id): FeatureMapId) -> usize {
        match id.checked_sub(1) {
            None => self.plan.input.len(),
            Some(index) => self.plan.convolutions[index].bias.len(),
        }
    }

    fn per_channel(&self, name: &str, count: usize) -> Option<Vec<f32>> {
        let ([found], values) = self.constant::<1>(name)?;
        (found == count).then_some(values)
    }

    /// Returns shape and values of a constant; `None` if they do not match or are not all finite.
    fn constant<const D: usize>(&self, name: &str) -> Option<([usize; D], Vec<f32>)> {
        let tensor = self.constants.get(name).filter(|tensor| tensor.data_type == FLOAT)?;
        let (values, rest) = tensor.raw_data.as_chunks();
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let lengths: Vec<usize> =
            tensor.dims.iter().filter_map(|dim| usize::try_from(*dim).ok()).collect();
        let shape: [usize; D] = lengths.try_into().ok().filter(|_| tensor.dims.len() == D)?;
        let count = shape.iter().try_fold(1usize, |count, length| count.checked_mul(*length))?;
        let usable = count > 0 && count == values.len() && rest.is_empty();
        (usable && values.iter().all(|value| value.is_finite())).then_some((shape, values))
    }
}

/// Returns the attributes sorted by name; `None` if one has another type.
fn attributes(node: &NodeProto) -> Option<Vec<(&str, Attribute)>> {
    let attribute = |attribute: &crate::proto::AttributeProto| {
        Some(match attribute.r#type {
            ATTRIBUTE_INT => Attribute::Int(attribute.i?),
            ATTRIBUTE_FLOAT => Attribute::Float(attribute.f?),
            ATTRIBUTE_INTS => Attribute::Ints(attribute.ints.clone()),
            _ => return None,
        })
    };
    let all = node.attribute.iter().map(|found| Some((found.name.as_str(), attribute(found)?)));
    let mut all: Vec<_> = all.collect::<Option<_>>()?;
    all.sort_by_key(|(name, _)| *name);
    Some(all)
}

/// Returns the common value of `D` equal lengths.
fn all_equal<const D: usize>(lengths: &[i64]) -> Option<usize> {
    let [first, ..] = lengths else { return None };
    (lengths == [*first; D]).then(|| usize::try_from(*first).ok())?
}

mod statistics;
#[cfg(test)]
mod tests;
