//! The written form of fingerprints and traces: one fact a line, in the lock and in the cache alike.
//!
//! ```text
//! cmd "cargo run --release -p train"
//! wdir stages
//! env OMP_NUM_THREADS "2"
//! dep tree 1c0a44f7…02fe data/spectrograms
//! param train.epochs 10
//! out models/genre.mpk
//! ```
//! In a fingerprint an `out` line has the path alone; in a trace it is `out KIND DIGEST PATH`. Texts and values are
//! JSON, so a line is never broken. Lines come in this order, sorted within a kind: equal values have equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::digest::Content;
use crate::pipeline::{ParamKey, ParamValue};
use crate::plan::{Fingerprint, Trace};
use crate::repo_path::RepoPath;

pub fn write_fingerprint(text: &mut String, fingerprint: &Fingerprint) {
    write_inputs(text, fingerprint);
    for path in &fingerprint.outs {
        let _ = writeln!(text, "out {path}");
    }
}

pub fn write_trace(text: &mut String, trace: &Trace) {
    write_inputs(text, &trace.fingerprint);
    for (path, content) in &trace.outs {
        let _ = writeln!(text, "out {} {} {path}", content.kind(), content.digest());
    }
}

fn write_inputs(text: &mut String, fingerprint: &Fingerprint) {
    let _ = writeln!(text, "cmd {}", json(&fingerprint.cmd));
    if let Some(wdir) = &fingerprint.wdir {
        let _ = writeln!(text, "wdir {wdir}");
    }
    for (name, value) in &fingerprint.env {
        let _ = writeln!(text, "env {name} {}", json(value));
    }
    for (path, content) in &fingerprint.deps {
        let _ = writeln!(text, "dep {} {} {path}", content.kind(), content.digest());
    }
    for (key, value) in &fingerprint.params {
        let _ = writeln!(text, "param {key} {value}");
    }
}

fn json(text: &str) -> String {
    ParamValue::from(text).to_string()
}

/// A trace that is read line by line.
#[derive(Debug, Default)]
pub struct TraceReader {
    cmd: Option<String>,
    wdir: Option<RepoPath>,
    env: BTreeMap<String, String>,
    deps: BTreeMap<RepoPath, Content>,
    params: BTreeMap<ParamKey, ParamValue>,
    outs: BTreeMap<RepoPath, Content>,
}

/// A line is not one of a trace, or the trace lacks its `cmd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATrace;

impl TraceReader {
    pub fn line(&mut self, line: &str) -> Result<(), NotATrace> {
        self.take(line).ok_or(NotATrace)
    }

    /// `None` where the line is not understood or says something a second time.
    fn take(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        let fresh = match word {
            "cmd" => self.cmd.replace(serde_json::from_str(rest).ok()?).is_none(),
            "wdir" => self.wdir.replace(RepoPath::parse_canonical(rest)?).is_none(),
            "env" => {
                let (name, value) = rest.split_once(' ')?;
                self.env.insert(name.to_owned(), serde_json::from_str(value).ok()?).is_none()
            }
            "param" => {
                let (key, value) = rest.split_once(' ')?;
                self.params.insert(ParamKey::new(key), serde_json::from_str(value).ok()?).is_none()
            }
            "dep" => {
                let (path, content) = located(rest)?;
                self.deps.insert(path, content).is_none()
            }
            "out" => {
                let (path, content) = located(rest)?;
                if path.is_reserved() {
                    return None;
                }
                self.outs.insert(path, content).is_none()
            }
            _ => false,
        };
        fresh.then_some(())
    }

    pub fn finish(self) -> Result<Trace, NotATrace> {
        let TraceReader { cmd, wdir, env, deps, params, outs } = self;
        let declared: BTreeSet<RepoPath> = outs.keys().cloned().collect();
        let cmd = cmd.ok_or(NotATrace)?;
        Ok(Trace { fingerprint: Fingerprint { cmd, wdir, env, deps, params, outs: declared }, outs })
    }
}

/// `KIND DIGEST PATH`.
fn located(text: &str) -> Option<(RepoPath, Content)> {
    let mut fields = text.splitn(3, ' ');
    let (kind, digest, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some((RepoPath::parse_canonical(path)?, Content::from_kind(kind, digest.parse().ok()?)?))
}
