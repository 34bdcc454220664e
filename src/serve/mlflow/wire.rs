//! Reads requests as MLflow's server does: proto-JSON in a body, or fields in a query.
//!
//! - Integers and numbers may be texts. NaN and infinities are the texts `NaN`, `Infinity` and
//!   `-Infinity`; the bare tokens are read as what they mean.
//! - A body that is a text is JSON once more. A body that is not JSON counts as empty, so the
//!   answer names the field that is missing.
//! - Fields are called as in the protocol, `run_id`. A field is refused if `runId` occurs beside
//!   it, and `runId` alone is ignored, as all fields that nobody reads and those that are null.

use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::error::{invalid, missing, wrong_type};
use super::tokens;
use crate::serve::http::{Refusal, Request};

#[cfg(test)]
mod tests;

/// The fields of a request, or of a message in one.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    fields: Map<String, Value>,
    source: Source,
    /// Where the message is in the request: `metrics[0].`, or nothing.
    place: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Body,
    /// Every value is a text, and a list of one cannot be told from a value.
    Query,
}

impl Message {
    /// Reads the fields of a request: from the query if it is a GET that has one, else from the
    /// body.
    ///
    /// # Errors
    /// The body has another type than JSON, is too long or does not arrive.
    pub(super) async fn of(request: &Request) -> Result<Message, Refusal> {
        if request.method == Method::GET && !request.query.is_empty() {
            return Ok(Message::of_query(request.query.pairs()));
        }
        let kind = request.header(CONTENT_TYPE).unwrap_or("");
        let body = request.body().await?;
        // A GET without fields has no body, and no type.
        let is_needed = request.method != Method::GET || !body.is_empty();
        if is_needed && !is_json(kind) {
            return Err(Refusal::bad_request(format!(
                "Bad Request. Content-Type must be one of ['application/json'], and is '{}'.",
                kind.escape_debug()
            )));
        }
        Ok(Message::of_body(&body))
    }

    fn of_query<'q>(pairs: impl Iterator<Item = (&'q str, &'q str)>) -> Message {
        let mut fields: Map<String, Value> = Map::new();
        for (key, value) in pairs {
            let value = Value::from(value);
            match fields.get_mut(key) {
                None => drop(fields.insert(key.to_owned(), value)),
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Message { fields, source: Source::Query, place: String::new() }
    }

    fn of_body(body: &[u8]) -> Message {
        let value = match tokens::parse(body) {
            Some(Value::String(text)) => tokens::parse(text.as_bytes()),
            value => value,
        };
        let fields = match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Message { fields, ..Message::default() }
    }

    /// Returns the name of a field with its place in the request.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    /// Returns the value of a field; `None` if it is absent or null.
    fn value(&self, name: &str) -> Result<Option<&Value>, Refusal> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let camel = camel_case(name);
        if camel != name && self.fields.contains_key(&camel) {
            let path = self.path(name);
            return Err(Refusal::invalid(format!("'{path}' is given as '{camel}' as well")));
        }
        Ok(Some(value).filter(|value| !value.is_null()))
    }

    /// Returns a text; `None` if it is absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        match value {
            Value::String(text) => Ok(Some(text)),
            // Of several in a query, the first one counts.
            Value::Array(list) if self.source == Source::Query => Ok(list[0].as_str()),
            value => Err(wrong_type(&self.path(name), value)),
        }
    }

    /// Returns a text; `None` if it is absent or empty.
    pub(super) fn given(&self, name: &str) -> Result<Option<&str>, Refusal> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// Returns a text as [`Message::given`] does, independent of the message.
    pub(super) fn owned(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.given(name)?.map(str::to_owned))
    }

    /// Returns a text that must not be absent or empty.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.given(name)?.ok_or_else(|| missing(&self.path(name)))
    }

    /// Returns an integer; `None` if it is absent.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let whole = |number: f64| {
            let is_whole = number.trunc() == number && number.abs() < 2_f64.powi(63);
            is_whole.then_some(number as i64)
        };
        let int = match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        int.map(Some).ok_or_else(|| wrong_type(&self.path(name), value))
    }

    /// Returns a number; `None` if it is absent.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Value::String(text) => match &**text {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                text => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            },
            _ => None,
        };
        number.map(Some).ok_or_else(|| {
            let why = "Please specify value as a valid double (64-bit floating point)";
            invalid(&self.path(name), value, why)
        })
    }

    /// Returns `true`, `false`, or `None` if it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        match value {
            Value::Bool(flag) => Ok(Some(*flag)),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            value => Err(wrong_type(&self.path(name), value)),
        }
    }

    /// Returns a word of an enumeration in upper case; one that is given by its number is looked up
    /// in `words`, by their order from `first` on.
    pub(super) fn word(
        &self,
        name: &str,
        words: &[&str],
        first: usize,
    ) -> Result<Option<String>, Refusal> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let by_number = |number: u64| words.get(usize::try_from(number).ok()?.checked_sub(first)?);
        let word = match value {
            Value::Number(number) => number.as_u64().and_then(by_number).copied(),
            Value::String(text) => match text.parse() {
                Ok(number) => by_number(number).copied(),
                Err(_) => words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)),
            },
            _ => None,
        };
        match word {
            Some(word) => Ok(Some(word.to_owned())),
            None => Err(wrong_type(&self.path(name), value)),
        }
    }

    /// Returns a list of texts; an empty one if it is absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Refusal> {
        let Some(value) = self.value(name)? else { return Ok(Vec::new()) };
        match value {
            Value::Array(list) => list
                .iter()
                .map(|one| one.as_str().ok_or_else(|| wrong_type(&self.path(name), value)))
                .collect(),
            Value::String(text) if self.source == Source::Query => Ok(vec![text]),
            value => Err(wrong_type(&self.path(name), value)),
        }
    }

    /// Returns a message in this one; `None` if it is absent.
    pub(super) fn message(&self, name: &str) -> Result<Option<Message>, Refusal> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Message {
                fields: fields.clone(),
                source: Source::Body,
                place: format!("{}.", self.path(name)),
            })),
            Some(value) => Err(wrong_type(&self.path(name), value)),
        }
    }

    /// Returns a list of messages; an empty one if it is absent.
    pub(super) fn messages(&self, name: &str) -> Result<Vec<Message>, Refusal> {
        let value = self.value(name)?;
        let list = match value {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(value) => return Err(wrong_type(&self.path(name), value)),
        };
        let message = |(at, one): (usize, &Value)| match one {
            Value::Object(fields) => Ok(Message {
                fields: fields.clone(),
                source: Source::Body,
                place: format!("{}[{at}].", self.path(name)),
            }),
            _ => Err(wrong_type(&self.path(name), value.unwrap_or(&Value::Null))),
        };
        list.iter().enumerate().map(message).collect()
    }

    /// Returns a list of messages with a key and a value, such as tags. An absent value is empty.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Refusal> {
        self.messages(name)?.iter().map(Message::pair).collect()
    }

    /// Returns the key and the value that the message consists of. An absent value is empty.
    pub(super) fn pair(&self) -> Result<(String, String), Refusal> {
        let key = self.required("key")?.to_owned();
        Ok((key, self.text("value")?.unwrap_or_default().to_owned()))
    }

    /// Returns the run that a request names by `run_id`, or by `run_uuid`, its former name.
    pub(super) fn run_id(&self) -> Result<&str, Refusal> {
        match self.given("run_id")? {
            Some(id) => Ok(id),
            None => self.given("run_uuid")?.ok_or_else(|| missing("run_id")),
        }
    }
}

/// Reports whether a content type is that of JSON, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// Returns `runId` for `run_id`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
        camel
    })
}
