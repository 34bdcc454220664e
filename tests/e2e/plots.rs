//! `repro plots`: the data, the page, what the page does in a browser, and hostile values.

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// A stage whose metric, series and plots depend on the param `n`.
fn project() -> Sandbox {
    Sandbox::with(
        r#"
[pipeline]
name = "demo"
[params]
n = 1
[metrics]
loss = { goal = "min" }
[stages.train]
cmd = """
set -e
mkdir -p out
echo "step,loss
1,0.5
2,0.{{ params.n }}" > out/curve.csv
echo '{"labels": ["a", "b"], "matrix": [[3, {{ params.n }}], [0, 2]]}' > out/confusion.json
echo '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>' > out/same.svg
echo '{"loss": 0.{{ params.n }}}' > metrics.json
printf '{"metric": "loss", "step": 0, "value": 2}\n' >> $REPRO_EVENTS
printf '{"metric": "loss", "step": 1, "value": NaN}\n' >> $REPRO_EVENTS
printf '{"metric": "loss", "step": 2, "value": 0.{{ params.n }}}\n' >> $REPRO_EVENTS
"""
params = ["n"]
metrics = ["metrics.json"]
plots = ["out/curve.csv", "out/confusion.json", { path = "out/same.svg", title = "Same" }]
"#,
    )
}

fn runs(count: usize) -> Sandbox {
    let sandbox = project();
    for n in 1..=count {
        sandbox.ok(&["run", "-p", &format!("n={n}")]);
    }
    sandbox
}

#[test]
fn data_of_two_runs() {
    let sandbox = runs(2);
    let done = sandbox.ok(&["plots", "1", "2", "--json"]);
    let mut json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    for run in json["runs"].as_array_mut().unwrap() {
        run.as_object_mut().unwrap().remove("started").unwrap();
    }
    let parts = ["runs", "params", "metrics", "curves", "outs"].map(|part| {
        let entries = json[part].as_array().unwrap().iter();
        entries.map(|entry| format!("{part} {entry}\n")).collect::<String>()
    });
    insta::assert_snapshot!(parts.concat(), @r#"
    runs {"name":null,"run":"run-1","status":"ok"}
    runs {"name":null,"run":"run-2","status":"ok"}
    params {"differs":true,"key":"n","values":[1,2]}
    metrics {"best":[0],"goal":"min","key":"train.loss","values":[0.1,0.2]}
    curves {"group":null,"lines":[{"name":null,"runs":[0],"total":3,"x":[0,1,2],"y":[2,"NaN",0.1]},{"name":null,"runs":[1],"total":3,"x":[0,1,2],"y":[2,"NaN",0.2]}],"mark":"line","scale":"log","stage":"train","title":"train.loss","x":"step","y":"train.loss"}
    outs {"figures":[{"cells":[[3.0,1.0],[0.0,2.0]],"classes":["a","b"],"kind":"matrix","runs":[0],"title":"out/confusion.json","x":"predicted","y":"actual"},{"cells":[[3.0,2.0],[0.0,2.0]],"classes":["a","b"],"kind":"matrix","runs":[1],"title":"out/confusion.json","x":"predicted","y":"actual"}],"lacks":[],"path":"out/confusion.json","stage":"train","title":null}
    outs {"figures":[{"kind":"chart","lines":[{"name":null,"runs":[0],"total":2,"x":[1,2],"y":[0.5,0.1]},{"name":null,"runs":[1],"total":2,"x":[1,2],"y":[0.5,0.2]}],"mark":"line","scale":"log","title":"out/curve.csv","x":"step","y":"loss"}],"lacks":[],"path":"out/curve.csv","stage":"train","title":null}
    outs {"figures":[{"data":"PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI5IiBoZWlnaHQ9IjkiLz4K","kind":"image","media":"image/svg+xml","runs":[0,1],"title":"Same"}],"lacks":[],"path":"out/same.svg","stage":"train","title":"Same"}
    "#);
    assert!(!sandbox.exists("runs/plots.html"));
}

#[test]
fn page_is_self_contained() {
    let sandbox = runs(3);
    snapshot!(sandbox.repro(&["plots"]), @"
    exit 0
    --- stdout
    wrote $ROOT/runs/plots.html
    ");
    let one = sandbox.read("runs/plots.html");
    assert!(one.starts_with("<!doctype html>\n<!-- repro plots -->\n"), "{}", &one[..200]);
    // The library of parallel coordinates is there only if runs differ.
    let has = |page: &str| [page.contains("uPlot (v"), page.contains("Apache Software Foundation")];
    assert_eq!(has(&one), [true, false]);
    sandbox.ok(&["plots", "--last", "3", "-o", "three.html"]);
    let three = sandbox.read("three.html");
    assert_eq!(has(&three), [true, true]);
    sandbox.ok(&["plots", "--last", "3", "-o", "three.html"]);
    assert_eq!(sandbox.read("three.html"), three);
}

#[test]
fn metrics_by_glob() {
    let sandbox = runs(1);
    for (glob, count) in [("*loss", 1), ("train.*", 1), ("loss", 1)] {
        let done = sandbox.ok(&["plots", "--json", "--metric", glob]);
        let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        let counts = ["curves", "metrics"].map(|part| json[part].as_array().unwrap().len());
        assert_eq!(counts, [count; 2], "{glob}");
    }
    snapshot!(sandbox.repro(&["plots", "--metric", "los"]), @"
    exit 2
    --- stderr
    error: no metric matches `los`
     hint: did you mean `loss`?
    ");
    snapshot!(sandbox.repro(&["plots", "--last", "0"]), @"
    exit 2
    --- stderr
    error: invalid value '0' for '--last <N>': number would be zero for non-zero type

    For more information, try '--help'.
    ");
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'echo > a'\nouts = ['a']\n");
    snapshot!(sandbox.repro(&["plots"]), @"
    exit 2
    --- stderr
    error: there are no runs yet
     hint: run `repro run` to create the first
    ");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["plots"]), @"
    exit 2
    --- stderr
    error: there are no metrics or plots
     hint: a stage reports series through `$REPRO_EVENTS` and declares files under `metrics` or `plots`
    ");
    snapshot!(sandbox.repro(&["plots", "run-7"]), @"
    exit 2
    --- stderr
    error: there is no run `run-7`
     hint: the only run is run-1
    ");
}

#[test]
fn other_file_is_kept() {
    let sandbox = runs(1);
    sandbox.write("mine.html", "<!doctype html>\n<p>mine");
    snapshot!(sandbox.repro(&["plots", "-o", "mine.html"]), @"
    exit 2
    --- stderr
    error: `mine.html` exists, and `repro plots` did not write it
     hint: remove it, or choose another place
    ");
    assert_eq!(sandbox.read("mine.html"), "<!doctype html>\n<p>mine");
    sandbox.ok(&["plots", "-o", "new/page.html"]);
    sandbox.ok(&["plots", "-o", "new/page.html"]);
    assert_eq!(files(&sandbox.path("new")), ["page.html"]);
}

#[test]
fn figures_for_papers() {
    let sandbox = runs(2);
    snapshot!(sandbox.repro(&["plots", "--last", "2", "--svg", "figs"]), @"
    exit 0
    --- stdout
    wrote 4 figures to figs
    ");
    let names = files(&sandbox.path("figs"));
    let expected = [
        "out-confusion.json-run-1.svg",
        "out-confusion.json-run-2.svg",
        "out-curve.csv.svg",
        "train.loss.svg",
    ];
    assert_eq!(names, expected);
    // Runs that differ in params are drawn as a sweep is.
    let three = runs(3);
    three.ok(&["plots", "--last", "3", "--metric", "loss", "--svg", "figs"]);
    let of_params = ["parallel-coordinates.svg", "train.loss-over-n.svg"];
    for name in of_params {
        assert!(files(&three.path("figs")).iter().any(|file| file == name), "{name}");
        assert!(!three.read(&format!("figs/{name}")).contains("NaN"));
    }
    let loss = sandbox.read("figs/train.loss.svg");
    assert!(loss.starts_with("<!-- repro plots -->\n<svg "), "{loss}");
    assert!(loss.contains(">run-1</text>") && loss.contains(">run-2</text>"), "{loss}");
    sandbox.ok(&["plots", "--svg", "figs"]);
    sandbox.write("figs/train.loss.svg", "<svg/>");
    snapshot!(sandbox.repro(&["plots", "--svg", "figs"]), @"
    exit 2
    --- stderr
    error: `figs/train.loss.svg` exists, and `repro plots` did not write it
     hint: remove it, or choose another place
    ");
    snapshot!(sandbox.repro(&["plots", "--svg", "figs", "--json"]), @"
    exit 2
    --- stderr
    error: the argument '--svg <DIR>' cannot be used with '--json'

    Usage: repro plots --svg <DIR> [RUN]...

    For more information, try '--help'.
    ");
    assert_eq!(sandbox.read("figs/train.loss.svg"), "<svg/>");
}

#[test]
fn faulty_declarations() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'true'\nplots = [\n{ path = 'a.csv', template = 'confussion' },\n\
         { path = 'b.csv', template = 'pie', y = [1] },\n\
         { path = 'c.csv', x = 3, labels = 1 },\n]\n\
         [stages.b]\ncmd = 'true'\nouts = [{ path = 'd', title = 'x' }]\n",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:4: plot `a.csv` of stage `a` has unknown template `confussion`
     hint: did you mean `confusion`?
    error: pipeline.toml:5: `y` of plot `b.csv` of stage `a` must contain only strings, not an integer
    error: pipeline.toml:5: plot `b.csv` of stage `a` has unknown template `pie`
     hint: the templates are linear, scatter, bar, confusion, table
    error: pipeline.toml:6: `x` of plot `c.csv` of stage `a` must be a string, not an integer
    error: pipeline.toml:6: unknown key `labels` in an entry of `plots` of stage `a`
     hint: the keys are path, cache, persist, optional, template, x, y, title
    error: pipeline.toml:10: unknown key `title` in an entry of `outs` of stage `b`
     hint: the keys are path, cache, persist, optional
    ");
}

#[test]
fn unusable_plots_are_explained() {
    let sandbox = Sandbox::with(
        r#"[stages.a]
cmd = """printf 'step,loss\n1,2\n2\n' > ragged.csv; printf 'a,b\n1,2\n' > b.csv; echo > c.txt
printf 'step,loss\n1,2\n2,1\n' > gone.csv"""
plots = ["ragged.csv", { path = "b.csv", y = "bb" }, "c.txt", "gone.csv"]
"#,
    );
    sandbox.ok(&["run"]);
    let gone = sandbox.read("gone.csv");
    let digest = blake3::hash(gone.as_bytes()).to_hex();
    let object = format!("cache/objects/{}/{}", &digest[..2], &digest[2..]);
    sandbox.remove(&object);
    sandbox.write("gone.csv", "edited");
    let done = sandbox.ok(&["plots", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let lacks = json["outs"].as_array().unwrap().iter().flat_map(|out| {
        out["lacks"].as_array().unwrap().iter().map(|lack| {
            format!("{} {}", lack["path"].as_str().unwrap(), lack["why"].as_str().unwrap())
        })
    });
    insta::assert_snapshot!(lacks.collect::<Vec<_>>().join("\n"), @"
    b.csv has no column `bb`; it has a, b
    c.txt is not a format that can be drawn: CSV, TSV, JSON, YAML, TOML, PNG, SVG, JPEG, GIF or WebP
    gone.csv is not in the cache
    ragged.csv line 3: 1 cells, but 2 in the first line
    ");
}

#[test]
fn folders_and_uncached_plots() {
    let sandbox = Sandbox::with(
        r#"[stages.a]
cmd = """mkdir -p g/sub; echo '<svg/>' > g/a.svg; printf 'a,b\n1,x\n' > g/sub/t.csv; ln -s no g/l
printf 'step,v\n1,2\n2,3\n' > u.csv"""
plots = ["g", { path = "u.csv", cache = false }]
"#,
    );
    sandbox.ok(&["run"]);
    let kinds = || {
        let done = sandbox.ok(&["plots", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        let outs = json["outs"].as_array().unwrap().iter();
        let figures = outs.map(|out| {
            let figures = out["figures"].as_array().unwrap().iter();
            let figures = figures.map(|one| format!("{} {}", one["kind"], one["title"]));
            let lacks = out["lacks"].as_array().unwrap().iter();
            let lacks = lacks.map(|lack| format!("{} {}", lack["path"], lack["why"]));
            format!("{}: {}", out["path"], figures.chain(lacks).collect::<Vec<_>>().join(", "))
        });
        figures.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(kinds(), @r#"
    "g": "image" "g/a.svg", "table" "g/sub/t.csv", "g/l" "is a link that leads nowhere"
    "u.csv": "chart" "u.csv"
    "#);
    // It exists only in the workspace, so an edit hides what the run made.
    sandbox.write("u.csv", "step,v\n1,9\n");
    insta::assert_snapshot!(kinds(), @r#"
    "g": "image" "g/a.svg", "table" "g/sub/t.csv", "g/l" "is a link that leads nowhere"
    "u.csv": "u.csv" "is not in the cache"
    "#);
}

#[test]
fn sweep_stands_for_its_trials() {
    let sandbox = runs(1);
    sandbox.ok(&["sweep", "-p", "n=1,2,3"]);
    let drawn = |args: &[&str]| {
        let done = sandbox.ok(&[&["plots", "--json"], args].concat());
        let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        let runs = json["runs"].as_array().unwrap().iter();
        (
            runs.map(|run| run["run"].clone()).collect::<Vec<_>>(),
            json["params"][0]["values"].clone(),
        )
    };
    let trials = serde_json::json!(["run-3", "run-4", "run-5"]);
    for args in [&[][..], &["run-2"], &["run-2", "run-4"]] {
        let (runs, values) = drawn(args);
        assert_eq!(
            (serde_json::json!(runs), values),
            (trials.clone(), serde_json::json!([1, 2, 3]))
        );
    }
    assert_eq!(drawn(&["run-4"]).0, ["run-4"]);
    assert_eq!(drawn(&["run-1", "run-2"]).0, ["run-1", "run-3", "run-4", "run-5"]);
    // Of a sweep and its trials, each trial is drawn once.
    assert_eq!(drawn(&["--last", "4"]).0, ["run-3", "run-4", "run-5"]);
}
