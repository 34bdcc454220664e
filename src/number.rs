//! Numbers that stages report: doubles, and integers that no double represents. Pure.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

/// A number as a stage reported it, without rounding.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(Kind);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Double(f64),
    /// Between the smallest `i64` and the largest `u64`. No double equals it, so each number has
    /// one form.
    Integer(i128),
}

/// Every integer is a double up to here, 2^53.
const EXACT: i128 = 1 << 53;

impl Number {
    pub const NAN: Number = Number(Kind::Double(f64::NAN));

    /// Returns the nearest double.
    pub fn to_f64(self) -> f64 {
        match self.0 {
            Kind::Double(double) => double,
            Kind::Integer(integer) => integer as f64,
        }
    }

    /// Returns the integer, if this is one and its size is below 2^64.
    pub fn integer(self) -> Option<i128> {
        match self.0 {
            Kind::Integer(integer) => Some(integer),
            Kind::Double(double) => {
                let is_small = double.fract() == 0.0 && double.abs() < 2f64.powi(64);
                is_small.then_some(double as i128)
            }
        }
    }

    /// Returns the integer if no double equals it.
    pub fn beyond_f64(self) -> Option<i128> {
        match self.0 {
            Kind::Integer(integer) => Some(integer),
            Kind::Double(_) => None,
        }
    }

    pub fn is_nan(self) -> bool {
        self.to_f64().is_nan()
    }

    pub fn is_finite(self) -> bool {
        self.to_f64().is_finite()
    }

    /// Reports whether two numbers are equal; NaN equals NaN.
    pub fn same(self, other: Number) -> bool {
        self == other || (self.is_nan() && other.is_nan())
    }

    /// Returns `self - other`: exact between integers, 0 between equal infinities and two NaN.
    pub fn minus(self, other: Number) -> Number {
        match (self.integer(), other.integer()) {
            _ if self.same(other) => Number::from(0.0),
            (Some(a), Some(b)) => Number::from(a - b),
            _ => Number::from(self.to_f64() - other.to_f64()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        match (self.integer(), other.integer()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            // Rounding to a double keeps the order.
            _ => self.to_f64().partial_cmp(&other.to_f64()),
        }
    }
}

impl From<f64> for Number {
    fn from(double: f64) -> Number {
        Number(Kind::Double(double))
    }
}

/// An integer that does not fit in 64 bits becomes the nearest double.
impl From<i128> for Number {
    fn from(integer: i128) -> Number {
        let fits = (i64::MIN.into()..=u64::MAX.into()).contains(&integer);
        let is_double = integer.abs() <= EXACT || integer as f64 as i128 == integer;
        Number(if fits && !is_double {
            Kind::Integer(integer)
        } else {
            Kind::Double(integer as f64)
        })
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Double(double) => fmt::Debug::fmt(&double, f),
            Kind::Integer(integer) => fmt::Debug::fmt(&integer, f),
        }
    }
}

/// JSON has no NaN and no infinities: these become the strings `NaN`, `Infinity` and `-Infinity`.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Kind::Double(double) if double.is_nan() => s.serialize_str("NaN"),
            Kind::Double(f64::INFINITY) => s.serialize_str("Infinity"),
            Kind::Double(f64::NEG_INFINITY) => s.serialize_str("-Infinity"),
            Kind::Double(double) => s.serialize_f64(double),
            Kind::Integer(integer) => match u64::try_from(integer) {
                Ok(integer) => s.serialize_u64(integer),
                Err(_) => s.serialize_i64(integer as i64),
            },
        }
    }
}

/// Serializes a number that is not finite as `null`.
pub fn finite_or_null<S: Serializer>(number: &Number, s: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() { number.serialize(s) } else { s.serialize_none() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_exact() {
        let max = i128::from(u64::MAX);
        for integer in [0, -7, EXACT, EXACT + 1, i64::MIN.into(), i64::MAX.into(), max] {
            let number = Number::from(integer);
            assert_eq!(number.integer(), Some(integer));
            assert_eq!(serde_json::to_string(&number).unwrap().parse(), Ok(number.to_f64()));
        }
        assert_eq!(Number::from(max + 2).to_f64(), 2f64.powi(64));
        assert_eq!(Number::from(EXACT), Number::from(2f64.powi(53)));
    }

    #[test]
    fn number_json() {
        let values = [0.5, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Number::from);
        let json = serde_json::to_string(&values).unwrap();
        assert_eq!(json, r#"[0.5,2.0,"NaN","Infinity","-Infinity"]"#);
        let integers = [EXACT + 1, -EXACT - 1, u64::MAX.into()].map(Number::from);
        let json = serde_json::to_string(&integers).unwrap();
        assert_eq!(json, "[9007199254740993,-9007199254740993,18446744073709551615]");
    }

    proptest! {
        #[test]
        fn order_of_integers(a in any::<i64>(), b in any::<u64>(), near in -3i128..3) {
            let (a, b) = (i128::from(a), i128::from(b));
            for (a, b) in [(a, b), (a, a + near), (b, b + near)] {
                let (x, y) = (Number::from(a), Number::from(b));
                if x.integer() == Some(a) && y.integer() == Some(b) {
                    prop_assert_eq!(x.partial_cmp(&y), Some(a.cmp(&b)));
                    prop_assert_eq!(x.same(y), a == b);
                    prop_assert_eq!(x.minus(y), Number::from(a - b));
                }
            }
        }
    }
}
