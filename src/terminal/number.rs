//! Numbers as text, for tables and for lines of a run. Pure.

/// Formats a number for comparison by eye: integers in full, other numbers with up to four
/// significant decimals, very large and very small ones as `1.234e-7`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value.is_nan() { "NaN".to_owned() } else { format!("{value}") };
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.fract() == 0.0 && size < 1e15 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e7).contains(&size) {
        return exponential(value);
    }
    // 0.0123 has one zero before its first significant digit.
    let leading_zeros = (-size.log10().floor() - 1.0).max(0.0) as usize;
    trim_zeros(&format!("{value:.*}", 4 + leading_zeros)).to_owned()
}

/// Formats a difference: a [`number`] with an explicit sign, except for 0.
pub fn difference(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// Formats a number for the lines of a run: with at most four decimals, or as `1.234e-7` if those
/// would hide it.
pub(super) fn short_number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e15).contains(&size) {
        return exponential(value);
    }
    trim_zeros(&format!("{value:.4}")).to_owned()
}

fn exponential(value: f64) -> String {
    let text = format!("{value:.3e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{exponent}", trim_zeros(mantissa))
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
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
            (1e15, "1e15"),
            (123_456_789_012.0, "123456789012"),
            (0.999_999, "1"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value:e}");
        }
        assert_eq!([0.0, 0.5, -0.5].map(difference), ["0", "+0.5", "-0.5"]);
    }

    #[test]
    fn short_numbers() {
        let cases = [
            (0.0, "0"),
            (10.0, "10"),
            (0.55, "0.55"),
            (-0.123_456, "-0.1235"),
            (2e-4, "2e-4"),
            (1.234_56e-7, "1.235e-7"),
            (123_456.789, "123456.789"),
            (1e15, "1e15"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(short_number(value), text);
        }
    }
}
