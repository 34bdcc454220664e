//! The parts of a template that are not text: `{{ … }}` and `{% … %}`, and the strings in them.

/// The longest part that is rendered. The template engine takes stack for each operator.
const MAX_LENGTH: usize = 2_000;

/// The most parts `{% … %}` of a template. The engine takes stack for each `elif`.
const MAX_TAGS: usize = 200;

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'t> {
    kind: Kind,
    /// The text between the braces, without white space around it.
    pub(super) inner: &'t str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `{{ … }}`
    Value,
    /// `{% … %}`
    Tag,
}

/// Finds the parts of a template. The last one may lack its end.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{']) {
        let (kind, end) = match rest.as_bytes().get(at + 1) {
            Some(b'{') => (Kind::Value, "}}"),
            Some(b'%') => (Kind::Tag, "%}"),
            _ => {
                rest = &rest[at + 1..];
                continue;
            }
        };
        let body = &rest[at + 2..];
        let length = length_before(body, end);
        let inner = body[..length].trim_matches(|c: char| c.is_whitespace() || "-+".contains(c));
        parts.push(Part { kind, inner });
        rest = body.get(length + 2..).unwrap_or("");
        if kind == Kind::Tag && inner == "raw" {
            rest = rest.find("endraw").map_or("", |at| &rest[at..]);
        }
    }
    parts
}

/// Returns the length of the text before `end` that is not in a string.
fn length_before(text: &str, end: &str) -> usize {
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, _) if text[at..].starts_with(end) => return at,
            _ => {}
        }
    }
    text.len()
}

/// Returns the reason that a template is too large to be rendered.
pub(super) fn excess(parts: &[Part<'_>]) -> Option<String> {
    if parts.iter().any(|part| part.inner.len() > MAX_LENGTH) {
        return Some(format!("a template is longer than {MAX_LENGTH} bytes"));
    }
    let tags = parts.iter().filter(|part| part.kind == Kind::Tag).count();
    (tags > MAX_TAGS).then(|| format!("a text has more than {MAX_TAGS} `{{% … %}}`"))
}

impl Part<'_> {
    /// Returns the strings that it writes, without those that it only compares.
    pub(super) fn strings(&self) -> Vec<String> {
        let mut strings = Vec::new();
        let mut rest = self.inner;
        while let Some(at) = rest.find(['\'', '"']) {
            let (before, body) = (rest[..at].trim_end(), &rest[at + 1..]);
            let end = string_end(body, &rest[at..=at]);
            rest = body.get(end + 1..).unwrap_or("");
            let compares = ["==", "!="];
            let is_compared = compares
                .iter()
                .any(|sign| before.ends_with(sign) || rest.trim_start().starts_with(sign));
            if !is_compared {
                strings.push(unescaped(&body[..end]));
            }
        }
        strings
    }

    /// Reports whether it uses the name `item` in another way than `item.PART`.
    pub(super) fn computes_with_item(&self) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let is_part =
            self.inner.strip_prefix("item.").is_some_and(|part| part.chars().all(is_word));
        !is_part && self.names().iter().any(|name| name.split('.').next() == Some("item"))
    }

    /// Returns the dotted names outside of strings.
    fn names(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        let mut quote = None;
        let mut chars = self.inner.chars();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(_), '\\') => drop(chars.next()),
                (Some(open), c) if open == c => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, c) if c.is_alphanumeric() || matches!(c, '_' | '.') => {
                    names.last_mut().into_iter().for_each(|name| name.push(c));
                }
                (None, _) => names.push(String::new()),
            }
        }
        names
    }
}

/// Returns the length of a string's text, which begins after its opening quote.
fn string_end(body: &str, quote: &str) -> usize {
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            _ if body[at..].starts_with(quote) => return at,
            _ => {}
        }
    }
    body.len()
}

fn unescaped(text: &str) -> String {
    let mut unescaped = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => unescaped.extend(chars.next().map(|c| match c {
                'n' => '\n',
                't' => '\t',
                c => c,
            })),
            (c, false) => unescaped.push(c),
        }
    }
    unescaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_template() {
        let inner = |text| parts(text).into_iter().map(|part| part.inner).collect::<Vec<_>>();
        assert_eq!(inner("a {{ x }} ${y} {%- if z -%} b"), ["x", "if z"]);
        assert_eq!(inner("{{ '}}' }}{{ \"a\\\"}}\" }}"), ["'}}'", "\"a\\\"}}\""]);
        assert_eq!(inner("{% raw %}{{ x }}{% endraw %}{{ y"), ["raw", "y"]);
    }

    #[test]
    fn strings_in_a_part() {
        let strings = |text| parts(text)[0].strings();
        assert_eq!(strings("{{ 'a b' if x == 'c d' else \"e'f\" }}"), ["a b", "e'f"]);
        assert_eq!(strings(r"{{ 'it\'s' ~ '' }}"), ["it's", ""]);
        assert!(strings("{% if 'x' != y %}").is_empty());
    }

    #[test]
    fn item_in_expressions() {
        for (text, expected) in [
            ("{{ item.stem }}", false),
            ("{{ params.item }}", false),
            ("{{ 'item' }}", false),
            ("{{ item.stem | upper }}", true),
            ("{% if item.ext == 'x' %}", true),
        ] {
            assert_eq!(parts(text)[0].computes_with_item(), expected, "{text}");
        }
    }
}
