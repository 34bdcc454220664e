//! Edits of values in TOML texts.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const FILE: &str = r#"# top
title = "10"            # not a param

[params]
seed = 42
"odd.name" = 'x'        # quoted
inline = { a = 1, b = { c = [1, 2] } }  # inline
train.epochs = 10       # how often
text = """
many
lines"""

[params.fine]
lr = 2e-4    # learning rate
resize = true
sizes = [
  1, # one
  2,
]

[stages.train]
cmd = "train --epochs 10"
"#;

fn value_at(text: &str, key: &str) -> ParamValue {
    let document = Document::parse(text).unwrap();
    let params = document.get("params").and_then(Item::as_table_like).unwrap();
    json(find(params, key).unwrap().as_value().unwrap()).unwrap()
}

fn edited(text: &str, key: &str, raw: &str) -> String {
    let literal = Literal::typed(raw, &value_at(text, key)).unwrap();
    set(text, &["params"], &ParamKey::new(key), &literal).unwrap()
}

#[test]
fn set_replaces_only_the_value() {
    let cases = [
        ("seed", "7", "seed = 42\n", "seed = 7\n"),
        ("odd.name", "a b", "'x'        # quoted", "\"a b\"        # quoted"),
        ("inline.a", "-3", "{ a = 1,", "{ a = -3,"),
        ("inline.b.c", "[]", "c = [1, 2] }", "c = [] }"),
        ("train.epochs", "30", "epochs = 10       #", "epochs = 30       #"),
        ("text", "short", "\"\"\"\nmany\nlines\"\"\"", "\"short\""),
        ("fine.lr", "1e-4", "lr = 2e-4    #", "lr = 1e-4    #"),
        ("fine.lr", "1", "lr = 2e-4    #", "lr = 1.0    #"),
        ("fine.resize", "false", "resize = true", "resize = false"),
        ("fine.sizes", "[3, 4]", "[\n  1, # one\n  2,\n]", "[3, 4]"),
    ];
    for (key, raw, before, after) in cases {
        assert!(FILE.contains(before), "{before}");
        assert_eq!(edited(FILE, key, raw), FILE.replacen(before, after, 1), "{key}={raw}");
    }
}

#[test]
fn set_keeps_crlf_and_bom() {
    let crlf = "\u{feff}[params]\r\n# é\r\na = 1  # x\r\nb = \"y\"";
    assert_eq!(edited(crlf, "a", "22"), crlf.replace("a = 1", "a = 22"));
    assert_eq!(edited(crlf, "b", "long text"), crlf.replace("\"y\"", "\"long text\""));
    let dotted = "params.a.b = 1";
    assert_eq!(edited(dotted, "a.b", "2"), "params.a.b = 2");
}

#[test]
fn typed_value_keeps_type() {
    let typed = |raw, old: ParamValue| Literal::typed(raw, &old).map(|l| (l.value, l.toml)).ok();
    let same = |value: ParamValue, toml: &str| Some((value, toml.to_owned()));
    assert_eq!(typed("synth", json!("x")), same(json!("synth"), "\"synth\""));
    assert_eq!(typed("30", json!("x")), same(json!("30"), "\"30\""));
    assert_eq!(typed("nan", json!("x")), same(json!("nan"), "\"nan\""));
    assert_eq!(typed("'a'", json!("x")), same(json!("a"), "'a'"));
    assert_eq!(typed("", json!("x")), same(json!(""), "\"\""));
    assert_eq!(typed("a\nb = 1", json!("x")).map(|l| l.0), Some(json!("a\nb = 1")));
    assert_eq!(typed(" 30 ", json!(1)), same(json!(30), "30"));
    assert_eq!(typed("1_000", json!(1)), same(json!(1000), "1_000"));
    assert_eq!(typed("1_000", json!(1.0)), same(json!(1000.0), "1_000.0"));
    assert_eq!(typed("0xff", json!(1.0)), same(json!(255.0), "255.0"));
    assert_eq!(typed("1e-4", json!(1.0)), same(json!(1e-4), "1e-4"));
    assert_eq!(typed("[ 1,'b' ]", json!([])), same(json!([1, "b"]), "[ 1,'b' ]"));
    for (raw, old) in [
        ("30.0", json!(1)),
        ("ten", json!(1)),
        ("", json!(1)),
        ("9223372036854775808", json!(1)),
        ("1\nb = 2", json!(1)),
        ("1 # x", json!(true)),
        ("nan", json!(1.0)),
        ("inf", json!(1.0)),
        ("yes", json!(true)),
        ("1", json!(true)),
        ("1", json!([1])),
        ("[nan]", json!([1])),
        ("[1], b = 2", json!([1])),
    ] {
        assert_eq!(typed(raw, old.clone()), None, "{raw:?} for {old}");
    }
}

#[test]
fn value_of_unknown_type() {
    let cases = [
        ("30", json!(30)),
        ("1e-4", json!(1e-4)),
        ("true", json!(true)),
        ("\"30\"", json!("30")),
        ("synth", json!("synth")),
        ("", json!("")),
        ("a = 1", json!("a = 1")),
        ("[1, 'b']", json!([1, "b"])),
        ("2024-05-01", json!("2024-05-01")),
        ("http://x/a.zip#b", json!("http://x/a.zip#b")),
    ];
    for (raw, value) in cases {
        assert_eq!(parse_value(raw), Ok(value), "{raw}");
    }
    let infinite = "`nan` contains a number that is not finite".to_owned();
    assert_eq!(parse_value("nan"), Err((infinite, None)));
    assert!(parse_value("[inf]").is_err());
}

#[test]
fn set_errors() {
    let literal = Literal::typed("1", &json!(1)).unwrap();
    let error = |text, key: &str| {
        set(text, &["params"], &ParamKey::new(key), &literal).unwrap_err().to_string()
    };
    assert_eq!(error(FILE, "train"), "there is no param `train`");
    assert_eq!(error(FILE, "seed.x"), "there is no param `seed.x`");
    assert_eq!(error("", "seed"), "there is no param `seed`");
    assert_eq!(error("params = 1", "seed"), "there is no param `seed`");
    assert_eq!(
        error("[[params.layers]]\nsize = 1", "layers"),
        "param `layers` is defined by `[[params.layers]]` tables: edit them by hand"
    );
    assert!(!error("[params", "seed").is_empty());
}

fn strategy() -> impl Strategy<Value = (&'static str, String)> {
    let text = prop_oneof!["\\PC{0,12}", "[\"'\\\\\n\r\t#=\\[\\]]{0,6}"];
    prop_oneof![
        (prop_oneof![Just("odd.name"), Just("text")], text),
        (
            prop_oneof![Just("seed"), Just("inline.a"), Just("train.epochs")],
            any::<i64>().prop_map(|i| i.to_string())
        ),
        (Just("fine.lr"), any::<f64>().prop_map(|f| format!("{f:?}"))),
        (Just("fine.resize"), any::<bool>().prop_map(|b| b.to_string())),
        (
            prop_oneof![Just("inline.b.c"), Just("fine.sizes")],
            any::<Vec<i32>>().prop_map(|v| format!("{v:?}"))
        ),
    ]
}

proptest! {
    /// After any edit the file parses, has the new value, and is otherwise unchanged.
    #[test]
    fn set_value_round_trip((key, raw) in strategy()) {
        let Ok(literal) = Literal::typed(&raw, &value_at(FILE, key)) else { return Ok(()) };
        let text = set(FILE, &["params"], &ParamKey::new(key), &literal).unwrap();
        prop_assert_eq!(&value_at(&text, key), literal.value());
        let zero = Literal { value: ParamValue::Null, toml: "0".into() };
        let restored = set(&text, &["params"], &ParamKey::new(key), &zero).unwrap();
        let expected = set(FILE, &["params"], &ParamKey::new(key), &zero).unwrap();
        prop_assert_eq!(restored, expected);
    }
}
