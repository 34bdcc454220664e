//! Rendered texts, and the hints for those that cannot be rendered.

use super::*;
use crate::pipeline::ParamKey;

#[test]
fn render_params() {
    let mut params = Params::default();
    params.insert(ParamKey::new("top"), 5.into());
    params.insert(ParamKey::new("train.lr"), 0.5.into());
    let templates = Templates::new(&params);
    assert_eq!(templates.render("head -n {{ params.top }}").as_deref(), Ok("head -n 5"));
    assert_eq!(templates.render("x {{ params.train.lr }} {y}").as_deref(), Ok("x 0.5 {y}"));
    let unknown = templates.render("{{ params.train.rl }}").unwrap_err();
    assert_eq!(unknown.why, "there is no `params.train.rl`");
    assert_eq!(unknown.hint, "did you mean `params.train.lr`?");
    assert_eq!(templates.render("{{ nothing }}").unwrap_err().why, "there is no `nothing`");
    assert!(templates.render("{{ .Name }}").is_err());
}

#[test]
fn hints_for_unknown_names() {
    let mut params = Params::default();
    let hint = |templates: &Templates, name: &str| {
        templates.render(&format!("{{{{ {name} }}}}")).unwrap_err().hint
    };
    assert_eq!(hint(&Templates::new(&params), "params.q"), "declare `q` under `[params]`");
    params.insert(ParamKey::new("seed"), 1.into());
    params.insert(ParamKey::new("train.epochs"), 1.into());
    let templates = Templates::new(&params);
    let matrix = templates.with_matrix(&[("model".into(), 1.into()), ("fold".into(), 1.into())]);
    let cases = [
        (&templates, "params.q", "declare `q` under `[params]`"),
        (&templates, "params.sed", "did you mean `params.seed`?"),
        (&templates, "seed", "did you mean `params.seed`?"),
        (&templates, "params.epochs", "did you mean `params.train.epochs`?"),
        (&templates, "param.seed", "did you mean `params.seed`?"),
        (&templates, "matrix.model", "declare `model` in a `matrix` of the stage"),
        (
            &templates,
            "item.name",
            "`item` exists only in `cmd` and the outs of a stage with `each`",
        ),
        (&matrix, "matrix.z", "write one of `matrix.fold`, `matrix.model`"),
        (&matrix, "matrix.modle", "did you mean `matrix.model`?"),
        (&matrix, "model", "did you mean `matrix.model`?"),
    ];
    for (templates, name, expected) in cases {
        assert_eq!(hint(templates, name), expected, "{name}");
    }
}

#[test]
fn rendered_values() {
    let mut params = Params::default();
    let list = serde_json::json!([1, "a b", true, 1e-5, [null]]);
    params.insert(ParamKey::new("list"), list);
    params.insert(ParamKey::new("flag"), true.into());
    params.insert(ParamKey::new("none"), ParamValue::Null);
    params.insert(ParamKey::new("text"), "x; touch pwned #".into());
    params.insert(ParamKey::new("whole"), 1.0.into());
    params.insert(ParamKey::new("table.a"), "b".into());
    let templates = Templates::new(&params);
    let text = "[1, \"a b\", true, 1e-5, [null]]";
    for (template, plain, command) in [
        ("{{ params.flag }} {{ not params.flag }}", "true false", "true false"),
        ("{{ params.whole }}", "1.0", "1.0"),
        ("{{ params.text }}", "x; touch pwned #", "'x; touch pwned #'"),
        ("\"{{ params.text }}\"", "\"x; touch pwned #\"", "\"x; touch pwned #\""),
        ("{{ params.text | raw }}", "x; touch pwned #", "x; touch pwned #"),
        ("{{ params.text | quote }}", "'x; touch pwned #'", "'x; touch pwned #'"),
        ("{{ params.text | upper }}", "X; TOUCH PWNED #", "'X; TOUCH PWNED #'"),
        ("{{ params.list }}", text, "1 'a b' true 0.00001 '[null]'"),
        ("'{{ params.list }}'", &format!("'{text}'"), &format!("'{text}'")),
        ("{{ params.table }}", "{\"a\": \"b\"}", "'{\"a\": \"b\"}'"),
        ("{{ '-x -y' if params.flag else '' }}", "-x -y", "-x -y"),
        ("{{ '{{' }}.State}}", "{{.State}}", "{{.State}}"),
        ("${#a[@]} {# b", "${#a[@]} {# b", "${#a[@]} {# b"),
        ("{% for x in params.list[:2] %}-{{ x }} {% endfor %}", "-1 -a b ", "-1 -'a b' "),
    ] {
        assert_eq!(templates.render(template).as_deref(), Ok(plain), "{template}");
        assert_eq!(templates.render_command(template).as_deref(), Ok(command), "{template}");
    }
    let why = |text| templates.render_command(text).unwrap_err().why;
    assert_eq!(why("{{ params.none }}"), "invalid operation: the value is null");
    assert_eq!(
        why("echo `{{ params.text }}`"),
        "`x; touch pwned #` has characters that cannot be quoted in backquotes"
    );
    assert_eq!(why("{{ '--t ' ~ params.table.a }}"), "`--t b` joins a value and the text \"--t \"");
    assert_eq!(why("{{ params.list | join(' ') }}").split('`').count(), 3);
}

#[test]
fn bounded_templates() {
    let templates = Templates::new(&Params::default());
    let why = |text: &str| templates.render(text).map_err(|unrendered| unrendered.why);
    for count in [900, 100_000] {
        for (text, step) in [("{{ 1", "+1"), ("{{ 1", "|abs"), ("{{ 'a'", "[0]")] {
            let text = format!("{text}{} }}}}", step.repeat(count / step.len()));
            assert_eq!(why(&text).is_ok(), count == 900, "{text:.50}");
        }
    }
    for (count, expected) in [(150, true), (100_000, false)] {
        let text = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(count));
        assert_eq!(why(&text).is_ok(), expected);
    }
    let loops = "{% for a in range(99999) %}".repeat(2);
    for text in [format!("{loops}x{}", "{% endfor %}".repeat(2)), "{{ 'x' * 99999999 }}".into()] {
        assert_eq!(why(&text), Err("it loops too often or becomes too long".to_owned()));
    }
}

#[test]
fn unclosed_templates() {
    let templates = Templates::new(&Params::default());
    let cases = [("{{ 1", "`{{` has no `}}`"), ("{% if true", "`{%` has no `%}`")];
    for (text, expected) in cases {
        assert_eq!(templates.render(text).unwrap_err().why, expected, "{text}");
    }
}
