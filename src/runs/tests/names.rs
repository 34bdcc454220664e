//! Tests of the names of runs.

use super::*;

#[test]
fn run_names() {
    let dir = finished();
    let store = open(dir.path());
    for (text, run) in [("run-1", 1), ("1", 1), ("2", 2), ("last", 2), ("latest", 2)] {
        assert_eq!(resolve(&store, text).unwrap(), RunName(run), "{text}");
    }
    for text in ["3", "run-0", "18446744073709551615", "9223372036854775807", "", "x", "run-"] {
        let error = resolve(&store, text).unwrap_err();
        assert!(error.hint.unwrap().contains("run-2, run-1"), "{text}");
    }
    assert_eq!(store.names(1).unwrap(), [RunName(2)]);
    assert_eq!(
        (store.before(RunName(2)).unwrap(), store.before(RunName(1)).unwrap()),
        (Some(RunName(1)), None)
    );
}

#[test]
fn families_of_runs() {
    let dir = finished();
    let store = open(dir.path());
    // A sweep with two trials, a run, and a deleted run.
    let add = |number: i64, kind, parent: Option<&str>, lifecycle| {
        let insert = "INSERT INTO runs (number, uid, kind, parent, lifecycle, status, started,
                          command, overrides, host)
                      VALUES (?1, ?1, ?2, ?3, ?4, 'ok', 0, '[]', '[]', '')";
        store.conn.execute(insert, rusqlite::params![number, kind, parent, lifecycle]).unwrap();
    };
    add(3, "sweep", None, "active");
    add(4, "trial", Some("3"), "active");
    add(5, "pipeline", None, "active");
    add(6, "trial", Some("3"), "active");
    add(7, "pipeline", None, "deleted");
    let kept = |limit| {
        let runs = store.in_latest_families(limit).unwrap();
        runs.iter().map(|run| run.0).collect::<Vec<_>>()
    };
    assert_eq!(kept(0), [0; 0]);
    assert_eq!(kept(1), [6, 4, 3]);
    assert_eq!(kept(2), [6, 5, 4, 3]);
    assert_eq!(kept(3), [6, 5, 4, 3, 2]);
    assert_eq!(kept(usize::MAX), [6, 5, 4, 3, 2, 1]);
    let before = |run| store.before(RunName(run)).unwrap().map(|run| run.0);
    assert_eq!([5, 3, 4, 6].map(before), [Some(2), Some(2), Some(3), Some(5)]);
}

fn resolve(store: &Store, text: &str) -> crate::error::Result<RunName> {
    store.resolve(text, || {
        let mut goals = Goals::default();
        goals.insert("loss".into(), Goal::Min);
        goals.insert("accuracy".into(), Goal::Max);
        goals
    })
}

#[test]
fn runs_by_name_and_identity() {
    let dir = finished();
    let store = open(dir.path());
    let set = |sql: &str| store.conn.execute(sql, []).unwrap();
    set("UPDATE runs SET name = 'wide', uid = 'abcd' || substr(uid, 5) WHERE number = 1");
    for (text, run) in [("wide", 1), ("abcd", 1), (&"1e".repeat(16), 2), ("1e1e", 2)] {
        assert_eq!(resolve(&store, text).unwrap(), RunName(run), "{text}");
    }
    for (text, hint) in [
        ("wid", "did you mean `wide`?"),
        ("lastest", "did you mean `latest`?"),
        ("abc", "the latest are run-2, run-1"),
        ("1E1E", "the latest are run-2, run-1"),
    ] {
        let error = resolve(&store, text).unwrap_err();
        assert!(error.hint.unwrap().starts_with(hint), "{text}");
    }
    // A number that exists wins over a name; a name wins over an identity.
    set("UPDATE runs SET name = '2' WHERE number = 1");
    assert_eq!(resolve(&store, "2").unwrap(), RunName(2));
    set("UPDATE runs SET name = '1e1e' WHERE number = 1");
    assert_eq!(resolve(&store, "1e1e").unwrap(), RunName(1));
    set("UPDATE runs SET name = 'both'");
    let error = resolve(&store, "both").unwrap_err();
    assert_eq!(error.to_string(), "`both` is the name of several runs: run-2, run-1");
}

#[test]
fn deleted_run_can_be_named() {
    let dir = finished();
    let store = open(dir.path());
    let set = "UPDATE runs SET name = 'old', lifecycle = 'deleted' WHERE number = 2";
    store.conn.execute(set, []).unwrap();
    assert_eq!(resolve(&store, "latest").unwrap(), RunName(1));
    assert_eq!(store.names(9).unwrap(), [RunName(1)]);
    assert_eq!(store.count().unwrap(), 1);
    for text in ["run-2", "2", "old", "1e1e1e"] {
        assert_eq!(resolve(&store, text).unwrap(), RunName(2), "{text}");
    }
    assert_eq!(store.run(RunName(2)).unwrap().lifecycle, Lifecycle::Deleted);
}

#[test]
fn best_run_by_goal() {
    let dir = finished();
    let store = open(dir.path());
    for (text, run) in [("best:train.loss", 2), ("best:loss", 2), ("best:accuracy", 2)] {
        assert_eq!(resolve(&store, text).unwrap(), RunName(run), "{text}");
    }
    store.conn.execute("UPDATE metrics SET value = 0.1 WHERE run = 1", []).unwrap();
    assert_eq!(resolve(&store, "best:loss").unwrap(), RunName(1));
    for (text, what, hint) in [
        ("best:steps", "metric `train.steps` has no goal", "declare one in pipeline.toml"),
        ("best:los", "no run has a metric `los`", "did you mean `loss`?"),
        ("best:train.los", "no run has a metric `train.los`", "did you mean `train.loss`?"),
        ("best:", "no run has a metric ``", "the metrics are evaluate.accuracy,"),
    ] {
        let error = resolve(&store, text).unwrap_err();
        assert_eq!(error.what, what);
        assert!(error.hint.as_ref().unwrap().starts_with(hint), "{error:?}");
    }
    let copy = "INSERT INTO metrics SELECT run, 'tune', key, value, exact FROM metrics
                WHERE key = 'loss' AND run = 2";
    store.conn.execute(copy, []).unwrap();
    let error = resolve(&store, "best:loss").unwrap_err();
    assert_eq!(error.what, "`loss` is the name of several metrics");
}
