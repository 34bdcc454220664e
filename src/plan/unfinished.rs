//! The outs of stages that were started and have not finished, and the files left there.
//!
//! The state file is lines, of which later ones count more:
//!
//! ```text
//! "out"
//! left "out"
//! file 6437b3ac…9d85 "out/part"
//! ```
//!
//! The stage began to write at `out`: whatever is there may be its remains. The stage ended: only
//! the files that follow, with this content, are. A line that a crash cut off says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Claims;
use super::trash::{Found, content_at, parse_content_at};
use crate::digest::Content;
use crate::repo_path::RepoPath;

const LEFT: &str = "left ";

/// The outs of unfinished stages.
#[derive(Debug, Default, PartialEq)]
pub struct Unfinished {
    /// The stage was killed: nobody knows what it wrote.
    begun: BTreeSet<RepoPath>,
    /// The stage ended, and left the files that follow or nothing.
    ended: BTreeSet<RepoPath>,
    /// Files that a stage left when it ended.
    left: BTreeMap<RepoPath, Content>,
}

impl Unfinished {
    /// Reports whether a file with this content may be the remains of a stage.
    pub fn cover(&self, path: &RepoPath, content: &Content) -> bool {
        self.knows(path, content) || self.begun.iter().any(|begun| begun.contains(path))
    }

    /// Reports whether a stage left this content there when it ended.
    pub fn knows(&self, path: &RepoPath, content: &Content) -> bool {
        self.left.get(path) == Some(content)
    }

    /// Reports whether a stage with this out was started and has not finished.
    pub fn names(&self, out: &RepoPath) -> bool {
        self.begun.contains(out) || self.ended.contains(out)
    }

    pub fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.ended.is_empty() && self.left.is_empty()
    }

    /// Leaves out what is not in one of `outs`, and what is in one of `done`.
    pub fn retain(&mut self, outs: &Claims, done: &Claims) {
        let stays = |path: &RepoPath| outs.cover(path) && !done.cover(path);
        self.begun.retain(stays);
        self.ended.retain(stays);
        self.left.retain(|path, _| stays(path));
    }

    pub fn encode(&self) -> String {
        let mut text = begun(self.begun.iter()) + &left(self.ended.iter(), &[]);
        self.left.iter().for_each(|(path, content)| file(&mut text, path, content));
        text
    }

    pub fn decode(text: &str) -> Unfinished {
        let mut unfinished = Unfinished::default();
        let Unfinished { begun, ended, left } = &mut unfinished;
        // Without the last line feed, the line may have been cut off.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if let Some(path) = line.strip_prefix(LEFT).and_then(parse_path) {
                begun.remove(&path);
                left.retain(|other, _| !path.contains(other));
                ended.insert(path);
            } else if let Some(path) = parse_path(line) {
                begun.insert(path);
            } else if let Some((path, content)) = parse_content_at(line) {
                left.insert(path, content);
            }
        }
        unfinished
    }
}

fn parse_path(text: &str) -> Option<RepoPath> {
    let path = serde_json::from_str::<String>(text).ok()?;
    RepoPath::parse_canonical(&path)
}

/// Returns the lines of outs that a stage begins to write.
pub fn begun<'a>(outs: impl Iterator<Item = &'a RepoPath>) -> String {
    outs.map(|path| format!("{}\n", serde_json::json!(path.as_str()))).collect()
}

/// Returns the lines of outs of a stage that ended, and of the files that it left there.
pub fn left<'a>(outs: impl Iterator<Item = &'a RepoPath>, files: &[Found]) -> String {
    let mut text: String =
        outs.map(|path| format!("{LEFT}{}\n", serde_json::json!(path.as_str()))).collect();
    files.iter().for_each(|(path, content)| file(&mut text, path, content));
    text
}

fn file(text: &mut String, path: &RepoPath, content: &Content) {
    let _ = writeln!(text, "{}", content_at(path, content));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn remains_are_known_by_content() {
        let (out, part) = (path("out"), path("out/\"p\""));
        let (old, new) = (Content::File(Digest::of(b"1")), Content::File(Digest::of(b"2")));
        let mut text = begun([&out].into_iter());
        assert!(Unfinished::decode(&text).cover(&part, &new));
        assert!(!Unfinished::decode(&text).knows(&part, &new));
        assert!(!Unfinished::decode(&text).cover(&path("other"), &new));
        text += &left([&out].into_iter(), &[(part.clone(), old)]);
        let mut unfinished = Unfinished::decode(&text);
        assert!(unfinished.cover(&part, &old) && !unfinished.cover(&part, &new));
        assert_eq!(Unfinished::decode(&unfinished.encode()), unfinished);
        for cut in 1..text.len() {
            let cut = Unfinished::decode(&text[..text.len() - cut]);
            assert!(!cut.knows(&part, &old));
        }
        text += &left([&out].into_iter(), &[]);
        assert!(!Unfinished::decode(&text).cover(&part, &old));
        assert!(Unfinished::decode(&text).names(&out) && !Unfinished::decode(&text).names(&part));
        unfinished.retain(&Claims::default(), &Claims::default());
        assert!(unfinished.is_empty());
        assert!(Unfinished::decode("\n\"../x\"\nx\n").is_empty());
    }
}
