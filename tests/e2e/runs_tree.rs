//! Sweeps in lists of runs, made of ordinary runs by changing their parents in the database.

use crate::runs_list::three_runs;
use crate::sandbox::Sandbox;
use crate::snapshot;

/// A sweep, run-1, with the trials run-2 and run-3, and run-4 that is a part of run-3.
fn sweep() -> Sandbox {
    let sandbox = three_runs();
    sandbox.ok(&["run", "-p", "epochs=12"]);
    let db = rusqlite::Connection::open(sandbox.path("runs/runs.db")).unwrap();
    db.execute_batch(
        "UPDATE runs SET kind = 'sweep' WHERE number = 1;
         UPDATE runs SET kind = 'trial', parent = (SELECT uid FROM runs WHERE number = 1)
         WHERE number IN (2, 3);
         UPDATE runs SET parent = (SELECT uid FROM runs WHERE number = 3) WHERE number = 4;",
    )
    .unwrap();
    sandbox
}

#[test]
fn sweeps_are_trees() {
    let sandbox = sweep();
    let list = |args: &[&str]| {
        let columns = ["runs", "list", "--columns", "run,kind,parent,evaluate@dev.accuracy"];
        sandbox.ok(&[&columns[..], args].concat()).stdout
    };
    insta::assert_snapshot!(list(&[]), @"
    run    kind   parent  evaluate@dev.accuracy
    run-1  sweep  -                         0.1
    ");
    insta::assert_snapshot!(list(&["--tree"]), @"
    run        kind      parent  evaluate@dev.accuracy
    run-1      sweep     -                        0.1
      run-2    trial     run-1                    0.2
      run-3    trial     run-1                    -
        run-4  pipeline  run-3                    0.12
    ");
    insta::assert_snapshot!(list(&["--filter", "params.epochs > 11"]), @"
    run    kind      parent  evaluate@dev.accuracy
    run-4  pipeline  run-3                    0.12
    run-3  trial     run-1                    -
    run-2  trial     run-1                    0.2
    ");
    insta::assert_snapshot!(list(&["--filter", "params.epochs > 11", "--tree"]), @"
    run        kind      parent  evaluate@dev.accuracy
    run-1      sweep     -                        0.1
      run-3    trial     run-1                    -
        run-4  pipeline  run-3                    0.12
      run-2    trial     run-1                    0.2
    ");
    insta::assert_snapshot!(list(&["--kind", "trial", "--sort", "run:asc"]), @"
    run    kind   parent  evaluate@dev.accuracy
    run-2  trial  run-1                     0.2
    run-3  trial  run-1                     -
    ");
    let overview = sandbox.ok(&["runs", "list"]).stdout;
    assert!(overview.contains("2 trials, best run-2"), "{overview}");
    assert!(!overview.contains("run-3"), "{overview}");
    let json = sandbox.ok(&["runs", "list", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["children"], serde_json::json!({ "count": 2, "best": "run-2" }));
    let show = sandbox.ok(&["runs", "show", "run-1"]).stdout;
    assert!(show.contains("2 runs, the best is run-2"), "{show}");
    assert!(sandbox.ok(&["runs", "show", "run-2"]).stdout.contains("part of   run-1"));
}

#[test]
fn sweeps_are_deleted_whole() {
    let sandbox = sweep();
    snapshot!(sandbox.repro(&["runs", "rm", "run-1"]), @"
    exit 0
    --- stderr
    deleted 4 runs; `repro runs undelete run-1` brings them back
    ");
    snapshot!(sandbox.repro(&["runs", "list"]), @"
    exit 0
    --- stderr
    all runs are deleted: `repro runs list --deleted` lists them
    ");
    snapshot!(sandbox.repro(&["runs", "undelete", "run-3"]), @"
    exit 0
    --- stderr
    brought 2 runs back
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--tree", "--columns", "run"]), @"
    exit 0
    --- stdout
    run
    run-3
     run-4
    ");
    snapshot!(sandbox.repro(&["runs", "undelete", "run-1"]), @"
    exit 0
    --- stderr
    brought 2 runs back
    ");
    snapshot!(sandbox.repro(&["runs", "list", "--tree", "--columns", "run"]), @"
    exit 0
    --- stdout
    run
    run-1
     run-2
     run-3
     run-4
    ");
}
