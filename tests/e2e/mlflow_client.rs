//! MLflow's own Python client and its integrations against the server. `REPRO_MLFLOW_PYTHON` names
//! a Python with the packages of `tests/mlflow/requirements.txt`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::mlflow::Mlflow;

/// Returns the Python to use, or reports why the test is skipped.
fn python() -> Option<OsString> {
    const MISSING: &str = "REPRO_MLFLOW_PYTHON does not name a Python with MLflow";
    let python = std::env::var_os("REPRO_MLFLOW_PYTHON").filter(|python| !python.is_empty());
    assert!(python.is_some() || std::env::var_os("CI").is_none(), "{MISSING}");
    if python.is_none() {
        eprintln!("skipped: {MISSING}");
    }
    python
}

fn run(script: &str) {
    let Some(python) = python() else { return };
    let mlflow = Mlflow::start();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mlflow").join(script);
    let mut command = Command::new(python);
    command.arg(path).arg(format!("http://{}", mlflow.server.address));
    command.current_dir(mlflow.sandbox.path("."));
    // A refusal must show at once, not after minutes of retries.
    command.env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0").env("GIT_PYTHON_REFRESH", "quiet");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn client_and_fluent() {
    run("fluent.py");
}

#[test]
fn integrations() {
    run("autolog.py");
}
