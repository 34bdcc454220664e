//! The reasons why a stage is out of date, computed independently, and compared with those the
//! engine reports.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::declared::Stage;
use crate::model::Lock;
use crate::traces::{Inputs, Trace};
use crate::tree::Node;

/// The expected reasons: one line per change, such as `dep in.txt` or `out_missing out.txt`.
#[derive(Debug, Default)]
pub struct Reasons {
    lines: BTreeSet<String>,
    /// For each changed dep that is a directory, the lines that report it file by file instead.
    by_file: BTreeMap<String, BTreeSet<String>>,
}

impl Reasons {
    /// Returns the reasons of a stage that would run or be restored.
    pub fn of(stage: &Stage, inputs: &Inputs, workspace: &Node, lock: &Lock) -> Reasons {
        let mut reasons = Reasons::default();
        let Some(locked) = lock.get(&stage.name) else {
            reasons.lines.insert("never_ran".into());
            return reasons;
        };
        reasons.add_inputs(&locked.inputs, inputs);
        if reasons.lines.is_empty() {
            reasons.add_outs(stage, locked, workspace);
        }
        reasons
    }

    fn add_inputs(&mut self, old: &Inputs, new: &Inputs) {
        let (before, after) = (heads(old), heads(new));
        self.lines.extend(differing(&before, &after));
        let param = |key: String| format!("param {key}");
        self.lines.extend(differing(&old.params, &new.params).map(param));
        for path in differing(&old.deps, &new.deps) {
            let line = format!("dep {path}");
            if let (Some(before @ Node::Dir(_)), Some(after @ Node::Dir(_))) =
                (old.deps.get(&path), new.deps.get(&path))
            {
                let base = path
                    .split_once('*')
                    .map_or(path.clone(), |(base, _)| base.trim_end_matches('/').into());
                compare(&base, before, after, self.by_file.entry(line.clone()).or_default());
            }
            self.lines.insert(line);
        }
        self.lines
            .extend(new.outs.difference(&old.outs).map(|path| format!("out_declared {path}")));
        self.lines.extend(old.outs.difference(&new.outs).map(|path| format!("out_dropped {path}")));
    }

    fn add_outs(&mut self, stage: &Stage, locked: &Trace, workspace: &Node) {
        for path in &locked.inputs.outs {
            let may_miss = stage.outs.iter().all(|out| out.path != *path || out.optional);
            match (locked.outs.get(path), workspace.get(path)) {
                (None, None) if may_miss => {}
                (_, None) => drop(self.lines.insert(format!("out_missing {path}"))),
                (left, found) if left == found => {}
                (_, Some(_)) => drop(self.lines.insert(format!("out_edited {path}"))),
            }
        }
    }

    /// Compares with the reasons that the engine reported.
    ///
    /// # Errors
    /// A reason is missing, or one is reported that does not apply.
    pub fn check(&self, reported: &[Value]) -> Result<(), String> {
        let mut reported: BTreeSet<String> = reported.iter().map(line).collect();
        // This one is not a change, but the reason why the stage cannot be restored.
        reported.remove("object_gone");
        let by_file: BTreeSet<String> = self.by_file.values().flatten().cloned().collect();
        let is_reported = |line: &String| {
            let files = self.by_file.get(line).filter(|files| !files.is_empty());
            reported.contains(line) || files.is_some_and(|files| files.is_subset(&reported))
        };
        let missing: Vec<&String> = self.lines.iter().filter(|line| !is_reported(line)).collect();
        let extra: Vec<&String> = reported
            .iter()
            .filter(|line| !self.lines.contains(*line) && !by_file.contains(*line))
            .collect();
        if missing.is_empty() && extra.is_empty() {
            return Ok(());
        }
        Err(format!("not reported: {missing:?}; reported by mistake: {extra:?}"))
    }
}

fn line(change: &Value) -> String {
    let text = |key: &str| change[key].as_str().unwrap_or_default();
    let what = text("change");
    match what {
        // The model does not know which stages were started before.
        "not_recorded" => "never_ran".to_owned(),
        "param" => format!("param {}", text("key")),
        "env" => format!("env {}", text("name")),
        "dep_file" => format!("{} {}", text("fate"), text("path")),
        "dep" | "out_declared" | "out_dropped" | "out_missing" | "out_edited" => {
            format!("{what} {}", text("path"))
        }
        _ => what.to_owned(),
    }
}

/// Groups the facts before the deps by the name of their change.
fn heads(inputs: &Inputs) -> BTreeMap<String, Vec<&str>> {
    let mut heads: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for fact in &inputs.head {
        let (word, rest) = fact.split_once(' ').unwrap();
        let name = match word {
            "env" | "envdep" => format!("env {}", rest.split(' ').next().unwrap()),
            word => word.to_owned(),
        };
        heads.entry(name).or_default().push(rest);
    }
    heads
}

fn differing<'a, V: PartialEq>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .cloned()
        .collect::<Vec<_>>()
        .into_iter()
}

fn compare(path: &str, old: &Node, new: &Node, lines: &mut BTreeSet<String>) {
    let (Node::Dir(before), Node::Dir(after)) = (old, new) else {
        lines.insert(format!("changed {path}"));
        return;
    };
    for name in differing(before, after) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        match (before.get(&name), after.get(&name)) {
            (Some(old), Some(new)) => compare(&path, old, new, lines),
            (None, _) => drop(lines.insert(format!("added {path}"))),
            (_, None) => drop(lines.insert(format!("removed {path}"))),
        }
    }
}
