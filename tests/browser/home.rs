//! The first page.

use crate::held::{self, HeldRun};
use crate::project::demo_with;
use crate::sandbox::Sandbox;
use crate::ui::Ui;

#[test]
fn last_run_and_workspace() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("Compare with run-1");
    page.see("−0.689 better");
    page.see("train.lr 0.5 → 0.1");
    // The params of the last run were given on the command line.
    page.see("repro run");
    page.audit();
    page.click_text("a", "Compare with run-1");
    page.ready();
    assert_eq!(page.address(), "/compare?runs=1,2");
}

#[test]
fn trials_of_the_last_sweep() {
    let sandbox = demo_with(&[]);
    sandbox.ok(&["sweep", "-p", "train.lr=0.1,0.5", "--optimize", "min:train.loss"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("2 runs");
    page.audit();
    page.click_text("a", "Open the run");
    page.ready();
    page.wait("document.querySelectorAll('.parts tbody tr').length === 2");
    page.see("best");
    assert!(!page.texts("main").concat().contains("sweep.key"));
    page.audit();
    page.click_text("a", "In the table");
    page.wait("document.querySelectorAll('.w-row a.status').length === 3");
}

#[test]
fn run_while_it_goes() {
    let sandbox = held::project();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("No runs yet");
    let run = HeldRun::start(&sandbox);
    page.see("Log of hold");
    page.see("the first line");
    page.see("0.75");
    page.audit();
    run.release();
    page.see("Open the run");
    page.see("0.625");
    page.see("everything is up to date");
}

#[test]
fn run_of_a_client() {
    let sandbox = demo_with(&[]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.evaluate(
        "(async () => {
           const post = (path, body) => fetch(`/api/2.0/mlflow/runs/${path}`, { method: 'POST',
             headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
             .then((answer) => answer.json());
           const { run } = await post('create', { experiment_id: '0', start_time: Date.now() });
           globalThis.end = () => post('update', { run_id: run.info.run_id, status: 'FINISHED' });
           for (const [step, value] of [[1, 0.75], [2, 0.625]]) {
             await post('log-metric', { run_id: run.info.run_id, key: 'loss', value, step,
               timestamp: Date.now() });
           }
         })()",
    );
    page.see("0.625");
    assert_eq!(page.texts(".results td:first-child"), ["loss"]);
    page.audit();
    page.evaluate("globalThis.end()");
    page.see("Open the run");
    assert_eq!(page.texts(".results td"), ["loss", "0.625"]);
    page.audit();
}

#[test]
fn cause_of_a_failure() {
    let sandbox = Sandbox::with("[stages.train]\ncmd = \"echo the loss is NaN; exit 3\"\n");
    assert_ne!(sandbox.repro(&["run"]).code, 0);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("exited with code 3: its last line: \"the loss is NaN\"");
    page.audit();
}

#[test]
fn project_without_stages() {
    let sandbox = Sandbox::with("");
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.see("repro init");
    assert_eq!(page.texts("h1"), ["A pipeline in three steps"]);
    page.audit();
}
