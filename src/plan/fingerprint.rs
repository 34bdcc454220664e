//! The fingerprint of a stage: everything declared that determines its outs, by value.
//!
//! Mechanism: the digest of a fingerprint is the key of a trace in the cache. Comparing two
//! fingerprints field by field explains why they differ. Both use the same values.
//!
//! Included: the rendered command, its shell, the working directory, the variables set for it, the
//! values of the variables it depends on, the output of its tools, the content of each dep, the
//! value of each declared param, the set of out paths, and for a stage with items their
//! declaration.
//!
//! Never included: the stage's name, description, resources, policy, retries and timeout, the role
//! and options of an out, and anything about the machine.
//!
//! Known limits: programs on `PATH` that are not declared as tools, undeclared files and variables,
//! the time and random numbers can change the outs without changing the fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Content;
use crate::pipeline::{Origin, ParamKey, ParamValue};
use crate::plan::Change;
use crate::repo_path::RepoPath;

/// The declared inputs of one execution, by value.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// The rendered command; `None` for a tracked input and a stage with an origin.
    pub cmd: Option<String>,
    /// The place from which the outs come. It does not determine them, but the lock pins them.
    pub origin: Option<Origin>,
    /// Empty for `sh -c`.
    pub shell: Vec<String>,
    pub wdir: Option<RepoPath>,
    pub env: BTreeMap<String, String>,
    /// Values of the inherited variables in `env_deps`; `None` if unset.
    pub env_deps: BTreeMap<String, Option<String>>,
    /// Output by command.
    pub tools: BTreeMap<String, String>,
    pub deps: BTreeMap<RepoPath, Content>,
    pub params: BTreeMap<ParamKey, ParamValue>,
    pub outs: BTreeSet<RepoPath>,
    /// For a stage with items: the glob and the outs of an item, as declared.
    pub each: BTreeSet<String>,
}

impl Fingerprint {
    /// Reports whether users make the outs, which the lock follows.
    pub fn is_of_tracked_input(&self) -> bool {
        self.cmd.is_none() && self.origin.is_none()
    }

    /// Lists the differences from `old`, the most informative kinds first.
    pub fn changes_since(&self, old: &Fingerprint) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.cmd != old.cmd {
            changes.push(Change::Cmd { old: old.cmd.clone(), new: self.cmd.clone() });
        }
        if self.origin != old.origin {
            changes.push(Change::Origin { old: old.origin.clone(), new: self.origin.clone() });
        }
        if self.shell != old.shell {
            changes.push(Change::Shell { old: old.shell.clone(), new: self.shell.clone() });
        }
        if self.wdir != old.wdir {
            changes.push(Change::Wdir { old: old.wdir.clone(), new: self.wdir.clone() });
        }
        if self.each != old.each {
            changes.push(Change::Each { old: old.each.clone(), new: self.each.clone() });
        }
        for_each_difference(&old.params, &self.params, |key, old, new| {
            changes.push(Change::Param { key: key.clone(), old, new });
        });
        for_each_difference(&old.env, &self.env, |name, old, new| {
            changes.push(Change::Env { name: name.clone(), old, new });
        });
        for_each_difference(&old.env_deps, &self.env_deps, |name, old, new| {
            changes.push(Change::Env {
                name: name.clone(),
                old: old.flatten(),
                new: new.flatten(),
            });
        });
        for_each_difference(&old.tools, &self.tools, |cmd, old, new| {
            changes.push(Change::Tool { cmd: cmd.clone(), old, new });
        });
        for_each_difference(&old.deps, &self.deps, |path, old, new| {
            changes.push(Change::Dep { path: path.clone(), old, new });
        });
        changes.extend(
            self.outs.difference(&old.outs).map(|path| Change::OutDeclared { path: path.clone() }),
        );
        changes.extend(
            old.outs.difference(&self.outs).map(|path| Change::OutDropped { path: path.clone() }),
        );
        changes
    }
}

/// Calls `report` with each key whose values differ, and both values.
fn for_each_difference<K: Ord, V: Clone + PartialEq>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    mut report: impl FnMut(&K, Option<V>, Option<V>),
) {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        if before != after {
            report(key, before.cloned(), after.cloned());
        }
    }
}
