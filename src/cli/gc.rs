//! `repro gc`: prints what the cache keeps and what nothing refers to, and deletes the latter only
//! with `--yes`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::common::entry_count;
#[cfg(feature = "remote")]
use super::share;
use crate::engine::Project;
#[cfg(feature = "remote")]
use crate::engine::share::gc;
use crate::engine::size::Tally;
use crate::engine::upkeep::gc::{plan, sweep};
use crate::engine::upkeep::revisions::Revisions;
use crate::engine::upkeep::roots::{Keep, KeepRuns};
use crate::error::{Error, Result, exit};
use crate::pipeline::parse_duration;
use crate::plan::lock;
use crate::plural::count;
use crate::report;
use crate::report::gc::{GcReport, KeptBy, Trash, Unused, UnusedEntries};
#[cfg(feature = "remote")]
use crate::report::share::{PackTally, RemoteGcReport, Share};
use crate::terminal::size::size;
use crate::terminal::stdout;
use crate::terminal::table::{Align, Cell, Table};
#[cfg(feature = "remote")]
use crate::workspace::run_lock::RunLock;

/// Count unreferenced cache entries; delete them with `--yes`
///
/// Keeps everything that pipeline.lock, the latest runs, the given git revisions or links in the
/// workspace refer to, and what was displaced from the workspace in the last 30 days. Downloads
/// that ended early and were not continued for 7 days count as unreferenced, too.
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Keep the outs of the last N runs, or of `all` runs
    #[arg(long, value_name = "N", default_value = "20", value_parser = kept_runs)]
    runs: KeepRuns,
    /// Keep what pipeline.lock refers to at these git revisions: `main`, `v1.0`, `main~20..main`
    #[arg(long, value_name = "REVS")]
    git: Vec<String>,
    /// Keep what pipeline.lock refers to at the tips of all git branches
    #[arg(long)]
    all_branches: bool,
    /// Keep what pipeline.lock refers to at all git tags
    #[arg(long)]
    all_tags: bool,
    /// Keep what was displaced from the workspace for this time, such as `12h` or `7d`; `0d` keeps
    /// nothing of it [default: `trash` of `[cache]`, 30d]
    #[arg(long, value_name = "TIME", value_parser = time)]
    trash: Option<Duration>,
    /// Work on a remote instead of the cache: keep what pipeline.lock, the given git revisions and
    /// the runs there refer to, and what was pushed lately
    #[cfg(feature = "remote")]
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with_all = ["runs", "trash", "forget"]
    )]
    remote: Option<Option<String>>,
    /// With `--remote`, keep what was pushed in this time, such as `30d`
    #[cfg(feature = "remote")]
    #[arg(
        long,
        value_name = "TIME",
        default_value = "14d",
        value_parser = time,
        requires = "remote"
    )]
    grace: Duration,
    /// Delete the unreferenced entries
    #[arg(long)]
    yes: bool,
    /// Forget the project at PATH, which no longer exists or no longer uses this shared cache
    #[arg(long, value_name = "PATH", conflicts_with_all = ["yes", "json"])]
    forget: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl GcArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_exclusively(root, &[])?;
        #[cfg(feature = "remote")]
        if let Some(remote) = &self.remote {
            return self.of_remote(&project, &held, remote.as_deref());
        }
        if let Some(path) = &self.forget {
            return forget(&project, path);
        }
        let plan = plan(&project, &held, &self.keep())?;
        let unused = if self.yes { UnusedEntries::Deleted } else { UnusedEntries::Listed };
        let report = GcReport::new(&plan, unused);
        // The tables come before the deletion, which may take long or fail.
        if !self.json {
            stdout::write(&tables(&report))?;
        }
        if self.yes {
            sweep(&project, &held, &plan)?;
        }
        match self.json {
            true => stdout::write(&report::json(&report))?,
            false => stdout::write(&format!("\n{}\n", last_line(&report)))?,
        }
        Ok(exit::OK)
    }

    fn keep(&self) -> Keep {
        Keep { runs: self.runs, revisions: self.revisions(), trash: self.trash }
    }

    fn revisions(&self) -> Vec<Revisions> {
        let mut revisions: Vec<Revisions> =
            self.git.iter().cloned().map(Revisions::Named).collect();
        revisions.extend(self.all_branches.then_some(Revisions::AllBranches));
        revisions.extend(self.all_tags.then_some(Revisions::AllTags));
        revisions
    }

    /// Does the same for a remote.
    #[cfg(feature = "remote")]
    fn of_remote(&self, project: &Project, held: &RunLock, name: Option<&str>) -> Result<u8> {
        let mut remote = share::refreshed(project, name, None)?;
        let revisions = self.revisions();
        let found = gc::plan(project, held, &remote, &revisions, self.grace)?;
        let (found, unused) = match self.yes {
            true => {
                let options = (&revisions[..], self.grace);
                let done = gc::sweep(project, held, &mut remote, options, found)?;
                (done, UnusedEntries::Deleted)
            }
            false => (found, UnusedEntries::Listed),
        };
        let report = RemoteGcReport::new(&remote, &found, unused);
        match self.json {
            true => stdout::write(&report::json(&report))?,
            false => stdout::write(&remote_summary(&report))?,
        }
        Ok(exit::OK)
    }
}

#[cfg(feature = "remote")]
fn remote_summary(report: &RemoteGcReport) -> String {
    let amount = |share: &Share| {
        format!("{}, {}", share::amount(share.objects, share.traces), size(share.bytes))
    };
    let packs = |packs: &PackTally| {
        let number = usize::try_from(packs.count).unwrap_or(usize::MAX);
        format!("{} ({})", count(number, "pack"), size(packs.bytes))
    };
    let remote = &report.remote;
    let roots = [(report.revisions, "git revision"), (report.runs, "run")];
    let roots = roots.iter().filter(|(number, _)| *number > 0);
    let roots: String = roots.map(|(number, noun)| format!(", {}", count(*number, noun))).collect();
    let mut text = format!(
        "`{remote}` keeps {}, for {}{roots} and the grace period\n",
        amount(&report.kept),
        lock::FILE,
    );
    if report.is_empty() {
        text.push_str("nothing to delete\n");
        return text;
    }
    let mut parts = Vec::new();
    if report.unused.objects > 0 || report.unused.traces > 0 {
        parts.push(amount(&report.unused));
    }
    if report.old_packs.count > 0 {
        parts.push(format!("{} without any use", packs(&report.old_packs)));
    }
    let what = parts.join("; ");
    match (report.removed, what.is_empty()) {
        (true, false) => text.push_str(&format!("deleted {what}\n")),
        (true, true) => text.push_str("deleted nothing yet\n"),
        (false, _) => {
            let what = if what.is_empty() {
                "notes unused packs".to_owned()
            } else {
                format!("deletes {what}")
            };
            text.push_str(&format!(
                "nothing deleted: `repro gc --remote={remote} --yes` with the same options {what}\n"
            ));
        }
    }
    if report.removed && report.unused_packs.count > 0 {
        text.push_str(&format!(
            "{} can be deleted by `repro gc --remote` after the grace period\n",
            packs(&report.unused_packs)
        ));
    }
    text
}

/// Removes the registration of another project in a shared cache.
fn forget(project: &Project, path: &Path) -> Result<u8> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if project.cache.forget(&absolute.canonicalize().unwrap_or(absolute))? {
        stdout::say!("forgot `{}`: `repro gc` no longer keeps its objects", path.display());
        return Ok(exit::OK);
    }
    let cache = project.cache.dir().display();
    let error = Error::usage(format!(
        "`{}` is not a project that uses the cache `{cache}`",
        path.display()
    ));
    let others = project.cache.other_projects()?;
    let others: Vec<String> = others.iter().map(|root| format!("`{}`", root.display())).collect();
    Err(match others.is_empty() {
        true => error.hint("no other project uses it"),
        false => error.hint(format!("the others are {}", others.join(", "))),
    })
}

fn kept_runs(text: &str) -> Result<KeepRuns, String> {
    match text {
        "all" => Ok(KeepRuns::All),
        number => {
            number.parse().map(KeepRuns::Last).map_err(|_| "must be a number or `all`".to_owned())
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "must be a time such as `12h` or `7d`".to_owned())
}

fn tables(report: &GcReport) -> String {
    let headings = |first| [(first, Align::Left), ("count", Align::Right), ("size", Align::Right)];
    let row = |table: &mut Table, name: &str, tally: Tally| {
        table.row([
            Cell::from(name),
            Cell::from(tally.count.to_string()),
            Cell::from(size(tally.bytes)),
        ]);
    };
    let mut kept = Table::new(headings("kept"));
    for (number, root) in report.kept.iter().enumerate() {
        let further = if number == 0 { "" } else { " (not counted above)" };
        row(&mut kept, &format!("{}{further}", root_name(&root.by)), root.objects);
    }
    row(&mut kept, "traces of the objects above", report.kept_traces);
    let mut unused = Table::new(headings("unreferenced"));
    for (noun, tally) in kinds(&report.unused) {
        row(&mut unused, &format!("{noun}s"), tally);
    }
    format!("{}\n{}", kept.plain(""), unused.plain(""))
}

fn root_name(root: &KeptBy) -> String {
    match root {
        KeptBy::Lock => lock::FILE.to_owned(),
        KeptBy::Git { revisions } => count(*revisions, "git revision"),
        KeptBy::Runs { runs } => format!("last {}", count(*runs, "run")),
        KeptBy::Artifacts { artifacts } => count(*artifacts, "reported artifact"),
        KeptBy::Models { versions } => count(*versions, "registered version"),
        KeptBy::Trash { entries } => format!("trash, {}", entry_count(*entries)),
        KeptBy::Links => "workspace links".to_owned(),
        KeptBy::Project { project } => format!("project {project}"),
    }
}

fn kinds(unused: &Unused) -> impl Iterator<Item = (&'static str, Tally)> {
    let Unused { objects, traces, temporaries, downloads } = *unused;
    let always = [("object", objects), ("trace", traces), ("temporary file", temporaries)];
    let downloads = (downloads.count > 0).then_some(("unfinished download", downloads));
    always.into_iter().chain(downloads)
}

fn last_line(report: &GcReport) -> String {
    let kinds: Vec<_> = kinds(&report.unused).collect();
    let bytes = size(kinds.iter().map(|(_, tally)| tally.bytes).sum());
    let some = kinds.iter().filter(|(_, tally)| tally.count > 0);
    let mut what: Vec<String> = some.map(|(noun, tally)| count(tally.count, noun)).collect();
    if report.trash.old > 0 {
        what.push(format!("{} of the trash", entry_count(report.trash.old)));
    }
    let what = what.join(", ");
    let mut text = match report.removed {
        _ if report.unused.is_empty() && report.trash.old == 0 => "nothing to delete".to_owned(),
        true => format!("deleted {what}: {bytes}"),
        false => format!(
            "nothing deleted: `repro gc --yes` with the same options deletes {what}: {bytes}"
        ),
    };
    if report.trash.kept > 0 {
        text.push_str(&format!("\n{}", kept_trash(&report.trash)));
    }
    if report.missing > 0 {
        let (is, it) = if report.missing == 1 { ("is", "it") } else { ("are", "them") };
        text.push_str(&format!(
            "\n{} to keep {is} missing from the cache: `repro fsck` lists {it}",
            count(report.missing, "object")
        ));
    }
    text
}

/// `keeps 3 displaced files (2.0 MB) for up to 27 more days: `repro trash` lists them`
fn kept_trash(trash: &Trash) -> String {
    let (files, bytes) = (count(trash.files.count, "displaced file"), size(trash.files.bytes));
    let hours = usize::try_from(trash.left.div_ceil(3600)).unwrap_or(usize::MAX);
    let left = match hours {
        0..24 => count(hours, "more hour"),
        _ => count(hours.div_ceil(24), "more day"),
    };
    format!("keeps {files} ({bytes}) for up to {left}: `repro trash` lists them")
}
