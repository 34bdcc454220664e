//! The manifest of a file with runs: what it says, and the checks before anything is believed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;
use crate::runs::{RECORDING, Rows, RunUid, Store};

const FORMAT: &str = "repro.runs";
const VERSION: u64 = 1;
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const PARTS: &str = "parts/";

/// The content of `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u64,
    /// Version of the tables from which the rows are.
    tables: i64,
    pub(super) runs: Vec<Entry>,
    /// Sizes by digest.
    pub(super) parts: BTreeMap<String, u64>,
}

/// A run in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its number where it was exported.
    pub(super) number: u64,
    pub(super) rows: Rows,
    /// The files of its folder, by their paths in it.
    pub(super) files: BTreeMap<String, String>,
    pub(super) points: Option<String>,
    pub(super) objects: BTreeSet<String>,
}

/// The reason that a file is refused.
pub(super) fn refused(why: &str) -> Error {
    Error::usage("the file cannot be imported").because(why)
}

impl Manifest {
    pub(super) fn new(runs: Vec<Entry>, parts: BTreeMap<String, u64>) -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            tables: Store::version(),
            runs,
            parts,
        }
    }

    /// Parses and checks a manifest in a file of `length` bytes.
    pub(super) fn parse(text: &[u8], length: u64) -> Result<Manifest> {
        let not_ours = || refused("its manifest is not that of `repro runs export`");
        let value: serde_json::Value = serde_json::from_slice(text).map_err(|_| not_ours())?;
        let number = |name: &str| value.get(name).and_then(serde_json::Value::as_u64);
        if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(not_ours());
        }
        let tables = u64::try_from(Store::version()).unwrap_or(0);
        if number("version") > Some(VERSION) || number("tables") > Some(tables) {
            return Err(refused("it was written by a newer version of `repro`")
                .hint("update `repro` on this machine"));
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(|_| not_ours())?;
        manifest.check(length).map(|()| manifest)
    }

    fn check(&self, length: u64) -> Result<()> {
        let mut uids: BTreeSet<RunUid> = BTreeSet::new();
        let mut used: BTreeSet<&String> = BTreeSet::new();
        for run in &self.runs {
            if !uids.insert(run.rows.uid()?) {
                return Err(refused("it contains a run twice"));
            }
            for (path, digest) in &run.files {
                if !is_file_of_run(path) {
                    let shown = path.escape_debug();
                    return Err(refused(&format!("`{shown}` is not a file of a run")));
                }
                used.insert(digest);
            }
            used.extend(run.points.iter().chain(&run.objects));
        }
        if self.parts.keys().any(|digest| digest.parse::<Digest>().is_err()) {
            return Err(refused("a part has no digest"));
        }
        if used != self.parts.keys().collect() {
            return Err(refused("its list of parts is not complete"));
        }
        let total = self.parts.values().try_fold(0u64, |total, size| total.checked_add(*size));
        match total {
            Some(total) if total <= length => Ok(()),
            _ => Err(refused("it is shorter than its parts: it may be incomplete")),
        }
    }
}

/// Reports whether a path may be that of a file in the folder of a run.
pub(super) fn is_file_of_run(path: &str) -> bool {
    RepoPath::parse_canonical(path).is_some() && path != RECORDING && path.len() < 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_runs() {
        for good in ["pipeline.lock", "git.diff", "train/log", "train@a/items/é/log.1"] {
            assert!(is_file_of_run(good), "{good}");
        }
        for bad in ["", "/etc/x", "../x", "a/../b", "a//b", "./a", "a/", "a\n", "recording.lock"] {
            assert!(!is_file_of_run(bad), "{bad}");
        }
    }

    #[test]
    fn manifest_is_checked() {
        let digest = Digest::of(b"x").to_string();
        let manifest = |parts: serde_json::Value| {
            serde_json::json!({
                "format": FORMAT, "version": 1, "tables": 4, "runs": [], "parts": parts
            })
        };
        let parse = |value: &serde_json::Value| {
            let error = Manifest::parse(value.to_string().as_bytes(), 10).err();
            error.map(|error| error.causes.join(" "))
        };
        assert_eq!(parse(&manifest(serde_json::json!({}))), None);
        for (value, expected) in [
            (serde_json::json!([]), "not that of"),
            (manifest(serde_json::json!({ &digest: 1 })), "list of parts"),
            (manifest(serde_json::json!({ "x": 1 })), "no digest"),
            (serde_json::json!({ "format": FORMAT, "version": 2 }), "newer"),
            (serde_json::json!({ "format": FORMAT, "version": 1, "tables": 99 }), "newer"),
            (serde_json::json!({ "format": FORMAT, "version": 1, "tables": 4 }), "not that of"),
        ] {
            let error = parse(&value).unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
