//! `repro runs diff`: everything in which two runs differ, stage by stage.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;

use crate::cli::common::change_lines;
use crate::cli::comparison::{metrics_table, params_table};
use crate::engine::diff::{OutDiff, Patch, StageDiff};
use crate::engine::side::Side;
use crate::error::{Result, exit};
use crate::pipeline::Goals;
use crate::plan::change::Fate;
use crate::report;
use crate::report::diff::{Depth, DiffReport};
use crate::runs::compare::Rules;
use crate::terminal::style::{BAD, BOLD, DIM, GOOD, STAGE};
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{self, stdout};

/// Maximum number of lines for the changes of a stage, and for the files of an out.
const MOST_LINES: usize = 20;

/// Show in what two runs differ: code, params, deps, outs and metrics, stage by stage
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// Run to compare with, git revision, or `workspace` for the present files
    #[arg(value_name = "RUN")]
    old: String,
    /// Run that may have changed
    #[arg(value_name = "RUN", default_value = "latest")]
    new: String,
    /// Also show the changed lines of text files that no stage makes
    #[arg(long, short)]
    patch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DiffArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let sides = [Side::find(root, &self.old)?, Side::find(root, &self.new)?];
        let rules = Rules { goals: goals.clone(), ..Rules::default() };
        let depth = if self.patch { Depth::Lines } else { Depth::Files };
        let report = DiffReport::read(root, sides, &rules, depth)?;
        if self.json {
            stdout::write(&report::json(&report))?;
            return Ok(exit::OK);
        }
        report.notes.iter().for_each(|note| terminal::note(note));
        stdout::write(&text(&report))?;
        Ok(exit::OK)
    }
}

fn text(report: &DiffReport) -> String {
    let [old, new] = &report.sides;
    let compared = &report.comparison;
    let labels = [old, new].map(Side::to_string);
    let plain = |table: Table| match table.is_empty() {
        true => String::new(),
        false => table.plain(""),
    };
    let mut parts = vec![plain(facts(report))];
    parts.push(plain(params_table(labels.iter(), &compared.params)));
    parts.extend(report.stages.iter().map(|stage| stage_text(stage, [old, new])));
    parts.extend(report.patches.iter().map(patch_text));
    let rows = compared.metrics.iter().map(|row| (row.key(), row));
    parts.push(plain(metrics_table("metric", &compared.columns, rows)));
    if report.is_empty() {
        parts.push(format!("{old} and {new} have the same params, stages, outs and metrics\n"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn facts(report: &DiffReport) -> Table {
    let [old, new] = report.sides.each_ref().map(Side::to_string);
    let columns = [("", Align::Left), (&old, Align::Left), (&new, Align::Left)];
    let mut table = Table::new(columns.map(|(name, align)| (name.to_owned(), align)));
    for fact in &report.facts {
        let value = |value: &Option<String>| Cell::from(value.as_deref().unwrap_or("-"));
        table.row([Cell::styled(fact.what, DIM), value(&fact.old), value(&fact.new)]);
    }
    table
}

fn stage_text(stage: &StageDiff, [old, new]: [&Side; 2]) -> String {
    let name = &stage.stage;
    match stage.fate {
        Fate::Added => return format!("{STAGE}{name}{STAGE:#}  only in {new}\n"),
        Fate::Removed => return format!("{STAGE}{name}{STAGE:#}  only in {old}\n"),
        Fate::Changed | Fate::Ignored => {}
    }
    let mut text = format!("{STAGE}{name}{STAGE:#}\n");
    let lines = stage.changes.iter().flat_map(change_lines).collect();
    add_lines(&mut text, lines, "  ");
    for OutDiff { path, fate, files } in &stage.outs {
        let _ = writeln!(text, "  out {path} {fate}");
        let lines = files.iter().map(|file| format!("file {} {}", file.path, file.fate));
        add_lines(&mut text, lines.collect(), "    ");
    }
    text
}

/// Adds the first lines, and the number of the others.
fn add_lines(text: &mut String, lines: Vec<String>, indent: &str) {
    let others = lines.len().saturating_sub(MOST_LINES);
    for line in lines.into_iter().take(MOST_LINES) {
        let _ = writeln!(text, "{indent}{line}");
    }
    if others > 0 {
        let _ = writeln!(text, "{indent}{DIM}and {others} more: `--json` lists all{DIM:#}");
    }
}

fn patch_text(patch: &Patch) -> String {
    let path = &patch.path;
    let Some(lines) = &patch.text else {
        let because = patch.because.as_deref().unwrap_or("it cannot be compared");
        return format!("{BOLD}{path}{BOLD:#}: no lines are shown, because {because}\n");
    };
    let mut text = format!("{BOLD}{path}{BOLD:#}\n");
    for line in lines.lines() {
        let _ = match line.chars().next() {
            Some('+') => writeln!(text, "{GOOD}{line}{GOOD:#}"),
            Some('-') => writeln!(text, "{BAD}{line}{BAD:#}"),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}
