//! The page of a run.

use crate::held::{self, HeldRun};
use crate::project::demo_with;
use crate::sandbox::Sandbox;
use crate::ui::Ui;

#[test]
fn tabs_by_number() {
    let sandbox = demo_with(&[&["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1") else { return };
    for (key, tab) in [("2", "curves"), ("3", "params"), ("4", "logs"), ("5", "artifacts")] {
        page.press(key);
        page.wait(&format!("location.search === '?tab={tab}'"));
        page.wait(&format!("document.querySelector('.tabs :nth-child({key})[aria-current=page]')"));
        page.audit();
    }
    page.reload();
    page.ready();
    page.wait("document.querySelector('.tabs :nth-child(5)[aria-current=page]')");
    page.back();
    page.wait("location.search === '?tab=logs'");
    page.press("1");
    page.wait("document.querySelector('.tabs :nth-child(1)[aria-current=page]')");
    page.audit();
}

#[test]
fn bar_of_running_stage() {
    let sandbox = held::project();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    let run = HeldRun::start(&sandbox);
    page.see("Log of hold");
    page.go(&ui.url("/runs/run-1"));
    page.wait("globalThis.bar = document.querySelector('.bar[data-status=running]')");
    page.evaluate("globalThis.took = document.querySelector('td.took').innerText");
    // It grows without a change of the run, and stays the same element.
    page.wait("document.querySelector('td.took').innerText !== globalThis.took");
    page.wait("globalThis.bar.isConnected && globalThis.bar.clientWidth > 0");
    page.audit();
    run.release();
    page.wait("document.querySelector('.bar[data-status=ran]')");
}

#[test]
fn confusion_matrix_is_drawn() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1?tab=artifacts&file=confusion.json") else { return };
    page.see("17 of 20 on the diagonal: 85.0 %");
    page.wait("document.querySelectorAll('.heat tbody td').length === 4");
    page.audit();
    // Any other file is shown as it is.
    page.go(&ui.url("/runs/run-1?tab=artifacts&file=metrics.json"));
    page.see("1200");
    assert_eq!(page.texts(".heat"), Vec::<String>::new());
}

#[test]
fn narrow_window_shows_current_tab() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1") else { return };
    page.width(390);
    let place = "document.querySelector('.tabs [aria-current]').getBoundingClientRect()";
    for key in ["6", "1"] {
        page.press(key);
        page.wait(&format!("document.querySelector('.tabs :nth-child({key})[aria-current]')"));
        page.wait(&format!("{place}.left >= 0 && {place}.right <= innerWidth"));
    }
}

#[test]
fn curves_are_drawn() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1?tab=curves") else { return };
    page.wait("document.querySelector('.chart canvas')");
    page.hover(".chart .u-over");
    page.wait("document.querySelector('.plot-tip:not([hidden])')");
    page.press("a");
    page.wait("location.search.includes('axis=relative')");
}

#[test]
fn ticks_of_logarithmic_axes() {
    let sandbox = demo_with(&[]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    let mut check = |low: f64, high: f64, expected: &str| {
        let script = format!(
            "import('/assets/lib/curve.js').then((m) => m.logTicks({low:e}, {high:e}).join(' '))"
        );
        assert_eq!(page.evaluate(&script), expected, "{low} to {high}");
    };
    // The step of uPlot's own ticks became zero here.
    check(0.0995, 0.68, "0.1 0.2 0.3 0.4 0.5 0.6");
    check(3.0, 80.0, "5 10 20 50");
    check(0.001, 1000.0, "0.001 0.01 0.1 1 10 100 1000");
    check(1e-9, 3.0, "1e-9 1e-7 0.00001 0.001 0.1");
    check(0.14, 0.15, "0.14 0.142 0.144 0.146 0.148 0.15");
    check(1e-300, 1e300, "1e-300 1e-214 1e-128 1e-42 1e+44 1e+130 1e+216");
    check(5.0, 5.0, "");
}

#[test]
fn log_of_a_silent_stage() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1?tab=logs") else { return };
    page.see("Nothing was printed.");
    page.wait("document.querySelector('.logs button').disabled");
    page.audit();
}

#[test]
fn log_follows_a_run() {
    let sandbox = held::project();
    let run = HeldRun::start(&sandbox);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1?tab=logs") else { return };
    page.see("the first line");
    run.release();
    page.see("the last line");
    page.press("/");
    page.type_text("first");
    page.press("Enter");
    page.wait("document.querySelector('main mark, main .match')");
}

#[test]
fn hostile_log_and_params() {
    let evil = "<img src=x onerror=document.title=1>";
    let sandbox = Sandbox::with(&format!(
        "[params]\nx = {evil:?}\n[stages.a]\nparams = [\"x\"]\ncmd = \"\"\"\n\
         printf '%s\\n' '{evil}' '\\\\033]0;pwn\\\\007'\n\
         echo '{evil}' > m.md\n\"\"\"\nouts = [\"m.md\"]\n"
    ));
    sandbox.ok(&["run"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1?tab=logs") else { return };
    page.see(evil);
    page.press("3");
    page.see(evil);
    page.press("5");
    page.see("m.md");
    assert_eq!(page.evaluate("document.querySelectorAll('main img').length"), 0);
}

#[test]
fn missing_run() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-7") else { return };
    assert_eq!(page.texts("h1"), ["There is no run-7"]);
    page.see("there is no run `run-7`");
    page.audit();
    page.forgive(404);
}
