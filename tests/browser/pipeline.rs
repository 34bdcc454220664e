//! The pipeline and its stages.

use crate::driver::Page;
use crate::held::{self, HeldRun};
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
fn graph_and_list() {
    let sandbox = demo();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    page.wait("document.querySelectorAll('svg a').length === 2");
    page.press("v");
    page.wait("document.querySelectorAll('.list tbody tr').length === 2");
    assert_eq!(page.address(), "/pipeline?view=list");
    page.audit();
    // The command stays at the foot of a window that is higher than the page.
    page.width(390);
    page.wait("document.querySelector('#command').getBoundingClientRect().bottom === innerHeight");
    page.back();
    page.wait("document.querySelectorAll('svg a').length === 2");
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
fn verdict_while_a_stage_runs() {
    let sandbox = held::project();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    let run = HeldRun::start(&sandbox);
    page.see("run-1 is running");
    run.release();
    page.wait("!document.body.innerText.includes('is running')");
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
fn hostile_stage_texts() {
    let evil = "<img src=x onerror=document.title=1>";
    let sandbox = Sandbox::with(&format!(
        "[stages.a]\ncmd = \"echo '{evil}' > '{evil}.txt'\"\ndesc = \"{evil}\"\n\
         outs = [\"{evil}.txt\"]\n"
    ));
    sandbox.ok(&["run"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    page.ready();
    page.go(&ui.url("/pipeline/a"));
    page.ready();
    page.see(evil);
    assert_eq!(page.evaluate("document.querySelectorAll('main img').length"), 0);
}
