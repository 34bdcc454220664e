//! Translates events to the SQL statements that record them. The caller begins and ends the
//! transaction.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde::Serialize;

use super::liveness::is_alive;
use super::record::Point;
use super::rows::{exact, saturating_i64, unsigned};
use super::secrets;
use super::series::SeriesWriter;
use crate::event::{
    Event, GitTree, Outcome, RunInfo, RunKind, RunName, StageInputs, Timestamp, Usage, Work,
};
use crate::pipeline::StageName;
use crate::plan::Change;

/// Maximum number of reasons stored per stage; all of them are counted.
///
/// Without a limit, a folder with a million changed files would make a database of gigabytes.
const MAX_REASONS: usize = 100;

/// Reports whether [`EventWriter`] records the event.
pub(super) fn is_recorded(event: &Event) -> bool {
    match event {
        Event::Line { .. }
        | Event::Redrawn { .. }
        | Event::Progress { .. }
        | Event::Transferred { .. }
        | Event::DepChanged { .. }
        | Event::Warning { .. }
        | Event::Stopping => false,
        Event::RunStarted { .. }
        | Event::StageStarted { .. }
        | Event::Metric { .. }
        | Event::Artifact { .. }
        | Event::StageEnded { .. }
        | Event::FinalMetrics { .. }
        | Event::RunEnded { .. } => true,
    }
}

/// Records the events of one run.
#[derive(Debug)]
pub(super) struct EventWriter {
    history: PathBuf,
    run: i64,
    series: SeriesWriter,
}

impl EventWriter {
    pub(super) fn new(history: PathBuf, run: RunName) -> EventWriter {
        EventWriter { history, run: saturating_i64(run.0), series: SeriesWriter::default() }
    }

    /// Records events in the transaction that `conn` is in.
    ///
    /// If it or the transaction fails, [`EventWriter::rolled_back`] must be called.
    pub(super) fn apply(&mut self, conn: &Connection, events: &[Event]) -> rusqlite::Result<()> {
        let mut points = SeriesWriter::statement(conn)?;
        for event in events {
            match event {
                Event::Metric { stage, at, key, step, value } => {
                    let point = Point { step: saturating_i64(*step), value: *value, at: *at };
                    self.series.add(conn, &mut points, self.run, (stage, key), point)?;
                }
                event => self.apply_one(conn, event)?,
            }
        }
        self.series.save(conn)
    }

    /// Forgets what the database does not have.
    pub(super) fn rolled_back(&mut self) {
        self.series = SeriesWriter::default();
    }

    /// Records an event other than a point.
    fn apply_one(&mut self, conn: &Connection, event: &Event) -> rusqlite::Result<()> {
        let run = self.run;
        match event {
            Event::RunStarted { at, info, .. } => {
                end_dead_runs(conn, &self.history)?;
                begin(conn, run, *at, info)
            }
            Event::StageStarted { stage, at, work, reasons, inputs } => {
                start_stage(conn, run, stage, *at, *work, reasons, inputs)
            }
            Event::StageEnded { stage, outcome, took, outs, usage, artifacts, .. } => {
                end_stage(conn, run, stage, outcome, saturating_i64(took.0), usage.as_ref())?;
                let mut insert = conn.prepare_cached(
                    "INSERT INTO artifacts (run, stage, path, kind, digest, reported)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE SET kind = excluded.kind, digest = excluded.digest,
                         reported = excluded.reported",
                )?;
                let outs = outs.iter().map(|(path, content)| (path, content, 0));
                let artifacts = artifacts.iter().map(|(path, content)| (path, content, 1));
                for (path, content, reported) in outs.chain(artifacts) {
                    let (path, digest) = (path.as_str(), content.digest().to_string());
                    let columns =
                        params![run, stage.as_str(), path, content.kind(), digest, reported];
                    insert.execute(columns)?;
                }
                Ok(())
            }
            Event::Artifact { stage, path } => {
                conn.prepare_cached(
                    "INSERT INTO artifacts (run, stage, path, reported) VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![run, stage.as_str(), path.as_str()])?;
                Ok(())
            }
            Event::FinalMetrics { stage, values } => {
                let mut insert = conn.prepare_cached(
                    "INSERT INTO metrics (run, stage, key, value, exact)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET value = excluded.value, exact = excluded.exact",
                )?;
                for (key, value) in values {
                    let exact = exact(*value);
                    insert.execute(params![run, stage.as_str(), key, value.to_f64(), exact])?;
                }
                Ok(())
            }
            Event::RunEnded { at, status, took, .. } => {
                conn.execute(
                    "UPDATE runs SET status = ?2, ended = ?3, took = ?4 WHERE number = ?1",
                    params![run, status.word(), at, saturating_i64(took.0)],
                )?;
                Ok(())
            }
            Event::Metric { .. }
            | Event::Line { .. }
            | Event::Redrawn { .. }
            | Event::Progress { .. }
            | Event::Transferred { .. }
            | Event::DepChanged { .. }
            | Event::Warning { .. }
            | Event::Stopping => Ok(()),
        }
    }
}

/// Writes down which runs died while they were recorded.
pub(super) fn end_dead_runs(conn: &Connection, history: &Path) -> rusqlite::Result<()> {
    let mut running =
        conn.prepare("SELECT number FROM runs WHERE status = 'running' AND kind != ?1")?;
    let running = running.query_map([RunKind::External.word()], |row| row.get(0))?;
    for number in running.collect::<rusqlite::Result<Vec<i64>>>()? {
        if !is_alive(history, RunName(unsigned(number))) {
            conn.execute("UPDATE runs SET status = 'interrupted' WHERE number = ?1", [number])?;
        }
    }
    Ok(())
}

/// Records that a run has begun.
pub(super) fn begin(
    conn: &Connection,
    run: i64,
    at: Timestamp,
    info: &RunInfo,
) -> rusqlite::Result<()> {
    let git = info.git.as_ref();
    let tree = git.map(|git| match git.tree {
        GitTree::Clean => "clean",
        GitTree::Dirty => "dirty",
    });
    let diff = git.and_then(|git| git.diff.as_ref());
    let sql = "INSERT OR IGNORE INTO experiments (name, created, updated) VALUES (?1, ?2, ?2)";
    conn.execute(sql, params![info.experiment, at])?;
    conn.execute(
        "INSERT INTO runs (number, uid, name, kind, parent, experiment, user, status, started,
             pipeline, command, overrides, host, git_commit, git_branch, git_tree, fresh,
             git_diff, git_diff_lacks)
         VALUES (?1, ?2, ?3, ?4, ?5, (SELECT id FROM experiments WHERE name = ?6), ?7, 'running',
             ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        params![
            run,
            info.uid.to_string(),
            info.name,
            info.kind.word(),
            info.parent.map(|parent| parent.to_string()),
            info.experiment,
            info.user,
            at,
            info.pipeline,
            json(&info.command),
            json(&info.overrides),
            info.host,
            git.and_then(|git| git.commit.as_ref()),
            git.and_then(|git| git.branch.as_ref()),
            tree,
            saturating_i64(info.fresh as u64),
            diff.map(|diff| diff.digest.to_string()),
            diff.map(|diff| json(&diff.lacks)),
        ],
    )?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO params (run, key, value, overridden) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (key, value) in &info.params {
        insert.execute(params![run, key.as_str(), json(value), info.overridden.contains(key)])?;
    }
    for (key, value) in &info.tags {
        conn.execute(
            "INSERT INTO tags (run, key, value) VALUES (?1, ?2, ?3)",
            params![run, key, value],
        )?;
    }
    Ok(())
}

/// A change as data and as text, so that the database can be read without this program.
#[derive(Serialize)]
struct Reason<'a> {
    text: String,
    #[serde(flatten)]
    change: Cow<'a, Change>,
}

fn first_reasons(reasons: &[Change]) -> Vec<Reason<'_>> {
    let recorded = reasons.iter().take(MAX_REASONS).map(secrets::change);
    recorded.map(|change| Reason { text: change.to_string(), change }).collect()
}

fn start_stage(
    conn: &Connection,
    run: i64,
    stage: &StageName,
    at: Timestamp,
    work: Work,
    reasons: &[Change],
    inputs: &StageInputs,
) -> rusqlite::Result<()> {
    let work = match work {
        Work::Run => "run",
        Work::Restore => "restore",
    };
    conn.prepare_cached(
        "INSERT INTO stages (run, stage, work, started, reasons, reason_count, tools, env)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET work = excluded.work, started = excluded.started,
             reasons = excluded.reasons, reason_count = excluded.reason_count,
             outcome = NULL, took = NULL, failure = NULL, because = NULL",
    )?
    .execute(params![
        run,
        stage.as_str(),
        work,
        at,
        json(&first_reasons(reasons)),
        reasons.len() as i64,
        json(&inputs.tools),
        json(&secrets::variables(&inputs.env)),
    ])?;
    Ok(())
}

fn end_stage(
    conn: &Connection,
    run: i64,
    stage: &StageName,
    outcome: &Outcome,
    took: i64,
    usage: Option<&Usage>,
) -> rusqlite::Result<()> {
    let (failure, because) = match outcome {
        Outcome::Failed(failure) | Outcome::Unrecorded(failure) => (Some(json(failure)), None),
        Outcome::Skipped { because, .. } => (None, Some(because.as_str())),
        Outcome::Accepted { reason, .. } => (None, Some(reason.as_str())),
        Outcome::Restored { from } => (None, from.as_deref()),
        Outcome::Fresh | Outcome::Ran | Outcome::Interrupted => (None, None),
    };
    conn.prepare_cached(
        "INSERT INTO stages (run, stage, outcome, took, failure, because, exit_code, cpu, memory)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET outcome = excluded.outcome, took = excluded.took,
             failure = excluded.failure, because = excluded.because,
             exit_code = excluded.exit_code, cpu = excluded.cpu, memory = excluded.memory",
    )?
    .execute(params![
        run,
        stage.as_str(),
        outcome.word(),
        took,
        failure,
        because,
        usage.map(|usage| usage.exit_code),
        usage.map(|usage| saturating_i64(usage.cpu.0)),
        usage.and_then(|usage| usage.memory).map(saturating_i64),
    ])?;
    if let Outcome::Accepted { changes, .. } = outcome {
        conn.prepare_cached(
            "UPDATE stages SET reasons = ?3, reason_count = ?4 WHERE run = ?1 AND stage = ?2",
        )?
        .execute(params![
            run,
            stage.as_str(),
            json(&first_reasons(changes)),
            changes.len() as i64
        ])?;
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|err| panic!("BUG: cannot serialize a record: {err}"))
}
