//! Percent-encoded text, as in URLs.

use std::borrow::Cow;

/// Encodes all bytes but letters, digits, `-`, `_`, `.`, `~` and those in `stays`.
pub fn encode(text: &str, stays: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut encoded = String::new();
    for byte in text.bytes() {
        if is_plain(byte) || stays.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Decodes `%41`. A `%` that no two hexadecimal digits follow stands for itself.
pub fn decode(text: &str) -> Cow<'_, [u8]> {
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
    fn encoded_texts() {
        assert_eq!(encode("a b/ü+%~", b"/"), "a%20b/%C3%BC%2B%25~");
        assert_eq!(encode("a/b", b""), "a%2Fb");
        assert_eq!(encode("\"\r\nx:", b""), "%22%0D%0Ax%3A");
    }

    #[test]
    fn decoded_texts() {
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
            let encoded = encode(&text, b"/");
            proptest::prop_assert_eq!(decode(&encoded), text.as_bytes());
            decode(&text);
        }
    }
}
