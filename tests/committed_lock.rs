//! Checks that the committed `pipeline.lock` matches the committed sources, as a fresh clone sees
//! them: no stage may be out of date because of a dep or a param.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Returns a copy of the committed files.
fn clone() -> tempfile::TempDir {
    let clone = tempfile::tempdir().unwrap();
    let listed = deadline::output(Command::new("git").args(["ls-files", "-z"]));
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in listed.split('\0').filter(|name| Path::new(name).is_file()) {
        let copy = clone.path().join(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(name, copy).unwrap();
    }
    clone
}

#[test]
fn committed_lock_is_current() {
    let clone = clone();
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

#[test]
fn local_source_dep() {
    let clone = clone();
    fs::create_dir_all(clone.path().join("clips/rock")).unwrap();
    fs::write(clone.path().join("clips/rock/a.wav"), "").unwrap();
    let planned = |source: &str| {
        let source = format!("download.source={source}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_repro"));
        command.args(["run", "-n", "-p", &source, "download"]).current_dir(clone.path());
        String::from_utf8(deadline::output(&mut command).stdout).unwrap()
    };
    assert!(planned("clips").contains("dep clips added"), "{}", planned("clips"));
    for other in ["https://example.org/clips.zip", "/clips", "../clips", "gtzan"] {
        let planned = planned(other);
        assert!(planned.contains("download.source") && !planned.contains("dep "), "{planned}");
    }
}
