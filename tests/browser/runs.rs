//! The table of runs.

use crate::driver::Page;
use crate::project::{demo, demo_with};
use crate::ui::Ui;

/// The names of the runs in sight, from top to bottom.
const SHOWN: &str = "[...document.querySelectorAll('.w-row')]
    .sort((a, b) => a.dataset.index - b.dataset.index)
    .map((row) => row.querySelector('[data-focus=run]').innerText.split('\\n')[0]).join(' ')";

const RATES: [&[&str]; 3] = [&[], &["train.lr=0.5"], &["train.lr=0.2"]];

fn shows(page: &mut Page, runs: &str) {
    page.wait(&format!("({SHOWN}) === {runs:?}"));
}

/// Chooses an entry of the menu of a column.
fn choose(page: &mut Page, column: &str, entry: &str) {
    page.click_text(".w-head .more", &format!("Menu of {column}"));
    page.click_text(".popup-menu button", entry);
}

#[test]
fn order_filter_and_back() {
    let sandbox = demo_with(&RATES);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    shows(&mut page, "run-3 run-2 run-1");
    assert_eq!(page.texts(".total"), ["3 runs"]);
    page.click("[data-key='metrics.train.accuracy'] .sort");
    shows(&mut page, "run-2 run-3 run-1");
    assert_eq!(page.address(), "/runs?sort=metrics.train.accuracy:desc");
    page.press("/");
    page.type_text("params.lr < 0.4");
    page.press("Enter");
    shows(&mut page, "run-3 run-1");
    let command = "repro runs list --filter 'params.lr < 0.4' --sort metrics.train.accuracy:desc";
    assert_eq!(page.texts("#command code"), [command]);
    page.reload();
    shows(&mut page, "run-3 run-1");
    page.back();
    shows(&mut page, "run-2 run-3 run-1");
    page.back();
    shows(&mut page, "run-3 run-2 run-1");
    assert_eq!(page.address(), "/runs");
    page.audit();
}

#[test]
fn mistakes_and_completion() {
    let sandbox = demo_with(&RATES);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    page.press("/");
    page.type_text("met acc");
    for _ in 0..4 {
        page.press("Backspace");
    }
    page.see("metrics.train.accuracy");
    page.press("ArrowDown");
    page.press("Enter");
    page.see("IS NOT NULL");
    page.type_text("> 0.1 and params.optimizr = 'adam'");
    page.press("Enter");
    page.wait("document.querySelector('#filter-error').innerText.includes('did you mean')");
    page.wait("document.querySelector('#filter').getAttribute('aria-invalid') === 'true'");
    shows(&mut page, "run-3 run-2 run-1");
    page.audit();
    let refused = page.take_faults();
    assert!(refused.iter().all(|fault| fault.contains("400")), "{refused:?}");
}

#[test]
fn keys_select_and_compare() {
    let sandbox = demo_with(&RATES);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    shows(&mut page, "run-3 run-2 run-1");
    for key in ["j", "x", "j", "j", "Shift+X"] {
        page.press(key);
    }
    page.see("Compare 3");
    assert_eq!(page.address(), "/runs?sel=1-3");
    page.press("x");
    page.see("Compare 2");
    page.audit();
    page.press("c");
    page.wait("location.pathname === '/compare'");
    assert_eq!(page.address(), "/compare?runs=2,3");
    page.back();
    page.ready();
    page.press("j");
    // Enter follows it.
    page.wait("document.activeElement.getAttribute('href') === '/runs/run-3'");
}

#[test]
fn columns_in_the_address() {
    let sandbox = demo_with(&RATES);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs?cols=took,metrics.train.loss,params.train.lr") else {
        return;
    };
    choose(&mut page, "train.loss", "Show the best value");
    page.wait("document.querySelector('[data-key=\"best:train.loss\"]')");
    choose(&mut page, "took", "Hide");
    choose(&mut page, "train.lr", "Pin to the left");
    page.wait("document.querySelector('[data-key=\"params.train.lr\"].pinned')");
    let address = "/runs?cols=metrics.train.loss,best:train.loss,params.train.lr\
                   &pin=params.train.lr";
    assert_eq!(page.address(), address);
    // The last and the best value, with its step.
    page.see("@9");
    page.click_text(".runs-bar button", "Columns");
    page.type_text("curve");
    page.click_text(".picker label", "curve:train.loss");
    page.press("Escape");
    page.wait("document.querySelectorAll('.w-row svg.curve').length === 3");
    page.audit();
    // Another visit shows the same columns.
    page.go(&ui.url("/runs"));
    page.ready();
    page.wait("document.querySelector('[data-key=\"curve:train.loss\"]')");
}

#[test]
fn groups_of_seeds() {
    let sandbox =
        demo_with(&[&[], &["seed=2"], &["seed=3"], &["train.lr=0.5"], &["train.lr=0.5", "seed=2"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs?by=-seed") else { return };
    shows(&mut page, "lr = 0.5 lr = 0.1");
    page.see("5 runs in 2 groups");
    page.see("n = 3");
    page.see("± 0.001");
    page.wait("document.querySelectorAll('.w-row .band').length > 0");
    page.click(".w-row[data-index='1'] .opener");
    shows(&mut page, "lr = 0.5 lr = 0.1 run-3 run-2 run-1");
    page.audit();
}

#[test]
fn differences_to_a_baseline() {
    let sandbox = demo_with(&RATES);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs?cols=metrics.train.loss,params.train.lr") else { return };
    page.press("j");
    page.press("j");
    page.press("b");
    page.see("baseline");
    page.wait("document.querySelectorAll('.change.bad').length === 2");
    assert!(page.texts(".change.bad").iter().all(|text| text.starts_with("worse:")));
    page.wait("document.querySelectorAll('.differs').length === 2");
    page.audit();
}

#[test]
fn edits_can_be_undone() {
    let sandbox = demo_with(&RATES);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    shows(&mut page, "run-3 run-2 run-1");
    page.press("j");
    page.press("e");
    page.type_text("worth another look");
    page.audit();
    page.press("Control+Enter");
    page.see("Changed the note of run-3");
    page.see("worth another look");
    page.click_text(".toast button", "Undo");
    page.wait("!document.querySelector('.w-body').innerText.includes('worth another look')");
    page.press("l");
    page.type_text("team: audio");
    page.press("Control+Enter");
    page.wait("document.querySelector('.chip')?.innerText === 'team: audio'");
    assert!(sandbox.ok(&["runs", "show", "run-3"]).stdout.contains("audio"));

    page.press("x");
    page.click_text(".runs-bar button", "Delete");
    shows(&mut page, "run-2 run-1");
    page.click_text(".runs-bar button", "Deleted");
    shows(&mut page, "run-3");
    page.press("j");
    page.press("x");
    page.click_text(".runs-bar button", "Undelete");
    page.see("0 deleted runs");
    page.click_text(".runs-bar button", "Deleted");
    shows(&mut page, "run-3 run-2 run-1");
}

#[test]
fn new_runs_move_nothing() {
    let sandbox = demo_with(&RATES[..2]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    shows(&mut page, "run-2 run-1");
    page.evaluate("window.kept = document.querySelector('.w-row')");
    sandbox.ok(&["run", "-p", "train.lr=0.7"]);
    page.wait("document.querySelector('.pill')?.innerText === '1 new run'");
    shows(&mut page, "run-2 run-1");
    page.evaluate("if (!window.kept.isConnected) throw new Error('drawn again')");
    page.audit();
    page.click(".pill");
    shows(&mut page, "run-3 run-2 run-1");
    page.wait("document.querySelector('.pill').hidden");
}

#[test]
fn sweeps_as_trees() {
    let sandbox = demo();
    sandbox.ok(&["sweep", "-p", "train.lr=0.1,0.2", "-p", "seed=1,2"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    shows(&mut page, "run-1");
    // The metrics are those of the best trial: the parent has none.
    page.see("best run-4");
    page.wait("document.querySelectorAll('.of-best').length === 2");
    assert_eq!(page.texts(".of-best"), ["0.7616", "0.7153"]);
    page.press("j");
    page.press("o");
    shows(&mut page, "run-1 run-5 run-4 run-3 run-2");
    page.reload();
    shows(&mut page, "run-1 run-5 run-4 run-3 run-2");
    page.audit();
    // A filter shows a list, or keeps what matches below the sweep.
    page.go(&ui.url("/runs?filter=params.train.lr = 0.2"));
    shows(&mut page, "run-5 run-4");
    page.click_text(".runs-bar button", "Tree");
    shows(&mut page, "run-1 run-5 run-4");
}

#[test]
fn hostile_names_are_text() {
    let sandbox = demo_with(&RATES[..1]);
    let name = "<img src=x onerror=alert(1)>\u{1b}[31m\u{202e}";
    sandbox.ok(&["runs", "rename", "run-1", name]);
    sandbox.ok(&["runs", "tag", "run-1", &format!("<b>={name}")]);
    sandbox.ok(&["runs", "note", "run-1", name]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    page.wait("document.querySelector('.w-row .name')");
    let shown = "<img src=x onerror=alert(1)>␛[31m⟨202E⟩";
    assert_eq!(page.texts(".w-row .name"), [shown]);
    assert_eq!(page.texts(".chip"), [format!("<b>: {shown}")]);
    assert_eq!(page.evaluate("document.querySelectorAll('img').length"), 0);
}

#[test]
fn history_without_runs() {
    let sandbox = demo();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    page.see("There are no runs yet");
    page.audit();
}

#[test]
fn palette_finds_runs() {
    let sandbox = demo_with(&RATES[..2]);
    sandbox.ok(&["runs", "rename", "run-1", "wide-network"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs") else { return };
    page.press("Control+k");
    page.type_text("wide");
    page.wait("document.querySelector('.palette li .note')?.innerText === 'run-1'");
    assert_eq!(page.texts(".palette li .title"), ["wide-network"]);
    page.audit();
}
