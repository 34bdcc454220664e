//! The values of a data file, and the faults that keep it from being read.

/// A value in a data file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    /// Entries in the order of the file; a key may occur twice.
    Table(Vec<(String, Value)>),
}

/// The reason that a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line in the file, counted from 1.
    pub line: Option<usize>,
    pub what: String,
    pub hint: Option<String>,
}

impl Fault {
    pub(super) fn new(line: Option<usize>, what: impl Into<String>) -> Fault {
        Fault { line, what: what.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

/// Maximum depth of nested lists and tables.
pub(super) const MAX_DEPTH: usize = 64;

/// Returns the depth of nesting. The parsers limit it, so recursion is safe.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Table(entries) => {
            1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

pub(super) fn too_deep(line: Option<usize>) -> Fault {
    Fault::new(line, format!("values are nested deeper than {MAX_DEPTH} levels"))
}

/// Reads the name of a number that is not finite: `NaN`, `-Infinity`, `inf`, in any case.
pub fn not_finite(name: &str) -> Option<f64> {
    let (sign, name) = match name.strip_prefix('-') {
        Some(name) => (-1.0, name),
        None => (1.0, name.strip_prefix('+').unwrap_or(name)),
    };
    if name.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let is_infinity = ["inf", "infinity"].iter().any(|word| name.eq_ignore_ascii_case(word));
    is_infinity.then_some(sign * f64::INFINITY)
}
