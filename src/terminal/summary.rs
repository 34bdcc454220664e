//! The summary at the end of a run: durations, final metrics, products, and a final line.
//! Pure: turns values into styled text; the writer removes colors where they are not wanted.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::run::Report;
use crate::event::{Millis, Outcome, RunName, RunStatus};
use crate::number::Number;
use crate::pipeline::{Pipeline, Role, StageIx, StageName};
use crate::plural::count;
use crate::repo_path::RepoPath;
use crate::terminal::number::numbers;
use crate::terminal::style::{DIM, ERROR, GOOD, LIVELY, STAGE, WARNING};
use crate::terminal::text::{Pad, pad, widest};
use crate::terminal::wording::{self, outcome_word, styled};

/// A finished run, or an invocation that found nothing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// `None` if nothing was done.
    pub run: Option<RunName>,
    /// Number of stages that were up to date before the run started.
    pub fresh: usize,
    /// The other stages, in display order.
    pub stages: Vec<StageLine>,
    /// Keys such as `evaluate.accuracy` and their values, in display order.
    pub metrics: Vec<(String, Number)>,
    /// Data outs of the stages whose outs no other stage of the run reads.
    pub products: Vec<Product>,
    pub took: Millis,
    pub status: RunStatus,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StageLine {
    pub name: StageName,
    pub outcome: Outcome,
    pub took: Millis,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub path: RepoPath,
    pub stage: StageName,
}

impl Summary {
    /// Summarizes a report of the engine.
    pub fn of(pipeline: &Pipeline, report: &Report) -> Summary {
        let stages = report.stages.iter().map(|(name, outcome, took)| StageLine {
            name: name.clone(),
            outcome: outcome.clone(),
            took: *took,
        });
        Summary {
            run: report.run,
            fresh: report.fresh,
            stages: stages.collect(),
            metrics: report.metrics.iter().map(|(name, value)| (name.full(), *value)).collect(),
            products: products_of(pipeline, report),
            took: report.took,
            status: report.status,
        }
    }
}

fn products_of(pipeline: &Pipeline, report: &Report) -> Vec<Product> {
    // After a failed run they may be missing or date from an earlier run.
    if report.status != RunStatus::Ok {
        return Vec::new();
    }
    let numbered = StageIx::enumerate(&pipeline.stages);
    let positions: BTreeMap<_, _> = numbered.map(|(ix, stage)| (&stage.name, ix)).collect();
    let made = report.stages.iter().filter(|(_, outcome, _)| *outcome != Outcome::Fresh);
    let within: BTreeSet<StageIx> =
        made.filter_map(|(name, ..)| positions.get(name).copied()).collect();
    let is_last =
        |ix: &StageIx| !pipeline.graph.needed_by(*ix).iter().any(|reader| within.contains(reader));
    let last = within.iter().copied().filter(is_last).map(|ix| &pipeline.stages[ix]);
    last.flat_map(|stage| {
        let data = stage
            .outs
            .iter()
            .filter(|out| out.role == Role::Data && !report.absent.contains(&out.path));
        data.map(|out| Product { path: out.path.clone(), stage: stage.name.clone() })
    })
    .collect()
}

/// Maximum number of stages shown: those that took longest.
const SHOWN_STAGES: usize = 12;
const SHOWN_METRICS: usize = 12;
const SHOWN_PRODUCTS: usize = 8;
const BAR: usize = 24;

/// Renders the summary, with styles and a final newline.
///
/// The summary has up to three blocks (stages and durations, final metrics, products; empty ones
/// are omitted), followed by a line with the run, its status and the outcomes of its stages. If
/// nothing was done, it is a single line.
pub fn render(summary: &Summary) -> String {
    let Some(run) = summary.run else { return format!("{}\n", idle(summary)) };
    let blocks = [stages(summary), metrics(&summary.metrics), products(&summary.products)];
    let mut text: String = blocks
        .into_iter()
        .filter(|block| !block.is_empty())
        .map(|block| format!("\n{block}"))
        .collect();
    text.push_str(&format!("\n{}\n", headline(run, summary)));
    text
}

fn idle(summary: &Summary) -> String {
    let counted = count(summary.fresh + summary.stages.len(), "stage");
    match summary.status {
        RunStatus::Ok => format!("everything is up to date ({counted}, {})", summary.took),
        status => {
            format!("{} before any stage started ({counted}, {})", status.word(), summary.took)
        }
    }
}

fn headline(run: RunName, summary: &Summary) -> String {
    let (sign, word, style) = match summary.status {
        RunStatus::Ok => ("✓", "done in", GOOD),
        RunStatus::Failed => ("✗", "failed after", ERROR),
        RunStatus::Interrupted => ("■", "interrupted after", WARNING),
    };
    let verdict = format!("{word} {}", summary.took);
    let words = ["failed", "unrecorded", "interrupted", "skipped", "ran", "restored", "fresh"];
    let ended = |word| summary.stages.iter().filter(|stage| stage.outcome.word() == word).count();
    let counts: Vec<String> = words
        .into_iter()
        .map(|word| {
            let before = if word == Outcome::Fresh.word() { summary.fresh } else { 0 };
            (before + ended(word), word)
        })
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {}", outcome_word(word)))
        .collect();
    let name = styled(STAGE, &run.to_string());
    let verdict = match summary.status {
        RunStatus::Ok => verdict,
        _ => styled(style, &verdict),
    };
    format!("{} {name} {verdict}: {}", styled(style, sign), counts.join(", "))
}

/// Lists the stages that did something, with a bar for the share of each in their total duration.
fn stages(summary: &Summary) -> String {
    let mut shown: Vec<&StageLine> =
        summary.stages.iter().filter(|stage| !matches!(stage.outcome, Outcome::Fresh)).collect();
    let total: u64 = shown.iter().fold(0, |sum, stage| sum.saturating_add(stage.took.0));
    // A single stage is covered by the final line.
    if shown.len() == 1 {
        return String::new();
    }
    let compared = shown.iter().filter(|stage| stage.took.0 > 0).count() > 1;
    let omitted = shown.len().saturating_sub(SHOWN_STAGES);
    if omitted > 0 {
        shown.sort_by_key(|stage| std::cmp::Reverse(stage.took.0));
        shown.truncate(SHOWN_STAGES);
    }
    let name_width = widest(shown.iter().map(|stage| stage.name.as_str()));
    let word = |stage: &StageLine| outcome_word(stage.outcome.word());
    let word_width = widest(shown.iter().map(|stage| word(stage)));
    let mut text = String::new();
    for stage in &shown {
        let (sign, style) = wording::sign(&stage.outcome);
        let began =
            stage.took.0 > 0 || matches!(stage.outcome, Outcome::Ran | Outcome::Restored { .. });
        let took = if began { stage.took.to_string() } else { String::new() };
        let line = format!(
            "{} {}  {}  {}  {}",
            styled(style, sign),
            pad(stage.name.as_str(), name_width, Pad::Right),
            pad(word(stage), word_width, Pad::Right),
            pad(&took, 6, Pad::Left),
            if compared { share(stage.took.0, total) } else { String::new() }
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    more(&mut text, omitted, "that took less");
    text
}

fn share(took: u64, total: u64) -> String {
    let cells = (u128::from(took) * BAR as u128 + u128::from(total) / 2)
        .checked_div(u128::from(total))
        .unwrap_or(0);
    match usize::try_from(cells).unwrap_or(BAR) {
        0 => String::new(),
        cells => styled(LIVELY, &"━".repeat(cells)),
    }
}

/// Lists the metrics. Keys with fewer parts come first: deeper ones, such as one per class, are
/// details.
fn metrics(metrics: &[(String, Number)]) -> String {
    let mut shown: Vec<&(String, Number)> = metrics.iter().collect();
    shown.sort_by_key(|(key, _)| key.matches('.').count().max(1));
    let top = shown.iter().take_while(|(key, _)| key.matches('.').count() <= 1).count();
    let kept = if top == 0 { SHOWN_METRICS } else { top.min(SHOWN_METRICS) };
    let omitted = shown.len().saturating_sub(kept);
    shown.truncate(kept);
    let width = widest(shown.iter().map(|(key, _)| key.as_str()));
    let mut text = String::new();
    let values: Vec<Number> = shown.iter().map(|(_, value)| *value).collect();
    for ((key, _), value) in shown.into_iter().zip(numbers(&values)) {
        let value = styled(STAGE, &value);
        text.push_str(&format!("  {}  {value}\n", pad(key, width, Pad::Right)));
    }
    more(&mut text, omitted, "in `repro metrics show`");
    text
}

fn products(products: &[Product]) -> String {
    let shown = &products[..products.len().min(SHOWN_PRODUCTS)];
    let width = widest(shown.iter().map(|product| product.path.as_str()));
    let mut text = String::new();
    for product in shown {
        let path = pad(product.path.as_str(), width, Pad::Right);
        text.push_str(&format!("  {path}  {}\n", styled(DIM, &format!("by {}", product.stage))));
    }
    more(&mut text, products.len() - shown.len(), "declared in `pipeline.toml`");
    text
}

fn more(text: &mut String, omitted: usize, where_to: &str) {
    if omitted > 0 {
        text.push_str(&format!("  {}\n", styled(DIM, &format!("and {omitted} more {where_to}"))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::fixtures;

    fn stage(name: &str, outcome: Outcome, took: u64) -> StageLine {
        StageLine { name: fixtures::stage(name), outcome, took: Millis(took) }
    }

    fn summary(stages: Vec<StageLine>, status: RunStatus, took: u64) -> Summary {
        Summary {
            run: Some(RunName(12)),
            fresh: 0,
            stages,
            metrics: vec![],
            products: vec![],
            took: Millis(took),
            status,
        }
    }

    fn plain(summary: &Summary) -> String {
        crate::escape::without_styles(&render(summary))
    }

    #[test]
    fn successful_run() {
        let mut all = summary(
            vec![
                stage("download", Outcome::Restored { from: None }, 12),
                stage("spectrogram", Outcome::Ran, 41_000),
                stage("train", Outcome::Ran, 178_000),
                stage("evaluate", Outcome::Ran, 1100),
                stage("export", Outcome::Fresh, 1),
            ],
            RunStatus::Ok,
            221_000,
        );
        let deep = |class: &str| (format!("evaluate.per_class.{class}.f1"), Number::from(0.5));
        all.metrics = vec![("evaluate.accuracy".into(), 0.55.into()), deep("blues"), deep("rock")];
        all.metrics.push(("export.max_abs_difference".into(), 2.4e-7.into()));
        let product = |path: &str, stage: &str| Product {
            path: RepoPath::parse(path).unwrap(),
            stage: fixtures::stage(stage),
        };
        all.products = vec![
            product("metrics/predictions.csv", "evaluate"),
            product("models/genre.onnx", "export"),
        ];
        insta::assert_snapshot!(plain(&all).trim_start(), @r#"
        ↺ download     restored    12ms
        ✓ spectrogram  ran          41s  ━━━━
        ✓ train        ran        2m58s  ━━━━━━━━━━━━━━━━━━━
        ✓ evaluate     ran         1.1s

          evaluate.accuracy          0.55
          export.max_abs_difference  2.4e-7
          and 2 more in `repro metrics show`

          metrics/predictions.csv  by evaluate
          models/genre.onnx        by export

        ✓ run-12 done in 3m41s: 3 ran, 1 restored, 1 up to date
        "#);
    }

    #[test]
    fn failed_run() {
        let failed = summary(
            vec![
                stage("download", Outcome::Fresh, 0),
                stage("train", fixtures::exited(), 3000),
                stage(
                    "evaluate",
                    Outcome::Skipped { because: fixtures::stage("train"), is_needed: true },
                    0,
                ),
                stage(
                    "export",
                    Outcome::Skipped { because: fixtures::stage("train"), is_needed: true },
                    0,
                ),
            ],
            RunStatus::Failed,
            3100,
        );
        insta::assert_snapshot!(plain(&failed).trim_start(), @r#"
        ✗ train     failed     3.0s
        ⊘ evaluate  skipped
        ⊘ export    skipped

        ✗ run-12 failed after 3.1s: 1 failed, 2 skipped, 1 up to date
        "#);
    }

    #[test]
    fn idle_run_is_one_line() {
        let mut idle =
            summary((0..5).map(|_| stage("s", Outcome::Fresh, 0)).collect(), RunStatus::Ok, 12);
        idle.run = None;
        assert_eq!(render(&idle), "everything is up to date (5 stages, 12ms)\n");
        idle.stages.truncate(1);
        assert_eq!(render(&idle), "everything is up to date (1 stage, 12ms)\n");
        idle.status = RunStatus::Interrupted;
        assert_eq!(render(&idle), "interrupted before any stage started (1 stage, 12ms)\n");
    }

    #[test]
    fn many_stages_are_truncated() {
        let stages = (0..1000).map(|at| stage(&format!("s{at}"), Outcome::Ran, at * 10)).collect();
        let text = plain(&summary(stages, RunStatus::Ok, 60_000));
        assert_eq!(text.lines().count(), SHOWN_STAGES + 4, "{text}");
        assert!(text.contains("✓ s999"), "{text}");
        assert!(text.contains("and 988 more that took less"), "{text}");
    }
}
