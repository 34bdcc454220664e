//! Groups of clips that must stay together: one recording, one artist, one fold of the data set.
//!
//! The clips of a group are never in two parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::part::clip_name;
use crate::dataset::Clip;

/// Source of a clip's group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Groups {
    /// No groups: each clip is its own group.
    #[default]
    EachClip,
    /// Part of the file name.
    Name(Pattern),
    /// A CSV table `path,group`.
    Table(PathBuf),
}

/// File name pattern with the group at `{}` and wildcards `*`: `{}-*` finds `1` in `1-100032-A-0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    after: String,
}

impl TryFrom<String> for Groups {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Groups> {
        if text.is_empty() {
            return Ok(Groups::EachClip);
        }
        if text.ends_with(".csv") {
            return Ok(Groups::Table(text.into()));
        }
        match text.split_once("{}") {
            Some((before, after)) if !after.contains("{}") => {
                Ok(Groups::Name(Pattern { before: before.to_owned(), after: after.to_owned() }))
            }
            _ => bail!(
                "`{text}` is neither a pattern with one `{{}}` for the group, as in `{{}}-*`, \
                 nor a `.csv`"
            ),
        }
    }
}

impl Groups {
    /// Returns the group of each clip, numbered by the sorted names of the groups. Names that are
    /// numbers sort by value.
    ///
    /// # Errors
    /// A clip has no group, or the table cannot be used.
    pub(super) fn of(&self, clips: &[Clip]) -> Result<Vec<usize>> {
        let names: Vec<String> = match self {
            Groups::EachClip => return Ok((0..clips.len()).collect()),
            Groups::Name(pattern) => {
                let name = |clip: &Clip| pattern.group(&clip.path);
                clips.iter().map(name).collect::<Result<_>>()?
            }
            Groups::Table(path) => from_table(path, clips)?,
        };
        let key = |name: &str| (name.parse::<u64>().unwrap_or(u64::MAX), name.to_owned());
        let sorted: BTreeSet<_> = names.iter().map(|name| key(name)).collect();
        let numbers: BTreeMap<_, usize> = sorted.into_iter().zip(0..).collect();
        Ok(names.iter().map(|name| numbers[&key(name)]).collect())
    }
}

impl Pattern {
    fn group(&self, path: &str) -> Result<String> {
        let name = clip_name(path);
        let name = name.rsplit('/').next().unwrap_or(name);
        let shown = || {
            format!(
                "param `train.groups`: `{}{{}}{}` does not match `{name}`",
                self.before, self.after
            )
        };
        // The group is the shortest text for which both sides match.
        let starts =
            name.char_indices().map(|(at, _)| at).filter(|at| matches(&self.before, &name[..*at]));
        for start in starts {
            let rest = &name[start..];
            let ends = rest.char_indices().map(|(at, _)| at).skip(1).chain([rest.len()]);
            if let Some(end) = ends.into_iter().find(|end| matches(&self.after, &rest[*end..])) {
                return Ok(rest[..end].to_owned());
            }
        }
        bail!(shown())
    }
}

/// Reports whether `text` matches `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| matches(tail, &rest[at..]))
        }),
    }
}

fn from_table(path: &Path, clips: &[Clip]) -> Result<Vec<String>> {
    let explain = || format!("param `train.groups`: `{}`", path.display());
    let table = kit::csv::read(path).with_context(explain)?;
    let (path_at, group_at) =
        (table.column("path").with_context(explain)?, table.column("group").with_context(explain)?);
    let groups: BTreeMap<&str, &String> =
        table.rows.iter().map(|row| (clip_name(&row[path_at]), &row[group_at])).collect();
    let group = |clip: &Clip| {
        let found = groups.get(clip_name(&clip.path)).map(ToString::to_string);
        found.with_context(|| format!("no row for `{}`", clip.path)).with_context(explain)
    };
    clips.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(paths: &[&str]) -> Vec<Clip> {
        paths.iter().map(|path| Clip { path: (*path).to_owned(), label: 0 }).collect()
    }

    fn groups(text: &str) -> Groups {
        Groups::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn groups_from_file_names() {
        for (pattern, path, group) in [
            ("{}-*", "001 - Dog bark/1-100032-A-0.npy", "1"),
            ("*-{}-*-*", "001 - Dog bark/1-100032-A-0.npy", "100032"),
            ("{} - *", "pop/ABBA - Waterloo - Live.npy", "ABBA"),
            ("*.{}", "blues/blues.00012.npy", "00012"),
            ("take {}", "x/take é.npy", "é"),
            ("{}", "x/a.npy", "a"),
        ] {
            let Groups::Name(pattern) = groups(pattern) else { panic!("a pattern") };
            assert_eq!(pattern.group(path).unwrap(), group, "{path}");
        }
        for (pattern, path) in [("{}-*", "x/a.npy"), ("b{}", "x/b.npy"), ("*x*{}y", "a/axbz.npy")] {
            let error = groups(pattern).of(&clips(&[path])).unwrap_err().to_string();
            assert!(error.contains(&format!("`{pattern}` does not match `")), "{error}");
        }
        for text in ["{}{}", "prefix", "*"] {
            let error = Groups::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains("neither a pattern with one `{}`"), "{error}");
        }
    }

    #[test]
    fn group_order() {
        let clips = clips(&["a/10-x.npy", "a/9-y.npy", "b/10-z.npy", "b/b-z.npy", "b/a-z.npy"]);
        assert_eq!(groups("{}-*").of(&clips).unwrap(), [1, 0, 1, 3, 2]);
        assert_eq!(groups("").of(&clips).unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn groups_from_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("groups.csv");
        std::fs::write(&path, "path,group\na/1.wav,Ella\na/2.1.wav,Louis\nb/1.wav,Ella\n").unwrap();
        let table = groups(path.to_str().unwrap());
        let known = clips(&["a/1.npy", "a/2.1.npy", "b/1.npy"]);
        assert_eq!(table.of(&known).unwrap(), [0, 1, 0]);
        let error = format!("{:#}", table.of(&clips(&["a/3.npy"])).unwrap_err());
        assert!(error.contains("no row for `a/3.npy`"), "{error}");
        std::fs::write(&path, "path,artist\n").unwrap();
        let error = format!("{:#}", table.of(&known).unwrap_err());
        assert!(error.contains("no column `group`"), "{error}");
    }
}
