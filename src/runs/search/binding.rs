//! SQL of tests with bound values.

use rusqlite::types::Value as Bound;

use crate::filter::{Case, Op, Test, Value};

/// The values that are bound in a query.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    pub(super) values: Vec<Bound>,
}

impl Bindings {
    /// Binds a value and returns its placeholder.
    pub(super) fn bind(&mut self, value: impl Into<Bound>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Returns the condition that `expression` passes `test`, where NULL stands for something that
    /// differs from every number.
    pub(super) fn differing_nan(&mut self, expression: &str, test: &Test) -> String {
        match test {
            Test::Compare(Op::Ne, value) => {
                let value = self.bound(value);
                format!("({expression}) IS NOT {value}")
            }
            test => self.test(expression, test),
        }
    }

    /// Returns the condition that `expression` passes `test`.
    pub(super) fn test(&mut self, expression: &str, test: &Test) -> String {
        let mut list = |values: &[Value]| {
            values.iter().map(|value| self.bound(value)).collect::<Vec<_>>().join(", ")
        };
        match test {
            Test::In(values) => format!("({expression}) IN ({})", list(values)),
            Test::NotIn(values) => format!("({expression}) NOT IN ({})", list(values)),
            Test::Compare(op, value) => {
                let value = self.bound(value);
                format!("({expression}) {} {value}", op.symbol())
            }
            Test::Like(Case::Ignored, pattern) => {
                let pattern = self.bind(pattern.clone());
                format!("({expression}) LIKE {pattern}")
            }
            Test::Like(Case::Sensitive, pattern) => {
                let pattern = self.bind(glob(pattern));
                format!("({expression}) GLOB {pattern}")
            }
            Test::Null => format!("({expression}) IS NULL"),
            Test::NotNull => format!("({expression}) IS NOT NULL"),
        }
    }

    /// Binds a value and returns the expression for it.
    pub(super) fn bound(&mut self, value: &Value) -> String {
        match value {
            Value::Number(number) => self.bind(*number),
            Value::Text(text) => self.bind(text.clone()),
            Value::Time(time) => {
                let time = self.bind(time.clone());
                format!("unixepoch({time}, 'utc') * 1000")
            }
            Value::Duration(duration) => {
                self.bind(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

/// Translates a pattern of LIKE to one of GLOB, which is case-sensitive.
fn glob(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '%' => text.push('*'),
            '_' => text.push('?'),
            '*' | '?' | '[' => text.extend(['[', c, ']']),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_glob() {
        for (pattern, expected) in
            [("re%", "re*"), ("a_b", "a?b"), ("*?[x]", "[*][?][[]x]"), ("", ""), ("é%", "é*")]
        {
            assert_eq!(glob(pattern), expected);
        }
    }
}
