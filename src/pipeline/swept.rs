//! The grammar of swept values, which is Hydra's: `1,2,3`, `choice(a,b)`, `range(0,10,2)`,
//! `interval(1e-5,1e-1)`, `glob(*)`.
//!
//! Does not know which param the values are for. A single value is what `-p` of a run takes, and
//! stays as typed.

use crate::error::did_you_mean;
use crate::pipeline::params_edit;

/// The values that a param takes in a sweep.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// One value, as typed.
    One(String),
    /// Several values without an order.
    Several(Vec<String>),
    /// Evenly spaced numbers.
    Steps(Vec<String>),
    /// Every number between two, both included.
    Interval(Interval),
    /// The options of a group whose names match.
    Glob { include: Vec<String>, exclude: Vec<String> },
}

/// A range of numbers to draw from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    pub scale: Scale,
    pub kind: Kind,
}

/// The scale on which numbers are drawn evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Log,
}

/// The type of the numbers of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The type that the param has.
    OfParam,
    Integer,
    Float,
}

/// Error: a text is not a swept value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValues {
    pub what: String,
    pub hint: Option<String>,
}

/// The most values that a `range` may have.
const MOST_STEPS: f64 = 100_000.0;

const FUNCTIONS: [&str; 7] = ["choice", "range", "interval", "loginterval", "int", "tag", "glob"];

/// Functions of Hydra that a sweep does without.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("float", "a param keeps its type: leave the cast out"),
    ("str", "a param keeps its type: leave the cast out"),
    ("bool", "a param keeps its type: leave the cast out"),
    ("json_str", "write the text in quotes"),
    ("shuffle", "`--random N` draws trials in random order"),
    ("sort", "write the values in the order in which they should run"),
];

impl BadValues {
    fn new(what: impl Into<String>) -> BadValues {
        BadValues { what: what.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> BadValues {
        BadValues { hint: Some(hint.into()), ..self }
    }
}

/// Parses the text behind `KEY=`.
///
/// # Errors
/// The text looks like several values, but is malformed.
pub fn parse(raw: &str) -> Result<Values, BadValues> {
    if let Some((name, inner)) = call(raw.trim()) {
        return function(name, inner);
    }
    let elements = split(raw, ',')?;
    if elements.len() == 1 {
        return match opened(raw.trim()) {
            Some(name) => Err(BadValues::new(format!("`{name}(` lacks its `)`"))
                .hint(format!("write a text that begins like this in quotes: \"'{name}(…'\""))),
            None => Ok(Values::One(raw.to_owned())),
        };
    }
    elements.into_iter().map(element).collect::<Result<_, _>>().map(Values::Several)
}

/// Reports whether a text stands for several values, so that a single run cannot take it.
pub fn is_sweep(raw: &str) -> bool {
    parse(raw).is_ok_and(|values| !matches!(values, Values::One(_)))
}

/// Splits `name(inner)` if the name is a known function.
fn call(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('(')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let known = FUNCTIONS.contains(&name) || UNSUPPORTED.iter().any(|(other, _)| *other == name);
    let similar = did_you_mean(name, FUNCTIONS).is_some();
    (is_name && (known || similar)).then_some(())?;
    Some((name, rest.strip_suffix(')')?))
}

/// Returns the function with which a text begins that has no closing bracket at its end.
fn opened(text: &str) -> Option<&'static str> {
    let (name, rest) = text.split_once('(')?;
    FUNCTIONS.into_iter().find(|known| *known == name.trim() && !rest.ends_with(')'))
}

fn function(name: &str, inner: &str) -> Result<Values, BadValues> {
    let Arguments { given, named } = arguments(name, inner)?;
    let reject_named =
        |allowed: &[&str]| match named.iter().find(|(key, _)| !allowed.contains(&key.as_str())) {
            Some((key, _)) => {
                let bad = BadValues::new(format!("`{name}` has no argument `{key}`"));
                Err(match did_you_mean(key, allowed.iter().copied()) {
                    Some(similar) => bad.hint(format!("did you mean `{similar}`?")),
                    None => bad,
                })
            }
            None => Ok(()),
        };
    match name {
        "choice" => {
            reject_named(&[])?;
            let values = given.into_iter().map(element).collect::<Result<Vec<_>, _>>()?;
            Ok(Values::Several(values))
        }
        "range" => {
            reject_named(&["start", "stop", "step"])?;
            range(&given, &named)
        }
        "interval" | "loginterval" => {
            reject_named(&["start", "end"])?;
            let scale = if name == "interval" { Scale::Linear } else { Scale::Log };
            interval(name, &given, &named, scale)
        }
        "int" => match (&given[..], &named[..]) {
            ([inner], []) => match parse(inner)? {
                Values::Interval(interval) => integer(interval),
                _ => Err(not_interval("int", inner)),
            },
            _ => {
                Err(BadValues::new("`int` takes one interval").hint("write `int(interval(1,16))`"))
            }
        },
        "tag" => tag(&given),
        "glob" => {
            reject_named(&["exclude"])?;
            let [include] = &given[..] else {
                return Err(BadValues::new("`glob` takes one pattern or a list of them")
                    .hint("write `glob(*)`, or `glob([s*,m*],exclude=x*)`"));
            };
            let exclude = named.first().map_or(Ok(Vec::new()), |(_, text)| patterns(text))?;
            Ok(Values::Glob { include: patterns(include)?, exclude })
        }
        other => {
            let hint = UNSUPPORTED.iter().find(|(name, _)| *name == other);
            let hint = hint.map(|(_, hint)| (*hint).to_owned());
            let similar = || did_you_mean(other, FUNCTIONS);
            let hint = hint.or_else(|| similar().map(|name| format!("did you mean `{name}`?")));
            Err(BadValues { what: format!("`{other}` is not a function of a sweep"), hint })
        }
    }
}

struct Arguments<'t> {
    given: Vec<&'t str>,
    named: Vec<(String, &'t str)>,
}

fn arguments<'t>(name: &str, inner: &'t str) -> Result<Arguments<'t>, BadValues> {
    let mut arguments = Arguments { given: Vec::new(), named: Vec::new() };
    if inner.trim().is_empty() {
        return Err(BadValues::new(format!("`{name}` needs arguments")));
    }
    for text in split(inner, ',')? {
        let (key, value) = text.split_once('=').unwrap_or(("", ""));
        let key = key.trim();
        let is_name = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        match is_name && name != "choice" {
            true => arguments.named.push((key.to_owned(), value.trim())),
            false => arguments.given.push(text),
        }
    }
    Ok(arguments)
}

/// Finds an argument by its place or its name.
fn argument<'t>(
    place: usize,
    name: &str,
    given: &[&'t str],
    named: &[(String, &'t str)],
) -> Option<&'t str> {
    let by_name = || named.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    given.get(place).copied().or_else(by_name)
}

fn range(given: &[&str], named: &[(String, &str)]) -> Result<Values, BadValues> {
    let form =
        || BadValues::new("`range` takes start, stop and step").hint("write `range(10,40,10)`");
    let is_named = |name: &str| named.iter().any(|(key, _)| key == name);
    // As in Python and Hydra, a single number is the stop, unless the stop is named.
    let (start, stop, step) = match given {
        [stop] if !is_named("start") && !is_named("stop") => {
            ("0", *stop, argument(1, "step", &[], named).unwrap_or("1"))
        }
        given if given.len() <= 3 => {
            let stop = argument(1, "stop", given, named).ok_or_else(form)?;
            let start = argument(0, "start", given, named).ok_or_else(form)?;
            (start, stop, argument(2, "step", given, named).unwrap_or("1"))
        }
        _ => return Err(form()),
    };
    let (first, end, by) = (number(start)?, number(stop)?, number(step)?);
    let count = ((end - first) / by - 1e-9).ceil();
    if by == 0.0 || !(1.0..=MOST_STEPS).contains(&count) {
        let what = format!("`range({start},{stop},{step})` has no values");
        return Err(match by == 0.0 || count < 1.0 {
            true => BadValues::new(what).hint("the stop itself is excluded"),
            false => BadValues::new(format!("a range has more than {MOST_STEPS} values")),
        });
    }
    let is_integer = |text: &str| text.trim().parse::<i64>().is_ok();
    let integers = [start, stop, step].into_iter().all(is_integer);
    let decimals = decimals(start).max(decimals(step));
    let text = |at: usize| {
        let value = first + by * at as f64;
        match integers {
            true => format!("{value}"),
            // In decimal, as in Hydra: 9.9 rather than 9.899999999999999.
            false => float_text(format!("{value:.decimals$}").parse().unwrap_or(value)),
        }
    };
    Ok(Values::Steps((0..count as usize).map(text).collect()))
}

/// Returns the number of digits after the decimal point.
fn decimals(text: &str) -> usize {
    let text = text.trim();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len());
    let exponent: i64 = exponent.parse().unwrap_or(0);
    (digits as i64 - exponent).clamp(0, 17) as usize
}

/// Writes a float as TOML.
pub fn float_text(value: f64) -> String {
    format!("{value:?}")
}

fn interval(
    name: &str,
    given: &[&str],
    named: &[(String, &str)],
    scale: Scale,
) -> Result<Values, BadValues> {
    let form = || {
        BadValues::new(format!("`{name}` takes two numbers"))
            .hint(format!("write `{name}(0.001,0.1)`"))
    };
    let low = argument(0, "start", given, named).ok_or_else(form)?;
    let high = argument(1, "end", given, named).ok_or_else(form)?;
    if given.len() > 2 {
        return Err(form());
    }
    let interval = Interval { low: number(low)?, high: number(high)?, scale, kind: Kind::OfParam };
    checked(interval)
}

fn checked(interval: Interval) -> Result<Values, BadValues> {
    let Interval { low, high, scale, .. } = interval;
    if low >= high {
        return Err(BadValues::new(format!("the interval from {low} to {high} is empty"))
            .hint("write the lower end first"));
    }
    if !(high - low).is_finite() {
        return Err(BadValues::new(format!("the interval from {low:e} to {high:e} is too wide")));
    }
    if scale == Scale::Log && low <= 0.0 {
        return Err(BadValues::new(format!("an interval on a log scale cannot begin at {low}"))
            .hint("begin above 0"));
    }
    Ok(Values::Interval(interval))
}

fn integer(interval: Interval) -> Result<Values, BadValues> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let Interval { low, high, .. } = interval;
    if low.fract() != 0.0 || high.fract() != 0.0 || low.abs() > EXACT || high.abs() > EXACT {
        return Err(BadValues::new("the ends of an interval of integers must be integers"));
    }
    Ok(Values::Interval(Interval { kind: Kind::Integer, ..interval }))
}

/// Parses `tag(log, interval(…))`, the spelling of Hydra's sweepers.
fn tag(given: &[&str]) -> Result<Values, BadValues> {
    let Some((inner, tags)) = given.split_last() else { return Err(not_interval("tag", "")) };
    let Values::Interval(mut interval) = parse(inner)? else {
        return Err(not_interval("tag", inner));
    };
    for tag in tags {
        match tag.trim() {
            "log" => interval.scale = Scale::Log,
            "int" => interval.kind = Kind::Integer,
            "float" => interval.kind = Kind::Float,
            other => {
                let bad = BadValues::new(format!("there is no tag `{other}`"));
                return Err(bad.hint("the tags are `log`, `int` and `float`"));
            }
        }
    }
    match interval.kind {
        Kind::Integer => checked(interval).and_then(|_| integer(interval)),
        Kind::OfParam | Kind::Float => checked(interval),
    }
}

fn not_interval(function: &str, inner: &str) -> BadValues {
    let what = format!("`{function}` takes an interval, not `{}`", inner.trim());
    BadValues::new(what).hint("write `loginterval(0.001,0.1)` or `int(interval(1,16))`")
}

fn patterns(text: &str) -> Result<Vec<String>, BadValues> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let patterns = match inner {
        Some(inner) => split(inner, ',')?,
        None => vec![text],
    };
    let unquoted = |text: &str| {
        let text = text.trim();
        let inner = ['\'', '"']
            .iter()
            .find_map(|quote| text.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
        inner.unwrap_or(text).to_owned()
    };
    match patterns.iter().any(|pattern| pattern.trim().is_empty()) {
        true => Err(BadValues::new("a pattern of `glob` is empty").hint("`glob(*)` takes all")),
        false => Ok(patterns.into_iter().map(unquoted).collect()),
    }
}

fn number(text: &str) -> Result<f64, BadValues> {
    let text = text.trim();
    let plain = text.replace('_', "");
    let number = plain.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| BadValues::new(format!("`{text}` is not a number")))
}

/// Splits a text at a separator outside of quotes and brackets.
fn split(text: &str, separator: char) -> Result<Vec<&str>, BadValues> {
    let mut parts = Vec::new();
    let mut open: Vec<char> = Vec::new();
    let mut quote = None;
    let mut start = 0;
    // Quotes count only where a value begins: `it's` is a plain word.
    let mut begins = true;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (_, '\\') => drop(chars.next()),
            (Some(expected), c) if c == expected => quote = None,
            (Some(_), _) => continue,
            (None, '\'' | '"') if begins => quote = Some(c),
            (None, '(') => open.push(')'),
            (None, '[') => open.push(']'),
            (None, '{') => open.push('}'),
            (None, c) if open.last() == Some(&c) => drop(open.pop()),
            (None, c) if c == separator && open.is_empty() => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            (None, _) => {}
        }
        begins = matches!(c, ',' | '(' | '[' | '{' | '=' | ':') || (begins && c.is_whitespace());
    }
    parts.push(&text[start..]);
    match (quote, open.last()) {
        // A single value is judged where it is used.
        _ if parts.len() == 1 => Ok(parts),
        (Some(quote), _) => Err(BadValues::new(format!("a quote {quote} is not closed"))),
        (None, Some(close)) => Err(BadValues::new(format!("a `{close}` is missing"))),
        (None, None) => Ok(parts),
    }
}

/// Converts one of several values to what `-p` takes: quotes become TOML's, escapes are resolved.
fn element(text: &str) -> Result<String, BadValues> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadValues::new("a value is missing beside a comma")
            .hint("write an empty text as `''`, and one with a comma in quotes"));
    }
    let quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if let Some(quote) = ['\'', '"'].into_iter().find(|quote| quoted(*quote)) {
        let inner = &text[1..text.len() - 1];
        return Ok(params_edit::quoted(&unescaped(inner, |c| c == quote || c == '\\')));
    }
    match text.starts_with(['[', '{']) {
        true => Ok(text.to_owned()),
        false => Ok(unescaped(text, |c| r"\,=()[]{}: ".contains(c))),
    }
}

/// Resolves the escapes of some characters; other backslashes stay.
fn unescaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next) if c == '\\' && is_escaped(next) => {
                unescaped.push(next);
                chars.next();
            }
            _ => unescaped.push(c),
        }
    }
    unescaped
}

#[cfg(test)]
mod tests;
