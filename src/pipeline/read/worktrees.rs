//! Parses `[worktrees]`: folders of the project that every worktree reaches by a link.

use toml::de::DeTable;

use super::reader::Reader;
use crate::pipeline::{Problem, Stage};
use crate::repo_path::RepoPath;

pub(in crate::pipeline) const KEYS: [&str; 1] = ["share"];

const OF: &str = "`[worktrees]`";

impl Reader {
    /// Reads `share` of `[worktrees]`. What stages read or write cannot be shared: it would change
    /// under the stages of other worktrees.
    pub(super) fn shared_by_worktrees(
        &mut self,
        root: &DeTable<'_>,
        stages: &[Stage],
    ) -> Vec<RepoPath> {
        let Some(table) = root.get("worktrees").and_then(|value| self.table(value, OF)) else {
            return Vec::new();
        };
        self.reject_unknown_keys(table, OF, &KEYS);
        let mut shared = Vec::new();
        for (text, at) in self.strings(table, "share", OF) {
            let Some(path) = self.path(text, at, "`share`", OF) else { continue };
            let obstacle = match path.is_reserved() {
                true => Some("it belongs to `repro` or git".to_owned()),
                false => used_by(&path, stages),
            };
            let Some(obstacle) = obstacle else {
                shared.push(path);
                continue;
            };
            let what = format!("`{path}` cannot be shared by worktrees: {obstacle}");
            self.problems.push(Problem::new(self.line(at), what).hint(
                "`share` is for build folders and environments, which are neither deps nor outs",
            ));
        }
        shared
    }
}

/// Returns which stage reads or writes something at, in or around the path.
fn used_by(path: &RepoPath, stages: &[Stage]) -> Option<String> {
    stages.iter().find_map(|stage| {
        let name = stage.family.as_ref().unwrap_or(&stage.name);
        let outs = stage.outs.iter().flat_map(|out| [&out.path, out.place()]);
        let deps = stage.deps.iter().filter_map(|dep| match &dep.glob {
            None => Some(&dep.path),
            Some(glob) => glob.base(),
        });
        let writes = outs.map(|out| ("writes", out));
        let mut uses = writes.chain(deps.map(|dep| ("reads", dep)));
        let (verb, other) = uses.find(|(_, other)| other.overlaps(path))?;
        Some(format!("stage `{name}` {verb} `{other}`"))
    })
}
