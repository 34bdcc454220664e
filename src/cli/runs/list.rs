//! `repro runs list`: runs as a table, as a tree, or as data.

mod overview;

use std::path::Path;

use clap::Args;

use crate::cli::runs::table;
use crate::error::{Result, exit};
use crate::filter::{Attribute, Comparison, Field, Filter, Known, Op, Test, Value};
use crate::pipeline::Goals;
use crate::plural::count;
use crate::report::run_columns::{columns, order};
use crate::report::run_table::RunTable;
use crate::report::run_tree::{self, Node};
use crate::report::runs::RunListReport;
use crate::report::streamed;
use crate::runs::search::{Found, Level, Query};
use crate::runs::{Lifecycle, RunKind, Store};
use crate::terminal::{self, stdout};

/// List runs, newest first, with changed params and metrics
///
/// The trials of a sweep are counted in its line; `--tree` lists them below it. With `--filter`,
/// `--failed`, `--kind` or `--sort`, every run that matches has a line of its own. CSV has all
/// params and metrics, unless columns are chosen.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Show at most N runs; 0 shows all
    #[arg(long = "last", alias = "limit", short = 'n', value_name = "N", default_value_t = 20)]
    last: usize,
    /// Show only runs that match, such as `metrics.accuracy > 0.7 and params.model = 'small'`
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Show only failed runs
    #[arg(long)]
    failed: bool,
    /// Show only runs of this kind: `pipeline`, `sweep`, `trial`, `external` or `accept`
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<RunKind>,
    /// Show deleted runs instead
    #[arg(long)]
    deleted: bool,
    /// Sort by a field, such as `metrics.accuracy`, `train.epochs:asc` or `took:desc`; the best and
    /// the newest come first unless a direction is given
    #[arg(long, value_name = "FIELD[:asc|desc]", value_delimiter = ',')]
    sort: Vec<String>,
    /// Show these columns: fields, or globs such as `metrics.*`, separated by commas
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    columns: Vec<String>,
    /// List runs below the sweep that they belong to
    #[arg(long)]
    tree: bool,
    #[command(flatten)]
    format: table::Format,
}

fn kind(text: &str) -> Result<RunKind, String> {
    let words = "pipeline, sweep, trial, external or accept";
    RunKind::parse(text).ok_or_else(|| format!("must be {words}"))
}

/// Columns of CSV, unless others are chosen.
const CSV_COLUMNS: [&str; 7] =
    ["run", "name", "status", "started", "took", "params.*", "metrics.*"];

impl ListArgs {
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        let store = Store::open_existing(root)?;
        let known = store.as_ref().map_or_else(|| Ok(Known::default()), Store::known)?;
        // A mistake in the filter is reported even if there are no runs.
        let filter = self.filter(&known)?;
        let Some(store) = store else { return self.nothing(None) };
        let query = self.query(filter, &known, goals)?;
        let found = store.search(&query, &known, goals)?;
        if found.runs.is_empty() {
            return self.nothing(Some(&store));
        }
        let rows = self.rows(&store, &found, &query, &known, goals)?;
        let chosen = match self.format.is_csv() {
            _ if !self.columns.is_empty() => self.columns.clone(),
            true => CSV_COLUMNS.map(str::to_owned).into(),
            false if self.format.json => Vec::new(),
            false => used_columns(&query, &store)?,
        };
        if chosen.is_empty() {
            self.show_overview(RunListReport::new(&store, rows), goals)?;
        } else {
            let columns = columns(&chosen, &known, goals)?;
            table::show(&RunTable::new(&store, columns, rows)?, &self.format)?;
        }
        let more = found.total - found.runs.len();
        if more > 0 && self.format.is_text() {
            let runs = if self.is_flat() { "more run" } else { "older run" };
            let more = count(more, runs);
            terminal::note(&format!("{more}: `repro runs list -n 0` shows all"));
        }
        Ok(exit::OK)
    }

    fn filter(&self, known: &Known) -> Result<Filter> {
        let mut filter = table::filter(self.filter.as_deref(), known)?;
        let mut equals = |attribute: Attribute, word: &str| {
            let test = Test::Compare(Op::Eq, Value::Text(word.to_owned()));
            filter.comparisons.push(Comparison { field: Field::Attribute(attribute), test });
        };
        if self.failed {
            equals(Attribute::Status, "failed");
        }
        if let Some(kind) = self.kind {
            equals(Attribute::Kind, kind.word());
        }
        Ok(filter)
    }

    fn query(&self, filter: Filter, known: &Known, goals: &Goals) -> Result<Query> {
        let order =
            self.sort.iter().map(|text| order(text, known, goals)).collect::<Result<_>>()?;
        Ok(Query {
            filter,
            order,
            lifecycle: if self.deleted { Lifecycle::Deleted } else { Lifecycle::Active },
            level: if self.is_flat() { Level::Any } else { Level::Top },
            limit: if self.last == 0 { usize::MAX } else { self.last },
        })
    }

    /// Reports whether runs are listed wherever they are in the tree.
    fn is_flat(&self) -> bool {
        self.filter.is_some() || self.failed || self.kind.is_some() || !self.sort.is_empty()
    }

    fn rows(
        &self,
        store: &Store,
        Found { runs, .. }: &Found,
        query: &Query,
        known: &Known,
        goals: &Goals,
    ) -> Result<Vec<Node>> {
        match (self.is_flat(), self.tree) {
            (true, true) => run_tree::grouped(store, runs),
            (true, false) => Ok(run_tree::flat(runs)),
            (false, true) => run_tree::expanded(store, runs, query.lifecycle),
            (false, false) => run_tree::collapsed(store, runs, query.lifecycle, known, goals),
        }
    }

    fn show_overview(&self, report: RunListReport<'_>, goals: &Goals) -> Result<()> {
        if self.format.json {
            return stdout::stream(|out| streamed::write_json(&report, &report.failure, out));
        }
        let entries = report.entries().map(|entry| entry.map(overview::line));
        let entries = entries.collect::<Result<Vec<_>>>()?;
        stdout::write(&match self.format.md {
            true => overview::markdown(&entries, goals),
            false => overview::fitting(&entries, goals),
        })
    }

    /// Says why no run is listed.
    fn nothing(&self, store: Option<&Store>) -> Result<u8> {
        if self.format.json {
            stdout::write("[]\n")?;
        } else if self.deleted {
            terminal::note("no run is deleted");
        } else if self.is_flat() {
            terminal::note("no run matches");
        } else if store.map_or(Ok(false), Store::has_deleted)? {
            terminal::note("all runs are deleted: `repro runs list --deleted` lists them");
        } else {
            terminal::note("there are no runs yet: run `repro run` to create the first");
        }
        Ok(exit::OK)
    }
}

/// Returns the columns that show by which values runs were selected and sorted; none if the
/// overview has them.
fn used_columns(query: &Query, store: &Store) -> Result<Vec<String>> {
    let compared = query.filter.comparisons.iter().map(|comparison| &comparison.field);
    let ordered = query.order.iter().map(|order| &order.field);
    let mut used: Vec<String> = Vec::new();
    for field in ordered.chain(compared) {
        let is_shown = match field {
            Field::Attribute(attribute) => OVERVIEW.contains(attribute),
            Field::Dataset(_) => true,
            Field::Metric(_) | Field::Param(_) | Field::Tag(_) => false,
        };
        let name = field.to_string();
        if !is_shown && !used.contains(&name) {
            used.push(name);
        }
    }
    if used.is_empty() {
        return Ok(used);
    }
    let name = if store.given_names()?.is_empty() { None } else { Some("name") };
    let first = ["run"].into_iter().chain(name).chain(["status", "started", "took"]);
    Ok(first.map(str::to_owned).chain(used).collect())
}

/// Attributes that the overview shows, or that say which runs it consists of.
const OVERVIEW: [Attribute; 8] = [
    Attribute::Run,
    Attribute::Name,
    Attribute::Status,
    Attribute::Kind,
    Attribute::Parent,
    Attribute::Started,
    Attribute::Ended,
    Attribute::Took,
];
