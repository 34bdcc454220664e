//! `repro runs list`: a line a run, with what was changed and the numbers that tell whether it helped.

use std::collections::BTreeMap;
use std::path::Path;

use anstyle::Style;
use clap::Args;
use serde_json::{Value, json};

use super::{print, print_json, remark, run_style, shortened};
use crate::error::{Result, exit};
use crate::pipeline::{Goal, Goals, ParamKey, ParamValue, StageName};
use crate::runs::compare::{RunValues, compare, metric_key};
use crate::runs::{Run, StageState, Store};
use crate::terminal::table::{Align, Cell, Table, number};

/// List the runs, newest first: what was changed since the run before, and what came of it
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Show at most N runs; 0 shows all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        let store = Store::open_existing(root)?;
        let runs = store.as_ref().map_or(Ok(Vec::new()), |store| newest(store, limit))?;
        if self.json {
            return print_json(&runs.iter().map(entry).collect());
        }
        let Some(store) = store.filter(|_| !runs.is_empty()) else {
            remark("there are no runs yet: `repro run` makes the first");
            return Ok(exit::OK);
        };
        let code = print(&fitting(&runs, goals))?;
        match store.count()?.saturating_sub(runs.len()) {
            0 => {}
            1 => remark("1 older run: `repro runs list -n 0` shows all"),
            older => remark(&format!("{older} older runs: `repro runs list -n 0` shows all")),
        }
        Ok(code)
    }
}

/// A param that the run before had otherwise: key, old, new.
type Changed = (ParamKey, Option<ParamValue>, Option<ParamValue>);

struct Entry {
    run: Run,
    changed: Vec<Changed>,
}

fn newest(store: &Store, limit: usize) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in store.names(limit)? {
        let run = store.run(name)?;
        let changed = match store.before(name)? {
            None => Vec::new(),
            Some(before) => changed(store.params(before)?, &run),
        };
        entries.push(Entry { run, changed });
    }
    Ok(entries)
}

fn changed(before: BTreeMap<ParamKey, ParamValue>, run: &Run) -> Vec<Changed> {
    let before = RunValues { run: run.name, params: before, metrics: run.metrics.clone() };
    let rows = compare(&[before, RunValues::from(run)], &Goals::default()).params;
    let differing = rows.into_iter().filter(|row| row.differs());
    differing.map(|row| (row.key, row.values[0].clone(), row.values[1].clone())).collect()
}

/// The most characters of a line: what every terminal shows.
const WIDE: usize = 80;
/// What was changed is not cut further than this; other columns go before.
const CHANGED_AT_LEAST: usize = 24;

/// How much of a run has a column.
#[derive(Clone, Copy)]
struct Columns {
    metrics: usize,
    stages: Stages,
    changed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stages {
    All,
    /// Without those that nothing was done about.
    Done,
    None,
}

/// The table with as much of each run as fits in a line.
fn fitting(entries: &[Entry], goals: &Goals) -> String {
    let most = [
        (2, Stages::All),
        (2, Stages::Done),
        (1, Stages::Done),
        (1, Stages::None),
        (0, Stages::None),
    ];
    let mut text = String::new();
    for (metrics, stages) in most {
        let whole = Columns { metrics, stages, changed: usize::MAX };
        text = table(entries, goals, whole).plain("");
        let over = wide(&text).saturating_sub(WIDE);
        if over == 0 {
            break;
        }
        let longest =
            entries.iter().map(|entry| changes(&entry.changed).chars().count()).max().unwrap_or(0);
        let changed = longest.saturating_sub(over).max(CHANGED_AT_LEAST);
        text = table(entries, goals, Columns { changed, ..whole }).plain("");
        if wide(&text) <= WIDE {
            break;
        }
    }
    text
}

fn wide(text: &str) -> usize {
    let shown = anstream::adapter::strip_str(text).to_string();
    shown.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn table(entries: &[Entry], goals: &Goals, shown: Columns) -> Table {
    let mut headline = headline(entries.iter().map(|entry| &entry.run), goals);
    headline.truncate(shown.metrics);
    let mut columns: Vec<(String, Align)> =
        ["run", "status", "started"].map(|name| (name.to_owned(), Align::Left)).into();
    columns.push(("took".to_owned(), Align::Right));
    // They are all of one stage, so their keys tell them apart.
    columns.extend(headline.iter().map(|key| (shortened(&key.1, 16), Align::Decimal)));
    columns.extend(["changed", "stages"].map(|name| (name.to_owned(), Align::Left)));
    let mut table = Table::new(columns);
    for Entry { run, changed } in entries {
        let mut cells: Vec<Cell> = vec![
            Cell::styled(run.name.to_string(), Style::new().bold()),
            Cell::styled(run.state.word(), run_style(run.state)),
            run.started_local.get(..16).unwrap_or(&run.started_local).into(),
            run.took.map_or_else(|| "-".to_owned(), |took| took.to_string()).into(),
        ];
        cells.extend(
            headline
                .iter()
                .map(|key| run.metrics.get(key).map_or("-".into(), |value| number(*value).into())),
        );
        cells.extend([
            shortened(&changes(changed), shown.changed).into(),
            stages(run, shown.stages).into(),
        ]);
        table.row(cells);
    }
    table
}

/// Up to two metrics that are worth a column: those with a goal, of the latest stage that has any, as the end of a
/// pipeline is where it is judged. What is to grow goes before what is to shrink, and a shared prefix names a family
/// of which one is enough.
fn headline<'a>(runs: impl Iterator<Item = &'a Run>, goals: &Goals) -> Vec<(StageName, String)> {
    let Some(run) = runs.into_iter().find(|run| !run.metrics.is_empty()) else { return Vec::new() };
    for wanted in [Goal::Max, Goal::Min] {
        for stage in run.stages.iter().rev() {
            let of_stage = run.metrics.keys().filter(|(name, _)| *name == stage.stage);
            let with_goal = of_stage.filter(|key| goals.of(&metric_key(key)) == Some(wanted));
            let found: Vec<(StageName, String)> = with_goal.take(2).cloned().collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}

/// `2 ran, 3 fresh`; of a long name the end is cut.
fn stages(run: &Run, shown: Stages) -> String {
    let words: &[&str] = match shown {
        Stages::All => &["ran", "restored", "failed", "skipped", "interrupted", "running", "fresh"],
        Stages::Done => &["ran", "restored", "failed", "interrupted", "running"],
        Stages::None => &[],
    };
    let counts = words
        .iter()
        .map(|word| (run.stages.iter().filter(|stage| stage.state.word() == *word).count(), word));
    let shown =
        counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let text = shown.collect::<Vec<_>>().join(", ");
    let failed = run.stages.iter().find(|stage| matches!(stage.state, StageState::Failed(_)));
    match failed {
        Some(stage) => {
            text.replacen("1 failed", &format!("{} failed", shortened(stage.stage.as_str(), 16)), 1)
        }
        None => text,
    }
}

fn changes(changed: &[Changed]) -> String {
    let value = |value: &Option<ParamValue>| {
        value.as_ref().map_or_else(|| "-".to_owned(), |value| shortened(&value.to_string(), 20))
    };
    let shown = changed
        .iter()
        .take(2)
        .map(|(key, old, new)| format!("{key} {} → {}", value(old), value(new)));
    let mut parts: Vec<String> = shown.collect();
    if changed.len() > 2 {
        parts.push(format!("{} more", changed.len() - 2));
    }
    parts.join(", ")
}

fn entry(Entry { run, changed }: &Entry) -> Value {
    let mut value = super::show::json(run);
    if let Value::Object(map) = &mut value {
        map.retain(|key, _| !matches!(key.as_str(), "artifacts" | "params"));
        let changed =
            changed.iter().map(|(key, old, new)| json!({ "key": key, "old": old, "new": new }));
        map.insert("changed".to_owned(), changed.collect());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::{at_a_fixed_time, finished};

    fn listed(goals: &Goals) -> String {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut entries = newest(&store, 20).unwrap();
        entries.iter_mut().for_each(|entry| at_a_fixed_time(&mut entry.run));
        let text = fitting(&entries, goals);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_line_a_run() {
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
    fn without_goals_no_metric_has_a_column() {
        insta::assert_snapshot!(listed(&Goals::default()), @"
        run    status  started            took  changed               stages
        run-2  ok      2026-05-09 14:03  1m06s  train.epochs 10 → 30  2 ran
        run-1  failed  2026-05-09 14:03  3m13s                        train failed
        ");
    }

    #[test]
    fn a_list_fits_in_80_columns_whatever_was_changed_and_measured() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut goals = Goals::default();
        let long = "a_metric_with_a_name_that_is_as_long_as_some_are".to_owned();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert(long.clone(), Goal::Max);
        for metrics in 0..3 {
            let mut entries = newest(&store, 20).unwrap();
            for Entry { run, changed } in &mut entries {
                let evaluate = StageName::parse("evaluate").unwrap();
                run.metrics.clear();
                let keys = ["accuracy".to_owned(), long.clone()];
                run.metrics.extend(
                    keys.into_iter().take(metrics).map(|key| ((evaluate.clone(), key), -1.234e-17)),
                );
                let key = || ParamKey::new("some.section.of.the.params.learning_rate".to_owned());
                *changed = (0..5)
                    .map(|n| (key(), Some(json!(n)), Some(json!("a value of some length"))))
                    .collect();
            }
            let text = fitting(&entries, &goals);
            assert!(wide(&text) <= WIDE, "{} of\n{text}", wide(&text));
            assert!(text.contains("some.section"), "{text}");
        }
    }

    #[test]
    fn json_of_a_run_in_a_list() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let newest = newest(&store, 1).unwrap();
        let value = entry(&newest[0]);
        assert_eq!(value["run"], "run-2");
        assert_eq!(value["changed"], json!([{ "key": "train.epochs", "old": 10, "new": 30 }]));
        assert!(value.get("artifacts").is_none());
    }
}
