//! Parses `[external]`: paths of the project that are links to places outside of it.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::reader::Reader;
use crate::pipeline::{Problem, Stage};
use crate::repo_path::RepoPath;

const OF: &str = "`[external]`";

impl Reader {
    /// Reads the place of each path.
    pub(super) fn external(
        &mut self,
        root: &DeTable<'_>,
        stages: &[Stage],
    ) -> BTreeMap<RepoPath, String> {
        let Some(table) = root.get("external").and_then(|value| self.table(value, OF)) else {
            return BTreeMap::new();
        };
        let mut external: BTreeMap<RepoPath, String> = BTreeMap::new();
        for (key, value) in table {
            let text: &str = key.get_ref();
            let parsed = RepoPath::parse(text);
            let Ok(path) = parsed.as_ref() else {
                let what = match parsed {
                    Err(bad) => format!("the path `{}` of {OF} {bad}", text.escape_debug()),
                    Ok(_) => String::new(),
                };
                let hint = "write PATH = PLACE: a path of the project, and a place outside of it";
                self.problems.push(Problem::new(self.line(key), what).hint(hint));
                continue;
            };
            let Some(place) = self.string(value, &format!("the place of `{path}`")) else {
                continue;
            };
            let obstacle = obstacle(path, place, stages, &external);
            if let Some((what, hint)) = obstacle {
                let what = format!("`{path}` of {OF} {what}");
                self.problems.push(Problem::new(self.line(key), what).hint(hint));
            } else {
                external.insert(path.clone(), place.to_owned());
            }
        }
        external
    }
}

/// Returns what is wrong with a path and its place, and the remedy.
fn obstacle(
    path: &RepoPath,
    place: &str,
    stages: &[Stage],
    others: &BTreeMap<RepoPath, String>,
) -> Option<(String, &'static str)> {
    if !(place.starts_with('/') || place.starts_with("~/")) || place.chars().any(char::is_control) {
        let what = format!("has the place `{}`, which is not absolute", place.escape_debug());
        return Some((what, "write a path that begins with `/` or `~/`"));
    }
    if path.is_reserved() {
        return Some(("belongs to `repro` or git".to_owned(), "choose another path"));
    }
    if let Some(other) = others.keys().find(|other| other.overlaps(path)) {
        let what = format!("overlaps `{other}`, which is external, too");
        return Some((what, "name folders that are not inside each other"));
    }
    stages.iter().find_map(|stage| {
        let places = stage.outs.iter().flat_map(|out| [&out.path, out.place()]);
        let out = places.into_iter().find(|out| out.overlaps(path))?;
        let what = format!("overlaps `{out}`, an out of stage `{}`", stage.name);
        Some((what, "nothing outside the project is written or stored: choose another path"))
    })
}
