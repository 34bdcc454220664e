//! A comparison as text for terminals and as Markdown.

use super::{matrix, transposed};
use crate::cli::comparison::{equal_rows, fits, heads, params_table, them};
use crate::report::compare::{ComparisonReport, Omitted};
use crate::runs::compare::Column;
use crate::terminal::table::Table;

/// The direction of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Runs are columns, unless only rows fit into a line.
    Fitting,
    /// Runs are rows.
    Transposed,
}

pub(super) fn text(report: &ComparisonReport, layout: Layout) -> String {
    let mut parts = vec![heads(&report.sides).plain("")];
    let legend = groups(report);
    if !legend.is_empty() {
        parts.push(legend);
    }
    parts.push(match transposed_table(report, layout) {
        Some(table) => table.plain("") + transposed::legend(&report.comparison),
        None => {
            let tables = tables(report);
            tables.iter().map(|table| table.plain("")).collect::<Vec<_>>().join("\n")
        }
    });
    parts.push(omitted(report));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

pub(super) fn markdown(report: &ComparisonReport, layout: Layout) -> String {
    let mut tables = vec![heads(&report.sides)];
    match layout {
        Layout::Transposed => tables.push(transposed::table(&report.comparison)),
        Layout::Fitting => tables.extend(self::tables(report)),
    }
    let mut parts: Vec<String> = tables.iter().map(Table::markdown).collect();
    parts.insert(1, groups(report));
    parts.retain(|part| !part.is_empty());
    crate::escape::without_styles(&parts.join("\n"))
}

/// Returns a table of the params and tables of the metrics that differ.
fn tables(report: &ComparisonReport) -> Vec<Table> {
    let compared = &report.comparison;
    let labels = compared.columns.iter().map(|column| &column.label);
    let params = params_table(labels, &compared.params);
    let metrics = matrix::tables(&compared.columns, &compared.metrics);
    std::iter::once(params).chain(metrics).filter(|table| !table.is_empty()).collect()
}

/// Returns the table with a row for each run, if it is asked for or the only one that fits.
fn transposed_table(report: &ComparisonReport, layout: Layout) -> Option<Table> {
    let table = || transposed::table(&report.comparison);
    match layout {
        Layout::Transposed => Some(table()),
        Layout::Fitting if tables(report).iter().all(fits) => None,
        Layout::Fitting => Some(table()).filter(fits),
    }
}

/// Returns a sentence about each column that stands for several runs.
fn groups(report: &ComparisonReport) -> String {
    let sentence = |column: &Column| {
        let runs: Vec<String> =
            column.members.iter().map(|at| report.sides[*at].to_string()).collect();
        format!(
            "{} is the mean ± standard deviation of {}, which differ only in the seed\n",
            column.label,
            runs.join(", ")
        )
    };
    let groups = report.comparison.columns.iter().filter(|column| column.members.len() > 1);
    groups.map(sentence).collect()
}

/// Says which rows were left out, and that there is nothing to compare.
fn omitted(report: &ComparisonReport) -> String {
    let Omitted { params, metrics } = report.omitted;
    let shown = &report.comparison;
    let parts = [
        equal_rows(shown.params.len(), params, "param"),
        equal_rows(shown.metrics.len(), metrics, "metric"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let them = them(params + metrics);
    let mut text = match parts.is_empty() {
        true => String::new(),
        false => format!("{}: `--all` lists {them}\n", parts.join(", ")),
    };
    if shown.metrics.len() + metrics == 0 {
        text.insert_str(0, "these runs have no metrics\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::metrics::tests::{goals, plain};
    use crate::engine::side::Side;
    use crate::event::RunName;
    use crate::report::compare::Rows;
    use crate::runs::Store;
    use crate::runs::compare::{MetricNames, Rules};
    use crate::runs::tests::{at_a_fixed_time, finished};

    fn report(numbers: &[u64], rows: Rows) -> ComparisonReport {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let side = |number: &u64| {
            let mut run = store.run(RunName(*number)).unwrap();
            at_a_fixed_time(&mut run);
            Side::from(run)
        };
        let sides = numbers.iter().map(side).collect();
        let rules = Rules { goals: goals(), ..Rules::default() };
        ComparisonReport::read(dir.path(), sides, &MetricNames::default(), &rules, rows).unwrap()
    }

    #[test]
    fn two_runs() {
        let all = report(&[1, 2], Rows::All);
        insta::assert_snapshot!(plain(&text(&all, Layout::Fitting)), @r#"
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
        let differing = report(&[1, 2], Rows::Differing);
        insta::assert_snapshot!(plain(&text(&differing, Layout::Fitting)), @"
        run    status  started               took  git
        run-1  failed  2026-05-09 14:03:22  3m13s  3f2a91c0d4
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        param         run-1  run-2
        train.epochs     10     30

        metric             run-1     run-2   change
        evaluate.accuracy   -       0.625    -
        train.grad          -     NaN        -
        train.loss          2.25    0.4123  -1.8377  better
        train.steps         -      30        -
        train.top           -     inf        -

        2 other params are equal: `--all` lists them
        ");
        insta::assert_snapshot!(plain(&markdown(&differing, Layout::Fitting)), @"
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
    fn three_runs() {
        let all = report(&[2, 1, 2], Rows::All);
        insta::assert_snapshot!(plain(&text(&all, Layout::Fitting)), @r#"
        run    status  started               took  git
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes
        run-1  failed  2026-05-09 14:03:22  3m13s  3f2a91c0d4
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        param           run-2    run-1    run-2
        seed               42       42       42
        source        "synth"  "synth"  "synth"
        train.epochs       30       10       30

        metric                run-2  run-1     run-2  change        best
        evaluate.accuracy    0.625    -       0.625        0  same
        train.grad         NaN        -     NaN            0  same
        train.loss           0.4123   2.25    0.4123       0  same  run-2, run-2
        train.steps         30        -      30            0  same
        train.top          inf        -     inf            0  same
        "#);
        insta::assert_snapshot!(plain(&text(&all, Layout::Transposed)), @r#"
        run    status  started               took  git
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes
        run-1  failed  2026-05-09 14:03:22  3m13s  3f2a91c0d4
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        run     seed   source  train.epochs  evaluate.accuracy  train.grad   train.loss  train.steps  train.top
        run-2     42  "synth"            30              0.625         NaN     0.4123 *           30        inf
        run-1     42  "synth"            10              -               -     2.25                -          -
        run-2     42  "synth"            30              0.625         NaN     0.4123 *           30        inf
        change                                           0               0     0                   0          0
                                                      same            same  same                same       same
        * best
        "#);
    }

    #[test]
    fn equal_runs() {
        let same = report(&[2, 2], Rows::Differing);
        insta::assert_snapshot!(plain(&text(&same, Layout::Fitting)), @"
        run    status  started               took  git
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes
        run-2  ok      2026-05-09 14:03:22  1m06s  3f2a91c0d4 with uncommitted changes

        all 3 params are equal, all 5 metrics are equal: `--all` lists them
        ");
    }
}
