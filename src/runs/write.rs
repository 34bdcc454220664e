//! Translates an event to the SQL statements that record it. The caller begins and ends the
//! transaction.

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::event::{Event, GitTree, Outcome, RunInfo, RunName, Timestamp, Work};
use crate::number::Number;
use crate::pipeline::StageName;
use crate::plan::Change;

/// Maximum number of reasons stored per stage; all of them are counted.
///
/// Without a limit, a folder with a million changed files would make a database of gigabytes.
const MAX_REASONS: usize = 100;

/// Reports whether [`apply`] records the event.
pub(super) fn is_recorded(event: &Event) -> bool {
    match event {
        Event::Line { .. }
        | Event::Redrawn { .. }
        | Event::Progress { .. }
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

/// Records `event` of `run`.
///
/// Events within a run are idempotent; [`Event::RunStarted`] fails if the run exists.
pub(super) fn apply(conn: &Connection, run: RunName, event: &Event) -> rusqlite::Result<()> {
    let run = saturating_i64(run.0);
    match event {
        Event::RunStarted { at, info, .. } => begin(conn, run, *at, info),
        Event::StageStarted { stage, at, work, reasons } => {
            start_stage(conn, run, stage, *at, *work, reasons)
        }
        Event::StageEnded { stage, outcome, took, outs, .. } => {
            end_stage(conn, run, stage, outcome, saturating_i64(took.0))?;
            for (path, content) in outs {
                conn.prepare_cached(
                    "INSERT INTO artifacts (run, stage, path, kind, digest)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET kind = excluded.kind, digest = excluded.digest",
                )?
                .execute(params![
                    run,
                    stage.as_str(),
                    path.as_str(),
                    content.kind(),
                    content.digest().to_string()
                ])?;
            }
            Ok(())
        }
        Event::Artifact { stage, path } => {
            conn.prepare_cached(
                "INSERT INTO artifacts (run, stage, path) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![run, stage.as_str(), path.as_str()])?;
            Ok(())
        }
        Event::Metric { stage, at, key, step, value } => {
            conn.prepare_cached(
                "INSERT INTO series (run, stage, key, step, value, at, exact)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at,
                     exact = excluded.exact",
            )?
            .execute(params![
                run,
                stage.as_str(),
                key,
                saturating_i64(*step),
                value.to_f64(),
                at,
                exact(*value)
            ])?;
            Ok(())
        }
        Event::FinalMetrics { stage, values } => {
            let mut insert = conn.prepare_cached(
                "INSERT INTO metrics (run, stage, key, value, exact) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET value = excluded.value, exact = excluded.exact",
            )?;
            for (key, value) in values {
                insert.execute(params![run, stage.as_str(), key, value.to_f64(), exact(*value)])?;
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
        Event::Line { .. }
        | Event::Redrawn { .. }
        | Event::Progress { .. }
        | Event::DepChanged { .. }
        | Event::Warning { .. }
        | Event::Stopping => Ok(()),
    }
}

fn begin(conn: &Connection, run: i64, at: Timestamp, info: &RunInfo) -> rusqlite::Result<()> {
    // Only one run is recorded at a time, so a run that is still `running` has died.
    conn.execute("UPDATE runs SET status = 'interrupted' WHERE status = 'running'", [])?;
    let git = info.git.as_ref();
    let tree = git.map(|git| match git.tree {
        GitTree::Clean => "clean",
        GitTree::Dirty => "dirty",
    });
    conn.execute(
        "INSERT INTO runs (number, status, started, pipeline, command, overrides, host,
             git_commit, git_branch, git_tree, fresh)
         VALUES (?1, 'running', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            run,
            at,
            info.pipeline,
            json(&info.command),
            json(&info.overrides),
            info.host,
            git.and_then(|git| git.commit.as_ref()),
            git.and_then(|git| git.branch.as_ref()),
            tree,
            saturating_i64(info.fresh as u64),
        ],
    )?;
    let mut insert =
        conn.prepare_cached("INSERT INTO params (run, key, value) VALUES (?1, ?2, ?3)")?;
    for (key, value) in &info.params {
        insert.execute(params![run, key.as_str(), json(value)])?;
    }
    Ok(())
}

/// A change as data and as text, so that the database can be read without this program.
#[derive(Serialize)]
struct Reason<'a> {
    text: String,
    #[serde(flatten)]
    change: &'a Change,
}

fn first_reasons(reasons: &[Change]) -> Vec<Reason<'_>> {
    reasons
        .iter()
        .take(MAX_REASONS)
        .map(|change| Reason { text: change.to_string(), change })
        .collect()
}

fn start_stage(
    conn: &Connection,
    run: i64,
    stage: &StageName,
    at: Timestamp,
    work: Work,
    reasons: &[Change],
) -> rusqlite::Result<()> {
    let work = match work {
        Work::Run => "run",
        Work::Restore => "restore",
    };
    conn.prepare_cached(
        "INSERT INTO stages (run, stage, work, started, reasons, reason_count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
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
        reasons.len() as i64
    ])?;
    Ok(())
}

fn end_stage(
    conn: &Connection,
    run: i64,
    stage: &StageName,
    outcome: &Outcome,
    took: i64,
) -> rusqlite::Result<()> {
    let (failure, because) = match outcome {
        Outcome::Failed(failure) | Outcome::Unrecorded(failure) => (Some(json(failure)), None),
        Outcome::Skipped { because, .. } => (None, Some(because.as_str())),
        Outcome::Accepted { reason, .. } => (None, Some(reason.as_str())),
        Outcome::Fresh | Outcome::Restored | Outcome::Ran | Outcome::Interrupted => (None, None),
    };
    conn.prepare_cached(
        "INSERT INTO stages (run, stage, outcome, took, failure, because)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET outcome = excluded.outcome, took = excluded.took,
             failure = excluded.failure, because = excluded.because",
    )?
    .execute(params![run, stage.as_str(), outcome.word(), took, failure, because])?;
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

/// Returns the digits of an integer that no double represents.
fn exact(value: Number) -> Option<String> {
    value.beyond_f64().map(|integer| integer.to_string())
}

/// Converts to SQLite's signed integers; a value that does not fit is stored as the maximum.
fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|err| panic!("BUG: cannot serialize a record: {err}"))
}
