//! `repro metrics`: the numbers of a run, and how those of several differ. Knows nothing of where they come from.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::Style;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::runs::{json_number, print, print_json, remark, run_style, shortened_commit, store};
use crate::error::{Error, Result, exit};
use crate::event::{GitTree, RunName};
use crate::pipeline::{Goal, Goals};
use crate::runs::compare::{Comparison, MetricRow, Side, Verdict, compare, metric_key};
use crate::runs::{Run, Series, Store};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table, difference, number};

/// The numbers that stages reported, and how they differ between runs
#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the metrics of a run
    Show {
        /// run-12, 12 or last
        #[arg(default_value = "last")]
        run: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare the params and metrics of runs; one RUN is compared with the last run, none: the last two
    Compare(CompareArgs),
}

#[derive(Debug, Args)]
struct CompareArgs {
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

impl MetricsArgs {
    /// Does it for the project at `root`, and tells the exit code. `goals` say which differences are for the better.
    ///
    /// # Errors
    /// There is no such run, or the run store cannot be read.
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        match self.command {
            Command::Show { run, json } => {
                let store = store(root)?;
                let run = store.run(store.resolve(&run)?)?;
                let series = store.series(run.name)?;
                match (json, run.metrics.is_empty() && series.is_empty()) {
                    (true, _) => print_json(&show_json(&run, &series)),
                    (false, false) => print(&show(&run, &series, goals)),
                    (false, true) => {
                        remark(&format!("{} has no metrics", run.name));
                        Ok(exit::OK)
                    }
                }
            }
            Command::Compare(args) => args.execute(root, goals),
        }
    }
}

impl CompareArgs {
    fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let runs =
            named(&store, &self.runs)?.into_iter().map(|run| store.run(run)).collect::<Result<Vec<Run>>>()?;
        let mut compared = compare(&runs.iter().map(Side::from).collect::<Vec<_>>(), goals);
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
    let mut runs = names.iter().map(|name| store.resolve(name)).collect::<Result<Vec<RunName>>>()?;
    match runs[..] {
        [] => {
            let last = store.resolve("last")?;
            let before = store.before(last)?.ok_or_else(|| {
                Error::usage(format!("there is nothing to compare `{last}` with: it is the only run"))
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

fn show(run: &Run, series: &[Series], goals: &Goals) -> String {
    let mut finals = Table::new([
        (run.name.to_string(), Align::Left),
        ("value".into(), Align::Decimal),
        ("goal".into(), Align::Left),
    ]);
    for (key, value) in &run.metrics {
        let key = metric_key(key);
        let goal = match goals.of(&key) {
            Some(Goal::Max) => "max",
            Some(Goal::Min) => "min",
            None => "",
        };
        finals.row([key.into(), number(*value).into(), Cell::styled(goal, style::DIM)]);
    }
    let right = ["first", "last", "best"].map(|name| (name, Align::Decimal));
    let mut table = Table::new(
        [("series", Align::Left), ("steps", Align::Right)]
            .into_iter()
            .chain(right)
            .chain([("", Align::Left), ("", Align::Left)]),
    );
    for series in series {
        let key = format!("{}.{}", series.stage, series.key);
        let values: Vec<f64> = series.points.iter().map(|point| point.1).collect();
        let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else { continue };
        let best = best_point(series, goals.of(&key));
        let at = best.map_or_else(String::new, |(step, _)| format!("at {step}"));
        let best = best.map_or_else(String::new, |(_, value)| number(value));
        let steps = if first.0 == last.0 { first.0.to_string() } else { format!("{}–{}", first.0, last.0) };
        table.row([
            key.into(),
            steps.into(),
            number(first.1).into(),
            number(last.1).into(),
            best.into(),
            at.into(),
            sparkline(&values).into(),
        ]);
    }
    let parts = [finals, table].into_iter().filter(|table| !table.is_empty()).map(|table| table.plain(""));
    parts.collect::<Vec<_>>().join("\n")
}

/// The step and value of the first best point.
fn best_point(series: &Series, goal: Option<Goal>) -> Option<(u64, f64)> {
    let goal = goal?;
    let numbers = series.points.iter().filter(|point| !point.1.is_nan());
    let better = |a: f64, b: f64| if goal == Goal::Max { a > b } else { a < b };
    numbers
        .map(|point| (point.0, point.1))
        .reduce(|best, point| if better(point.1, best.1) { point } else { best })
}

/// A series as a line of bars from its least to its greatest value, in at most 24 places; `×` for what is no number.
fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const PLACES: usize = 24;
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) =
        finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if values.len() < 2 {
        return String::new();
    }
    let places = values.len().min(PLACES);
    let bar = |place: usize| {
        // The first and the last value always show.
        let value = values[place * (values.len() - 1) / (places - 1)];
        let height = if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.0 };
        if value.is_finite() { BARS[((height * 7.0).round() as usize).min(7)] } else { '×' }
    };
    (0..places).map(bar).collect()
}

fn show_json(run: &Run, series: &[Series]) -> Value {
    let metrics: Map<String, Value> =
        run.metrics.iter().map(|(key, value)| (metric_key(key), json_number(*value))).collect();
    let points = |series: &Series| -> Value {
        let point = |(step, value, at): &(u64, f64, i64)| json!({ "step": step, "value": json_number(*value), "at": at });
        series.points.iter().map(point).collect()
    };
    let series: Map<String, Value> =
        series.iter().map(|series| (format!("{}.{}", series.stage, series.key), points(series))).collect();
    json!({ "run": run.name, "metrics": metrics, "series": series })
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
    part(if metrics.is_empty() { "no metrics in these runs\n".to_owned() } else { metrics.plain("") });
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
    // Of two runs, better and worse say which is the best.
    let several = compared.runs.len() > 2;
    if several {
        columns.push(("best".to_owned(), Align::Left));
    }
    let mut table = Table::new(columns);
    for row in &compared.metrics {
        let mut cells: Vec<Cell> = vec![row.key.as_str().into()];
        cells.extend(row.values.iter().map(|value| value.map_or("-".into(), |value| number(value).into())));
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
    use crate::runs::tests::{at_a_fixed_time, finished};

    fn goals() -> Goals {
        let mut goals = Goals::default();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert("loss".to_owned(), Goal::Min);
        goals
    }

    fn runs(numbers: &[u64]) -> Vec<Run> {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut runs: Vec<Run> = numbers.iter().map(|number| store.run(RunName(*number)).unwrap()).collect();
        runs.iter_mut().for_each(at_a_fixed_time);
        runs
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn two_runs_side_by_side() {
        let runs = runs(&[1, 2]);
        let mut compared = compare(&runs.iter().map(Side::from).collect::<Vec<_>>(), &goals());
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
        let mut compared = compare(&runs.iter().map(Side::from).collect::<Vec<_>>(), &goals());
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
        let compared = compare(&runs.iter().map(Side::from).collect::<Vec<_>>(), &goals());
        insta::assert_snapshot!(compare_json(&compared)["metrics"].to_string(), @r#"[{"best":[],"difference":null,"key":"evaluate.accuracy","values":[null,0.625],"verdict":null},{"best":[],"difference":null,"key":"train.grad","values":[null,"NaN"],"verdict":null},{"best":["run-2"],"difference":-1.837655,"key":"train.loss","values":[2.25,0.412345],"verdict":"better"},{"best":[],"difference":null,"key":"train.steps","values":[null,30.0],"verdict":null},{"best":[],"difference":null,"key":"train.top","values":[null,"Infinity"],"verdict":null}]"#);
    }

    #[test]
    fn the_numbers_and_series_of_a_run() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let series = store.series(RunName(2)).unwrap();
        insta::assert_snapshot!(plain(&show(&store.run(RunName(2)).unwrap(), &series, &goals())), @"
        run-2                 value  goal
        evaluate.accuracy    0.625   max
        train.grad         NaN
        train.loss           0.4123  min
        train.steps         30
        train.top          inf

        series      steps  first  last  best
        train.loss    1–3    2.3   0.5   0.5  at 3  █×▁
        ");
        insta::assert_snapshot!(show_json(&store.run(RunName(2)).unwrap(), &series).to_string(), @r#"{"metrics":{"evaluate.accuracy":0.625,"train.grad":"NaN","train.loss":0.412345,"train.steps":30.0,"train.top":"Infinity"},"run":"run-2","series":{"train.loss":[{"at":1778335701000,"step":1,"value":2.3},{"at":1778335701000,"step":2,"value":"NaN"},{"at":1778335701000,"step":3,"value":0.5}]}}"#);
    }

    #[test]
    fn which_runs_are_compared() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let names =
            |words: &[&str]| named(&store, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let pair = vec![RunName(1), RunName(2)];
        assert_eq!(names(&[]).unwrap(), pair);
        assert_eq!(names(&["1"]).unwrap(), pair);
        assert_eq!(names(&["run-1", "last"]).unwrap(), pair);
        assert_eq!(names(&["2", "1"]).unwrap(), [RunName(2), RunName(1)]);
        assert!(names(&["last"]).unwrap_err().what.contains("is the last run"));
    }

    #[test]
    fn sparklines() {
        let cases: [(&[f64], &str); 6] = [
            (&[], ""),
            (&[1.0], ""),
            (&[0.0, 1.0], "▁█"),
            (&[3.0, 2.0, f64::NAN, 1.0], "█▅×▁"),
            (&[2.0, 2.0, 2.0], "▁▁▁"),
            (&[f64::MIN, 0.0, f64::MAX, f64::INFINITY], "▁▅█×"),
        ];
        for (values, line) in cases {
            assert_eq!(sparkline(values), line, "{values:?}");
        }
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&long), "▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇██");
    }
}
