//! The page of registered models.

use crate::project::demo_with;
use crate::ui::Ui;

#[test]
fn versions_and_aliases() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    sandbox.ok(&["models", "register", "genre", "run-1:report.md"]);
    sandbox.ok(&["models", "register", "genre", "run-2:report.md"]);
    sandbox.ok(&["models", "promote", "genre/2", "production"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/models") else { return };
    page.see("genre");
    assert_eq!(page.texts("tbody td:nth-child(1)"), ["2", "1"]);
    assert_eq!(page.texts(".alias"), ["production"]);
    assert_eq!(page.texts("tbody td:nth-child(3)"), ["run-2", "run-1"]);
    page.audit();
    page.press("/");
    page.type_text("other");
    page.see("No model matches");
    assert_eq!(page.address(), "/models?find=other");
    page.audit();
}

#[test]
fn registry_without_models() {
    let sandbox = demo_with(&[]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/models") else { return };
    page.see("There are no registered models yet");
    page.audit();
}
