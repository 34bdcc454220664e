//! The pages about stages: the pipeline, one stage, home and the lineage of a content.

use crate::driver::Page;
use crate::project::{demo, demo_with};
use crate::sandbox::Sandbox;
use crate::ui::Ui;

const MATRIX: &str = r#"
[stages.load]
cmd = "echo 1 > data"
outs = ["data"]
[stages.train]
matrix = { seed = [1, 2, 3] }
cmd = "cat data > m{{ matrix.seed }}"
deps = ["data"]
outs = ["m{{ matrix.seed }}"]
[stages.report]
cmd = "cat m1 m2 m3 > report.txt"
deps = ["m1", "m2", "m3"]
outs = ["report.txt"]
"#;

/// Returns the texts of elements of a drawing.
fn drawn(page: &mut Page, selector: &str) -> Vec<String> {
    let texts = format!("[...document.querySelectorAll({selector:?})].map((e) => e.textContent)");
    serde_json::from_value(page.evaluate(&texts)).unwrap()
}

#[test]
fn verdicts_change_live() {
    let sandbox = demo();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    assert_eq!(drawn(&mut page, ".dag .name"), ["prepare", "train"]);
    assert_eq!(drawn(&mut page, ".dag .detail"), ["out of date", "waiting"]);
    page.see("is out of date: never ran");
    page.audit();
    sandbox.ok(&["run"]);
    page.see("Everything is up to date");
    assert_eq!(drawn(&mut page, ".dag .detail"), ["up to date", "up to date"]);
    sandbox.write("train.sh", "exit 0");
    page.see("dep train.sh changed");
    page.audit();
}

#[test]
fn keys_follow_edges() {
    let sandbox = demo();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    page.evaluate("document.querySelector('.node[data-id=prepare]').focus()");
    page.press("ArrowDown");
    page.wait("document.activeElement.dataset.id === 'train'");
    page.wait("document.querySelectorAll('.edge.is-lit').length === 1");
    page.wait("document.querySelector('.side .card h2').textContent === 'train'");
    page.press("ArrowUp");
    page.wait("document.activeElement.dataset.id === 'prepare'");
    page.press("v");
    page.wait("document.querySelectorAll('.list tbody tr').length === 2");
    assert_eq!(page.address(), "/pipeline?view=list");
    page.audit();
}

#[test]
fn matrix_opens() {
    let sandbox = Sandbox::with(MATRIX);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    assert_eq!(drawn(&mut page, ".dag .name"), ["load", "train", "report"]);
    assert_eq!(drawn(&mut page, ".dag .detail")[1], "3 waiting");
    page.click(".node[data-id=train]");
    page.wait("document.querySelectorAll('.dag .node').length === 5");
    assert_eq!(page.address(), "/pipeline?open=train");
    page.click_text("button", "Fold all");
    page.wait("document.querySelectorAll('.dag .node').length === 3");
}

#[test]
fn history_of_stage() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline/train") else { return };
    assert_eq!(page.texts("h1"), ["Pipeline / train"]);
    assert_eq!(page.texts(".small-table tbody tr td:first-child"), ["run-2", "run-1"]);
    page.see("train.lr 0.1 → 0.5");
    page.wait("document.querySelectorAll('.durations .bar').length === 2");
    assert_eq!(page.texts("#command code"), ["repro why train"]);
    page.audit();
}

#[test]
fn home_shows_last_run() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("run-2");
    page.see("−0.689 better");
    page.see("train.lr 0.5 → 0.1");
    page.audit();
}

#[test]
fn running_run_on_home() {
    let sandbox = Sandbox::with(
        "[stages.wait]\ncmd = 'echo a line of the log; while [ ! -e go ]; do sleep 0.02; done'\n",
    );
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("No runs yet");
    let mut run = sandbox.command(&["run"]).spawn().unwrap();
    page.wait("document.querySelector('.log')?.textContent.includes('a line of the log')");
    page.wait("document.querySelector('.card .badge').textContent === 'running'");
    page.audit();
    sandbox.write("go", "");
    assert!(run.wait().unwrap().success());
    page.wait("document.querySelector('.card .badge').textContent === 'ok'");
}

#[test]
fn empty_project_has_steps() {
    let sandbox = Sandbox::with("[params]\na = 1\n");
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    assert_eq!(page.texts("h1"), ["A pipeline in three steps"]);
    page.audit();
}

#[test]
fn lineage_of_stage() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/lineage/run-2/train") else { return };
    assert_eq!(page.texts("h1"), ["Lineage of train in run-2"]);
    page.wait("document.querySelector('.node[data-state=target] .name').textContent === 'train'");
    page.see("data.csv");
    page.see("train.sh");
    page.audit();
    page.click_text(".side a", "data.csv");
    page.wait("document.querySelector('h1')?.textContent === 'Lineage of data.csv'");
    // Both runs of `train` read it.
    page.wait("document.querySelectorAll('.node[data-kind=stage]').length === 3");
}
