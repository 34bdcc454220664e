//! The page of `repro plots` in a real browser: its figures appear, and hostile values stay text.

use std::process::Command;

use crate::sandbox::{Sandbox, untested};

/// A page as a browser shows it.
struct Shown {
    dom: String,
    /// Messages of its console: errors and violations of the content security policy.
    console: String,
}

/// Opens a page in Chromium; `None` if there is none.
fn show(sandbox: &Sandbox, page: &str) -> Option<Shown> {
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--enable-logging=stderr"])
        .args(["--window-size=1200,9000", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", sandbox.path(".chromium").display()))
        .arg(format!("file://{}", sandbox.path(page).display()))
        .env("HOME", sandbox.root());
    if Command::new("chromium").arg("--version").output().is_err() {
        untested("there is no `chromium`");
        return None;
    }
    let output = deadline::output(&mut chromium);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let console = text(&output.stderr);
    let console = console.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>();
    Some(Shown { dom: text(&output.stdout), console: console.join("\n") })
}

/// Returns the part of the page that its code built.
fn built(dom: &str) -> &str {
    let start = dom.find("<main").unwrap();
    &dom[start..dom.find("</main>").unwrap()]
}

#[test]
fn figures_appear() {
    let sandbox = Sandbox::with(
        r#"
[params]
n = 1
name = "a"
[metrics]
loss = { goal = "min" }
[stages.train]
cmd = """
set -e
printf 'step,loss\n1,0.5\n2,0.{{ params.n }}\n' > curve.csv
printf 'class,f1\nrock,0.5\njazz,0.{{ params.n }}\n' > f1.csv
printf 'actual,predicted\na,a\na,b\nb,b\n' > pairs.csv
printf '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>' > same.svg
printf '{"loss": 0.{{ params.n }}, "ok": 1}' > metrics.json
for step in 0 1 2; do
  printf '{"metric": "loss", "step": %s, "value": 0.%s}\n' $step 3$step >> $REPRO_EVENTS
done
printf '{"metric": "loss", "step": 3, "value": NaN}\n' >> $REPRO_EVENTS
"""
params = ["n", "name"]
metrics = ["metrics.json"]
plots = ["curve.csv", "pairs.csv", "same.svg", { path = "f1.csv", template = "bar" }]
"#,
    );
    for (n, name) in [(1, "a"), (2, "b"), (3, "a")] {
        sandbox.ok(&["run", "-p", &format!("n={n}"), "-p", &format!("name={name}")]);
    }
    sandbox.ok(&["plots", "--last", "3"]);
    let Some(Shown { dom, console }) = show(&sandbox, "runs/plots.html") else { return };
    assert_eq!(console, "");
    let built = built(&dom);
    for text in [
        "<h1>run-1, run-2, run-3</h1>",
        "Final metrics",
        "train.loss<abbr title=\"lower is better\"> ↓</abbr>",
        "Parallel coordinates",
        "Not finite: run-1 NaN at 3, run-2 NaN at 3, run-3 NaN at 3",
        "aria-label=\"Chart of train.loss: run-1, run-2, run-3\"",
        "2 of 3 on the diagonal: 66.7 %",
        "src=\"data:image/svg+xml;base64,PHN2",
        "<th scope=\"rowgroup\" rowspan=\"3\">rock</th>",
    ] {
        assert!(built.contains(text), "no {text} in {built}");
    }
    // Two charts by uPlot, two by ECharts.
    assert_eq!(built.matches("<canvas").count(), 4, "{built}");
}

/// Sets an attribute of the page if it runs as a script.
const EVIL: &str = r#"document.documentElement.setAttribute("data-pwned","1")"#;

#[test]
fn hostile_values_stay_text() {
    let script = format!("</script><script>{EVIL}</script>");
    let image = format!("<img src=x onerror='{EVIL}'>");
    let toml = |text: &str| serde_json::Value::from(text).to_string();
    let path = "<img src=x onerror=document.documentElement.id=0>.csv";
    let sandbox = Sandbox::with(&format!(
        "[pipeline]\nname = {}\n[params]\nhostile = {}\nn = 1\n\
         [stages.a]\ncmd = 'python3 write.py'\ndeps = ['write.py']\nparams = ['hostile', 'n']\n\
         metrics = ['m.json']\nplots = [{}, 'table.csv', 'evil.svg', 'lack.txt', \
         {{ path = 'bar.csv', template = 'bar', title = {} }}, 'matrix.json']\n",
        toml(&format!("{script}<!--<script>{image}")),
        toml(&format!("\u{2028}{image}\"'`${{alert(1)}}")),
        toml(path),
        toml(&format!("{script}{image}")),
    ));
    sandbox.write(
        "write.py",
        format!(
            r#"
import json, os
evil = {evil}
names = [evil, evil + "2"]
cell = '"' + evil.replace('"', '""') + '"'
open({path}, "w").write("step," + cell + "\n1,2\n2,3\n")
open("table.csv", "w").write("a," + cell + "\n" + cell + ",x\n" + cell + ",javascript:alert(1)\n")
open("bar.csv", "w").write(cell + ",n\n" + cell + ",3\n")
json.dump(dict(labels=names, matrix=[[1, 2], [3, 4]]), open("matrix.json", "w"))
json.dump({{evil: 0.5}}, open("m.json", "w"))
open("lack.txt", "w").write(evil)
open("evil.svg", "w").write('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" '
    + 'onload="top.' + {js}.replace('"', "'") + '"><script>top.' + {js}
    + '</script><image href="https://example.org/x"/></svg>')
with open(os.environ["REPRO_EVENTS"], "a") as events:
    for step in range(3):
        print(json.dumps(dict(metric=evil, step=step, value=step)), file=events)
"#,
            evil = toml(&format!("{script}{image}")),
            path = toml(path),
            js = toml(EVIL),
        ),
    );
    for n in ["n=1", "n=2", "n=3"] {
        sandbox.ok(&["run", "-p", n]);
    }
    sandbox.ok(&["plots", "--last", "3"]);
    let Some(Shown { dom, console }) = show(&sandbox, "runs/plots.html") else { return };
    // Neither did a script run, nor did the policy have to stop one.
    assert_eq!(console, "");
    assert!(!dom.contains("data-pwned="), "{dom}");
    assert!(dom.contains("<html lang=\"en\" data-theme="), "{}", &dom[..300]);
    let built = built(&dom);
    let elements = |tag: &str| built.matches(&format!("<{tag}")).count();
    // The images are those of the plot; the other tags are text.
    assert_eq!([elements("script"), elements("img src=x"), elements("img")], [0, 0, 1]);
    assert!(built.matches("&lt;/script&gt;&lt;script&gt;").count() > 20, "{built}");
}
