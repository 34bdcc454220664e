//! `run --plan`: what a run would do, with durations from the last run.

use crate::run::chain;
use crate::snapshot;

#[test]
fn plan_shows_durations() {
    let sandbox = chain();
    snapshot!(sandbox.ok(&["run", "-n", "-j", "2"]), @"
    exit 0
    --- stdout
    words is out of date: never ran
    count is out of date: never ran; waits for words
    report is out of date: never ran; waits for count
    ");
    sandbox.ok(&["run", "words", "count"]);
    snapshot!(sandbox.ok(&["run", "-n", "-j", "2"]), @"
    exit 0
    --- stdout
    report is out of date: never ran
    2 stages up to date
    ");
    sandbox.ok(&["run"]);
    snapshot!(sandbox.ok(&["run", "-n"]), @"
    exit 0
    --- stdout
    everything is up to date (3 stages)
    ");
    sandbox.remove("words.txt");
    sandbox.ok(&["params", "set", "title=u"]);
    snapshot!(sandbox.ok(&["run", "-n", "-j", "2"]), @r#"
    exit 0
    --- stdout
    words can be restored from the cache: out words.txt is missing
    report is out of date: report.title "t" → "u" ([time] last time)
    1 stage up to date
    estimated at most [time] with -j 2, plus words, whose duration is unknown
    "#);
    sandbox.ok(&["run", "words"]);
    sandbox.ran();
    snapshot!(sandbox.ok(&["run", "-n", "--only", "count", "--force", "-j", "3"]), @"
    exit 0
    --- stdout
    count is out of date: forced ([time] last time)
    estimated at most [time] with -j 3
    ");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn plan_json() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ok(&["params", "set", "top=3"]);
    let plan = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&sandbox.ok(args).stdout).unwrap()
    };
    let first = plan(&["run", "-n", "--json", "-j", "2"]);
    assert_eq!(first["jobs"], 2);
    let verdicts: Vec<_> =
        first["stages"].as_array().unwrap().iter().map(|stage| stage["verdict"].clone()).collect();
    assert_eq!(verdicts, ["fresh", "run", "waits"]);
    assert_eq!(first["stages"][1]["changes"][0]["key"], "top");
    assert!(first["stages"][0]["took"].is_null());
    let took = |ix: usize| first["stages"][ix]["took"].as_u64().unwrap();
    // The two stages run one after the other, however many processors there are.
    assert_eq!(first["estimate"].as_u64().unwrap(), took(1) + took(2));
    // A missing or unreadable history yields no durations and stops nothing.
    sandbox.write("runs/runs.db", "no database");
    let other = plan(&["run", "-n", "--json"]);
    assert!(other["stages"][1]["took"].is_null());
    assert_eq!(other["estimate"], 0);
}
