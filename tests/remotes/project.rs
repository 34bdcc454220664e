//! A small project that the real program pushes to a store and pulls from it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use repro::pipeline::RemoteSpec;

use crate::operations::bytes;
use crate::setting::Setting;

const STAGE: &str = "[stages.s]\ndeps = ['in']\nouts = ['out']\ncmd = '''\n\
    mkdir out; for i in 1 2 3 4 5; do echo $i > out/$i; done; cp in out/large; echo >> ran'''\n";

/// Runs the stage, pushes, and pulls into a clone, in which nothing runs.
pub fn push_pull(setting: &Setting) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let first = dir.path().join("first");
    push(&first, &setting.spec)?;
    pull(&first, &dir.path().join("second"), &setting.spec)
}

/// Pulls from the store that was pushed before a web server showed it.
pub fn pull_only(setting: &Setting) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = setting.spec.clone();
    spec.url = spec.url.replace("/files", "/pushed");
    pull(&setting.home.parent().unwrap().join("project"), &dir.path().join("second"), &spec)
}

pub fn push(root: &Path, spec: &RemoteSpec) -> Result<(), String> {
    fs::create_dir(root).unwrap();
    fs::write(root.join("pipeline.toml"), pipeline(spec)).unwrap();
    fs::write(root.join("in"), bytes(3_000_000, 5)).unwrap();
    repro(root, &["run"])?;
    repro(root, &["push"])
}

fn pull(first: &Path, second: &Path, spec: &RemoteSpec) -> Result<(), String> {
    fs::create_dir(second).unwrap();
    for file in ["pipeline.lock", "in"] {
        fs::copy(first.join(file), second.join(file)).unwrap();
    }
    fs::write(second.join("pipeline.toml"), pipeline(spec)).unwrap();
    repro(second, &["pull"])?;
    for file in ["1", "5", "large"] {
        let read = |root: &Path| fs::read(root.join("out").join(file));
        if read(second).ok() != read(first).ok() {
            return Err(format!("`out/{file}` differs"));
        }
    }
    repro(second, &["run"])?;
    if second.join("ran").exists() { Err("the stage ran again".to_owned()) } else { Ok(()) }
}

fn pipeline(spec: &RemoteSpec) -> String {
    with_remote(spec) + STAGE
}

/// Returns the declaration of a remote.
pub fn with_remote(spec: &RemoteSpec) -> String {
    let mut text = format!("[remotes.{}]\nurl = '{}'\n", spec.name, spec.url);
    if let Some(endpoint) = &spec.endpoint {
        text.push_str(&format!("endpoint = '{endpoint}'\n"));
    }
    if let Some(jobs) = spec.jobs {
        text.push_str(&format!("jobs = {jobs}\n"));
    }
    text
}

fn repro(root: &Path, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_repro"));
    command.args(args).current_dir(root).stdin(Stdio::null());
    let output = deadline::output(&mut command);
    match output.status.success() {
        true => Ok(()),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("`repro {}`: {stderr}", args.join(" ")))
        }
    }
}
