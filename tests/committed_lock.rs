//! Checks that the committed `pipeline.lock` matches the committed sources, as a fresh clone sees
//! them: no stage may be out of date because of a dep or a param.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn committed_lock_is_current() {
    let clone = tempfile::tempdir().unwrap();
    let listed = deadline::output(Command::new("git").args(["ls-files", "-z"]));
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in listed.split('\0').filter(|name| Path::new(name).is_file()) {
        let copy = clone.path().join(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(name, copy).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_repro"));
    let status = deadline::output(command.args(["status", "--json"]).current_dir(clone.path()));
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let stages = status["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 5);
    // Outs are missing in a clone without a cache, and other stages wait for them.
    let expected = ["out_missing", "object_gone", "upstream"];
    for stage in stages {
        for change in stage["changes"].as_array().unwrap() {
            let kind = change["change"].as_str().unwrap();
            assert!(
                expected.contains(&kind),
                "stage {}: {change}\nrun the pipeline and commit pipeline.lock",
                stage["stage"]
            );
        }
    }
}
