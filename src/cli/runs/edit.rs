//! `repro runs tag`, `note`, `rename`, `rm` and `undelete`: what users say about runs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::cli::common::{goals, store};
use crate::error::{Error, Result, did_you_mean, exit};
use crate::plural::count;
use crate::runs::{Lifecycle, RunKind, RunName, RunState, Store};
use crate::terminal::{self, stdout};

/// Add tags to a run, remove them, or list them
#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// Run to tag: `run-12`, `latest`, `best:METRIC`, a name or a prefix of its identity
    #[arg(value_name = "RUN")]
    run: String,
    /// Tags to set; without any, the tags of the run are listed
    #[arg(value_name = "NAME=VALUE")]
    tags: Vec<String>,
    /// Remove a tag
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
}

/// Write a note about a run, or show it
#[derive(Debug, Args)]
pub(super) struct NoteArgs {
    /// Run that the note is about
    #[arg(value_name = "RUN")]
    run: String,
    /// Text of the note; `-` reads it from stdin, "" removes it [default: show the note, or with
    /// `--edit` open an editor]
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Edit the note with $VISUAL or $EDITOR
    #[arg(long, conflicts_with = "text")]
    edit: bool,
}

/// Give a run a name, by which every command finds it
#[derive(Debug, Args)]
pub(super) struct RenameArgs {
    /// Run to name
    #[arg(value_name = "RUN")]
    run: String,
    /// New name; "" takes the name away
    #[arg(value_name = "NAME")]
    name: String,
}

/// Delete runs, with the trials of sweeps; `repro runs undelete` brings them back
///
/// A deleted run is not listed. `repro gc` no longer keeps the outs that only deleted runs have.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Runs to delete
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
}

/// Bring deleted runs back; `repro runs list --deleted` lists them
#[derive(Debug, Args)]
pub(super) struct UndeleteArgs {
    /// Runs to bring back
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
}

/// Time to wait for another process that writes.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest key of a tag and longest value, in bytes.
const MAX_KEY: usize = 250;
const MAX_VALUE: usize = 64 << 10;

fn opened(root: &Path) -> Result<Store> {
    // Nothing is created for a project without runs.
    store(root)?;
    Store::open(root, PATIENCE)
}

fn resolved(store: &Store, root: &Path, run: &str) -> Result<RunName> {
    store.resolve(run, || goals(root))
}

impl TagArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let set = self.tags.iter().map(|text| tag(text)).collect::<Result<BTreeMap<_, _>>>()?;
        if let Some(key) = self.remove.iter().find(|key| set.contains_key(*key)) {
            return Err(Error::usage(format!("tag `{key}` is both set and removed")));
        }
        let store = opened(root)?;
        let run = resolved(&store, root, &self.run)?;
        if set.is_empty() && self.remove.is_empty() {
            for (key, value) in store.tags(run)? {
                stdout::say!("{}", crate::escape::on_one_line(&format!("{key}={value}")));
            }
            return Ok(exit::OK);
        }
        store.tag(run, &set, &self.remove).map_err(|error| match self.unknown(&store, run) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error,
        })?;
        Ok(exit::OK)
    }

    /// Returns the tag that the first unknown one to remove most likely misspells.
    fn unknown(&self, store: &Store, run: RunName) -> Option<String> {
        let tags = store.tags(run).ok()?;
        let missing = self.remove.iter().find(|key| !tags.contains_key(*key))?;
        did_you_mean(missing, tags.keys().map(String::as_str)).map(str::to_owned)
    }
}

fn tag(text: &str) -> Result<(String, String)> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Error::usage(format!("`{text}` is not a tag"))
            .hint(format!("write NAME=VALUE, such as `{text}=yes`")));
    };
    match () {
        () if key.is_empty() => Err(Error::usage(format!("`{text}` has no name before `=`"))),
        () if key.len() > MAX_KEY => {
            Err(Error::usage(format!("the name of a tag is longer than {MAX_KEY} bytes")))
        }
        () if value.len() > MAX_VALUE => {
            Err(Error::usage(format!("the value of tag `{key}` is longer than 64 KiB")))
        }
        () => Ok((key.to_owned(), value.to_owned())),
    }
}

impl NoteArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = opened(root)?;
        let run = resolved(&store, root, &self.run)?;
        let old = || store.run(run).map(|run| run.note.unwrap_or_default());
        let text = match self.text.as_deref() {
            Some("-") => piped()?,
            Some(text) => text.to_owned(),
            None if self.edit => edited(&old()?)?,
            None => {
                let note = old()?;
                match note.is_empty() {
                    true => terminal::note(&format!("{run} has no note")),
                    false => stdout::say!("{}", note.trim_end()),
                }
                return Ok(exit::OK);
            }
        };
        if text.len() > MAX_VALUE {
            return Err(Error::usage("the note is longer than 64 KiB"));
        }
        store.set_note(run, text.trim_end())?;
        Ok(exit::OK)
    }
}

/// Reads the note from stdin.
fn piped() -> Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_VALUE as u64 + 1;
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map_err(|err| Error::environment("cannot read stdin").because(err))?;
    String::from_utf8(bytes).map_err(|_| Error::usage("the note on stdin is not UTF-8"))
}

/// Lets the user edit a text in a temporary file.
fn edited(old: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage("an editor needs a terminal").hint(
            "write the text on the command line, or pass it on stdin: `repro runs note RUN -`",
        ));
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let dir = std::env::temp_dir().join(format!("repro-note-{}", std::process::id()));
    fs::create_dir(&dir).map_err(|err| Error::io("create", &dir, &err))?;
    let path = dir.join("note.md");
    let text = fs::write(&path, format!("{old}\n"))
        .map_err(|err| Error::io("write", &path, &err))
        .and_then(|()| {
            // As git does: the variable can have options.
            let script = format!("{editor} \"$1\"");
            let status = Command::new("sh").args(["-c", &script, "sh"]).arg(&path).status();
            let status =
                status.map_err(|err| Error::environment("cannot start sh").because(err))?;
            match status.success() {
                true => fs::read_to_string(&path).map_err(|err| Error::io("read", &path, &err)),
                false => Err(Error::usage(format!("the editor `{editor}` failed ({status})"))
                    .hint("the note is as it was")),
            }
        });
    let _ = fs::remove_dir_all(&dir);
    text
}

impl RenameArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = opened(root)?;
        let run = resolved(&store, root, &self.run)?;
        store.rename(run, Some(self.name.as_str()).filter(|name| !name.is_empty()))?;
        Ok(exit::OK)
    }
}

impl RemoveArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = opened(root)?;
        let runs = all(&store, root, &self.runs)?;
        for run in &runs {
            let found = store.run(*run)?;
            // The client of an external run may have forgotten it.
            if found.state == RunState::Running && found.info.kind != RunKind::External {
                return Err(Error::usage(format!("{run} is still running"))
                    .hint("stop it first, and delete it when it has ended"));
            }
            if found.lifecycle == Lifecycle::Deleted {
                return Err(Error::usage(format!("{run} is already deleted"))
                    .hint(format!("`repro runs undelete {run}` brings it back")));
            }
        }
        let deleted = changed(&store, &runs, Lifecycle::Deleted)?;
        let names: Vec<String> = runs.iter().map(ToString::to_string).collect();
        terminal::note(&format!(
            "deleted {}; `repro runs undelete {}` brings {} back",
            count(deleted, "run"),
            names.join(" "),
            if deleted == 1 { "it" } else { "them" },
        ));
        Ok(exit::OK)
    }
}

impl UndeleteArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = opened(root)?;
        let runs = all(&store, root, &self.runs)?;
        for run in &runs {
            if store.run(*run)?.lifecycle == Lifecycle::Active {
                return Err(Error::usage(format!("{run} is not deleted"))
                    .hint("`repro runs list --deleted` lists the deleted runs"));
            }
        }
        let back = changed(&store, &runs, Lifecycle::Active)?;
        terminal::note(&format!("brought {} back", count(back, "run")));
        Ok(exit::OK)
    }
}

/// Returns the runs that the user names, each once.
fn all(store: &Store, root: &Path, names: &[String]) -> Result<Vec<RunName>> {
    let mut runs = Vec::new();
    for name in names {
        let run = resolved(store, root, name)?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    Ok(runs)
}

fn changed(store: &Store, runs: &[RunName], lifecycle: Lifecycle) -> Result<usize> {
    let each = runs.iter().map(|run| store.set_lifecycle(*run, lifecycle));
    Ok(each.collect::<Result<Vec<usize>>>()?.into_iter().sum())
}
