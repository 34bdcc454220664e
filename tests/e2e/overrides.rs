//! Overrides of params: what `-p` changes, removes and refuses.

use crate::sandbox::Sandbox;
use crate::settings::{NESTED, params, run};
use crate::snapshot;

#[test]
fn refused_overrides() {
    let sandbox = Sandbox::with(NESTED);
    let mut errors = String::new();
    for given in [
        "train={epoch=3}",
        "train={opt={mom=3}}",
        "train={\"a b\"=1}",
        "++train={\"a.b\"=1}",
        "+a b=1",
        "+train=5",
        "+train={epochs=3}",
        "++train=5",
        "+seed.x=1",
        "++seed.x=1",
        "~nothing",
        "~seed=43",
        "~train=1",
        "cols=[a,b]",
        "+new=[a,b]",
        "+new={a: 1}",
        "seed=1,2,3",
        "+experiment=fast",
    ] {
        errors += &format!("{}\n", run(&sandbox, &[given]));
    }
    assert!(!sandbox.exists("pipeline.lock"));
    snapshot!(errors, @r#"
    exit 2
    --- stderr
    error: -p train={epoch=3}: there is no param `train.epoch`
     hint: did you mean `train.epochs`?
    exit 2
    --- stderr
    error: -p train={opt={mom=3}}: there is no param `train.opt.mom`
     hint: the params of `train.opt` are lr, momentum
    exit 2
    --- stderr
    error: -p train={"a b"=1}: `a b` is not a valid param name
     hint: use letters, digits, `_` and `-`
    exit 2
    --- stderr
    error: -p ++train={"a.b"=1}: `a.b` is not a valid param name
     hint: use letters, digits, `_` and `-`
    exit 2
    --- stderr
    error: invalid value '+a b=1' for '--param <KEY=VALUE>': `a b` is not a valid param name: use letters, digits, `_` and `-`

    For more information, try '--help'.
    exit 2
    --- stderr
    error: -p +train=5: `train` already exists, as a table of params
     hint: add a param to it: `-p +train.NAME=5`
    exit 2
    --- stderr
    error: -p +train={epochs=3}: param `train.epochs` already exists
     hint: to change it, omit the `+`: train={epochs=3}
    exit 2
    --- stderr
    error: -p ++train=5: `train` is a table of params, not a param
     hint: set one of its params, or give a table: {a = 1}
    exit 2
    --- stderr
    error: -p +seed.x=1: `seed` is a param, not a table of params
     hint: remove it first: -p '~seed'
    exit 2
    --- stderr
    error: -p ++seed.x=1: `seed` is a param, not a table of params
     hint: remove it first: -p '~seed'
    exit 2
    --- stderr
    error: -p ~nothing: there is no param `nothing`
     hint: `repro params show` lists them
    exit 2
    --- stderr
    error: -p ~seed=43: param `seed` is 42, not 43
     hint: to remove it whatever its value, write `~seed`
    exit 2
    --- stderr
    error: -p ~train=1: `train` is a table of params, not a param
     hint: remove it as a whole: `~train`
    exit 2
    --- stderr
    error: -p cols=[a,b]: param `train.cols` must be an array such as `[1, 2]`, not `[a,b]`
     hint: put texts in quotes: ["a", "b"]
    exit 2
    --- stderr
    error: -p +new=[a,b]: `[a,b]` is not a TOML value
     hint: put texts in quotes: ["a", "b"]
    exit 2
    --- stderr
    error: -p +new={a: 1}: `{a: 1}` is not a TOML value
     hint: write a table as `{a = 1, b = "text"}`
    exit 2
    --- stderr
    error: -p seed=1,2,3: a run takes one value, and these are several
     hint: to run each of them: repro sweep -p seed=1,2,3; for one text: -p 'seed="1,2,3"'
    exit 2
    --- stderr
    error: -p +experiment=fast: no stage reads param `experiment`, so this changes nothing
     hint: add `experiment` to the `params` of a stage
    "#);
}

#[test]
fn removed_params() {
    let sandbox = Sandbox::with(NESTED);
    assert_eq!(run(&sandbox, &["~epochs=10", "~opt.momentum", "~cols"]).code, 0);
    assert_eq!(params(&sandbox)["train"], serde_json::json!({ "opt": { "lr": 0.1 } }));
    assert_eq!(run(&sandbox, &["~train.opt"]).code, 0);
    assert_eq!(params(&sandbox)["train"], serde_json::json!({ "epochs": 10, "cols": ["x"] }));
}

#[test]
fn unread_override() {
    let sandbox = Sandbox::with(
        "[params]\na = 1\nb = 2\nc.d = 3\n[stages.s]\ncmd = 'echo {{ params.a }} > o'\n\
         params = ['c']\nouts = ['o']\n",
    );
    assert_eq!(run(&sandbox, &["a=2", "c.d=4", "+c.e=1"]).code, 0);
    assert_eq!(sandbox.read("o"), "2\n");
    snapshot!(run(&sandbox, &["b=3"]), @"
    exit 2
    --- stderr
    error: -p b=3: no stage reads param `b`, so this changes nothing
     hint: add `b` to the `params` of a stage
    ");
    // A name that is computed may be any.
    sandbox.edit("pipeline.toml", "{{ params.a }}", "{{ params[\"B\" | lower] }}");
    assert_eq!(run(&sandbox, &["b=3"]).code, 0);
    assert_eq!(sandbox.read("o"), "3\n");
}

#[test]
fn table_over_group() {
    let sandbox = Sandbox::with(
        "[config]\ngroups = { train = 'small' }\n[stages.a]\ncmd = 'cp $REPRO_PARAMS p.json'\n\
         params = ['train']\nouts = ['p.json']\n",
    );
    sandbox.write("conf/train/small.toml", "epochs = 10\nlr = 0.5\n");
    sandbox.write("conf/train/large.toml", "epochs = 99\n");
    assert_eq!(run(&sandbox, &["train={epochs = 3}"]).code, 0);
    assert_eq!(params(&sandbox), serde_json::json!({ "train": { "epochs": 3, "lr": 0.5 } }));
    assert_eq!(run(&sandbox, &["train=large", "train={epochs = 4}"]).code, 0);
    assert_eq!(params(&sandbox), serde_json::json!({ "train": { "epochs": 4 } }));
    snapshot!(run(&sandbox, &["+train=large"]), @"
    exit 2
    --- stderr
    error: -p +train=large: `train` is a group, whose option is chosen already
     hint: to choose another one, omit the `+`: train=large
    ");
    snapshot!(run(&sandbox, &["train={epoch = 4}"]), @"
    exit 2
    --- stderr
    error: -p train={epoch = 4}: there is no param `train.epoch`
     hint: did you mean `train.epochs`?
    ");
}

#[test]
fn removed_param_is_needed() {
    let sandbox = Sandbox::with(
        "[params.train]\nepochs = 1\n[stages.s]\ncmd = 'echo {{ params.train.epochs }} > o'\n\
         params = ['epochs']\nouts = ['o']\n",
    );
    snapshot!(sandbox.repro(&["run", "-p", "~epochs"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:4: cannot render `cmd` of stage `s`: there is no `params.train.epochs`
     hint: `-p '~epochs'` removes `train.epochs`, which the stage needs: set it instead
    error: pipeline.toml:5: stage `s` reads param `epochs`, which does not exist
     hint: `-p '~epochs'` removes `train.epochs`, which the stage needs: set it instead
    ");
}

#[test]
fn unclosed_brackets() {
    let sandbox = Sandbox::with(
        "[params.train]\nlr = 1\n[stages.s]\ncmd = 'touch o'\nparams = ['train']\nouts = ['o']\n",
    );
    for (typed, message) in [
        ("train={lr=2", "in `{lr=2`, the `{` in column 1 is not closed"),
        ("+train.x=[1, {a = \"}\"", "in `[1, {a = \"}\"`, the `{` in column 5 is not closed"),
        ("train={lr:2}", "`{lr:2}` is not a TOML value"),
    ] {
        let done = sandbox.repro(&["run", "-p", typed]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains(message), "{done}");
    }
}

#[test]
fn misspelled_param_is_suggested() {
    let sandbox = Sandbox::with("[params.train]\nlr = 1\nepochs = 2\n");
    for (typed, meant) in [
        ("EPOCHS", "epochs"),
        ("trian", "train"),
        ("train.epohcs", "train.epochs"),
        ("epochss", "epochs"),
    ] {
        let done = sandbox.repro(&["params", "show", typed]);
        assert!(done.stderr.contains(&format!("did you mean `{meant}`?")), "{done}");
    }
}
