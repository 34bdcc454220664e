//! Copies and files that pages make: tables as Markdown, CSV and LaTeX, charts as SVG and PNG with
//! their data.

use crate::driver::Page;
use crate::project::demo_with;
use crate::ui::Ui;

/// Keeps what the page copies instead of giving it to the clipboard, which tests share.
fn keep_copies(page: &mut Page) {
    page.evaluate(
        "void Object.defineProperty(navigator, 'clipboard', { value: {
           writeText: async (text) => { globalThis.copied = text; } } })",
    );
}

/// Keeps what the page saves instead of writing files. The page may not fetch what it made.
fn keep_files(page: &mut Page) {
    page.evaluate(
        "globalThis.files = [];
         let last = null;
         const address = URL.createObjectURL;
         URL.createObjectURL = (blob) => {
           last = blob;
           return address(blob);
         };
         const blobOf = (data) => {
           const [, type, isBase64, text] = /^data:([^;]*);?.*?(base64)?,(.*)$/.exec(data);
           const bytes = isBase64 ? Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
             : decodeURIComponent(text);
           return new Blob([bytes], { type });
         };
         globalThis.HTMLAnchorElement.prototype.click = function () {
           const blob = this.href.startsWith('data:') ? blobOf(this.href) : last;
           globalThis.files.push({ name: this.download, blob });
         }",
    );
}

/// Chooses an entry of a menu, and returns what it copied.
fn copy(page: &mut Page, menu: &str, entry: &str) -> String {
    page.evaluate("void delete globalThis.copied");
    page.click(&format!("{menu} summary"));
    page.click_text(&format!("{menu} .item"), entry);
    page.wait("globalThis.copied").as_str().unwrap().to_owned()
}

/// Waits for the file that an action saves; returns its name, and an expression about its `blob`.
fn saved(page: &mut Page, about: &str) -> (String, String) {
    page.wait("globalThis.files.length > 0");
    let found = page.evaluate(&format!(
        "(async ({{ name, blob }}) => [name, String({about})])(globalThis.files.pop())"
    ));
    serde_json::from_value(found).unwrap()
}

const SVG: &str = "new DOMParser().parseFromString(await blob.text(), 'image/svg+xml')
    .querySelectorAll('parsererror, svg:root, path[stroke-width]').length";
const PNG: &str = "[(await createImageBitmap(blob)).width > 300, blob.type]";

#[test]
fn table_of_runs() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    sandbox.ok(&["runs", "rename", "run-2", "a|b_c"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs?cols=metrics.train.loss,params.train.lr") else { return };
    keep_copies(&mut page);
    page.see("a|b_c");
    let menu = ".runs-bar .menu";
    insta::assert_snapshot!(copy(&mut page, menu, "Markdown"), @r"
    | run | name | status | train.loss | train.lr |
    | --- | --- | --- | ---: | --- |
    | run-2 | a\|b\_c | ok | 0.364636 | 0.5 |
    | run-1 |  | ok | 1.05363 | 0.1 |
    ");
    insta::assert_snapshot!(copy(&mut page, menu, "CSV"), @r"
    run,name,status,train.loss,train.lr
    run-2,a|b_c,ok,0.364636,0.5
    run-1,,ok,1.05363,0.1
    ");
    insta::assert_snapshot!(copy(&mut page, menu, "LaTeX"), @r"
    \begin{tabular}{lllrl}
      \toprule
      run & name & status & train.loss & train.lr \\
      \midrule
      run-2 & a|b\_c & ok & 0.364636 & 0.5 \\
      run-1 &  & ok & 1.05363 & 0.1 \\
      \bottomrule
    \end{tabular}
    ");
    page.press("j");
    page.press("x");
    page.see("Compare 1");
    insta::assert_snapshot!(copy(&mut page, menu, "CSV"), @r"
    run,name,status,train.loss,train.lr
    run-2,a|b_c,ok,0.364636,0.5
    ");
}

#[test]
fn compared_values() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2") else { return };
    keep_copies(&mut page);
    let menu = ".compare-body > .bar > .menu";
    insta::assert_snapshot!(copy(&mut page, menu, "Markdown"), @r"
    | key | run-1 | run-2 |
    | --- | ---: | ---: |
    | train.lr | 0.1 | 0.5 |
    | train.accuracy | 0.6488 | 0.8785 (+0.2297 better) |
    | train.loss | 1.0536 | 0.3646 (−0.689 better) |
    ");
    insta::assert_snapshot!(copy(&mut page, menu, "CSV"), @r"
    key,run-1,run-2
    train.lr,0.1,0.5
    train.accuracy,0.6488,0.8785 (+0.2297 better)
    train.loss,1.0536,0.3646 (−0.689 better)
    ");
    insta::assert_snapshot!(copy(&mut page, menu, "LaTeX"), @r"
    \begin{tabular}{lrr}
      \toprule
      key & run-1 & run-2 \\
      \midrule
      train.lr & 0.1 & 0.5 \\
      train.accuracy & 0.6488 & 0.8785 (+0.2297 better) \\
      train.loss & 1.0536 & 0.3646 ($-$0.689 better) \\
      \bottomrule
    \end{tabular}
    ");
}

#[test]
fn curves_as_files() {
    let sandbox = demo_with(&[&[]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/runs/run-1?tab=curves") else { return };
    keep_copies(&mut page);
    keep_files(&mut page);
    page.wait("document.querySelector('.chart canvas')");
    let menu = ".chart .menu";
    let points = copy(&mut page, menu, "Copy the points as CSV");
    assert_eq!(points.lines().count(), 11, "{points}");
    assert!(points.starts_with("line,step,value\n"), "{points}");
    let mut save = |entry: &str, about: &str| {
        page.click(&format!("{menu} summary"));
        page.click_text(&format!("{menu} .item"), entry);
        saved(&mut page, about)
    };
    let (name, text) = save("Save all points as CSV", "await blob.text()");
    assert_eq!((name.as_str(), text.lines().count()), ("loss.csv", 11), "{text}");
    assert!(text.starts_with("series,step,time,value\n"), "{text}");
    // The drawing, a curve, and the marks of values that are not finite.
    assert_eq!(save("Save as SVG", SVG), ("loss.svg".to_owned(), "3".to_owned()));
    let png = ("loss.png".to_owned(), "true,image/png".to_owned());
    assert_eq!(save("Save as PNG", PNG), png);
}

#[test]
fn diagrams_as_files() {
    let sandbox = demo_with(&[&[], &["train.lr=0.5"], &["train.lr=0.2"]]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3&tab=relations") else { return };
    keep_copies(&mut page);
    keep_files(&mut page);
    page.wait("document.querySelector('.diagrams [title=\"Save as PNG\"]:not([disabled])')");
    let title = page.texts(".diagrams h2")[0].clone();
    let csv = copy(&mut page, ".diagrams .menu", "CSV");
    assert_eq!(csv.lines().count(), 4, "{csv}");
    page.click_text(".diagrams button", &format!("Save {title} as SVG"));
    let (name, count) = saved(&mut page, SVG);
    assert_eq!(name, format!("{title}.svg"));
    assert_ne!(count, "0");
    page.click_text(".diagrams button", &format!("Save {title} as PNG"));
    let (name, picture) = saved(&mut page, PNG);
    assert_eq!((name, picture.as_str()), (format!("{title}.png"), "true,image/png"));
}
