//! Pictures of all pages, for people: in both themes and at both widths.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::audit::{THEMES, WIDTHS};
use crate::project::demo_with;
use crate::ui::Ui;

/// Names of pictures, and what they show.
const PAGES: [(&str, &str); 15] = [
    ("home", "/"),
    ("runs", "/runs"),
    ("run", "/runs/run-1"),
    ("compare", "/compare"),
    ("compare-text", "/compare?tab=text"),
    ("compare-relations", "/compare?tab=relations"),
    ("compare-artifacts", "/compare?tab=artifacts"),
    ("run-curves", "/runs/run-1?tab=curves"),
    ("run-logs", "/runs/run-1?tab=logs"),
    ("run-artifacts", "/runs/run-1?tab=artifacts"),
    ("pipeline", "/pipeline"),
    ("stage", "/pipeline/train"),
    ("pipeline-list", "/pipeline?view=list"),
    ("lineage", "/lineage/run-1/train"),
    ("models", "/models"),
];

/// Writes them to `target/screenshots`. `SHOTS_OF` names a project to show instead of a small one,
/// and `SHOTS` pages that replace the list: `name=/address` separated by spaces.
#[test]
#[ignore = "writes pictures for people"]
fn screenshots() {
    let own = demo_with(&[&[], &["train.lr=0.5"], &["seed=2"], &["train.optimizer=sgd"]]);
    let ui = match std::env::var_os("SHOTS_OF") {
        None => Ui::start(&own),
        Some(project) => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_repro"));
            command.args(["ui", "--port", "0", "--no-open"]).current_dir(project);
            Ui::of(command.stdin(Stdio::null()))
        }
    };
    let chosen = std::env::var("SHOTS").ok();
    let pages: Vec<(&str, &str)> = match &chosen {
        None => PAGES.to_vec(),
        Some(text) => text.split_whitespace().map(|one| one.split_once('=').unwrap()).collect(),
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    let Some(mut page) = ui.open("/") else { return };
    for (name, address) in pages {
        for width in WIDTHS {
            page.width(width);
            page.go(&ui.url(address));
            page.ready();
            page.unfold();
            page.settle();
            // What was loaded may have made the page higher.
            page.unfold();
            for theme in THEMES {
                page.theme(theme);
                let file = format!("{name}-{width}-{}.png", theme.name());
                page.screenshot(&folder.join(file));
            }
            for fault in page.take_faults() {
                eprintln!("{address}: {fault}");
            }
        }
    }
    eprintln!("see {}", folder.display());
}
