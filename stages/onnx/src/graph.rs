//! Builds a model and encodes it as an ONNX file.
//!
//! Nothing in the file depends on the time or the machine. Does not know which layers a network
//! has.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::proto::{
    ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS, ATTRIBUTE_STRING, AttributeProto,
    DimensionProto, FLOAT, GraphProto, INT64, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// Version of the file format.
const IR_VERSION: i64 = 8;
/// Version of the operator set.
pub(crate) const OPSET: i64 = 17;

/// Length of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A free length, equal for all dimensions of this name.
    Symbol(&'static str),
    /// A fixed length.
    Size(usize),
}

/// Value of an operator attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Integer.
    Int(i64),
    /// Float.
    Float(f32),
    /// List of integers.
    Ints(Vec<i64>),
    /// String.
    Text(&'static str),
}

/// Graph of operators in execution order. Inputs and outputs are 32-bit floats.
#[derive(Clone, Debug)]
pub struct Graph {
    proto: GraphProto,
}

impl Graph {
    /// Creates an empty graph.
    pub fn new(name: &str) -> Graph {
        Graph { proto: GraphProto { name: name.to_owned(), ..GraphProto::default() } }
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, shape: &[Dim]) {
        self.proto.input.push(value_info(name, shape));
    }

    /// Declares the result of an operator as an output.
    pub fn output(&mut self, name: &str, shape: &[Dim]) {
        self.proto.output.push(value_info(name, shape));
    }

    /// Adds a constant with `values` in C order.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|length| *length as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }

    /// Adds a constant list of integers, which some operators need for lengths and axes.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        self.proto.initializer.push(TensorProto {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }

    /// Adds a standard ONNX operator with one output. The operator and its output are named
    /// `output`.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            domain: String::new(),
        });
    }

    /// Returns the constants and the operators.
    pub(crate) fn parts(&self) -> (&[TensorProto], &[NodeProto]) {
        (&self.proto.initializer, &self.proto.node)
    }

    /// Encodes the file, with `metadata` as its properties.
    pub fn encode(self, metadata: &BTreeMap<&str, String>) -> Vec<u8> {
        let properties = metadata.iter().map(|(key, value)| StringStringEntryProto {
            key: (*key).to_owned(),
            value: value.clone(),
        });
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "repro".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.proto),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: OPSET }],
            metadata_props: properties.collect(),
        };
        model.encode_to_vec()
    }
}

fn value_info(name: &str, shape: &[Dim]) -> ValueInfoProto {
    let dim = shape.iter().map(|dim| match dim {
        Dim::Symbol(name) => {
            DimensionProto { dim_value: None, dim_param: Some((*name).to_owned()) }
        }
        Dim::Size(length) => DimensionProto { dim_value: Some(*length as i64), dim_param: None },
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let empty = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match value {
        Attribute::Int(value) => AttributeProto { i: Some(*value), r#type: ATTRIBUTE_INT, ..empty },
        Attribute::Float(value) => {
            AttributeProto { f: Some(*value), r#type: ATTRIBUTE_FLOAT, ..empty }
        }
        Attribute::Text(word) => {
            AttributeProto { s: Some(word.as_bytes().to_vec()), r#type: ATTRIBUTE_STRING, ..empty }
        }
        Attribute::Ints(values) => {
            AttributeProto { ints: values.clone(), r#type: ATTRIBUTE_INTS, ..empty }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_and_integer_encoding() {
        let found = attribute("m", &Attribute::Text("abc")).encode_to_vec();
        assert_eq!(found, b"\x0a\x01m\x22\x03abc\xa0\x01\x03");
        let mut graph = Graph::new("");
        graph.integers("n", &[1, -1]);
        let expected =
            b"\x08\x02\x10\x07\x42\x01n\x4a\x10\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(graph.proto.initializer[0].encode_to_vec(), expected);
    }

    /// Compares with the wire format field by field, to detect wrong tags.
    #[test]
    fn small_model_encoding() {
        let mut graph = Graph::new("g");
        graph.constant("w", &[1], &[1.0]);
        graph.node(
            "Op",
            &["w"],
            "y",
            &[("a", Attribute::Int(0)), ("p", Attribute::Ints(vec![2, 0]))],
        );
        graph.output("y", &[Dim::Symbol("N"), Dim::Size(3)]);
        let node = b"\x0a\x01w\x12\x01y\x1a\x01y\x22\x02Op\x2a\x08\x0a\x01a\x18\x00\xa0\x01\x02\
            \x2a\x0a\x0a\x01p\x40\x02\x40\x00\xa0\x01\x07";
        let weight = b"\x08\x01\x10\x01\x42\x01w\x4a\x04\x00\x00\x80\x3f";
        let output = b"\x0a\x01y\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01N\x0a\x02\x08\x03";
        let mut expected = vec![0x0a, node.len() as u8];
        expected.extend_from_slice(node);
        expected.extend_from_slice(b"\x12\x01g\x2a");
        expected.push(weight.len() as u8);
        expected.extend_from_slice(weight);
        expected.extend_from_slice(&[0x62, output.len() as u8]);
        expected.extend_from_slice(output);
        assert_eq!(graph.proto.encode_to_vec(), expected);
    }
}
