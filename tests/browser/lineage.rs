//! The lineage of a content or of a stage.

use crate::project::demo_with;
use crate::ui::Ui;

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
