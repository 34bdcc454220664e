//! Tests of the grammar of swept values.

use super::*;

fn several(raw: &str) -> Vec<String> {
    match parse(raw) {
        Ok(Values::Several(values) | Values::Steps(values)) => values,
        other => panic!("{raw}: {other:?}"),
    }
}

#[test]
fn lists_of_values() {
    for (raw, expected) in [
        ("1,2,3", &["1", "2", "3"][..]),
        (" a , b ", &["a", "b"]),
        ("[1,2],[3]", &["[1,2]", "[3]"]),
        ("{a = 1, b = 2},{a = 3}", &["{a = 1, b = 2}", "{a = 3}"]),
        (r"a\,b,c", &["a,b", "c"]),
        (r"'a,b',c", &["\"a,b\"", "c"]),
        (r#"'it\'s',"1""#, &["\"it's\"", "\"1\""]),
        ("it's,b", &["it's", "b"]),
        ("'',x", &["\"\"", "x"]),
        (r"C:\dir,b", &[r"C:\dir", "b"]),
        ("choice(a)", &["a"]),
        ("choice(a, 'b)', [1,2])", &["a", "\"b)\"", "[1,2]"]),
        ("choice(a=1,b)", &["a=1", "b"]),
        ("f(1,2),g", &["f(1,2)", "g"]),
    ] {
        assert_eq!(several(raw), expected, "{raw}");
    }
}

#[test]
fn single_values() {
    for raw in
        ["", "a", "[1,2]", "'a,b'", r"a\,b", "{a = 1, b = 2}", "rangex", "(1,2)", "f(1,2)", "it's"]
    {
        assert_eq!(parse(raw), Ok(Values::One(raw.into())), "{raw}");
        assert!(!is_sweep(raw));
    }
}

#[test]
fn ranges() {
    for (raw, expected) in [
        ("range(5)", &["0", "1", "2", "3", "4"][..]),
        ("range(1,4)", &["1", "2", "3"]),
        ("range(10,40,10)", &["10", "20", "30"]),
        ("range(0,10,3.3)", &["0.0", "3.3", "6.6", "9.9"]),
        ("range(0.1,0.4,0.1)", &["0.1", "0.2", "0.3"]),
        ("range(-3,step=-1)", &["0", "-1", "-2"]),
        ("range(start=1,stop=6,step=2)", &["1", "3", "5"]),
        ("range(3,0,-1)", &["3", "2", "1"]),
        ("range(0,3e-3,1e-3)", &["0.0", "0.001", "0.002"]),
    ] {
        assert_eq!(several(raw), expected, "{raw}");
    }
}

#[test]
fn intervals() {
    let interval =
        |low, high, scale, kind| Ok(Values::Interval(Interval { low, high, scale, kind }));
    use Kind::{Float, Integer, OfParam};
    use Scale::{Linear, Log};
    for (raw, expected) in [
        ("interval(0,1)", interval(0.0, 1.0, Linear, OfParam)),
        ("interval(start=0, end=1)", interval(0.0, 1.0, Linear, OfParam)),
        ("loginterval(1e-5,1e-1)", interval(1e-5, 1e-1, Log, OfParam)),
        ("tag(log, interval(1e-5, 1e-1))", interval(1e-5, 1e-1, Log, OfParam)),
        ("int(interval(1,16))", interval(1.0, 16.0, Linear, Integer)),
        ("int(loginterval(1,16))", interval(1.0, 16.0, Log, Integer)),
        ("tag(log, int(interval(1,16)))", interval(1.0, 16.0, Log, Integer)),
        ("tag(log, int, interval(1,16))", interval(1.0, 16.0, Log, Integer)),
        ("tag(float, interval(1,16))", interval(1.0, 16.0, Linear, Float)),
    ] {
        assert_eq!(parse(raw), expected, "{raw}");
    }
}

#[test]
fn globs() {
    let glob = |include: &[&str], exclude: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Ok(Values::Glob { include: owned(include), exclude: owned(exclude) })
    };
    assert_eq!(parse("glob(*)"), glob(&["*"], &[]));
    assert_eq!(parse("glob([s*,'w*'],exclude=x)"), glob(&["s*", "w*"], &["x"]));
    assert_eq!(parse("glob(*, exclude=[a,b])"), glob(&["*"], &["a", "b"]));
}

#[test]
fn malformed_values() {
    let mut messages = String::new();
    for raw in [
        "1,,2",
        "1,",
        "a,[1,2",
        "a,'b",
        "choice()",
        "range(3,1)",
        "range(stop=3)",
        "range(1,2,0)",
        "range(a)",
        "range(0,1e9)",
        "range(1,2,stpe=1)",
        "interval(1)",
        "interval(2,1)",
        "interval(-1e308,1e308)",
        "interval(nan,1)",
        "loginterval(0,1)",
        "int(1)",
        "int(interval(0.5,1))",
        "tag(lgo, interval(1,2))",
        "tag(log, choice(1,2))",
        "glob()",
        "glob(a,b)",
        "shuffle(1,2)",
        "choise(1,2)",
        "float(range(3))",
    ] {
        let BadValues { what, hint } = parse(raw).unwrap_err();
        let hint = hint.map(|hint| format!("\n  {hint}")).unwrap_or_default();
        messages.push_str(&format!("{raw}: {what}{hint}\n"));
    }
    insta::assert_snapshot!(messages, @r"
    1,,2: a value is missing beside a comma
      write an empty text as `''`, and one with a comma in quotes
    1,: a value is missing beside a comma
      write an empty text as `''`, and one with a comma in quotes
    a,[1,2: a `]` is missing
    a,'b: a quote ' is not closed
    choice(): `choice` needs arguments
    range(3,1): `range(3,1,1)` has no values
      the stop itself is excluded
    range(stop=3): `range` takes start, stop and step
      write `range(10,40,10)`
    range(1,2,0): `range(1,2,0)` has no values
      the stop itself is excluded
    range(a): `a` is not a number
    range(0,1e9): a range has more than 100000 values
    range(1,2,stpe=1): `range` has no argument `stpe`
      did you mean `step`?
    interval(1): `interval` takes two numbers
      write `interval(0.001,0.1)`
    interval(2,1): the interval from 2 to 1 is empty
      write the lower end first
    interval(-1e308,1e308): the interval from -1e308 to 1e308 is too wide
    interval(nan,1): `nan` is not a number
    loginterval(0,1): an interval on a log scale cannot begin at 0
      begin above 0
    int(1): `int` takes an interval, not `1`
      write `loginterval(0.001,0.1)` or `int(interval(1,16))`
    int(interval(0.5,1)): the ends of an interval of integers must be integers
    tag(lgo, interval(1,2)): there is no tag `lgo`
      the tags are `log`, `int` and `float`
    tag(log, choice(1,2)): `tag` takes an interval, not `choice(1,2)`
      write `loginterval(0.001,0.1)` or `int(interval(1,16))`
    glob(): `glob` needs arguments
    glob(a,b): `glob` takes one pattern or a list of them
      write `glob(*)`, or `glob([s*,m*],exclude=x*)`
    shuffle(1,2): `shuffle` is not a function of a sweep
      `--random N` draws trials in random order
    choise(1,2): `choise` is not a function of a sweep
      did you mean `choice`?
    float(range(3)): `float` is not a function of a sweep
      a param keeps its type: leave the cast out
    ");
}

proptest::proptest! {
    /// No text causes a panic.
    #[test]
    fn any_text(raw in "[a-z0-9(),='\"\\\\ \\[\\]{}.é-]{0,24}") {
        let _ = parse(&raw);
    }

    /// Quoting keeps a text whole.
    #[test]
    fn quoted_texts(text in "[a-z,'\" \\[(]{0,12}") {
        let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
        let values = several(&format!("'{escaped}',x"));
        let read = params_edit::parse_value(&values[0]);
        proptest::prop_assert_eq!(read, Ok(text.into()));
    }
}
