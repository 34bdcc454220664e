//! The page that compares runs.

use crate::driver::Page;
use crate::held::{self, HeldRun};
use crate::project::demo_with;
use crate::sandbox::Sandbox;
use crate::ui::Ui;

fn three() -> Sandbox {
    demo_with(&[&[], &["train.lr=0.5"], &["train.optimizer=sgd", "train.layers=[64, 64, 32]"]])
}

/// Returns the texts of the cells of a row, whose head ends in `key`.
fn row(page: &mut Page, key: &str) -> Vec<String> {
    let row = format!(
        "[...document.querySelectorAll('.matrix tbody tr')].find((row) =>
           row.querySelector('th')?.title === {key:?})"
    );
    page.wait(&row.replacen("[...", "!![...", 1));
    let cells = format!("[...{row}.querySelectorAll('td')].map((cell) => cell.innerText.trim())");
    serde_json::from_value(page.evaluate(&cells)).unwrap()
}

#[test]
fn values_against_the_baseline() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3") else { return };
    assert_eq!(page.texts("h1"), ["Compare 3 runs"]);
    assert_eq!(row(&mut page, "train.lr"), ["0.1", "", "0.5", "", "0.1", ""]);
    assert_eq!(row(&mut page, "train.loss")[3], "−0.689 better");
    assert!(!page.texts(".matrix tbody th").iter().any(|key| key.contains("clips")));
    assert_eq!(page.texts("#command code"), ["repro metrics compare run-1 run-2 run-3"]);

    page.press("d");
    assert_eq!(row(&mut page, "train.clips"), ["1200", "", "1200", "", "1200", ""]);
    assert_eq!(page.address(), "/compare?runs=1,2,3&all=1");
    page.back();
    page.wait("!document.querySelector('.matrix').innerText.includes('clips')");

    page.click_text("button", "run-2 as baseline");
    page.see("+0.689 worse");
    assert_eq!(page.address(), "/compare?runs=1,2,3&base=run-2");
    page.reload();
    page.see("+0.689 worse");
    page.audit();
}

#[test]
fn runs_as_rows() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3") else { return };
    page.click_text("button", "Runs as rows");
    page.wait("document.querySelector('.by-run')");
    page.click_text(".by-run thead button", "train.lr");
    page.wait("document.querySelector('.by-run [aria-sort=ascending]')");
    page.click_text(".by-run thead button", "train.lr");
    page.wait("document.querySelector('.by-run [aria-sort=descending]')");
    assert_eq!(page.texts(".by-run tbody th a"), ["run-2", "run-1", "run-3"]);
    assert_eq!(page.address(), "/compare?runs=1,2,3&rows=runs&sort=-train.lr");
    page.audit();
}

#[test]
fn params_as_text() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3") else { return };
    page.press("2");
    page.wait("document.querySelector('.textdiff')");
    assert_eq!(
        page.texts(".textdiff .removed .text, .textdiff .added .text"),
        ["layers: [64,32]", "layers: [64,64,32]", "optimizer: \"adam\"", "optimizer: \"sgd\""]
    );
    assert_eq!(page.texts(".textdiff mark"), ["64,", "adam", "sgd"]);
    page.audit();
}

#[test]
fn relations_are_drawn() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3") else { return };
    // A page that shows no diagram does not load their library.
    assert_eq!(page.evaluate("typeof echarts"), "undefined");
    page.press("3");
    page.wait("document.querySelectorAll('.diagram canvas').length === 3");
    page.click(".behind summary");
    page.wait("document.querySelectorAll('.behind tbody th').length === 3");
    assert_eq!(page.texts(".behind tbody th"), ["run-1", "run-2", "run-3"]);
    page.audit();
}

#[test]
fn curves_and_table_are_linked() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3") else { return };
    page.wait("document.querySelectorAll('.chart .legend tbody tr').length === 3");
    page.hover(".chart .u-over");
    page.wait("document.querySelectorAll('.matrix thead .focused').length === 1");
    page.hover("h1");
    page.wait("!document.querySelector('.matrix .focused')");
    page.press("j");
    page.press("j");
    page.wait("document.querySelector('.matrix thead .focused').innerText.includes('run-2')");
    page.click_text("button", "Time since start");
    page.wait("location.search.includes('axis=relative')");
    page.see("Curves");
    page.audit();
}

#[test]
fn curves_grow_and_stay() {
    let sandbox = held::project();
    HeldRun::start(&sandbox).release();
    let run = HeldRun::start(&sandbox);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    // Before, it is not recorded yet.
    page.see("Log of hold");
    page.go(&ui.url("/compare?runs=1,2"));
    page.wait("document.querySelectorAll('.chart .legend tbody tr').length === 2");
    page.see("running");
    // The chart is the same element after the run has ended.
    page.evaluate("void (globalThis.before = document.querySelector('.chart'))");
    run.release();
    page.wait("!document.querySelector('main [data-status=running]')");
    assert_eq!(page.evaluate("document.querySelector('.chart') === globalThis.before"), true);
}

#[test]
fn artifacts_side_by_side() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3&tab=artifacts&all=1") else { return };
    page.wait("document.querySelector('.artifacts .list [aria-current]')");
    page.press("ArrowRight");
    page.see("17 of 20 on the diagonal: 85.0 %");
    assert_eq!(page.address(), "/compare?runs=1,2,3&all=1&tab=artifacts&path=train:confusion.json");
    assert_eq!(page.texts(".gallery h2"), ["run-1\nrun-2\nrun-3"]);
    page.audit();
    page.press("j");
    page.press("j");
    page.see("The rate was 0.5.");
    assert_eq!(page.texts(".gallery h2"), ["run-1\nrun-3", "run-2"]);
    page.audit();
}

#[test]
fn seeds_are_one_column() {
    let runs: &[&[&str]] =
        &[&["seed=1"], &["seed=2"], &["train.lr=0.5", "seed=1"], &["train.lr=0.5", "seed=2"]];
    let sandbox = demo_with(runs);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3,4") else { return };
    assert_eq!(page.texts(".by-key thead a"), ["run-1 ×2", "run-3 ×2"]);
    assert_eq!(row(&mut page, "seed"), ["1, 2", "", "1, 2", ""]);
    let loss = row(&mut page, "train.loss");
    assert!(loss[0].contains(" ± ") && loss[3].ends_with("better"), "{loss:?}");
    page.click_text("button", "Group seeds");
    page.wait("document.querySelectorAll('.by-key thead a').length === 4");
    assert_eq!(page.address(), "/compare?runs=1,2,3,4&apart=1");
}

#[test]
fn seeds_are_one_curve() {
    let runs: &[&[&str]] =
        &[&["seed=100"], &["seed=300"], &["train.lr=0.5", "seed=1"], &["train.lr=0.5", "seed=2"]];
    let sandbox = demo_with(runs);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,2,3,4") else { return };
    page.see("its line is their mean");
    assert_eq!(page.texts(".legend th .name"), ["run-1 ×2", "run-3 ×2"]);
    // The seed is the third digit: 2.1 and 2.3 at the first step.
    page.wait("document.querySelector('.legend').innerText.includes('2.2')");
    page.audit();
    // Each run has its own clock.
    page.click_text("button", "Clock");
    page.wait("document.querySelectorAll('.legend tbody tr').length === 4");
    page.click_text("button", "Step");
    page.wait("document.querySelectorAll('.legend tbody tr').length === 2");
    page.click_text("button", "Group seeds");
    page.wait("document.querySelectorAll('.legend tbody tr').length === 4");
}

#[test]
fn means_of_lines() {
    let sandbox = demo_with(&[]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/") else { return };
    let mut check = |lines: &str, expected: &str| {
        let script = format!(
            "import('/assets/lib/curve.js').then((m) => {{
               const {{ x, y, band, odd, total }} =
                 m.meanLine({lines}.map(([x, y]) => ({{ x, y, total: x.length }})));
               return JSON.stringify([x, y, band.low, band.high, odd.length, total]);
             }})"
        );
        assert_eq!(page.evaluate(&script), expected, "{lines}");
    };
    check("[[[0, 1], [1, 3]], [[0, 1], [3, 7]]]", "[[0,1],[2,5],[1,3],[3,7],0,4]");
    // Straight between points; a line that has ended does not count.
    check(
        "[[[0, 2], [0, 2]], [[0, 1, 2, 3], [4, 4, 4, 4]]]",
        "[[0,1,2,3],[2,2.5,3,4],[0,1,2,4],[4,4,4,4],0,6]",
    );
    check("[[[0, 1], ['NaN', 3]], [[1], [5]]]", "[[1],[4],[3],[5],1,3]");
    check("[[[], []], [[2], ['Infinity']]]", "[[],[],[],[],1,1]");
}

#[test]
fn fifty_runs() {
    let seeds: Vec<Vec<String>> = (0..50)
        .map(|at| vec![format!("train.lr=0.{}", 1 + at % 5), format!("seed={at}")])
        .collect();
    let seeds: Vec<Vec<&str>> =
        seeds.iter().map(|one| one.iter().map(String::as_str).collect()).collect();
    let sandbox = demo_with(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let all: Vec<String> = (1..=50).map(|run| run.to_string()).collect();
    let ui = Ui::start(&sandbox);
    let address = format!("/compare?runs={}", all.join(","));
    let Some(mut page) = ui.open(&address) else { return };
    assert_eq!(page.texts("h1"), ["Compare 50 runs"]);
    page.wait("document.querySelectorAll('.legend tbody tr').length === 5");
    page.audit();
    page.click_text("button", "Group seeds");
    page.wait("document.querySelectorAll('.by-run tbody tr').length === 50");
    page.see("and 40 more");
    for tab in ["2", "3", "4"] {
        page.press(tab);
        page.wait(&format!("document.querySelector('.tabs :nth-child({tab})[aria-current]')"));
        page.audit();
    }
}

#[test]
fn command_of_the_tab() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare") else { return };
    assert_eq!(page.texts("#command code"), ["repro metrics compare run-2 run-3"]);
    page.press("2");
    page.wait("location.search === '?tab=text'");
    assert_eq!(page.texts("#command code"), ["repro params diff run-2 run-3"]);
}

#[test]
fn wrong_choices_are_explained() {
    let sandbox = three();
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,9") else { return };
    page.see("there is no run `run-9`");
    page.see("Choose runs in the table");
    page.audit();
    page.forgive(404);
}

#[test]
fn hostile_texts_stay_text() {
    let evil = "<img src=x onerror=\"document.title='pwned'\"><script>1</script>\u{202e}";
    let sandbox = three();
    sandbox.ok(&["run", "-p", &format!("train.optimizer={}", serde_json::json!(evil))]);
    sandbox.ok(&["runs", "rename", "run-4", "<b>bold</b>"]);
    let ui = Ui::start(&sandbox);
    let Some(mut page) = ui.open("/compare?runs=1,4&all=1") else { return };
    for tab in ["1", "2", "3", "4"] {
        page.press(tab);
        page.wait(&format!("document.querySelector('.tabs :nth-child({tab})[aria-current]')"));
    }
    page.press("1");
    page.see("<b>bold</b>");
    page.see("⟨202E⟩");
    assert_eq!(page.evaluate("document.querySelectorAll('main img, main script').length"), 0);
}
