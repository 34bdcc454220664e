//! Reading of requests.

use super::*;

fn body(text: &str) -> Message {
    Message::of_body(text.as_bytes())
}

fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.status, 400);
    refusal.message
}

#[test]
fn integers() {
    for (json, expected) in [
        ("3", Some(3)),
        ("\"3\"", Some(3)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("\"9223372036854775807\"", Some(i64::MAX)),
        ("3.0", Some(3)),
        ("1e3", Some(1000)),
        ("null", None),
    ] {
        assert_eq!(body(&format!("{{\"a\": {json}}}")).int("a"), Ok(expected), "{json}");
    }
    for json in ["3.5", "\"x\"", "true", "[1]", "{}", "9223372036854775808", "1e30", "NaN"] {
        refused(body(&format!("{{\"a\": {json}}}")).int("a"));
    }
    assert_eq!(body("{}").int("a"), Ok(None));
}

#[test]
fn numbers() {
    for (json, expected) in [
        ("1", 1.0),
        ("\"1e-3\"", 1e-3),
        ("true", 1.0),
        ("\"Infinity\"", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("Infinity", f64::INFINITY),
    ] {
        assert_eq!(body(&format!("{{\"a\": {json}}}")).number("a"), Ok(Some(expected)), "{json}");
    }
    for json in ["NaN", "\"NaN\""] {
        let read = body(&format!("{{\"a\": {json}}}")).number("a");
        assert!(read.unwrap().unwrap().is_nan());
    }
    for json in ["\"abc\"", "[]", "\"inf\"", "\"\""] {
        refused(body(&format!("{{\"a\": {json}}}")).number("a"));
    }
}

#[test]
fn bodies() {
    assert_eq!(body("\"{\\\"a\\\": \\\"x\\\"}\"").text("a"), Ok(Some("x")));
    for empty in ["", "{", "[1]", "7", "\"{\"", "null", "{\"a\": null}", "\u{0}"] {
        assert_eq!(body(empty).text("a"), Ok(None), "{empty}");
        assert_eq!(refused(body(empty).required("a")), "Missing value for required parameter 'a'.");
    }
    assert_eq!(refused(body("{\"a\": \"\"}").required("a")).split(' ').next(), Some("Missing"));
    let message = "Invalid value 5 for parameter 'a' supplied: Hint: Value was of type 'int'.";
    assert_eq!(refused(body("{\"a\": 5}").required("a")), message);
}

#[test]
fn spellings() {
    for (json, expected) in [
        (r#"{"run_id": "a", "run_uuid": "b"}"#, Some("a")),
        (r#"{"run_id": "", "run_uuid": "b"}"#, Some("b")),
        (r#"{"run_uuid": "b"}"#, Some("b")),
        (r#"{"runId": "a"}"#, None),
        (r#"{"run_id": "a", "runId": "a"}"#, None),
    ] {
        assert_eq!(body(json).run_id().ok(), expected, "{json}");
    }
}

#[test]
fn queries() {
    let pairs = [("ids", "a"), ("ids", "b"), ("step", "3"), ("one", "c")];
    let query = Message::of_query(pairs.into_iter());
    assert_eq!(query.texts("ids"), Ok(vec!["a", "b"]));
    assert_eq!(query.texts("one"), Ok(vec!["c"]));
    assert_eq!((query.int("step"), query.text("ids")), (Ok(Some(3)), Ok(Some("a"))));
    refused(body(r#"{"one": "c"}"#).texts("one"));
}

#[test]
fn enumerations() {
    let words = ["A", "B"];
    for (json, expected) in
        [("\"a\"", Some("A")), ("2", Some("B")), ("\"2\"", Some("B")), ("null", None)]
    {
        let read = body(&format!("{{\"x\": {json}}}")).word("x", &words, 1).unwrap();
        assert_eq!(read.as_deref(), expected, "{json}");
    }
    for json in ["0", "3", "\"C\"", "-1", "1.5", "[]"] {
        refused(body(&format!("{{\"x\": {json}}}")).word("x", &words, 1));
    }
}

#[test]
fn nested_messages() {
    let tags = body(r#"{"tags": [{"key": "a", "value": "1"}, {"key": "b"}]}"#);
    let pairs = [("a", "1"), ("b", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(tags.pairs("tags"), Ok(pairs.to_vec()));
    let without = refused(body(r#"{"tags": [{"key": "a"}, {"value": "b"}]}"#).pairs("tags"));
    assert_eq!(without, "Missing value for required parameter 'tags[1].key'.");
    for json in [r#"{"tags": "5"}"#, r#"{"tags": [5]}"#, r#"{"tags": {"key": "a"}}"#] {
        refused(body(json).pairs("tags"));
    }
}

proptest::proptest! {
    #[test]
    fn any_body_is_read(text in ".*", json in "[{}\\[\\]\":,a-bNI0-9 -]*") {
        for text in [text, json] {
            let message = body(&text);
            let _ = (message.text("a"), message.int("a"), message.pairs("a"));
        }
    }
}
