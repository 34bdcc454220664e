//! `repro fsck`.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::gc::count;
use crate::engine::Project;
use crate::engine::upkeep::fsck::{By, Fault, Progress, Referrer, Report, Wrong, check};
use crate::engine::upkeep::repair::{Repair, repair};
use crate::error::{Result, exit};
use crate::plan::lock;
use crate::terminal::read_progress::ReadProgress;
use crate::terminal::size::size;
use crate::terminal::{self, stdout};

/// Read the whole cache and check every byte and every reference
///
/// Exits with code 4 if anything is wrong.
#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// Move aside what is damaged, make it anew from the workspace, and drop traces that cannot be used
    #[arg(long)]
    repair: bool,
    /// Write what was found as JSON
    #[arg(long)]
    json: bool,
}

impl FsckArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        if !self.repair {
            let project = super::load(root)?;
            let report = read(&project)?;
            match self.json {
                true => stdout::write(&format!("{:#}\n", as_json(&project, &report)))?,
                false => {
                    let mut text = found(&project, &report);
                    if !report.is_clean() {
                        text.push_str(
                            "`repro fsck --repair` makes good what can be, and moves the damaged to cache/damaged\n",
                        );
                    }
                    stdout::write(&text)?;
                }
            }
            return Ok(if report.is_clean() { exit::OK } else { exit::CHECK });
        }
        let (project, held) = Project::load_with_locked(root)?;
        let report = read(&project)?;
        let done = repair(&project, &held, &report)?;
        for trouble in &done.troubles {
            terminal::warn_of(trouble);
        }
        if self.json {
            let mut value = as_json(&project, &report);
            value["repair"] = repair_json(&project, &done);
            stdout::write(&format!("{value:#}\n"))?;
        } else {
            stdout::write(&found(&project, &report))?;
            if !report.is_clean() {
                stdout::write(&repaired(&project, &done))?;
            }
        }
        Ok(if done.left.is_clean() { exit::OK } else { exit::CHECK })
    }
}

fn read(project: &Project) -> Result<Report> {
    let reading = ReadProgress::start();
    check(project, &|Progress { bytes, of }| reading.tell(bytes, of))
}

/// More of those who need an object than this are counted only.
const MOST_REFERRERS: usize = 3;

fn found(project: &Project, report: &Report) -> String {
    let mut text = faults(report);
    for trace in &report.unreadable {
        let _ = writeln!(text, "unreadable  trace {}", trace.short());
    }
    for stray in &report.strays {
        let _ = writeln!(text, "stray       {}", inside(project, stray));
    }
    if report.newer > 0 {
        let _ =
            writeln!(text, "{} of a newer version: not looked into", count(report.newer, "trace"));
    }
    let looked = format!(
        "{} ({}), {}",
        count(report.objects.count, "object"),
        size(report.objects.bytes),
        count(report.traces, "trace")
    );
    let _ = match report.is_clean() {
        true => writeln!(text, "the cache is whole: {looked}"),
        false => writeln!(text, "the cache is not whole: {}; read {looked}", tallies(report)),
    };
    text
}

fn faults(report: &Report) -> String {
    let mut text = String::new();
    for (digest, fault) in &report.faults {
        let _ = writeln!(
            text,
            "{:<11} object {}{}",
            word(&fault.what),
            digest.short(),
            detail(&fault.what)
        );
        // Those of the lock first: they are what the user has names for.
        let (stages, traces): (Vec<&Referrer>, Vec<&Referrer>) =
            fault.referrers.iter().partition(|referrer| matches!(referrer.by, By::Stage(_)));
        let all: Vec<&Referrer> = stages.into_iter().chain(traces).collect();
        for Referrer { by, path } in all.iter().take(MOST_REFERRERS) {
            let _ = match by {
                By::Stage(stage) => {
                    writeln!(text, "  `{path}` of stage `{stage}` in {}", lock::FILE)
                }
                By::Trace(key) => writeln!(text, "  `{path}` of trace {}", key.short()),
            };
        }
        if all.len() > MOST_REFERRERS {
            let _ = writeln!(text, "  and {} more", all.len() - MOST_REFERRERS);
        }
        if all.is_empty() {
            text.push_str("  nothing refers to it\n");
        }
    }
    text
}

fn word(wrong: &Wrong) -> &'static str {
    match wrong {
        Wrong::Damaged => "damaged",
        Wrong::Unreadable(_) => "unreadable",
        Wrong::Missing => "missing",
        Wrong::NotATree => "no tree",
    }
}

fn detail(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Unreadable(why) => format!(": {why}"),
        _ => String::new(),
    }
}

/// `1 damaged object, 2 strays`; hints at the repair are the caller's.
fn tallies(report: &Report) -> String {
    let kinds = ["damaged", "unreadable", "missing", "no tree"];
    let mut parts: Vec<String> = kinds
        .iter()
        .map(|kind| {
            (kind, report.faults.values().filter(|fault| word(&fault.what) == *kind).count())
        })
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| match *kind {
            "no tree" => format!("{} that should be a tree", count(number, "object")),
            kind => count(number, &format!("{kind} object")),
        })
        .collect();
    for (number, noun) in
        [(report.unreadable.len(), "unreadable trace"), (report.strays.len(), "stray")]
    {
        if number > 0 {
            parts.push(count(number, noun));
        }
    }
    parts.join(", ")
}

fn repaired(project: &Project, done: &Repair) -> String {
    let mut text = String::new();
    for (from, to) in &done.moved {
        let _ = writeln!(text, "moved {} to {}", inside(project, from), inside(project, to));
    }
    for digest in &done.rebuilt {
        let _ = writeln!(text, "made object {} anew from the workspace", digest.short());
    }
    for key in &done.removed_traces {
        let _ = writeln!(text, "removed trace {}", key.short());
    }
    if done.left.is_clean() {
        text.push_str("the cache is whole again\n");
        return text;
    }
    text.push_str("what is left:\n");
    text.push_str(&faults(&done.left));
    for stage in stages_to_run(&done.left) {
        let _ = match project.pipeline.find(&stage) {
            Some(_) => writeln!(text, "`repro run {stage}` makes its outs again"),
            None => writeln!(
                text,
                "stage `{stage}` is not in pipeline.toml any more: `repro run` drops it from {}",
                lock::FILE
            ),
        };
    }
    text
}

/// The stages of the lock whose outs are not whole in the cache.
fn stages_to_run(report: &Report) -> Vec<String> {
    let referrers = report.faults.values().flat_map(|fault: &Fault| &fault.referrers);
    let mut stages: Vec<String> = referrers
        .filter_map(|referrer| match &referrer.by {
            By::Stage(stage) => Some(stage.to_string()),
            By::Trace(_) => None,
        })
        .collect();
    stages.sort();
    stages.dedup();
    stages
}

fn inside(project: &Project, path: &Path) -> String {
    path.strip_prefix(&project.root).unwrap_or(path).display().to_string()
}

fn as_json(project: &Project, report: &Report) -> Value {
    let strays: Vec<String> = report.strays.iter().map(|stray| inside(project, stray)).collect();
    json!({
        "objects": { "count": report.objects.count, "bytes": report.objects.bytes },
        "traces": report.traces,
        "newer_traces": report.newer,
        "clean": report.is_clean(),
        "faults": faults_json(report),
        "unreadable_traces": report.unreadable,
        "strays": strays,
    })
}

fn faults_json(report: &Report) -> Vec<Value> {
    let referrer = |Referrer { by, path }: &Referrer| match by {
        By::Stage(stage) => json!({ "stage": stage, "path": path }),
        By::Trace(key) => json!({ "trace": key, "path": path }),
    };
    let fault = |(digest, fault): (&crate::digest::Digest, &Fault)| {
        let cause = match &fault.what {
            Wrong::Unreadable(why) => Some(why),
            _ => None,
        };
        let word = word(&fault.what).replace("no tree", "not_a_tree");
        let referrers: Vec<Value> = fault.referrers.iter().map(referrer).collect();
        json!({ "object": digest, "fault": word, "cause": cause, "referrers": referrers })
    };
    report.faults.iter().map(fault).collect()
}

fn repair_json(project: &Project, done: &Repair) -> Value {
    let moved = done
        .moved
        .iter()
        .map(|(from, to)| json!({ "from": inside(project, from), "to": inside(project, to) }));
    json!({
        "moved": moved.collect::<Vec<_>>(),
        "rebuilt": done.rebuilt,
        "removed_traces": done.removed_traces,
        "troubles": done.troubles.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "clean": done.left.is_clean(),
        "left": faults_json(&done.left),
        "stages_to_run": stages_to_run(&done.left),
    })
}
