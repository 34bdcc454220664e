//! `repro trash`: lists what was displaced from the workspace, restores it and forgets it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::common::{amount, entry_count, load};
use super::get::shown;
use crate::clock::now_millis;
use crate::engine::Project;
use crate::engine::export::{Existing, export, target};
use crate::engine::get;
use crate::engine::trash::{check_stored, find, restore};
use crate::error::{Error, Result, exit};
use crate::report;
use crate::report::trash::{TrashEntry, TrashReport};
use crate::terminal::size::size;
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{self, stdout};

/// List, restore or forget files that were displaced from the workspace
///
/// Before `repro` replaces or removes something that a stage did not make, such as an edited out,
/// it goes to the trash. `repro gc` keeps it there for 30 days, or as long as `trash` in `[cache]`
/// says.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct TrashArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the entries, newest first
    List(ListArgs),
    /// Bring entries back to their paths, or to another place
    ///
    /// The entries stay in the trash.
    Restore(RestoreArgs),
    /// Remove entries from the trash; `repro gc --yes` then frees the space
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RestoreArgs {
    /// Ids of the entries
    #[arg(value_name = "ID", required = true)]
    ids: Vec<u64>,
    /// File to write, directory to write into, or `-` for stdout, instead of the old path
    #[arg(long, short, value_name = "DEST")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ForgetArgs {
    /// Ids of the entries
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<u64>,
    /// Remove all entries
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl TrashArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        match self.command {
            None => self.list.execute(root),
            Some(Command::List(args)) => args.execute(root),
            Some(Command::Restore(args)) => args.execute(here, root),
            Some(Command::Forget(args)) => args.execute(root),
        }
    }
}

impl ListArgs {
    fn execute(&self, root: &Path) -> Result<u8> {
        let report = TrashReport::read(&load(root)?)?;
        if let Some(line) = report.damaged {
            terminal::warn(&format!("cache/trash:{line} is damaged; what it refers to is unknown"));
        }
        match (self.json, &report.entries[..]) {
            (true, _) => stdout::write(&report::json(&report))?,
            (false, []) => terminal::note("the trash is empty"),
            (false, entries) => stdout::write(&table(entries, now_millis()).plain(""))?,
        }
        Ok(exit::OK)
    }
}

fn table(entries: &[TrashEntry], now: i64) -> Table {
    let mut table = Table::new([
        ("id", Align::Right),
        ("displaced", Align::Left),
        ("size", Align::Right),
        ("path", Align::Left),
    ]);
    for entry in entries {
        let folder = if entry.kind == "tree" { "/" } else { "" };
        let stored = match entry.missing {
            true => "missing".to_owned(),
            false => size(entry.stored.bytes),
        };
        table.row([
            Cell::from(entry.id.to_string()),
            Cell::from(age(entry.age(now))),
            Cell::from(stored),
            Cell::from(format!("{}{folder}", entry.path)),
        ]);
    }
    table
}

/// `just now`, `5m ago`, `3h ago`, `12d ago`
fn age(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes}m ago"),
        60..1440 => format!("{}h ago", minutes / 60),
        _ => format!("{}d ago", minutes / 1440),
    }
}

impl RestoreArgs {
    fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        let trash = project.trash.read()?;
        // Nothing is restored unless all entries exist.
        let found = self.ids.iter().map(|id| find(&trash, *id)).collect::<Result<Vec<_>>>()?;
        if let (Some(_), [_, _, ..]) = (&self.output, &found[..]) {
            return Err(
                Error::usage("`-o` needs exactly one entry").hint("restore the entries one by one")
            );
        }
        for entry in found {
            let path = &entry.path;
            let (to, written, warnings) = match &self.output {
                None => {
                    let done = restore(&project, &held, entry)?;
                    (path.to_string(), done.written, done.warnings)
                }
                Some(output) if output == Path::new("-") => {
                    check_stored(&project, entry)?;
                    let shown = format!("`{path}` of entry {}", entry.id);
                    stdout::copy(get::open(&project, &entry.content, &shown)?)?;
                    return Ok(exit::OK);
                }
                Some(output) => {
                    check_stored(&project, entry)?;
                    let name = path.as_str().rsplit('/').next().unwrap_or_default();
                    let to = target(here, Some(output), name);
                    let (written, warnings) =
                        export(&project, &entry.content, (here, &to), Existing::Stays)?;
                    (shown(&to), Some(written), warnings)
                }
            };
            warnings.iter().for_each(|warning| terminal::warn(warning));
            match written {
                Some(written) => stdout::say!("restored {to}: {}", amount(written)),
                None => stdout::say!("{to} already matches"),
            }
        }
        Ok(exit::OK)
    }
}

impl ForgetArgs {
    fn execute(self, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        let trash = project.trash.read()?;
        let ids: BTreeSet<u64> = match self.all {
            true => trash.entries.iter().map(|entry| entry.id).collect(),
            false => {
                let ids = self.ids.iter().map(|id| find(&trash, *id).map(|entry| entry.id));
                ids.collect::<Result<_>>()?
            }
        };
        project.trash.forget(&held, &ids)?;
        let entries = entry_count(ids.len());
        stdout::say!("forgot {entries}; `repro gc --yes` frees the space");
        Ok(exit::OK)
    }
}
