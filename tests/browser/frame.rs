//! The frame of all pages: navigation, palette, keys, theme.

use crate::project::demo_with;
use crate::ui::Ui;

#[test]
fn palette_and_keys() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    page.press("?");
    page.wait("document.querySelector('dialog.keys[open]')");
    page.see("Change the theme");
    page.press("Escape");
    page.wait("!document.querySelector('dialog')");

    page.press("Control+k");
    page.wait("document.querySelector('dialog.palette[open] input') === document.activeElement");
    page.type_text("compare");
    page.wait("document.querySelector('.palette li[aria-selected=true]')");
    page.audit();
    page.press("Escape");
    page.wait("!document.querySelector('dialog')");

    page.press("g");
    page.press("r");
    page.wait("location.pathname === '/runs'");
    page.ready();
    page.back();
    page.wait("location.pathname === '/pipeline'");
}

#[test]
fn theme_is_kept() {
    let sandbox = demo_with(&[]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = page.evaluate(paper);
    page.press("t");
    page.press("t");
    assert_ne!(page.evaluate(paper), light);
    page.reload();
    page.ready();
    assert_ne!(page.evaluate(paper), light);
    page.press("t");
    assert_eq!(page.evaluate(paper), light);
}

#[test]
fn addresses_of_mlflow() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/pipeline") else { return };
    page.go(&ui.url("/#/experiments/1/runs/0123456789abcdef0123456789abcdef"));
    page.wait("location.pathname === '/runs/0123456789abcdef0123456789abcdef'");
    page.see("no run");
    page.forgive(404);
}

#[test]
fn page_that_is_missing() {
    let sandbox = demo_with(&[]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    page.go(&ui.url("/nowhere"));
    page.see("nothing is served at");
    // Without a script nothing answers to a button.
    assert_eq!(page.evaluate("document.querySelectorAll('button').length"), 0);
    page.audit();
    page.forgive(404);
}
