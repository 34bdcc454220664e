//! `repro metrics compare`: differences in params and metrics between runs, better or worse.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use serde_json::Value;

use crate::cli::common::{run_style, short_commit, store};
use crate::error::{Error, Result, exit};
use crate::event::{GitTree, RunName};
use crate::pipeline::Goals;
use crate::report;
use crate::report::metrics::{ComparisonReport, Params};
use crate::runs::compare::{Comparison, MetricRow, Verdict};
use crate::runs::{Run, Store};
use crate::terminal::number;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{stdout, style};

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Runs to compare: `run-12`, `12` or `last`
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Also list params that are equal
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "md")]
    json: bool,
    /// Print Markdown
    #[arg(long)]
    md: bool,
}

impl CompareArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let runs = named(&store, &self.runs, goals)?
            .into_iter()
            .map(|run| store.run(run))
            .collect::<Result<Vec<Run>>>()?;
        let params = if self.all { Params::All } else { Params::Differing };
        let report = ComparisonReport::new(runs, goals, params);
        stdout::write(&match () {
            () if self.json => report::json(&report),
            () if self.md => markdown(&report),
            () => text(&report),
        })?;
        Ok(exit::OK)
    }
}

/// Returns the runs to compare, at least two.
fn named(store: &Store, names: &[String], goals: &Goals) -> Result<Vec<RunName>> {
    let mut runs = names
        .iter()
        .map(|name| store.resolve(name, || goals.clone()))
        .collect::<Result<Vec<RunName>>>()?;
    match runs[..] {
        [] => {
            let last = store.latest()?;
            let before = store.before(last)?.ok_or_else(|| {
                Error::usage(format!("cannot compare `{last}`: it is the only run"))
                    .hint("change something and `repro run` again")
            })?;
            runs = vec![before, last];
        }
        [one] => {
            let last = store.latest()?;
            if one == last {
                return Err(Error::usage(format!(
                    "cannot compare `{one}` with itself: it is the last run"
                ))
                .hint(format!("name another run: `repro metrics compare RUN {one}`")));
            }
            runs.push(last);
        }
        _ => {}
    }
    Ok(runs)
}

fn text(report: &ComparisonReport) -> String {
    let mut out = heads(&report.runs).plain("");
    let mut part = |text: String| {
        let _ = write!(out, "\n{text}");
    };
    let params = params_table(&report.comparison);
    if !params.is_empty() {
        part(params.plain(""));
    }
    match (report.omitted, params.is_empty()) {
        (0, _) => {}
        (1, true) => part("the only param is equal: `--all` lists it\n".to_owned()),
        (1, false) => part("1 other param is equal: `--all` lists it\n".to_owned()),
        (equal, true) => part(format!("all {equal} params are equal: `--all` lists them\n")),
        (equal, false) => part(format!("{equal} other params are equal: `--all` lists them\n")),
    }
    let metrics = metrics_table(&report.comparison);
    part(if metrics.is_empty() {
        "these runs have no metrics\n".to_owned()
    } else {
        metrics.plain("")
    });
    out
}

fn markdown(report: &ComparisonReport) -> String {
    let compared = &report.comparison;
    let tables = [heads(&report.runs), params_table(compared), metrics_table(compared)];
    let shown = tables.iter().filter(|table| !table.is_empty()).map(Table::markdown);
    crate::escape::without_styles(&shown.collect::<Vec<_>>().join("\n"))
}

fn heads(runs: &[Run]) -> Table {
    let columns = [
        ("run", Align::Left),
        ("status", Align::Left),
        ("started", Align::Left),
        ("took", Align::Right),
        ("git", Align::Left),
    ];
    let mut table = Table::new(columns);
    for run in runs {
        let git = run.info.git.as_ref().map_or_else(String::new, |git| {
            let dirty = if git.tree == GitTree::Dirty { " with uncommitted changes" } else { "" };
            format!("{}{dirty}", short_commit(git))
        });
        table.row([
            Cell::styled(run.name.to_string(), style::BOLD),
            Cell::styled(run.state.word(), run_style(run.state)),
            run.started_local.as_str().into(),
            run.took.map_or_else(|| "-".to_owned(), |took| took.to_string()).into(),
            git.into(),
        ]);
    }
    table
}

fn params_table(compared: &Comparison) -> Table {
    let runs = compared.runs.iter().map(|run| (run.to_string(), Align::Decimal));
    let mut table = Table::new(std::iter::once(("param".to_owned(), Align::Left)).chain(runs));
    for row in &compared.params {
        let value = |value: &Option<Value>| {
            Cell::from(value.as_ref().map_or_else(|| "-".to_owned(), Value::to_string))
        };
        table.row(std::iter::once(row.key.as_str().into()).chain(row.values.iter().map(value)));
    }
    table
}

fn metrics_table(compared: &Comparison) -> Table {
    let mut columns = vec![("metric".to_owned(), Align::Left)];
    columns.extend(compared.runs.iter().map(|run| (run.to_string(), Align::Decimal)));
    columns.extend([("change".to_owned(), Align::Decimal), (String::new(), Align::Left)]);
    // With two runs, the verdict already says which is better.
    let several = compared.runs.len() > 2;
    if several {
        columns.push(("best".to_owned(), Align::Left));
    }
    let mut table = Table::new(columns);
    for row in &compared.metrics {
        let mut cells: Vec<Cell> = vec![row.key.as_str().into()];
        cells.extend(number::cells(&row.values).into_iter().map(Cell::from));
        cells.extend([changed(row), verdict(row.verdict)]);
        if several {
            let best = row.best.iter().map(|at| compared.runs[*at].to_string());
            cells.push(best.collect::<Vec<_>>().join(", ").into());
        }
        table.row(cells);
    }
    table
}

fn changed(row: &MetricRow) -> Cell {
    row.difference.map_or("-".into(), |value| number::difference(value).into())
}

fn verdict(verdict: Option<Verdict>) -> Cell {
    let Some(verdict) = verdict else { return "".into() };
    let style = match verdict {
        Verdict::Better => style::GOOD,
        Verdict::Worse => style::BAD,
        Verdict::Same => style::DIM,
        Verdict::Changed => style::Style::new(),
    };
    Cell::styled(verdict.word(), style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::metrics::tests::{goals, plain};
    use crate::runs::tests::{at_a_fixed_time, finished};

    fn runs(numbers: &[u64]) -> Vec<Run> {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut runs: Vec<Run> =
            numbers.iter().map(|number| store.run(RunName(*number)).unwrap()).collect();
        runs.iter_mut().for_each(at_a_fixed_time);
        runs
    }

    #[test]
    fn two_runs() {
        let all = ComparisonReport::new(runs(&[1, 2]), &goals(), Params::All);
        insta::assert_snapshot!(plain(&text(&all)), @r#"
        run    status  started               took  git
        run-1  failed  2026-05-09 14:03:22  3m13s  3f2a91c0d4
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        param           run-1    run-2
        seed               42       42
        source        "synth"  "synth"
        train.epochs       10       30

        metric             run-1     run-2   change
        evaluate.accuracy   -       0.625    -
        train.grad          -     NaN        -
        train.loss          2.25    0.4123  -1.8377  better
        train.steps         -      30        -
        train.top           -     inf        -
        "#);
        let mut differing = ComparisonReport::new(runs(&[1, 2]), &goals(), Params::Differing);
        differing.omitted = 1;
        insta::assert_snapshot!(plain(&text(&differing)), @"
        run    status  started               took  git
        run-1  failed  2026-05-09 14:03:22  3m13s  3f2a91c0d4
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        param         run-1  run-2
        train.epochs     10     30

        1 other param is equal: `--all` lists it

        metric             run-1     run-2   change
        evaluate.accuracy   -       0.625    -
        train.grad          -     NaN        -
        train.loss          2.25    0.4123  -1.8377  better
        train.steps         -      30        -
        train.top           -     inf        -
        ");
        insta::assert_snapshot!(plain(&markdown(&differing)), @"
        | run   | status | started             |  took | git                                 |
        | ----- | ------ | ------------------- | ----: | ----------------------------------- |
        | run-1 | failed | 2026-05-09 14:03:22 | 3m13s | 3f2a91c0d4                          |
        | run-2 | ok     | 2026-05-09 14:03:22 | 1m06s | 3f2a91c0d4 with uncommitted changes |

        | param        | run-1 | run-2 |
        | ------------ | ----: | ----: |
        | train.epochs |    10 |    30 |

        | metric            | run-1 |  run-2 |  change |        |
        | ----------------- | ----: | -----: | ------: | ------ |
        | evaluate.accuracy |     - |  0.625 |       - |        |
        | train.grad        |     - |    NaN |       - |        |
        | train.loss        |  2.25 | 0.4123 | -1.8377 | better |
        | train.steps       |     - |     30 |       - |        |
        | train.top         |     - |    inf |       - |        |
        ");
    }

    #[test]
    fn best_of_three_runs() {
        let mut report = ComparisonReport::new(runs(&[2, 1, 2]), &goals(), Params::All);
        report.omitted = report.comparison.params.drain(..).count();
        insta::assert_snapshot!(plain(&text(&report)), @"
        run    status  started               took  git
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes
        run-1  failed  2026-05-09 14:03:22  3m13s  3f2a91c0d4
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        all 3 params are equal: `--all` lists them

        metric                run-2  run-1     run-2  change        best
        evaluate.accuracy    0.625    -       0.625        0  same
        train.grad         NaN        -     NaN            0  same
        train.loss           0.4123   2.25    0.4123       0  same  run-2, run-2
        train.steps         30        -      30            0  same
        train.top          inf        -     inf            0  same
        ");
    }

    #[test]
    fn selection_of_runs() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let names = |words: &[&str]| {
            named(
                &store,
                &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
                &Goals::default(),
            )
        };
        let pair = vec![RunName(1), RunName(2)];
        assert_eq!(names(&[]).unwrap(), pair);
        assert_eq!(names(&["1"]).unwrap(), pair);
        assert_eq!(names(&["run-1", "last"]).unwrap(), pair);
        assert_eq!(names(&["2", "1"]).unwrap(), [RunName(2), RunName(1)]);
        assert!(names(&["last"]).unwrap_err().what.contains("with itself"));
    }
}
