//! `each`: work per item, one item for each match of a glob. Does not access the disk.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::shell::Scanner;
use super::{Glob, Presence};
use crate::repo_path::{BadPath, RepoPath};

/// The declaration of a stage's items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Each {
    pub glob: Glob,
    /// The outs of each item.
    pub outs: Vec<ItemOut>,
    pub mode: Mode,
}

/// A per-item out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemOut {
    pub path: ItemText,
    pub presence: Presence,
}

/// The assignment of items to processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// One process for all items that are out of date; `REPRO_ITEMS` lists them.
    Batch,
    /// One process per item: the command names the item.
    PerItem(ItemText),
}

/// A text with placeholders for parts of an item's path: `data/{{ item.stem }}.npy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemText(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Piece {
    Text(String),
    Part(Part),
}

/// A part of an item's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    Path,
    Dir,
    Name,
    Stem,
    Ext,
}

/// Delimiter around a part's name while templates are rendered; users cannot write it.
pub(super) const MARK: char = '\u{1}';

const PARTS: [(&str, Part); 5] = [
    ("path", Part::Path),
    ("dir", Part::Dir),
    ("name", Part::Name),
    ("stem", Part::Stem),
    ("ext", Part::Ext),
];

/// Returns the value of each `item` part for rendering: its name between marks, which
/// [`ItemText::parse`] recognizes.
pub(super) fn placeholders() -> impl Iterator<Item = (&'static str, String)> {
    PARTS.iter().map(|(name, _)| (*name, format!("{MARK}{name}{MARK}")))
}

/// Reports whether the text is the placeholder of a part.
pub(super) fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(MARK));
    name.is_some_and(|name| PARTS.iter().any(|(part, _)| *part == name))
}

impl ItemText {
    /// Parses a rendered text with placeholders.
    pub(super) fn parse(rendered: &str) -> ItemText {
        let pieces = rendered.split(MARK).enumerate().filter_map(|(at, text)| {
            let part = PARTS.iter().find(|(name, _)| at % 2 == 1 && *name == text);
            match part {
                Some((_, part)) => Some(Piece::Part(*part)),
                None => (!text.is_empty()).then(|| Piece::Text(text.to_owned())),
            }
        });
        ItemText(pieces.collect())
    }

    /// Reports whether the text has a placeholder.
    pub fn names_item(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Part(_)))
    }

    /// Returns the directory that contains this path for every item; `None` if it is the root.
    pub fn base(&self) -> Option<RepoPath> {
        let fixed = match self.0.first() {
            Some(Piece::Text(text)) => text.as_str(),
            _ => "",
        };
        RepoPath::parse(&fixed[..fixed.rfind('/').unwrap_or(0)]).ok()
    }

    /// Returns the path for one item.
    pub fn path(&self, item: &RepoPath, glob: &Glob) -> Result<RepoPath, BadPath> {
        let pieces = self.pieces(item, glob).map(|(text, _)| text);
        RepoPath::parse(&pieces.collect::<String>())
    }

    /// Returns the command for one item, with the parts quoted where the shell would split them.
    ///
    /// # Errors
    /// The place of a part that cannot be quoted there, for a message.
    pub fn command(&self, item: &RepoPath, glob: &Glob) -> Result<String, &'static str> {
        let mut scanner = Scanner::default();
        let mut command = String::new();
        for (text, is_part) in self.pieces(item, glob) {
            if is_part {
                command.push_str(&scanner.value(text)?);
            } else {
                scanner.read(text);
                command.push_str(text);
            }
        }
        Ok(command)
    }

    /// Returns the pieces for one item, and for each whether it is a part of the item's path.
    fn pieces<'t>(
        &'t self,
        item: &'t RepoPath,
        glob: &'t Glob,
    ) -> impl Iterator<Item = (&'t str, bool)> {
        let path = item.as_str();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let base = glob.base().map_or("", RepoPath::as_str);
        let dir = folder.strip_prefix(base).unwrap_or(folder).trim_start_matches('/');
        // A leading dot marks a hidden file, not an extension.
        let dot = name.rfind('.').filter(|at| *at > 0);
        let (stem, ext) = dot.map_or((name, ""), |at| (&name[..at], &name[at + 1..]));
        let part = move |part: Part| match part {
            Part::Path => path,
            Part::Dir => dir,
            Part::Name => name,
            Part::Stem => stem,
            Part::Ext => ext,
        };
        self.0.iter().map(move |piece| match piece {
            Piece::Text(text) => (text.as_str(), false),
            Piece::Part(which) => (part(*which), true),
        })
    }
}

/// Writes the text as declared: `data/{{ item.stem }}.npy`.
impl fmt::Display for ItemText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Part(part) => {
                let name =
                    PARTS.iter().find(|(_, other)| other == part).map_or("", |(name, _)| *name);
                write!(f, "{{{{ item.{name} }}}}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(written: &str) -> ItemText {
        let mut rendered = written.to_owned();
        for (name, placeholder) in placeholders() {
            rendered = rendered.replace(&format!("{{{{ item.{name} }}}}"), &placeholder);
        }
        ItemText::parse(&rendered)
    }

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn item_paths() {
        let glob = Glob::parse(&path("data/audio/**/*.wav")).unwrap().unwrap();
        let written = "out/{{ item.dir }}/{{ item.stem }}.npy";
        let cases = [
            ("data/audio/jazz/a b.c.wav", "out/jazz/a b.c.npy"),
            ("data/audio/x/y/z.wav", "out/x/y/z.npy"),
            ("data/audio/top.wav", "out/top.npy"),
            ("data/audio/.wav", "out/.wav.npy"),
        ];
        for (item, expected) in cases {
            assert_eq!(text(written).path(&path(item), &glob), Ok(path(expected)), "{item}");
        }
        assert_eq!(text(written).to_string(), written);
        assert_eq!(text(written).base(), Some(path("out")));
        assert_eq!(text("{{ item.stem }}.npy").base(), None);
        assert_eq!(text("out/pre{{ item.stem }}").base(), Some(path("out")));
        assert!(!text("out/x").names_item());
    }

    #[test]
    fn item_command_quoting() {
        let glob = Glob::parse(&path("in/*")).unwrap().unwrap();
        let command = |item: &str| {
            text("cp {{ item.path }} out/{{ item.name }}").command(&path(item), &glob).unwrap()
        };
        assert_eq!(command("in/a.txt"), "cp in/a.txt out/a.txt");
        assert_eq!(command("in/a b"), "cp 'in/a b' out/'a b'");
        assert_eq!(command("in/it's;rm"), r"cp 'in/it'\''s;rm' out/'it'\''s;rm'");
        let in_quotes = text("cp \"{{ item.path }}\" 'out/{{ item.name }}'");
        assert_eq!(
            in_quotes.command(&path("in/a $b"), &glob).as_deref(),
            Ok(r#"cp "in/a \$b" 'out/a $b'"#)
        );
        for (cmd, place) in [
            ("echo \"${X:-{{ item.path }}}\"", "in `${…}`"),
            ("echo `echo {{ item.path }}`", "in backquotes"),
        ] {
            assert_eq!(text(cmd).command(&path("in/a$(touch pwned).txt"), &glob), Err(place));
            assert!(text(cmd).command(&path("in/a.txt"), &glob).is_ok());
        }
    }
}
