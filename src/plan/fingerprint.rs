//! Everything that determines a stage's outs, by value: hash it to look a trace up,
//! compare two to explain a difference.
//!
//! What enters: the command as it is run, its shell, the working directory and the variables that were declared for it,
//! the values of the variables that it said to depend on, what its tools answered, the content of each dep, the value of
//! each declared param, and the set of out paths.
//!
//! What never does: the stage's name, its description, its resources, the role of an out, and anything of
//! the machine. Candidate holes: programs on `PATH` that are no declared tools, undeclared files and variables, time and chance.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{Content, Digest};
use crate::pipeline::{ParamKey, ParamValue};
use crate::plan::Change;
use crate::repo_path::RepoPath;

#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// A tracked input has none.
    pub cmd: Option<String>,
    /// Empty for `sh -c`.
    pub shell: Vec<String>,
    pub wdir: Option<RepoPath>,
    pub env: BTreeMap<String, String>,
    /// Variables of the surroundings; `None` for one that is not set.
    pub env_deps: BTreeMap<String, Option<String>>,
    /// What a command printed.
    pub tools: BTreeMap<String, String>,
    pub deps: BTreeMap<RepoPath, Content>,
    pub params: BTreeMap<ParamKey, ParamValue>,
    pub outs: BTreeSet<RepoPath>,
    /// For a stage with items: the glob, and the outs of each item as they were declared.
    pub each: BTreeSet<String>,
}

impl Fingerprint {
    /// The key of the run cache: the digest of the [written form](crate::plan::record).
    pub fn key(&self) -> Digest {
        let mut text = String::new();
        crate::plan::record::write_fingerprint(&mut text, self);
        Digest::of(text.as_bytes())
    }

    /// What is different in `self` from `old`, in the order of importance to a reader.
    pub fn changes_since(&self, old: &Fingerprint) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.cmd != old.cmd {
            changes.push(Change::Cmd { old: old.cmd.clone(), new: self.cmd.clone() });
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
        each_difference(&old.params, &self.params, |key, old, new| {
            changes.push(Change::Param { key: key.clone(), old, new });
        });
        each_difference(&old.env, &self.env, |name, old, new| {
            changes.push(Change::Env { name: name.clone(), old, new });
        });
        each_difference(&old.env_deps, &self.env_deps, |name, old, new| {
            changes.push(Change::Env {
                name: name.clone(),
                old: old.flatten(),
                new: new.flatten(),
            });
        });
        each_difference(&old.tools, &self.tools, |cmd, old, new| {
            changes.push(Change::Tool { cmd: cmd.clone(), old, new });
        });
        each_difference(&old.deps, &self.deps, |path, old, new| {
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

fn each_difference<K: Ord, V: Clone + PartialEq>(
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
