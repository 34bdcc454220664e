//! Numbers as text, for tables and for lines of a run. Pure.
//!
//! A rounded number never looks like a whole one, and numbers that stand side by side look
//! different if they are.

use std::collections::HashMap;

use crate::number::Number;

/// Significant decimals, unless more are needed.
const DECIMALS: usize = 4;
/// With so many digits, each double has a text of its own.
const ALL_DECIMALS: usize = 17;

/// Formats a number for comparison by eye: integers in full, other numbers with up to four
/// significant decimals, very large and very small ones as `1.234e-7`.
pub fn number(value: Number) -> String {
    with_decimals(value, DECIMALS)
}

/// Formats numbers that stand side by side: different numbers get as many decimals as their texts
/// need to differ.
pub fn numbers(values: &[Number]) -> Vec<String> {
    let mut decimals = vec![DECIMALS; values.len()];
    loop {
        let texts: Vec<String> =
            values.iter().zip(&decimals).map(|(value, &n)| with_decimals(*value, n)).collect();
        let mut by_meaning: HashMap<Meaning, Vec<usize>> = HashMap::new();
        for (at, text) in texts.iter().enumerate() {
            by_meaning.entry(Meaning::of(text)).or_default().push(at);
        }
        let mut is_done = true;
        for alike in by_meaning.values() {
            if alike.iter().all(|&at| values[at].same(values[alike[0]])) {
                continue;
            }
            for &at in alike {
                is_done &= decimals[at] >= ALL_DECIMALS;
                decimals[at] = (decimals[at] + 1).min(ALL_DECIMALS);
            }
        }
        if is_done {
            return texts;
        }
    }
}

/// Formats the [`numbers`] among cells; a missing one becomes `-`.
pub fn cells(values: &[Option<Number>]) -> Vec<String> {
    let present: Vec<Number> = values.iter().flatten().copied().collect();
    let mut texts = numbers(&present).into_iter();
    let text = |value: &Option<Number>| value.and_then(|_| texts.next()).unwrap_or("-".to_owned());
    values.iter().map(text).collect()
}

/// Formats a difference: a [`number`] with an explicit sign, except for 0.
pub fn difference(value: Number) -> String {
    if value > Number::from(0.0) { format!("+{}", number(value)) } else { number(value) }
}

/// The number that a text stands for when read.
#[derive(PartialEq, Eq, Hash)]
enum Meaning {
    Integer(i128),
    Other(u64),
}

impl Meaning {
    fn of(text: &str) -> Meaning {
        let double = || text.parse::<f64>().unwrap_or(f64::NAN);
        match text.parse().ok().or_else(|| Number::from(double()).integer()) {
            Some(integer) => Meaning::Integer(integer),
            None => Meaning::Other(double().to_bits()),
        }
    }
}

fn with_decimals(value: Number, mut decimals: usize) -> String {
    if let Some(integer) = value.integer() {
        return integer.to_string();
    }
    let value = value.to_f64();
    if !value.is_finite() {
        return if value.is_nan() { "NaN".to_owned() } else { format!("{value}") };
    }
    let size = value.abs();
    if !(1e-4..1e7).contains(&size) {
        return exponential(value, decimals);
    }
    // 0.0123 has one zero before its first significant digit.
    let leading_zeros = (-size.log10().floor() - 1.0).max(0.0) as usize;
    while decimals < ALL_DECIMALS {
        let text = format!("{value:.*}", decimals + leading_zeros);
        let text = text.trim_end_matches('0');
        if !text.ends_with('.') {
            return text.to_owned();
        }
        // It would look like a whole number.
        decimals += 1;
    }
    value.to_string()
}

fn exponential(value: f64, decimals: usize) -> String {
    let text = if decimals < ALL_DECIMALS {
        format!("{value:.*e}", decimals - 1)
    } else {
        format!("{value:e}")
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    format!("{mantissa}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn single_numbers() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (40.0, "40"),
            (-3.0, "-3"),
            (0.55, "0.55"),
            (0.553_191_489, "0.5532"),
            (0.012_345_678, "0.01235"),
            (0.0002, "0.0002"),
            (0.000_099_999, "1e-4"),
            (1.234_567e-7, "1.235e-7"),
            (2.345_678_9, "2.3457"),
            (1234.56789, "1234.5679"),
            (12_345_678.9, "1.235e7"),
            (1e15, "1000000000000000"),
            (123_456_789_012.0, "123456789012"),
            (1e300, "1e300"),
            (0.99996, "0.99996"),
            (-0.999_999_9, "-0.9999999"),
            (1_234_567.000_01, "1234567.00001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(number(Number::from(value)), text, "{value:e}");
        }
        let exact = Number::from(i128::from(u64::MAX));
        assert_eq!(number(exact), "18446744073709551615");
        let differences = [0.0, 0.5, -0.5, 1e-9].map(|value| difference(Number::from(value)));
        assert_eq!(differences, ["0", "+0.5", "-0.5", "+1e-9"]);
    }

    #[test]
    fn numbers_side_by_side() {
        for (values, texts) in [
            (&[0.99996, 0.99999][..], &["0.99996", "0.99999"][..]),
            (&[0.5, 0.500_000_01, 0.5, 2.0], &["0.5", "0.50000001", "0.5", "2"]),
            (&[0.1, 0.123_456, 0.123_461], &["0.1", "0.123456", "0.123461"]),
            (&[1.234_56e-9, 1.234_57e-9], &["1.23456e-9", "1.23457e-9"]),
            (&[f64::NAN, f64::NAN], &["NaN", "NaN"]),
        ] {
            let values: Vec<Number> = values.iter().copied().map(Number::from).collect();
            assert_eq!(numbers(&values), texts);
        }
        assert_eq!(cells(&[None, Some(Number::from(0.5))]), ["-", "0.5"]);
    }

    fn any_number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<f64>().prop_map(Number::from),
            (0.0..2.0).prop_map(Number::from),
            any::<i64>().prop_map(|integer| Number::from(i128::from(integer))),
            any::<u64>().prop_map(|integer| Number::from(i128::from(integer))),
        ]
    }

    /// A number near another one.
    fn neighbour(value: Number, steps: i8) -> Number {
        match value.beyond_f64() {
            Some(integer) => Number::from(integer + i128::from(steps)),
            None => {
                let bits = value.to_f64().to_bits();
                Number::from(f64::from_bits(bits.wrapping_add_signed(steps.into())))
            }
        }
    }

    proptest! {
        #[test]
        fn different_numbers_look_different(
            values in prop::collection::vec(any_number(), 1..6),
            steps in prop::collection::vec(any::<i8>(), 1..6),
        ) {
            let mut values = values;
            values.extend(values.clone().iter().zip(steps).map(|(value, n)| neighbour(*value, n)));
            let texts = numbers(&values);
            for (a, x) in values.iter().zip(&texts) {
                for (b, y) in values.iter().zip(&texts) {
                    prop_assert_eq!(a.same(*b), Meaning::of(x) == Meaning::of(y), "{} {}", x, y);
                }
            }
        }

        #[test]
        fn only_integers_look_whole(value in any_number()) {
            let text = number(value);
            let looks_whole = text.parse::<i128>().is_ok();
            prop_assert!(!looks_whole || value.integer().is_some(), "{}", text);
        }
    }
}
