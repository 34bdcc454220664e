//! Inputs and results of a stage by value, as lines in the format of docs/reference/lock.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::json;

use crate::tree::Node;

pub type Outs = BTreeMap<String, Node>;

/// A trace: the fingerprint and the outs it led to.
#[derive(Debug)]
pub struct Trace {
    pub inputs: Inputs,
    pub outs: Outs,
    pub accepted: Option<String>,
}

/// A fingerprint: facts by line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// The lines before the deps.
    pub head: Vec<String>,
    pub deps: BTreeMap<String, Node>,
    pub params: BTreeMap<String, i64>,
    pub outs: BTreeSet<String>,
}

impl Inputs {
    fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.head {
            let _ = writeln!(text, "{line}");
        }
        for (path, node) in &self.deps {
            let _ = writeln!(text, "dep {} {path}", node.content());
        }
        for (key, value) in &self.params {
            let _ = writeln!(text, "param {key} {value}");
        }
        text
    }

    pub fn key(&self) -> String {
        let outs = self.outs.iter().map(|path| format!("out {path}\n"));
        blake3::hash((self.text() + &outs.collect::<String>()).as_bytes()).to_hex().to_string()
    }
}

impl Trace {
    /// Returns the outs that were not written.
    pub fn absent(&self) -> impl Iterator<Item = &String> {
        self.inputs.outs.iter().filter(|path| !self.outs.contains_key(*path))
    }

    pub fn text(&self) -> String {
        let mut text = self.inputs.text();
        for (path, node) in &self.outs {
            let _ = writeln!(text, "out {} {path}", node.content());
        }
        for path in self.absent() {
            let _ = writeln!(text, "absent {path}");
        }
        if let Some(reason) = &self.accepted {
            let _ = writeln!(text, "accepted {}", json!(reason));
        }
        text
    }
}

/// Returns the last line of a block of the lock with these lines.
pub fn checksum(lines: &str) -> String {
    format!("sum {}", &blake3::hash(lines.as_bytes()).to_hex()[..16])
}
