//! `repro remote`: lists the remotes, and tries what works at them.

use std::path::Path;

use clap::{Args, Subcommand};

use super::common::{load, show_error};
use crate::engine::Project;
use crate::error::{Error, Result, exit};
use crate::pipeline::RemoteSpec;
use crate::remote::on_retry;
use crate::report;
use crate::report::remotes::{RemoteCheck, RemoteEntry};
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::transfer::remark;
use crate::terminal::{self, stdout};

/// List the remotes, or try what works at them
///
/// A remote is a store of files to which `repro push` sends outs and from which `repro pull`
/// fetches them. `[remotes.NAME]` in pipeline.toml declares one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RemoteArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the remotes and their URLs
    List(ListArgs),
    /// Write, read, list and delete a small file at a remote, and report what works
    ///
    /// A remote that can only be read is not a failure. The exit code is 3 if a remote cannot be
    /// read.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Remotes to try; all by default
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl RemoteArgs {
    /// Runs the command.
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let project = load(root)?;
        match self.command {
            None => self.list.execute(&project),
            Some(Command::List(args)) => args.execute(&project),
            Some(Command::Check(args)) => args.execute(&project, root),
        }
    }
}

impl ListArgs {
    fn execute(&self, project: &Project) -> Result<u8> {
        let remotes = &project.pipeline.remotes;
        let entries = remotes.iter().map(RemoteEntry::new).collect::<Result<Vec<_>>>()?;
        match (self.json, &entries[..]) {
            (true, _) => stdout::write(&report::json(&entries))?,
            (false, []) => terminal::note("there are no remotes; `[remotes.NAME]` declares one"),
            (false, entries) => stdout::write(&list(entries).plain(""))?,
        }
        Ok(exit::OK)
    }
}

fn list(entries: &[RemoteEntry]) -> Table {
    let mut table = Table::new([("remote", Align::Left), ("url", Align::Left), ("", Align::Left)]);
    for entry in entries {
        let mut remarks = Vec::new();
        if entry.default {
            remarks.push("default".to_owned());
        }
        if let Some(auto) = entry.auto {
            remarks.push(format!("auto = \"{auto}\""));
        }
        if let Some(variable) = &entry.url_from {
            remarks.push(format!("from `{variable}`"));
        }
        table.row([&entry.name, &entry.url, &remarks.join(", ")].map(Cell::from));
    }
    table
}

impl CheckArgs {
    fn execute(&self, project: &Project, root: &Path) -> Result<u8> {
        let specs = self.chosen(&project.pipeline.remotes)?;
        on_retry(remark);
        let mut checks = Vec::new();
        let mut code = exit::OK;
        for spec in specs {
            match RemoteCheck::new(spec, root) {
                Ok(check) => checks.push(check),
                Err(error) => {
                    show_error(&error);
                    code = error.exit_code();
                }
            }
        }
        match (self.json, checks.is_empty()) {
            (true, _) => stdout::write(&report::json(&checks))?,
            (false, true) => {}
            (false, false) => stdout::write(&results(&checks).plain(""))?,
        }
        for check in &checks {
            if check.read_only {
                terminal::note(&format!(
                    "remote `{}` is read-only: `repro pull` works, `repro push` does not",
                    check.name
                ));
            }
            if let Some(error) = &check.error {
                show_error(error);
                code = exit::ENVIRONMENT;
            }
        }
        Ok(code)
    }

    fn chosen<'a>(&self, remotes: &'a [RemoteSpec]) -> Result<Vec<&'a RemoteSpec>> {
        if remotes.is_empty() {
            return Err(Error::missing("there are no remotes").hint(
                "add `[remotes.NAME]` with a `url` to pipeline.toml, such as \
                 `url = \"s3://bucket/project\"`",
            ));
        }
        if self.names.is_empty() {
            return Ok(remotes.iter().collect());
        }
        let find = |name: &String| {
            remotes.iter().find(|remote| remote.name == *name).ok_or_else(|| {
                let names: Vec<String> =
                    remotes.iter().map(|remote| format!("`{}`", remote.name)).collect();
                Error::missing(format!("there is no remote `{name}`"))
                    .hint(format!("the remotes are {}", names.join(", ")))
            })
        };
        self.names.iter().map(find).collect()
    }
}

fn results(checks: &[RemoteCheck]) -> Table {
    let names = ["remote", "url", "list", "read", "write", "delete"];
    let mut table = Table::new(names.map(|name| (name, Align::Left)));
    for check in checks {
        let verbs = [check.list, check.read, check.write, check.delete];
        let texts = [check.name.as_str(), check.url.as_str()];
        table.row(texts.into_iter().chain(verbs.map(|verb| verb.text())).map(Cell::from));
    }
    table
}
