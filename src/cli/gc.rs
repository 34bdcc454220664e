//! `repro gc`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use crate::engine::Project;
use crate::engine::upkeep::gc::{GcPlan, Keep, KeepRuns, Root, plan, sweep};
use crate::engine::size::Tally;
use crate::engine::upkeep::revisions::Revisions;
use crate::error::{Result, exit};
use crate::plan::lock;
use crate::terminal::size::size;
use crate::terminal::stdout;
use crate::terminal::table::{Align, Cell, Table};

/// Show what of the cache nothing refers to, and remove it if told `--yes`
///
/// What pipeline.lock, the latest runs and the given git revisions refer to is kept.
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Keep the outs of the last N runs, or of `all`
    #[arg(long, value_name = "N", default_value = "20", value_parser = kept_runs)]
    runs: KeepRuns,
    /// Keep what pipeline.lock refers to at these git revisions: `main`, `v1.0`, `main~20..main`
    #[arg(long, value_name = "REVS")]
    git: Vec<String>,
    /// Keep what pipeline.lock refers to at the tips of all git branches
    #[arg(long)]
    all_branches: bool,
    /// Keep what pipeline.lock refers to at all git tags
    #[arg(long)]
    all_tags: bool,
    /// Remove what is shown
    #[arg(long)]
    yes: bool,
    /// Write the numbers as JSON
    #[arg(long)]
    json: bool,
}

impl GcArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_exclusively(root, &[])?;
        let plan = plan(&project, &held, &self.keep())?;
        if !self.json {
            stdout::write(&tables(&plan))?;
        }
        if self.yes {
            sweep(&project, &held, &plan)?;
        }
        match self.json {
            true => stdout::write(&format!("{:#}\n", as_json(&plan, self.yes)))?,
            false => stdout::write(&format!("\n{}\n", last_line(&plan, self.yes)))?,
        }
        Ok(exit::OK)
    }

    fn keep(&self) -> Keep {
        let mut revisions: Vec<Revisions> =
            self.git.iter().cloned().map(Revisions::Named).collect();
        revisions.extend(self.all_branches.then_some(Revisions::AllBranches));
        revisions.extend(self.all_tags.then_some(Revisions::AllTags));
        Keep { runs: self.runs, revisions }
    }
}

fn kept_runs(text: &str) -> Result<KeepRuns, String> {
    match text {
        "all" => Ok(KeepRuns::All),
        number => number
            .parse()
            .map(KeepRuns::Last)
            .map_err(|_| "is neither a number nor `all`".to_owned()),
    }
}

/// `1 object`, `5 objects`.
pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn tables(plan: &GcPlan) -> String {
    let headings =
        |first| [(first, Align::Left), ("count", Align::Right), ("size", Align::Right)];
    let row = |table: &mut Table, name: &str, tally: Tally| {
        table.row([
            Cell::from(name),
            Cell::from(tally.count.to_string()),
            Cell::from(size(tally.bytes)),
        ]);
    };
    let mut kept = Table::new(headings("kept"));
    for (number, (root, tally)) in plan.roots.iter().enumerate() {
        let also = if number == 0 { "" } else { " besides" };
        row(&mut kept, &format!("objects of {}{also}", root_text(*root)), *tally);
    }
    row(&mut kept, "traces of these", plan.kept_traces);
    let mut unused = Table::new(headings("not referred to"));
    for (noun, tally) in kinds(plan) {
        row(&mut unused, &format!("{noun}s"), tally);
    }
    format!("{}\n{}", kept.plain(""), unused.plain(""))
}

fn root_text(root: Root) -> String {
    match root {
        Root::Lock => lock::FILE.to_owned(),
        Root::Revisions(number) => count(number, "git revision"),
        Root::Runs(number) => count(number, "run"),
        Root::Links => "links in the workspace".to_owned(),
    }
}

/// What goes, by kind.
fn kinds(plan: &GcPlan) -> [(&'static str, Tally); 3] {
    [
        ("object", Tally::of(plan.objects.iter().map(|object| object.bytes))),
        ("trace", Tally::of(plan.traces.iter().map(|trace| trace.bytes))),
        ("temporary file", Tally::of(plan.leftovers.iter().map(|leftover| leftover.bytes))),
    ]
}

fn last_line(plan: &GcPlan, yes: bool) -> String {
    let kinds = kinds(plan);
    let bytes = kinds.iter().map(|(_, tally)| tally.bytes).sum();
    let some = kinds.iter().filter(|(_, tally)| tally.count > 0);
    let what = some.map(|(noun, tally)| count(tally.count, noun)).collect::<Vec<_>>().join(", ");
    let mut text = match yes {
        _ if plan.is_empty() => "there is nothing to remove".to_owned(),
        true => format!("removed {what}: {}", size(bytes)),
        false => format!(
            "nothing is removed yet: `repro gc --yes` with the same options removes {what}: {}",
            size(bytes)
        ),
    };
    if plan.missing > 0 {
        let (is, it) = if plan.missing == 1 { ("is", "it") } else { ("are", "them") };
        text.push_str(&format!(
            "\n{} that should be kept {is} not in the cache: `repro fsck` names {it}",
            count(plan.missing, "object")
        ));
    }
    text
}

fn as_json(plan: &GcPlan, yes: bool) -> Value {
    let tally = |tally: Tally| json!({ "count": tally.count, "bytes": tally.bytes });
    let kept = plan.roots.iter().map(|(root, objects)| match root {
        Root::Lock => json!({ "by": "lock", "objects": tally(*objects) }),
        Root::Revisions(number) => {
            json!({ "by": "git", "revisions": number, "objects": tally(*objects) })
        }
        Root::Runs(number) => json!({ "by": "runs", "runs": number, "objects": tally(*objects) }),
        Root::Links => json!({ "by": "links", "objects": tally(*objects) }),
    });
    let [objects, traces, temporaries] = kinds(plan).map(|(_, of_kind)| tally(of_kind));
    json!({
        "kept": kept.collect::<Vec<_>>(),
        "kept_traces": tally(plan.kept_traces),
        "unused": { "objects": objects, "traces": traces, "temporaries": temporaries },
        "missing": plan.missing,
        "removed": yes,
    })
}
