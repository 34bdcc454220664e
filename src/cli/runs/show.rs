//! `repro runs show`: everything recorded about a run.

use std::path::Path;

use clap::Args;

use crate::cli::common::{run_style, short_commit, stage_style, store};
use crate::error::{Result, exit};
use crate::event::{GitState, GitTree, Millis, RunInfo};
use crate::pipeline::{Goals, StageName};
use crate::plural;
use crate::report;
use crate::report::run_tree::Children;
use crate::report::runs::RunReport;
use crate::runs::compare::metric_key;
use crate::runs::{Lifecycle, Run, RunKind, StageRecord, StageState};
use crate::terminal::number::numbers;
use crate::terminal::size::size;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::text::truncate;
use crate::terminal::wording::outcome_word;
use crate::terminal::{stdout, style};

/// Show a run: stages and reasons, params, metrics, git state, artifacts
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Run to show: `run-12`, `latest`, `best:METRIC`, a name or a prefix of its identity
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ShowArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let run = store.resolve(&self.run, || goals.clone())?;
        let report = RunReport::read(&store, run, goals)?;
        let text = if self.json { report::json(&report) } else { text(&report) };
        stdout::write(&text)?;
        Ok(exit::OK)
    }
}

fn text(report: &RunReport) -> String {
    let run = &report.run;
    let bold = style::BOLD;
    let state = run_style(run.state);
    let took = run.took.map_or_else(String::new, |took| format!(" in {took}"));
    let deleted = if run.lifecycle == Lifecycle::Deleted { ", deleted" } else { "" };
    let word = run.state.word();
    let mut out = format!("{bold}{}{bold:#}  {state}{word}{state:#}{took}{deleted}\n\n", run.name);
    out.push_str(&info(report).plain("  "));
    section(&mut out, "stages", &stages(run));
    if run.info.fresh > 0 {
        let dim = style::DIM;
        out.push_str(&format!("  {dim}{} already up to date{dim:#}\n", run.info.fresh));
    }
    section(&mut out, "processes", &processes(run));
    section(&mut out, "metrics", &metrics(run));
    section(&mut out, "params", &params(run));
    section(&mut out, "artifacts", &artifacts(run));
    out
}

fn section(out: &mut String, heading: &str, table: &Table) {
    if !table.is_empty() {
        let bold = style::BOLD;
        out.push_str(&format!("\n{bold}{heading}{bold:#}\n{}", table.plain("  ")));
    }
}

fn info(report: &RunReport) -> Table {
    let run = &report.run;
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let mut fact =
        |name: &str, value: String| table.row([Cell::styled(name, style::DIM), value.into()]);
    if let Some(name) = &run.info.name {
        fact("name", name.clone());
    }
    // Several lines, each a row of its own.
    let note = run.note.as_deref().unwrap_or_default();
    for (at, line) in note.lines().enumerate() {
        fact(if at == 0 { "note" } else { "" }, line.to_owned());
    }
    if !run.tags.is_empty() {
        let tags = run.tags.iter().map(|(key, value)| quoted(&format!("{key}={value}")));
        fact("tags", tags.collect::<Vec<_>>().join(" "));
    }
    if run.info.kind != RunKind::Pipeline {
        fact("kind", run.info.kind.word().to_owned());
    }
    if let Some(parent) = report.part_of {
        fact("part of", parent.to_string());
    }
    if let Some(Children { count, best }) = &report.children {
        let best = best.map_or_else(String::new, |best| format!(", the best is {best}"));
        fact("parts", format!("{}{best}", plural::count(*count, "run")));
    }
    fact("started", run.started_local.clone());
    fact("command", run.info.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
    if let Some(pipeline) = &run.info.pipeline {
        fact("pipeline", pipeline.clone());
    }
    if Some(&run.info.experiment) != run.info.pipeline.as_ref()
        && run.info.experiment != RunInfo::DEFAULT_EXPERIMENT
    {
        fact("experiment", run.info.experiment.clone());
    }
    match &run.info.git {
        Some(state) => fact("git", git(state)),
        // A client need not say where its code is from.
        None if run.info.kind == RunKind::External => {}
        None => fact("git", "not a git repository".to_owned()),
    }
    match (run.info.user.as_deref(), &*run.info.host) {
        (None, "") => {}
        (Some(user), "") => fact("user", user.to_owned()),
        (None, host) => fact("host", host.to_owned()),
        (Some(user), host) => fact("host", format!("{user}@{host}")),
    }
    fact("identity", run.info.uid.to_string());
    table
}

fn git(git: &GitState) -> String {
    let branch =
        git.branch.as_ref().map_or_else(|| "no branch".to_owned(), |branch| format!("on {branch}"));
    let tree = match git.tree {
        GitTree::Clean => "clean",
        GitTree::Dirty => "with uncommitted changes",
    };
    format!("{} {branch}, {tree}", short_commit(git))
}

fn stages(run: &Run) -> Table {
    let mut table =
        Table::new([("", Align::Left), ("", Align::Left), ("", Align::Right), ("", Align::Left)]);
    for stage in &run.stages {
        let lines = why(stage);
        let took = match stage.state {
            StageState::Fresh | StageState::Skipped { .. } | StageState::Accepted { .. } => {
                String::new()
            }
            // No process ran.
            StageState::Failed(_) if stage.took == Some(Millis(0)) => String::new(),
            _ => stage.took.map_or_else(String::new, |took| took.to_string()),
        };
        let name = stage.stage.as_str().into();
        let state = Cell::styled(outcome_word(stage.state.word()), stage_style(&stage.state));
        let first = lines.first().map_or("", String::as_str);
        table.row([name, state, took.into(), first.into()]);
        for line in lines.iter().skip(1) {
            table.row(["".into(), "".into(), "".into(), line.as_str().into()]);
        }
    }
    table
}

/// Lists what the processes of the stages used.
fn processes(run: &Run) -> Table {
    let mut table = Table::new([
        ("", Align::Left),
        ("exit code", Align::Right),
        ("cpu time", Align::Right),
        ("peak memory", Align::Right),
    ]);
    for (stage, usage) in run.stages.iter().filter_map(|stage| Some((stage, stage.usage?))) {
        let memory = usage.memory.map_or_else(String::new, size);
        let texts = [usage.exit_code.to_string(), usage.cpu.to_string(), memory];
        let cells = texts.into_iter().map(Cell::from);
        table.row(std::iter::once(stage.stage.as_str().into()).chain(cells));
    }
    table
}

/// Explains the outcome of a stage: its failure, the failed stage that stopped it, or its first
/// five reasons.
fn why(stage: &StageRecord) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut lines = Vec::new();
    let mut label = "";
    match &stage.state {
        StageState::Failed(failure) | StageState::Unrecorded(failure) => {
            lines.push(failure.what.clone());
            lines.extend(failure.causes.iter().map(|cause| format!("caused by: {cause}")));
            lines.extend(failure.hint.iter().map(|hint| format!("hint: {hint}")));
            label = "started because: ";
        }
        StageState::Skipped { because: Some(because) } => lines.push(format!("{because} failed")),
        StageState::Restored { from: Some(remote) } => lines.push(format!("from {remote}")),
        StageState::Accepted { reason } => {
            lines.push(reason.clone());
            label = "despite: ";
        }
        _ => {}
    }
    lines.extend(
        stage.reasons.iter().take(SHOWN).map(|reason| format!("{label}{}", truncate(reason, 100))),
    );
    if stage.reason_count > SHOWN {
        lines.push(format!("and {} more", stage.reason_count - SHOWN));
    }
    lines
}

fn metrics(run: &Run) -> Table {
    let mut table = Table::new([("", Align::Left), ("", Align::Decimal)]);
    let texts = numbers(&run.metrics.values().copied().collect::<Vec<_>>());
    for (key, value) in run.metrics.keys().zip(texts) {
        table.row([metric_key(key).into(), Cell::from(value)]);
    }
    table
}

/// Lists the params, with a mark at those that the command line has set.
fn params(run: &Run) -> Table {
    let mut table = Table::new([("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    for (key, value) in &run.info.params {
        let mark = if run.info.overridden.contains(key) { "overridden" } else { "" };
        let value = value.to_string();
        table.row([key.as_str().into(), value.into(), Cell::styled(mark, style::DIM)]);
    }
    table
}

fn artifacts(run: &Run) -> Table {
    let mut table = Table::new([("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    // Sorted by the order of the stages, which is that of the work.
    let place = |stage: &StageName| run.stages.iter().position(|record| record.stage == *stage);
    let mut artifacts: Vec<_> = run.artifacts.iter().collect();
    artifacts.sort_by_key(|artifact| (place(&artifact.stage), &artifact.path));
    let mut last = None;
    for artifact in artifacts {
        let name = if last == Some(&artifact.stage) { "" } else { artifact.stage.as_str() };
        last = Some(&artifact.stage);
        let content = artifact.content.as_ref();
        let digest = content.map_or_else(String::new, |(kind, digest)| {
            format!("{kind} {}", digest.get(..10).unwrap_or(digest))
        });
        table.row([name.into(), artifact.path.as_str().into(), Cell::styled(digest, style::DIM)]);
    }
    table
}

/// Quotes a word for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunName;
    use crate::runs::Store;
    use crate::runs::tests::{at_a_fixed_time, finished};

    fn run(number: u64) -> RunReport {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut run = store.run(RunName(number)).unwrap();
        at_a_fixed_time(&mut run);
        RunReport { run, part_of: None, children: None }
    }

    #[test]
    fn finished_run() {
        insta::assert_snapshot!(crate::escape::without_styles(&text(&run(2))), @r#"
        run-2  ok in 1m06s

          started   2026-05-09 14:03:22
          command   repro run -p 'note=a b'
          pipeline  genres
          git       3f2a91c0d4 on main, with uncommitted changes
          host      mira@ws-7
          identity  1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e

        stages
          download  up to date
          train     ran         1m02s  train.epochs 10 → 30
          evaluate  ran          3.1s  out o/0 is missing
                                       out o/1 is missing
                                       out o/2 is missing
                                       out o/3 is missing
                                       out o/4 is missing
                                       and 245 more

        metrics
          evaluate.accuracy    0.625
          train.grad         NaN
          train.loss           0.4123
          train.steps         30
          train.top          inf

        params
          seed          42       overridden
          source        "synth"
          train.epochs  30

        artifacts
          download  data/audio.bin  file ecc66cc4e1
          train     models/a.mpk    file af77e62d09
                    plots/x.png
        "#);
    }

    #[test]
    fn failed_run() {
        insta::assert_snapshot!(crate::escape::without_styles(&text(&run(1))), @r#"
        run-1  failed in 3m13s

          started   2026-05-09 14:03:22
          command   repro run -p 'note=a b'
          pipeline  genres
          git       3f2a91c0d4 on main, clean
          host      mira@ws-7
          identity  0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a

        stages
          download  up to date
          train     failed      3m12s  exited with code 1
                                       caused by: its last line: "loss is NaN"
                                       hint: look
                                       started because: never ran
          evaluate  skipped            train failed

        metrics
          train.loss  2.25

        params
          seed          42       overridden
          source        "synth"
          train.epochs  10

        artifacts
          download  data/audio.bin  file ecc66cc4e1
        "#);
    }

    #[test]
    fn facts_about_a_trial() {
        let mut report = run(1);
        let run = &mut report.run;
        run.info.name = Some("wide".to_owned());
        run.info.kind = RunKind::Trial;
        run.info.experiment = "rates".to_owned();
        run.info.overridden.insert(crate::pipeline::ParamKey::new("train.epochs"));
        run.note = Some("two\nlines\u{1b}[2J".to_owned());
        run.tags = [("team", "audio lab"), ("b\n", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        run.lifecycle = Lifecycle::Deleted;
        run.stages.clear();
        run.metrics.clear();
        run.artifacts.clear();
        report.part_of = Some(RunName(7));
        report.children = Some(Children { count: 2, best: Some(RunName(9)) });
        insta::assert_snapshot!(crate::escape::without_styles(&text(&report)), @r#"
        run-1  failed in 3m13s, deleted

          name        wide
          note        two
                      lines\u{1b}[2J
          tags        'b\n=' 'team=audio lab'
          kind        trial
          part of     run-7
          parts       2 runs, the best is run-9
          started     2026-05-09 14:03:22
          command     repro run -p 'note=a b'
          pipeline    genres
          experiment  rates
          git         3f2a91c0d4 on main, clean
          host        mira@ws-7
          identity    0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a

        params
          seed          42       overridden
          source        "synth"
          train.epochs  10       overridden
        "#);
    }

    #[test]
    fn shell_quoting() {
        let cases = [
            ("run", "run"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("train.lr=1e-3", "train.lr=1e-3"),
        ];
        for (word, expected) in cases {
            assert_eq!(quoted(word), expected);
        }
    }
}
