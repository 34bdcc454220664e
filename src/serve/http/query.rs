//! The query of a URL, and percent-encoded text.

use std::borrow::Cow;

/// The pairs of a query, in their order. A key may occur several times.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::serve) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=1&b=2`. Bytes that are not UTF-8 are replaced.
    pub(super) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |text: &str| {
                let text = text.replace('+', " ");
                String::from_utf8_lossy(&decode(&text)).into_owned()
            };
            (plain(key), plain(value))
        });
        Query(pairs.collect())
    }

    /// Returns the last value of a key.
    pub(in crate::serve) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// Returns all values of a key.
    pub(in crate::serve) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// Returns all keys and values, in their order.
    pub(in crate::serve) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    pub(in crate::serve) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Decodes `%41`. A `%` that no two hexadecimal digits follow stands for itself.
pub(super) fn decode(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        // `from_str_radix` accepts a sign.
        match byte.filter(|_| bytes[at + 1] != b'+') {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = Query::parse("a=1&b=x%20y+z&a=2&&c&d=%C3%A9=&=e");
        assert_eq!(query.get("a"), Some("2"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("b"), Some("x y z"));
        assert_eq!(query.get("c"), Some(""));
        assert_eq!(query.get("d"), Some("é="));
        assert_eq!(query.get(""), Some("e"));
        assert_eq!(query.get("x"), None);
        assert!(Query::parse("").is_empty());
    }

    #[test]
    fn percent_decoding() {
        for (text, plain) in [
            ("a%2Fb", "a/b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%+1", "%+1"),
            ("%zz%41", "%zzA"),
            ("%25%32%45", "%2E"),
            ("é%c3%a9", "éé"),
        ] {
            assert_eq!(decode(text), plain.as_bytes(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn encoded_text_decodes(text in ".*") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            proptest::prop_assert_eq!(decode(&encoded), text.as_bytes());
            decode(&text);
        }
    }
}
