//! Reads the versions of a lock out of a text in which git has left conflict markers.
//!
//! A line of a lock begins with a word, so a line that begins with a marker is one.

/// The versions that a text with conflict markers holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Without the parts in conflict, unless the text was written with `diff3` or `zdiff3`.
    pub base: String,
    pub ours: String,
    pub theirs: String,
}

/// The part of a conflict that a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Ours,
    Base,
    Theirs,
}

/// Returns the number of the first line with a conflict marker, counted from 1.
pub fn marker_line(text: &str) -> Option<usize> {
    // Most texts have none.
    if !text.contains("<<<<<<<") {
        return None;
    }
    text.lines().position(|line| marker(line).is_some()).map(|at| at + 1)
}

/// Separates the versions of a text; `None` if it has no conflict markers.
///
/// A conflict inside the base of another, which git leaves after merges in both directions, is
/// left out of the base.
pub fn separate(text: &str) -> Option<Conflict> {
    marker_line(text)?;
    let (mut base, mut ours, mut theirs) = (String::new(), String::new(), String::new());
    let mut part = Part::All;
    let mut nested = 0_usize;
    for line in text.lines() {
        match (marker(line), part) {
            (Some('<'), Part::Base) => nested += 1,
            (Some('>'), Part::Base) if nested > 0 => nested -= 1,
            (Some(_), Part::Base) if nested > 0 => {}
            (Some('<'), _) => part = Part::Ours,
            (Some('|'), _) => part = Part::Base,
            (Some('='), _) => part = Part::Theirs,
            (Some(_), _) => part = Part::All,
            (None, Part::All) => {
                for version in [&mut base, &mut ours, &mut theirs] {
                    version.extend([line, "\n"]);
                }
            }
            (None, Part::Ours) => ours.extend([line, "\n"]),
            (None, Part::Base) if nested == 0 => base.extend([line, "\n"]),
            (None, Part::Base) => {}
            (None, Part::Theirs) => theirs.extend([line, "\n"]),
        }
    }
    Some(Conflict { base, ours, theirs })
}

/// Returns the character that a conflict marker consists of.
fn marker(line: &str) -> Option<char> {
    ['<', '|', '=', '>'].into_iter().find(|&mark| {
        line.strip_prefix([mark; 7].iter().collect::<String>().as_str())
            .is_some_and(|rest| rest.trim_start_matches(mark).is_empty() || rest.contains(' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "\
repro.lock 1
<<<<<<< HEAD
ours
=======
theirs
>>>>>>> other
end
";

    const NESTED: &str = "\
repro.lock 1
<<<<<<< HEAD
ours
||||||| merged common ancestors
<<<<<<<<< Temporary merge branch 1
one
=========
two
>>>>>>>>> Temporary merge branch 2
base
=======
theirs
>>>>>>> other
";

    #[test]
    fn versions_of_a_conflict() {
        let conflict = separate(PLAIN).unwrap();
        assert_eq!(conflict.ours, "repro.lock 1\nours\nend\n");
        assert_eq!(conflict.theirs, "repro.lock 1\ntheirs\nend\n");
        assert_eq!(conflict.base, "repro.lock 1\nend\n");
        assert_eq!(marker_line(PLAIN), Some(2));
        let conflict = separate(NESTED).unwrap();
        assert_eq!(conflict.ours, "repro.lock 1\nours\n");
        assert_eq!(conflict.base, "repro.lock 1\nbase\n");
        assert_eq!(conflict.theirs, "repro.lock 1\ntheirs\n");
        assert_eq!(separate("repro.lock 1\n\nstage a\ncmd \"<<<<<<< x\"\n"), None);
    }
}
