//! `repro runs show`: everything that is known of one run.

use std::path::Path;

use anstyle::Style;
use clap::Args;
use serde_json::{Map, Value, json};

use super::{json_number, print, print_json, run_style, shortened, stage_style, store};
use crate::error::Result;
use crate::event::{GitState, GitTree};
use crate::pipeline::StageName;
use crate::runs::compare::metric_key;
use crate::runs::{Run, StageRecord, StageState};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Table, number};

/// Show one run: stages with their reasons, params, metrics, git state, artifacts
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// run-12, 12 or last
    #[arg(default_value = "last")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ShowArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = store(root)?;
        let run = store.run(store.resolve(&self.run)?)?;
        if self.json { print_json(&json(&run)) } else { print(&text(&run)) }
    }
}

/// The run as `runs show --json` prints it.
pub(super) fn json(run: &Run) -> Value {
    let metrics: Map<String, Value> =
        run.metrics.iter().map(|(key, value)| (metric_key(key), json_number(*value))).collect();
    let artifacts: Vec<Value> = run
        .artifacts
        .iter()
        .map(|artifact| {
            let (kind, digest) = artifact.content.as_ref().map_or((None, None), |(k, d)| (Some(k), Some(d)));
            json!({ "stage": artifact.stage, "path": artifact.path, "kind": kind, "digest": digest })
        })
        .collect();
    json!({
        "run": run.name,
        "status": run.state.word(),
        "started": run.started,
        "took": run.took,
        "pipeline": run.about.pipeline,
        "command": run.about.command,
        "overrides": run.about.overrides,
        "host": run.about.host,
        "git": run.about.git,
        "params": run.about.params,
        "fresh": run.about.fresh,
        "stages": run.stages.iter().map(stage_json).collect::<Vec<_>>(),
        "metrics": metrics,
        "artifacts": artifacts,
    })
}

fn stage_json(stage: &StageRecord) -> Value {
    let (failure, because) = match &stage.state {
        StageState::Failed(failure) => (Some(failure), None),
        StageState::Skipped { because } => (None, because.as_ref().map(StageName::as_str)),
        StageState::Accepted { reason } => (None, Some(reason.as_str())),
        _ => (None, None),
    };
    json!({
        "stage": stage.stage,
        "outcome": stage.state.word(),
        "started": stage.started,
        "took": stage.took,
        "reasons": stage.reasons,
        "reason_count": stage.reason_count,
        "failure": failure,
        "because": because,
    })
}

fn text(run: &Run) -> String {
    let bold = Style::new().bold();
    let state = run_style(run.state);
    let took = run.took.map_or_else(String::new, |took| format!(" in {took}"));
    let mut out =
        format!("{bold}{}{bold:#}  {state}{}{state:#}{took}\n\n", run.name, run.state.word());
    out.push_str(&about(run).plain("  "));
    section(&mut out, "stages", &stages(run));
    if run.about.fresh > 0 {
        let dim = style::DIM;
        out.push_str(&format!("  {dim}{} up to date before{dim:#}\n", run.about.fresh));
    }
    section(&mut out, "metrics", &metrics(run));
    section(&mut out, "params", &params(run));
    section(&mut out, "artifacts", &artifacts(run));
    out
}

fn section(out: &mut String, heading: &str, table: &Table) {
    if !table.is_empty() {
        let bold = Style::new().bold();
        out.push_str(&format!("\n{bold}{heading}{bold:#}\n{}", table.plain("  ")));
    }
}

fn about(run: &Run) -> Table {
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let mut fact =
        |name: &str, value: String| table.row([Cell::styled(name, style::DIM), value.into()]);
    fact("started", run.started_local.clone());
    fact(
        "command",
        run.about.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    );
    if let Some(pipeline) = &run.about.pipeline {
        fact("pipeline", pipeline.clone());
    }
    fact("git", run.about.git.as_ref().map_or_else(|| "not a git repository".to_owned(), git));
    fact("host", run.about.host.clone());
    table
}

fn git(git: &GitState) -> String {
    let branch =
        git.branch.as_ref().map_or_else(|| "no branch".to_owned(), |branch| format!("on {branch}"));
    let tree = match git.tree {
        GitTree::Clean => "clean",
        GitTree::Dirty => "with uncommitted changes",
    };
    format!("{} {branch}, {tree}", shortened_commit(&git.commit))
}

/// Enough of a commit's name for git to know it.
pub(in crate::cli) fn shortened_commit(commit: &str) -> String {
    commit.chars().take(10).collect()
}

fn stages(run: &Run) -> Table {
    let mut table = Table::new([
        ("", Align::Left),
        ("", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
    ]);
    for stage in &run.stages {
        let lines = why(stage);
        let took = match stage.state {
            StageState::Fresh | StageState::Skipped { .. } | StageState::Accepted { .. } => {
                String::new()
            }
            _ => stage.took.map_or_else(String::new, |took| took.to_string()),
        };
        let name = stage.stage.as_str().into();
        let state = Cell::styled(stage.state.word(), stage_style(&stage.state));
        let first = lines.first().map_or("", String::as_str);
        table.row([name, state, took.into(), first.into()]);
        for line in lines.iter().skip(1) {
            table.row(["".into(), "".into(), "".into(), line.as_str().into()]);
        }
    }
    table
}

/// Why a stage did what it did: the failure, what it waited for, or its reasons, of many the first five.
fn why(stage: &StageRecord) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut lines = Vec::new();
    let mut label = "";
    match &stage.state {
        StageState::Failed(failure) => {
            lines.push(failure.what.clone());
            lines.extend(failure.causes.iter().map(|cause| format!("caused by: {cause}")));
            lines.extend(failure.hint.iter().map(|hint| format!("hint: {hint}")));
            label = "started because: ";
        }
        StageState::Skipped { because: Some(because) } => lines.push(format!("needs {because}")),
        StageState::Accepted { reason } => {
            lines.push(reason.clone());
            label = "in spite of: ";
        }
        _ => {}
    }
    lines.extend(
        stage.reasons.iter().take(SHOWN).map(|reason| format!("{label}{}", shortened(reason, 100))),
    );
    if stage.reason_count > SHOWN {
        lines.push(format!("and {} more", stage.reason_count - SHOWN));
    }
    lines
}

fn metrics(run: &Run) -> Table {
    let mut table = Table::new([("", Align::Left), ("", Align::Decimal)]);
    for (key, value) in &run.metrics {
        table.row([metric_key(key).into(), number(*value).into()]);
    }
    table
}

fn params(run: &Run) -> Table {
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    for (key, value) in &run.about.params {
        table.row([key.as_str().into(), value.to_string().into()]);
    }
    table
}

fn artifacts(run: &Run) -> Table {
    let mut table =
        Table::new([("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    // In the order of the stages, which is that of the work.
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

/// A word as a shell reads it.
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

    fn run(number: u64) -> Run {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut run = store.run(RunName(number)).unwrap();
        at_a_fixed_time(&mut run);
        run
    }

    #[test]
    fn all_of_a_run() {
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&run(2))).to_string(), @r#"
run-2  ok in 1m06s

  started   2026-05-09 14:03:22
  command   repro run -p 'note=a b'
  pipeline  genres
  git       3f2a91c0d4 on main, with uncommitted changes
  host      ws-7

stages
  download  fresh
  train     ran    1m02s  train.epochs 10 → 30
  evaluate  ran     3.1s  out o/0 is missing
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
  seed          42
  source        "synth"
  train.epochs  30

artifacts
  download  data/audio.bin  file ecc66cc4e1
  train     models/a.mpk    file af77e62d09
            plots/x.png
"#);
    }

    #[test]
    fn a_run_that_failed() {
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&run(1))).to_string(), @r#"
        run-1  failed in 3m13s

          started   2026-05-09 14:03:22
          command   repro run -p 'note=a b'
          pipeline  genres
          git       3f2a91c0d4 on main, clean
          host      ws-7

        stages
          download  fresh
          train     failed   3m12s  exited with code 1
                                    caused by: its last line: "loss is NaN"
                                    hint: look
                                    started because: never ran
          evaluate  skipped         needs train

        metrics
          train.loss  2.25

        params
          seed          42
          source        "synth"
          train.epochs  10

        artifacts
          download  data/audio.bin  file ecc66cc4e1
        "#);
    }

    #[test]
    fn all_of_a_run_as_json() {
        insta::assert_snapshot!(format!("{:#}", json(&run(1))), @r#"
{
  "artifacts": [
    {
      "digest": "ecc66cc4e17fdaf7dce95e7d37373209184951d1071ab1efb42cee764ffb27a2",
      "kind": "file",
      "path": "data/audio.bin",
      "stage": "download"
    }
  ],
  "command": [
    "repro",
    "run",
    "-p",
    "note=a b"
  ],
  "fresh": 0,
  "git": {
    "branch": "main",
    "commit": "3f2a91c0d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9",
    "tree": "clean"
  },
  "host": "ws-7",
  "metrics": {
    "train.loss": 2.25
  },
  "overrides": [
    "note=a b"
  ],
  "params": {
    "seed": 42,
    "source": "synth",
    "train.epochs": 10
  },
  "pipeline": "genres",
  "run": "run-1",
  "stages": [
    {
      "because": null,
      "failure": null,
      "outcome": "fresh",
      "reason_count": 0,
      "reasons": [],
      "stage": "download",
      "started": null,
      "took": 0
    },
    {
      "because": null,
      "failure": {
        "causes": [
          "its last line: \"loss is NaN\""
        ],
        "hint": "look",
        "what": "exited with code 1"
      },
      "outcome": "failed",
      "reason_count": 1,
      "reasons": [
        "never ran"
      ],
      "stage": "train",
      "started": 1000,
      "took": 192000
    },
    {
      "because": "train",
      "failure": null,
      "outcome": "skipped",
      "reason_count": 0,
      "reasons": [],
      "stage": "evaluate",
      "started": null,
      "took": 0
    }
  ],
  "started": 1778335402000,
  "status": "failed",
  "took": 193000
}
"#);
    }

    #[test]
    fn words_read_back() {
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
