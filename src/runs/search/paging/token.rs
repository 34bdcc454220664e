//! The token of a page: the place of its last row in the order.
//!
//! A token is a JSON list in hexadecimal: the digest of the order, then the value of each key with
//! a letter for its type. Clients treat it as opaque.

use rusqlite::types::Value as Bound;

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Returns the token for a place in an order, which `order` distinguishes from others.
pub(super) fn write(place: &[Bound], order: &str) -> String {
    let values = place.iter().map(|value| match value {
        Bound::Integer(number) => format!("i{number}"),
        Bound::Real(number) => format!("r{:x}", number.to_bits()),
        Bound::Text(text) => format!("t{text}"),
        Bound::Null | Bound::Blob(_) => "n".to_owned(),
    });
    let list: Vec<String> = std::iter::once(digest(order)).chain(values).collect();
    let text = serde_json::Value::from(list).to_string();
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the place of a token, which has `count` values.
///
/// # Errors
/// The text is not the token of a page in this order.
pub(super) fn read(token: &str, order: &str, count: usize) -> Result<Vec<Bound>> {
    let foreign = || Error::usage("the page token is not one of this search");
    let digits = token.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Vec<u8> = digits.collect::<Option<_>>().ok_or_else(foreign)?;
    let list: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
    let Some((of, values)) = list.split_first() else { return Err(foreign()) };
    if *of != digest(order) || values.len() != count {
        return Err(foreign());
    }
    values.iter().map(|value| value_of(value).ok_or_else(foreign)).collect()
}

fn value_of(text: &str) -> Option<Bound> {
    let rest = text.get(1..)?;
    Some(match text.as_bytes()[0] {
        b'i' => Bound::Integer(rest.parse().ok()?),
        b'r' => Bound::Real(f64::from_bits(u64::from_str_radix(rest, 16).ok()?)),
        b't' => Bound::Text(rest.to_owned()),
        b'n' if rest.is_empty() => Bound::Null,
        _ => return None,
    })
}

fn digest(order: &str) -> String {
    Digest::of(order.as_bytes()).short()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_tokens_are_refused() {
        let place = [Bound::Integer(1), Bound::Null];
        let token = write(&place, "x");
        assert_eq!(read(&token, "x", 2).unwrap(), place);
        assert!(read(&token, "x", 3).is_err());
        assert!(read(&token, "y", 2).is_err());
        for text in ["", "0", "zz", "5b5d", "é", "+1+1", &token[2..]] {
            assert!(read(text, "x", 2).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn places_are_read_back(number in any::<i64>(), bits in any::<u64>(), text in ".*") {
            let real = f64::from_bits(bits);
            let place = [Bound::Integer(number), Bound::Real(real), Bound::Text(text), Bound::Null];
            let read = read(&write(&place, "x"), "x", 4).unwrap();
            prop_assert_eq!(format!("{read:?}"), format!("{place:?}"));
        }

        #[test]
        fn any_token_is_answered(text in "([0-9a-f]{2}|\\PC){0,40}") {
            let _ = read(&text, "x", 1);
        }
    }
}
