//! `repro metrics compare`: how the params and metrics of runs differ, and for the better or the worse.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::Style;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::runs::{json_number, print, print_json, run_style, shortened_commit, store};
use crate::error::{Error, Result};
use crate::event::{GitTree, RunName};
use crate::pipeline::Goals;
use crate::runs::compare::{Comparison, MetricRow, RunValues, Verdict, compare};
use crate::runs::{Run, Store};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table, difference, number};

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// run-12, 12 or last
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// List the params that are equal, too
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
        let runs = named(&store, &self.runs)?
            .into_iter()
            .map(|run| store.run(run))
            .collect::<Result<Vec<Run>>>()?;
        let mut compared = compare(&runs.iter().map(RunValues::from).collect::<Vec<_>>(), goals);
        let equal = compared.params.iter().filter(|row| !row.differs()).count();
        if !self.all {
            compared.params.retain(|row| row.differs());
        }
        match () {
            () if self.json => print_json(&compare_json(&compared)),
            () if self.md => print(&compare_md(&runs, &compared)),
            () => print(&compare_text(&runs, &compared, if self.all { 0 } else { equal })),
        }
    }
}

/// Two runs or more.
fn named(store: &Store, names: &[String]) -> Result<Vec<RunName>> {
    let mut runs =
        names.iter().map(|name| store.resolve(name)).collect::<Result<Vec<RunName>>>()?;
    match runs[..] {
        [] => {
            let last = store.resolve("last")?;
            let before = store.before(last)?.ok_or_else(|| {
                Error::usage(format!(
                    "there is nothing to compare `{last}` with: it is the only run"
                ))
                .hint("change something, then `repro run`")
            })?;
            runs = vec![before, last];
        }
        [one] => {
            let last = store.resolve("last")?;
            if one == last {
                return Err(Error::usage(format!(
                    "`{one}` is the last run, and one run is compared with the last"
                ))
                .hint(format!("name another: `repro metrics compare OTHER {one}`")));
            }
            runs.push(last);
        }
        _ => {}
    }
    Ok(runs)
}

fn compare_json(compared: &Comparison) -> Value {
    let params = compared.params.iter().map(|row| json!({ "key": row.key, "values": row.values }));
    let metrics = compared.metrics.iter().map(|row| {
        json!({
            "key": row.key,
            "values": row.values.iter().map(|value| value.map(json_number)).collect::<Vec<_>>(),
            "difference": row.difference.map(json_number),
            "verdict": row.verdict.map(Verdict::word),
            "best": row.best.iter().map(|at| compared.runs[*at]).collect::<Vec<_>>(),
        })
    });
    json!({
        "runs": compared.runs,
        "params": params.collect::<Vec<_>>(),
        "metrics": metrics.collect::<Vec<_>>(),
    })
}

fn compare_text(runs: &[Run], compared: &Comparison, equal: usize) -> String {
    let mut out = heads(runs).plain("");
    let mut part = |text: String| {
        let _ = write!(out, "\n{text}");
    };
    let params = params_table(compared);
    if !params.is_empty() {
        part(params.plain(""));
    }
    match (equal, params.is_empty()) {
        (0, _) => {}
        (1, true) => part("the one param is equal: `--all` lists it\n".to_owned()),
        (1, false) => part("1 other param is equal: `--all` lists it\n".to_owned()),
        (_, true) => part(format!("all {equal} params are equal: `--all` lists them\n")),
        (_, false) => part(format!("{equal} other params are equal: `--all` lists them\n")),
    }
    let metrics = metrics_table(compared);
    part(if metrics.is_empty() {
        "no metrics in these runs\n".to_owned()
    } else {
        metrics.plain("")
    });
    out
}

fn compare_md(runs: &[Run], compared: &Comparison) -> String {
    let tables = [heads(runs), params_table(compared), metrics_table(compared)];
    let shown = tables.iter().filter(|table| !table.is_empty()).map(Table::markdown);
    anstream::adapter::strip_str(&shown.collect::<Vec<_>>().join("\n")).to_string()
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
        let git = run.about.git.as_ref().map_or_else(String::new, |git| {
            let dirty = if git.tree == GitTree::Dirty { " with uncommitted changes" } else { "" };
            format!("{}{dirty}", shortened_commit(&git.commit))
        });
        table.row([
            Cell::styled(run.name.to_string(), Style::new().bold()),
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
    let mut table =
        Table::new(std::iter::once(("param".to_owned(), Align::Left)).chain(runs));
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
    // Of two runs, better and worse say which is the best.
    let several = compared.runs.len() > 2;
    if several {
        columns.push(("best".to_owned(), Align::Left));
    }
    let mut table = Table::new(columns);
    for row in &compared.metrics {
        let mut cells: Vec<Cell> = vec![row.key.as_str().into()];
        cells.extend(
            row.values.iter().map(|value| value.map_or("-".into(), |value| number(value).into())),
        );
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
    row.difference.map_or("-".into(), |value| difference(value).into())
}

fn verdict(verdict: Option<Verdict>) -> Cell {
    let Some(verdict) = verdict else { return "".into() };
    let style = match verdict {
        Verdict::Better => style::GOOD,
        Verdict::Worse => style::BAD,
        Verdict::Same => style::DIM,
        Verdict::Changed => Style::new(),
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
    fn two_runs_side_by_side() {
        let runs = runs(&[1, 2]);
        let mut compared = compare(&runs.iter().map(RunValues::from).collect::<Vec<_>>(), &goals());
        insta::assert_snapshot!(plain(&compare_text(&runs, &compared, 0)), @r#"
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
        compared.params.retain(|row| row.differs());
        insta::assert_snapshot!(plain(&compare_text(&runs, &compared, 1)), @"
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
        insta::assert_snapshot!(plain(&compare_md(&runs, &compared)), @"
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
    fn three_runs_have_a_best_one() {
        let runs = runs(&[2, 1, 2]);
        let mut compared = compare(&runs.iter().map(RunValues::from).collect::<Vec<_>>(), &goals());
        compared.params.clear();
        insta::assert_snapshot!(plain(&compare_text(&runs, &compared, 3)), @"
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
    fn comparing_as_json() {
        let runs = runs(&[1, 2]);
        let compared = compare(&runs.iter().map(RunValues::from).collect::<Vec<_>>(), &goals());
        insta::assert_snapshot!(compare_json(&compared)["metrics"].to_string(), @r#"[{"best":[],"difference":null,"key":"evaluate.accuracy","values":[null,0.625],"verdict":null},{"best":[],"difference":null,"key":"train.grad","values":[null,"NaN"],"verdict":null},{"best":["run-2"],"difference":-1.837655,"key":"train.loss","values":[2.25,0.412345],"verdict":"better"},{"best":[],"difference":null,"key":"train.steps","values":[null,30.0],"verdict":null},{"best":[],"difference":null,"key":"train.top","values":[null,"Infinity"],"verdict":null}]"#);
    }

    #[test]
    fn which_runs_are_compared() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let names = |words: &[&str]| {
            named(&store, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let pair = vec![RunName(1), RunName(2)];
        assert_eq!(names(&[]).unwrap(), pair);
        assert_eq!(names(&["1"]).unwrap(), pair);
        assert_eq!(names(&["run-1", "last"]).unwrap(), pair);
        assert_eq!(names(&["2", "1"]).unwrap(), [RunName(2), RunName(1)]);
        assert!(names(&["last"]).unwrap_err().what.contains("is the last run"));
    }
}
