//! The pipeline and its stages.

use crate::held::{self, HeldRun};
use crate::project::{demo, demo_with};
use crate::sandbox::Sandbox;
use crate::ui::Ui;

#[test]
fn graph_and_list() {
    let sandbox = demo();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    page.wait("document.querySelectorAll('svg a').length === 2");
    page.see("never ran");
    page.audit();
    page.press("v");
    page.wait("document.querySelectorAll('tbody tr').length === 2");
    assert_eq!(page.address(), "/pipeline?view=list");
    page.audit();
    page.back();
    page.wait("document.querySelectorAll('svg a').length === 2");
    sandbox.ok(&["run"]);
    page.wait("!document.body.innerText.includes('never ran')");
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
fn stage_with_its_history() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline/train") else { return };
    page.see("run-1");
    page.see("run-2");
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
