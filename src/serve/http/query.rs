//! The query of a URL.

use crate::percent::decode;

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
}
