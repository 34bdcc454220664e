//! The text format of fingerprints and traces, used by the lock and the cache: one fact per line.
//!
//! ```text
//! cmd "cargo run --release -p train"
//! from {"url":"https://example.org/data.csv"}
//! shell ["bash","-euc"]
//! wdir stages
//! each "data/*.wav"
//! env OMP_NUM_THREADS "2"
//! envdep CUDA_VISIBLE_DEVICES null
//! tool ["rustc --version","rustc 1.95.0"]
//! dep tree 1c0a44f7…02fe data/spectrograms
//! param train.epochs 10
//! out models/genre.mpk
//! absent models/notes.txt
//! version {"etag":"\"5d8c72a5\"","bytes":5242880}
//! accepted "only a comment changed"
//! ```
//!
//! In a fingerprint an `out` line has only the path. In a trace it is `out KIND DIGEST PATH`, or
//! `absent PATH` if nothing was written, and lines `version` and `accepted` may follow. Texts and
//! values are JSON, so they never span lines. Lines are in the order shown and sorted within each
//! kind, so equal values have equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::digest::{Content, Digest};
use crate::pipeline::{Origin, ParamKey, ParamValue};
use crate::plan::{Fingerprint, SourceVersion, Trace};
use crate::repo_path::RepoPath;

impl Fingerprint {
    /// Returns the key of the stage's trace in the cache, the digest of its text.
    pub fn key(&self) -> Digest {
        let mut text = String::new();
        write_fingerprint(&mut text, self);
        Digest::of(text.as_bytes())
    }
}

/// Appends the lines of a fingerprint.
pub fn write_fingerprint(text: &mut String, fingerprint: &Fingerprint) {
    write_inputs(text, fingerprint);
    for path in &fingerprint.outs {
        let _ = writeln!(text, "out {path}");
    }
}

/// Appends the lines of a trace.
pub fn write_trace(text: &mut String, trace: &Trace) {
    write_inputs(text, &trace.fingerprint);
    for (path, content) in &trace.outs {
        let _ = writeln!(text, "out {} {} {path}", content.kind(), content.digest());
    }
    for path in trace.fingerprint.outs.iter().filter(|path| !trace.outs.contains_key(*path)) {
        let _ = writeln!(text, "absent {path}");
    }
    if let Some(version) = &trace.version {
        let _ = writeln!(text, "version {}", as_json(version));
    }
    if let Some(reason) = &trace.accepted {
        let _ = writeln!(text, "accepted {}", json(reason));
    }
}

fn write_inputs(text: &mut String, fingerprint: &Fingerprint) {
    if let Some(cmd) = &fingerprint.cmd {
        let _ = writeln!(text, "cmd {}", json(cmd));
    }
    if let Some(origin) = &fingerprint.origin {
        let _ = writeln!(text, "from {}", as_json(origin));
    }
    if !fingerprint.shell.is_empty() {
        let _ = writeln!(text, "shell {}", ParamValue::from(fingerprint.shell.clone()));
    }
    if let Some(wdir) = &fingerprint.wdir {
        let _ = writeln!(text, "wdir {wdir}");
    }
    for declared in &fingerprint.each {
        let _ = writeln!(text, "each {}", json(declared));
    }
    for (name, value) in &fingerprint.env {
        let _ = writeln!(text, "env {name} {}", json(value));
    }
    for (name, value) in &fingerprint.env_deps {
        let _ = writeln!(text, "envdep {name} {}", ParamValue::from(value.clone()));
    }
    for (cmd, output) in &fingerprint.tools {
        let _ = writeln!(text, "tool {}", ParamValue::from(vec![cmd.clone(), output.clone()]));
    }
    for (path, content) in &fingerprint.deps {
        let _ = writeln!(text, "dep {} {} {path}", content.kind(), content.digest());
    }
    for (key, value) in &fingerprint.params {
        let _ = writeln!(text, "param {key} {value}");
    }
}

fn as_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|err| panic!("BUG: cannot serialize a line of the lock: {err}"))
}

fn json(text: &str) -> String {
    ParamValue::from(text).to_string()
}

/// Parses a trace line by line.
#[derive(Debug, Default)]
pub struct TraceReader {
    cmd: Option<String>,
    origin: Option<Origin>,
    shell: Vec<String>,
    wdir: Option<RepoPath>,
    env: BTreeMap<String, String>,
    env_deps: BTreeMap<String, Option<String>>,
    tools: BTreeMap<String, String>,
    deps: BTreeMap<RepoPath, Content>,
    params: BTreeMap<ParamKey, ParamValue>,
    outs: BTreeMap<RepoPath, Content>,
    absent: BTreeSet<RepoPath>,
    version: Option<SourceVersion>,
    accepted: Option<String>,
    each: BTreeSet<String>,
}

/// Reports whether the line begins like one that this version writes.
pub fn is_known(line: &str) -> bool {
    const WORDS: [&str; 14] = [
        "cmd", "from", "shell", "wdir", "each", "env", "envdep", "tool", "dep", "param", "out",
        "absent", "version", "accepted",
    ];
    let word = line.split(' ').next().unwrap_or_default();
    // Anything else than a word comes from an editor or a merge.
    !word.bytes().all(|byte| byte.is_ascii_lowercase()) || WORDS.contains(&word)
}

/// Error: the line is not part of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATrace;

impl TraceReader {
    /// Adds one line.
    ///
    /// # Errors
    /// The line is malformed or repeats an earlier fact.
    pub fn push_line(&mut self, line: &str) -> Result<(), NotATrace> {
        self.parse(line).ok_or(NotATrace)
    }

    /// Parses one line; `None` if it is malformed or repeats an earlier fact.
    fn parse(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        let is_new = match word {
            "cmd" => self.cmd.replace(serde_json::from_str(rest).ok()?).is_none(),
            "from" => self.origin.replace(serde_json::from_str(rest).ok()?).is_none(),
            "version" => self.version.replace(serde_json::from_str(rest).ok()?).is_none(),
            "shell" => {
                std::mem::replace(&mut self.shell, serde_json::from_str(rest).ok()?).is_empty()
            }
            "each" => self.each.insert(serde_json::from_str(rest).ok()?),
            "accepted" => self.accepted.replace(serde_json::from_str(rest).ok()?).is_none(),
            "envdep" => {
                let (name, value) = rest.split_once(' ')?;
                self.env_deps.insert(name.to_owned(), serde_json::from_str(value).ok()?).is_none()
            }
            "tool" => {
                let (cmd, output) = serde_json::from_str(rest).ok()?;
                self.tools.insert(cmd, output).is_none()
            }
            "wdir" => self.wdir.replace(RepoPath::parse_canonical(rest)?).is_none(),
            "env" => {
                let (name, value) = rest.split_once(' ')?;
                self.env.insert(name.to_owned(), serde_json::from_str(value).ok()?).is_none()
            }
            "param" => {
                let (key, value) = rest.split_once(' ')?;
                let key = ParamKey::parse(key).ok()?;
                self.params.insert(key, serde_json::from_str(value).ok()?).is_none()
            }
            "dep" => {
                let (path, content) = parse_content_at(rest)?;
                self.deps.insert(path, content).is_none()
            }
            // Outs are restored, which overwrites and removes files. A lock from elsewhere or a
            // damaged one must not make that happen in `.git` or in the cache.
            "out" => {
                let (path, content) = parse_content_at(rest)?;
                if path.is_reserved() {
                    return None;
                }
                self.outs.insert(path, content).is_none()
            }
            "absent" => {
                let path = RepoPath::parse_canonical(rest).filter(|path| !path.is_reserved())?;
                self.absent.insert(path)
            }
            _ => false,
        };
        is_new.then_some(())
    }

    /// Returns the trace.
    pub fn finish(self) -> Trace {
        let TraceReader {
            cmd,
            origin,
            shell,
            wdir,
            env,
            env_deps,
            tools,
            deps,
            params,
            outs,
            absent,
            version,
            accepted,
            each,
        } = self;
        let mut out_paths = absent;
        out_paths.extend(outs.keys().cloned());
        let fingerprint = Fingerprint {
            cmd,
            origin,
            shell,
            wdir,
            env,
            env_deps,
            tools,
            deps,
            params,
            outs: out_paths,
            each,
        };
        Trace { fingerprint, outs, accepted, version }
    }
}

/// Parses `KIND DIGEST PATH`.
fn parse_content_at(text: &str) -> Option<(RepoPath, Content)> {
    let mut fields = text.splitn(3, ' ');
    let (kind, digest, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some((RepoPath::parse_canonical(path)?, Content::from_kind(kind, digest.parse().ok()?)?))
}
