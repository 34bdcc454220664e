//! Tests of recorders that write, fail or die.

use super::*;

#[test]
fn dead_run_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    // Without an end, as if the process had been killed.
    assert_eq!(record(dir.path(), &first()[..3]), None);
    let run = open(dir.path()).run(RunName(1)).unwrap();
    assert_eq!(
        (run.state, run.took, &run.stages[1].state),
        (RunState::Interrupted, None, &StageState::Interrupted)
    );
    record(dir.path(), &second());
    let status: String = open(dir.path())
        .conn
        .query_row("SELECT status FROM runs WHERE number = 1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(status, "interrupted");
    assert_eq!(open(dir.path()).run(RunName(2)).unwrap().state, RunState::Ok);
}

#[test]
fn run_start_is_recorded_synchronously() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(dir.path(), |_| {});
    first()[..2].iter().for_each(|event| recorder.on_event(event));
    assert_eq!(open(dir.path()).run(RunName(1)).unwrap().state, RunState::Running);
    assert!(recorder.finish().is_none());
}

#[test]
fn recorded_run_is_running() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(dir.path(), |_| {});
    first()[..3].iter().for_each(|event| recorder.on_event(event));
    // The writer thread makes the events visible soon.
    let root = dir.path().to_owned();
    let running = deadline::within(move || {
        loop {
            if let Some(store) = Store::open_existing(&root).unwrap()
                && let Ok(run) = store.run(RunName(1))
                && run.stages.len() == 2
            {
                break run;
            }
            std::thread::yield_now();
        }
    });
    assert_eq!(
        (running.state, &running.stages[1].state),
        (RunState::Running, &StageState::Running)
    );
    assert!(recorder.finish().is_none());
}

#[test]
fn recorders_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let events = |run| {
        let mut events = second();
        for event in &mut events {
            match event {
                Event::RunStarted { run: name, info, .. } => {
                    *name = run;
                    info.uid = RunUid::from_bytes([u8::try_from(run.0).unwrap(); 16]);
                }
                Event::RunEnded { run: name, .. } => *name = Some(run),
                _ => {}
            }
        }
        events
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let run = take_number(dir.path());
                    assert_eq!(record(dir.path(), &events(run)), None);
                }
            });
        }
    });
    let store = open(dir.path());
    assert_eq!(store.count().unwrap(), 32);
    for name in store.names(99).unwrap() {
        let run = store.run(name).unwrap();
        assert_eq!((run.state, run.stages.len(), run.metrics.len()), (RunState::Ok, 3, 5));
        assert_eq!(store.series(name).unwrap()[0].count, 4);
    }
}

#[test]
fn live_run_survives_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(dir.path(), |_| {});
    first()[..3].iter().for_each(|event| recorder.on_event(event));
    record(dir.path(), &second());
    let status = || {
        let sql = "SELECT status FROM runs WHERE number = 1";
        open(dir.path()).conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!(status(), "running");
    first()[3..].iter().for_each(|event| recorder.on_event(event));
    assert!(recorder.finish().is_none());
    assert_eq!(status(), "failed");
}

#[test]
fn failed_recording_is_a_warning() {
    let dir = finished();
    let before = std::fs::read(dir.path().join("runs/runs.db")).unwrap();
    // The run number exists, so nothing of this run can be recorded.
    let warning = record(dir.path(), &first()).unwrap();
    assert!(
        warning.starts_with(
            "run-1 is only partly in the history: \
             cannot write `runs/runs.db`: UNIQUE"
        ),
        "{warning}"
    );
    assert_eq!(open(dir.path()).run(RunName(1)).unwrap().stages.len(), 3);
    assert_eq!(before.len(), std::fs::read(dir.path().join("runs/runs.db")).unwrap().len());

    let blocked = tempfile::tempdir().unwrap();
    std::fs::write(blocked.path().join("runs"), "a file in place of the folder").unwrap();
    let warning = record(blocked.path(), &first()).unwrap();
    assert!(
        warning.starts_with("run-1 is not in the history: cannot create `runs`: "),
        "{warning}"
    );
}

#[test]
fn pending_events_survive_database_lock() {
    let dir = finished();
    let store = open(dir.path());
    let mut recorder = Recorder::start(dir.path(), |_| {});
    for event in &mut second() {
        if let Event::RunStarted { run, info, .. } = event {
            *run = RunName(3);
            info.uid = RunUid::from_bytes([3; 16]);
        }
        recorder.on_event(event);
        if matches!(event, Event::RunStarted { .. }) {
            store.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        }
    }
    store.conn.execute_batch("ROLLBACK").unwrap();
    assert!(recorder.finish().is_none());
    assert_eq!(store.run(RunName(3)).unwrap().metrics.len(), 5);
}

#[test]
fn all_metric_points_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(dir.path(), |_| {});
    first()[..3].iter().for_each(|event| recorder.on_event(event));
    for step in 0..300_000_u32 {
        let value = f64::from(step).into();
        let (stage, key) = (stage("train"), "loss".to_owned());
        recorder.on_event(&Event::Metric { stage, at: 0, key, step: step.into(), value });
    }
    assert!(recorder.finish().is_none());
    assert_eq!(open(dir.path()).series(RunName(1)).unwrap()[0].count, 300_000);
}

#[test]
fn run_without_work_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let events = [
        ended("train", Outcome::Fresh, 0, &[]),
        Event::FinalMetrics { stage: stage("train"), values: [("loss".into(), 1.0.into())].into() },
        Event::RunEnded { run: None, at: 0, status: RunStatus::Ok, took: Millis(3) },
    ];
    assert_eq!(record(dir.path(), &events), None);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
