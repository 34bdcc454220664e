//! Removes secrets from texts of stores and clients before they become messages.

use std::sync::OnceLock;

/// Longest text of a store in a message, in characters.
const MAX_CHARS: usize = 300;

/// Endings of names of variables whose values are secret.
const SECRET: [&str; 11] = [
    "_KEY",
    "_SECRET",
    "_TOKEN",
    "_PASSWORD",
    "_PASS",
    "_CONNECTION_STRING",
    "_CREDENTIAL",
    "_CREDENTIALS",
    "_PROXY",
    "_KEY_ID",
    "_PASSPHRASE",
];

/// Words before a secret value.
const LABELS: [&str; 11] = [
    "authorization:",
    "bearer ",
    "basic ",
    "signature=",
    "sig=",
    "token=",
    "access_token\":\"",
    "password=",
    "accountkey=",
    "sharedkey ",
    "secret=",
];

/// Returns one short line without queries and users of URLs, without what follows words such as
/// `Bearer`, and without the values of variables of the environment that hold secrets.
pub(super) fn redact(text: &str) -> String {
    without(text, secrets())
}

fn without(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret.as_str(), "…");
    }
    let words: Vec<String> = text.split_whitespace().map(without_url_secrets).collect();
    let text = without_labelled(&words.join(" "));
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Returns the values of the environment that no message may contain.
fn secrets() -> &'static [String] {
    static VALUES: OnceLock<Vec<String>> = OnceLock::new();
    VALUES.get_or_init(|| {
        let is_secret = |name: &str| {
            let name = name.to_ascii_uppercase();
            SECRET.iter().any(|ending| name.ends_with(ending))
        };
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            // Short values occur in texts by chance.
            .filter(|(name, value)| is_secret(name) && value.len() >= 6);
        let mut values: Vec<String> = variables.map(|(_, value)| value).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values
    })
}

fn without_url_secrets(word: &str) -> String {
    let Some(at) = word.find("://") else { return word.to_owned() };
    let (scheme, rest) = word.split_at(at + 3);
    let query = rest.find(['?', '#']);
    let (place, ending) = match query {
        Some(at) => {
            // A quote or a bracket after the URL is not part of it.
            let end = rest.trim_end_matches(['`', '"', '\'', ')', ',', '.', ':', '>', ';']).len();
            (&rest[..at], format!("?…{}", &rest[end.max(at)..]))
        }
        None => (rest, String::new()),
    };
    let host_end = place.find('/').unwrap_or(place.len());
    let place = match place[..host_end].rfind('@') {
        Some(at) => &place[at + 1..],
        None => place,
    };
    format!("{scheme}{place}{ending}")
}

fn without_labelled(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut plain = String::new();
    let mut at = 0;
    while at < text.len() {
        let label = LABELS
            .iter()
            .filter_map(|label| Some((at + lower[at..].find(label)?, label.len())))
            .min();
        let Some((start, length)) = label else { break };
        let value = start + length;
        plain.push_str(&text[at..value]);
        let rest = &text[value..];
        let skipped = rest.len() - rest.trim_start().len();
        let end = rest[skipped..].find([' ', '"', '&', ',', '<', '>', '\'', '`']);
        let end = value + skipped + end.unwrap_or(rest.len() - skipped);
        let is_scheme = ["bearer", "basic", "sharedkey"].contains(&lower[value..end].trim());
        if !is_scheme {
            plain.push('…');
        }
        at = if is_scheme { value } else { end };
        if end <= value && !is_scheme {
            at = value;
        }
    }
    plain.push_str(&text[at..]);
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_in_texts() {
        for (text, plain) in [
            ("cannot connect", "cannot connect"),
            ("two\nlines\r\n", "two lines"),
            ("GET https://h/a?X-Amz-Signature=SECRET, ok", "GET https://h/a?…, ok"),
            ("url `https://me:SECRET@h:1/a`", "url `https://h:1/a`"),
            ("https://SECRET@h", "https://h"),
            ("Authorization: Bearer SECRET rest", "Authorization: Bearer … rest"),
            ("authorization: Basic SECRET==", "authorization: Basic …"),
            (
                "body: {\"access_token\":\"SECRET\",\"x\":1}",
                "body: {\"access_token\":\"…\",\"x\":1}",
            ),
            ("a Signature=SECRET&b", "a Signature=…&b"),
            ("SAS ?sv=1&sig=SECRET", "SAS ?sv=1&sig=…"),
            ("key is VALUE-OF-VARIABLE!", "key is …!"),
        ] {
            assert_eq!(without(text, &["VALUE-OF-VARIABLE".to_owned()]), plain, "{text}");
        }
        assert_eq!(without(&"é".repeat(400), &[]).chars().count(), MAX_CHARS + 1);
    }

    proptest! {
        #[test]
        fn any_text(text in "([ -~é]|://|[Bb]earer |token=){0,60}") {
            let plain = without(&text, &[]);
            prop_assert!(!plain.contains('\n'));
        }

        #[test]
        fn secret_of_a_url(before in "[a-z ]{0,9}", secret in "[A-Z0-9+/=%]{8,40}") {
            let text = format!("{before} https://host/path?sig={secret} bearer {secret}");
            prop_assert!(!without(&text, &[]).contains(&secret));
        }
    }
}
