//! The table of `repro runs list` without chosen columns: one line per run, with the changed params
//! and the metrics to judge them by.

use std::collections::BTreeSet;

use crate::cli::common::run_style;
use crate::number::Number;
use crate::pipeline::{Goal, Goals, ParamValue, StageName};
use crate::plural::count;
use crate::report::run_tree::Children;
use crate::report::runs::RunEntry;
use crate::runs::compare::metric_key;
use crate::runs::{Run, RunKind, RunState, StageRecord, StageState};
use crate::terminal::number;
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::text::{truncate, widest, width};
use crate::terminal::wording::outcome_word;

/// Drops what a line does not show: the list may be long.
pub(super) fn line(mut entry: RunEntry) -> RunEntry {
    entry.run.info.params.clear();
    entry.run.artifacts.clear();
    entry.run.stages.iter_mut().for_each(|stage| stage.reasons.clear());
    entry
}

/// Maximum width of a line, which every terminal can show.
const WIDE: usize = 80;
/// Minimum width of the column of changed params; other columns are omitted first.
const CHANGED_AT_LEAST: usize = 24;

/// Selects the columns of the table.
#[derive(Clone, Copy)]
struct Columns {
    metrics: usize,
    stages: Stages,
    changed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stages {
    All,
    /// Without stages that were up to date or skipped.
    Done,
    None,
}

/// Renders the table in Markdown, with all of each run.
pub(super) fn markdown(entries: &[RunEntry], goals: &Goals) -> String {
    let all = Columns { metrics: 2, stages: Stages::All, changed: usize::MAX };
    table(entries, &headline(entries, goals), all).markdown()
}

/// Renders the table with as much of each run as fits into a line.
pub(super) fn fitting(entries: &[RunEntry], goals: &Goals) -> String {
    let most = [
        (2, Stages::All),
        (2, Stages::Done),
        (1, Stages::Done),
        (1, Stages::None),
        (0, Stages::None),
    ];
    let headline = headline(entries, goals);
    let mut text = String::new();
    for (metrics, stages) in most {
        let whole = Columns { metrics, stages, changed: usize::MAX };
        text = table(entries, &headline, whole).plain("");
        let over = widest(text.lines()).saturating_sub(WIDE);
        if over == 0 {
            break;
        }
        let longest = entries.iter().map(|entry| width(&changes(entry))).max().unwrap_or(0);
        let changed = longest.saturating_sub(over).max(CHANGED_AT_LEAST);
        text = table(entries, &headline, Columns { changed, ..whole }).plain("");
        if widest(text.lines()) <= WIDE {
            break;
        }
    }
    text
}

fn table(entries: &[RunEntry], headline: &[Headline], shown: Columns) -> Table {
    let headline = &headline[..shown.metrics.min(headline.len())];
    let has_names = entries.iter().any(|entry| entry.run.info.name.is_some());
    let first: &[&str] = if has_names { &["run", "name"] } else { &["run"] };
    let texts = first.iter().chain(&["status", "started"]);
    let mut columns: Vec<(String, Align)> =
        texts.map(|name| ((*name).to_owned(), Align::Left)).collect();
    columns.push(("took".to_owned(), Align::Right));
    columns.extend(headline.iter().map(|metric| (metric.heading(entries), Align::Decimal)));
    columns.extend(["changed", "stages"].map(|name| (name.to_owned(), Align::Left)));
    let mut table = Table::new(columns);
    let mut metrics: Vec<std::vec::IntoIter<String>> = headline
        .iter()
        .map(|metric| {
            let values = entries.iter().map(|entry| metric.value(&entry.run));
            number::cells(&values.collect::<Vec<_>>()).into_iter()
        })
        .collect();
    for entry in entries {
        let run = &entry.run;
        let name = format!("{:1$}{2}", "", 2 * entry.depth, run.name);
        let mut cells: Vec<Cell> = vec![Cell::styled(name, style::BOLD)];
        if has_names {
            cells.push(truncate(run.info.name.as_deref().unwrap_or_default(), 20).into());
        }
        cells.extend([
            Cell::styled(status(run), run_style(run.state)),
            run.started_local.get(..16).unwrap_or(&run.started_local).into(),
            run.took.map_or_else(|| "-".to_owned(), |took| took.to_string()).into(),
        ]);
        cells.extend(metrics.iter_mut().filter_map(Iterator::next).map(Cell::from));
        cells.extend([
            truncate(&changes(entry), shown.changed).into(),
            stages(run, shown.stages).into(),
        ]);
        table.row(cells);
    }
    table
}

/// Returns the word for the state of a run; an acceptance ran nothing.
fn status(run: &Run) -> &'static str {
    let is_accepted = |stage: &StageRecord| matches!(stage.state, StageState::Accepted { .. });
    match run.state {
        RunState::Ok if run.stages.first().is_some_and(is_accepted) => "accepted",
        state => state.word(),
    }
}

/// A column with a metric of a stage, or with the best value among the variants of a matrix.
struct Headline {
    variants: Vec<(StageName, String)>,
    goal: Option<Goal>,
}

impl Headline {
    /// Returns the column for a metric and those of its variants that occur.
    fn of(key: (StageName, String), entries: &[RunEntry], goals: &Goals) -> Headline {
        let goal = goals.of(&metric_key(&key));
        let is_variant =
            |other: &&(StageName, String)| other.1 == key.1 && family(&other.0) == family(&key.0);
        let keys = entries.iter().flat_map(|entry| entry.run.metrics.keys().filter(is_variant));
        let variants: BTreeSet<(StageName, String)> = keys.cloned().chain([key.clone()]).collect();
        Headline { variants: variants.into_iter().collect(), goal }
    }

    /// Returns the heading: the key, after the stage if another one has such a metric.
    fn heading(&self, entries: &[RunEntry]) -> String {
        let [(stage, key), more @ ..] = &self.variants[..] else { return String::new() };
        let is_other =
            |other: &(StageName, String)| other.1 == *key && family(&other.0) != family(stage);
        let is_shared = entries.iter().any(|entry| entry.run.metrics.keys().any(is_other));
        match (more, is_shared) {
            ([], false) => truncate(key, 16),
            ([], true) => truncate(&stage.name_of(key), 24),
            (_, false) => format!("best {}", truncate(key, 16)),
            (_, true) => format!("best {}", truncate(&format!("{}.{key}", family(stage)), 24)),
        }
    }

    fn value(&self, run: &Run) -> Option<Number> {
        let values = self.variants.iter().filter_map(|key| run.metrics.get(key).copied());
        let is_better = |a: f64, b: f64| match self.goal {
            Some(Goal::Min) => a < b,
            Some(Goal::Max) | None => a > b,
        };
        values.reduce(|best, value| match is_better(value.to_f64(), best.to_f64()) {
            true => value,
            false if best.to_f64().is_nan() => value,
            false => best,
        })
    }
}

/// Returns the name of a matrix for one of its stages.
fn family(stage: &StageName) -> &str {
    stage.as_str().split('@').next().unwrap_or_default()
}

/// Returns up to two metrics worth a column.
///
/// They have a goal and belong to the last stage with such metrics, since a pipeline is usually
/// evaluated at its end. Metrics to maximize are preferred over those to minimize.
fn headline(entries: &[RunEntry], goals: &Goals) -> Vec<Headline> {
    let mut runs = entries.iter().map(|entry| &entry.run);
    let Some(run) = runs.find(|run| !run.metrics.is_empty()) else { return Vec::new() };
    let reached = run.stages.iter().rev().map(|stage| &stage.stage);
    let others = run.metrics.keys().rev().map(|(stage, _)| stage);
    for wanted in [Goal::Max, Goal::Min] {
        for stage in reached.clone().chain(others.clone()) {
            let of_stage = run.metrics.keys().filter(|(name, _)| name == stage);
            let with_goal = of_stage.filter(|key| goals.of(&metric_key(key)) == Some(wanted));
            let column = |key: &(StageName, String)| Headline::of(key.clone(), entries, goals);
            let found: Vec<Headline> = with_goal.take(2).map(column).collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}

/// `2 ran, 3 up to date`; a long stage name is truncated.
fn stages(run: &Run, shown: Stages) -> String {
    let words: &[&str] = match shown {
        Stages::All => &[
            "ran",
            "restored",
            "accepted",
            "failed",
            "unrecorded",
            "skipped",
            "interrupted",
            "running",
            "fresh",
        ],
        Stages::Done => {
            &["ran", "restored", "accepted", "failed", "unrecorded", "interrupted", "running"]
        }
        Stages::None => &[],
    };
    let counts = words
        .iter()
        .map(|word| (run.stages.iter().filter(|stage| stage.state.word() == *word).count(), word));
    let shown = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {}", outcome_word(word)));
    let text = shown.collect::<Vec<_>>().join(", ");
    let failed = run.stages.iter().find(|stage| matches!(stage.state, StageState::Failed(_)));
    match failed {
        Some(stage) => {
            text.replacen("1 failed", &format!("{} failed", truncate(stage.stage.as_str(), 16)), 1)
        }
        None => text,
    }
}

/// Returns the changed params; of a run with hidden children, their number.
fn changes(RunEntry { run, changed, children, .. }: &RunEntry) -> String {
    if let Some(Children { count: number, best }) = children {
        let noun = if run.info.kind == RunKind::Sweep { "trial" } else { "part" };
        let best = best.map_or_else(String::new, |best| format!(", best {best}"));
        return format!("{}{best}", count(*number, noun));
    }
    let value = |value: &Option<ParamValue>| {
        value.as_ref().map_or_else(|| "-".to_owned(), |value| truncate(&value.to_string(), 20))
    };
    let shown = changed
        .iter()
        .take(2)
        .map(|param| format!("{} {} → {}", param.key, value(&param.old), value(&param.new)));
    let mut parts: Vec<String> = shown.collect();
    if changed.len() > 2 {
        parts.push(format!("{} more", changed.len() - 2));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ParamKey;
    use crate::report::run_tree::flat;
    use crate::report::runs::{ChangedParam, RunListReport};
    use crate::runs::Store;
    use crate::runs::tests::{at_a_fixed_time, finished};
    use serde_json::json;

    fn entries(store: &Store) -> Vec<RunEntry> {
        let report = RunListReport::new(store, flat(&store.names(20).unwrap()));
        report.entries().map(|entry| line(entry.unwrap())).collect()
    }

    fn listed(goals: &Goals) -> String {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut entries = entries(&store);
        entries.iter_mut().for_each(|entry| at_a_fixed_time(&mut entry.run));
        let text = fitting(&entries, goals);
        crate::escape::without_styles(&text)
    }

    #[test]
    fn line_per_run() {
        let mut goals = Goals::default();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert("loss".to_owned(), Goal::Min);
        insta::assert_snapshot!(listed(&goals), @"
        run    status  started            took  accuracy  changed
        run-2  ok      2026-05-09 14:03  1m06s     0.625  train.epochs 10 → 30
        run-1  failed  2026-05-09 14:03  3m13s     -
        ");
    }

    #[test]
    fn sweep_with_hidden_trials() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut entries = entries(&store);
        entries.iter_mut().for_each(|entry| at_a_fixed_time(&mut entry.run));
        entries[0].run.info.kind = RunKind::Sweep;
        entries[0].run.info.name = Some("rates\u{9b}31m".to_owned());
        entries[0].children = Some(Children { count: 24, best: Some(crate::runs::RunName(7)) });
        entries[1].depth = 1;
        let text = crate::escape::without_styles(&fitting(&entries, &Goals::default()));
        insta::assert_snapshot!(text, @r"
        run      name            status  started            took  changed
        run-2    rates\u{9b}31m  ok      2026-05-09 14:03  1m06s  24 trials, best run-7
          run-1                  failed  2026-05-09 14:03  3m13s
        ");
    }

    #[test]
    fn no_metric_column_without_goals() {
        insta::assert_snapshot!(listed(&Goals::default()), @"
        run    status  started            took  changed               stages
        run-2  ok      2026-05-09 14:03  1m06s  train.epochs 10 → 30  2 ran
        run-1  failed  2026-05-09 14:03  3m13s                        train failed
        ");
    }

    #[test]
    fn list_fits_into_80_columns() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut goals = Goals::default();
        let long = "a_metric_with_a_name_that_is_as_long_as_some_are".to_owned();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert(long.clone(), Goal::Max);
        for metrics in 0..3 {
            let mut entries = entries(&store);
            for RunEntry { run, changed, .. } in &mut entries {
                let evaluate = StageName::parse("evaluate").unwrap();
                run.metrics.clear();
                let keys = ["accuracy".to_owned(), long.clone()];
                run.metrics.extend(
                    keys.into_iter()
                        .take(metrics)
                        .map(|key| ((evaluate.clone(), key), (-1.234e-17).into())),
                );
                let key = || ParamKey::new("some.section.of.the.params.learning_rate".to_owned());
                *changed = (0..5)
                    .map(|n| ChangedParam {
                        key: key(),
                        old: Some(json!(n)),
                        new: Some(json!("a value of some length")),
                    })
                    .collect();
            }
            let text = fitting(&entries, &goals);
            assert!(widest(text.lines()) <= WIDE, "{text}");
            assert!(text.contains("some.section"), "{text}");
        }
    }
}
