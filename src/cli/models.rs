//! `repro models`: registers outs of runs as versions of models, and gives versions aliases.

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::common::load;
use super::get::{split, to_path};
use crate::engine::home;
use crate::engine::models::register;
use crate::error::{Error, Result, exit};
use crate::report;
use crate::report::models::{ModelReport, VersionReport};
use crate::runs::Store;
use crate::runs::registry::{VersionName, Which};
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{self, stdout};

/// Time that a change waits for another process that writes the history.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Register models of runs, and name their versions
///
/// A version is an out of a run, or a file that a client uploaded. `repro gc` keeps the outs that
/// are versions. `repro get models:NAME@ALIAS` copies one to any place.
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register an out of a run as a new version of a model
    Register(RegisterArgs),
    /// List the registered models and their versions
    List(ListArgs),
    /// Show a model, or one version of it
    Show(ShowArgs),
    /// Give an alias, such as `production`, to a version
    Promote(PromoteArgs),
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// Name of the model, which is created if it is new
    #[arg(value_name = "NAME")]
    name: String,
    /// Run (`run-3`, `3` or `last`), a colon, and the path of an out: `run-3:models/genre.onnx`
    #[arg(value_name = "RUN:PATH")]
    what: String,
    /// Give the version this alias
    #[arg(long, value_name = "ALIAS")]
    alias: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Model (`genre`) or version (`genre/3`, `genre@production`, `genre/latest`)
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct PromoteArgs {
    /// Version: `genre/3`, `genre@staging` or `genre/latest`
    #[arg(value_name = "NAME/VERSION")]
    version: String,
    /// Alias; the version that has it loses it
    #[arg(value_name = "ALIAS")]
    alias: String,
}

impl ModelsArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        match self.command {
            Command::Register(args) => args.execute(here, root),
            Command::List(args) => args.execute(root),
            Command::Show(args) => args.execute(root),
            Command::Promote(args) => args.execute(root),
        }
    }
}

impl RegisterArgs {
    fn execute(&self, here: &Path, root: &Path) -> Result<u8> {
        let (run, path) = split(&self.what)?;
        let path = to_path(root, here, path)?;
        let project = load(root)?;
        let store = Store::open(&project.history, BUSY_TIMEOUT)?;
        let (name, alias) = (&self.name, self.alias.as_deref());
        let version = register(&project, &store, name, (run, &path), alias)?;
        let report = VersionReport::new(&store, version)?;
        match self.json {
            true => stdout::write(&report::json(&report))?,
            false => {
                let alias = alias.map_or_else(String::new, |alias| format!(", alias {alias}"));
                let (version, place) = (report.version, report.place());
                stdout::say!("registered version {version} of {name} ({place}){alias}");
            }
        }
        Ok(exit::OK)
    }
}

impl ListArgs {
    fn execute(&self, root: &Path) -> Result<u8> {
        let store = Store::open_existing(&home(root))?;
        let models = store.map_or(Ok(Vec::new()), |store| ModelReport::all(&store))?;
        match (self.json, &models[..]) {
            (true, _) => stdout::write(&report::json(&models))?,
            (false, []) => terminal::note("no models are registered"),
            (false, models) => {
                let versions = models.iter().flat_map(|model| &model.versions);
                stdout::write(&table(versions).plain(""))?;
            }
        }
        Ok(exit::OK)
    }
}

fn table<'a>(versions: impl IntoIterator<Item = &'a VersionReport>) -> Table {
    let mut table = Table::new([
        ("model", Align::Left),
        ("version", Align::Right),
        ("aliases", Align::Left),
        ("files", Align::Left),
        ("digest", Align::Left),
        ("registered", Align::Left),
    ]);
    for version in versions {
        table.row([
            Cell::from(version.model.clone()),
            Cell::from(version.version.to_string()),
            Cell::from(version.aliases.join(", ")),
            Cell::from(version.place()),
            Cell::from(digest(version)),
            Cell::from(version.registered_local.clone()),
        ]);
    }
    table
}

fn digest(version: &VersionReport) -> String {
    version.content.map_or_else(|| "-".to_owned(), |content| content.digest().short())
}

impl ShowArgs {
    fn execute(&self, root: &Path) -> Result<u8> {
        let store = open(root, &self.name)?;
        let is_model = !self.name.contains(['/', '@']);
        if is_model {
            let model = ModelReport::read(&store, &self.name)?;
            match self.json {
                true => stdout::write(&report::json(&model))?,
                false => {
                    if let Some(text) = &model.description {
                        stdout::say!("{text}");
                    }
                    stdout::write(&table(&model.versions).plain(""))?;
                }
            }
            return Ok(exit::OK);
        }
        let version = store.find_version(&VersionName::parse(&self.name)?)?;
        let version = VersionReport::new(&store, version)?;
        match self.json {
            true => stdout::write(&report::json(&version))?,
            false => stdout::write(&details(&version))?,
        }
        Ok(exit::OK)
    }
}

/// Returns everything about a version, one fact per line.
fn details(version: &VersionReport) -> String {
    let content = version.content.map(|content| format!("{} {}", content.kind(), content.digest()));
    let aliases = Some(version.aliases.join(", ")).filter(|aliases| !aliases.is_empty());
    let facts = [
        ("version", Some(format!("{} of {}", version.version, version.model))),
        ("aliases", aliases),
        ("files", Some(version.place())),
        ("content", content),
        ("run", version.run.clone()),
        ("registered", Some(version.registered_local.clone())),
        ("user", version.user.clone()),
        ("description", version.description.clone()),
    ];
    let tags = version.tags.iter().map(|(key, value)| ("tag", Some(format!("{key}={value}"))));
    let facts = facts.into_iter().chain(tags);
    let lines = facts.filter_map(|(name, value)| Some(format!("{name:<12}{}\n", value?)));
    lines.collect()
}

impl PromoteArgs {
    fn execute(&self, root: &Path) -> Result<u8> {
        let name = VersionName::parse(&self.version)?;
        if name.which == Which::Latest && !self.version.contains('/') {
            return Err(Error::usage(format!("`{}` names no version", self.version))
                .hint(format!("`{}/latest` is the latest", self.version)));
        }
        open(root, &self.version)?;
        let store = Store::open(&home(root), BUSY_TIMEOUT)?;
        let version = store.atomically(|store| {
            let version = store.find_version(&name)?;
            store.set_alias(&version.name, &self.alias, version.version)?;
            Ok::<_, Error>(version)
        })?;
        stdout::say!("{}@{} is version {}", version.name, self.alias, version.version);
        Ok(exit::OK)
    }
}

/// Opens the history to find a model in it.
fn open(root: &Path, name: &str) -> Result<Store> {
    let store = Store::open_existing(&home(root))?;
    store.ok_or_else(|| {
        Error::missing(format!("there is no registered model `{name}`"))
            .hint("`repro models register NAME RUN:PATH` registers the first")
    })
}
