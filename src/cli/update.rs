//! `repro update`: takes over newer content of the URLs that stages download.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::common::{amount, change_lines, command_line, show_error, show_failures};
use super::select;
use super::sources::sources;
use crate::digest::Content;
use crate::engine::elsewhere::{Sources, Wish};
use crate::engine::run::{NoSupply, NoTracking, Options, Role, run};
use crate::engine::size::measure;
use crate::engine::update::{self, State, Updated};
use crate::engine::{OnForeign, Project, processors, project};
use crate::error::{Error, Result, exit};
use crate::event::{Outcome, Subscriber};
use crate::pipeline::{FILE, Origin, Pipeline, Stage, StageIx, StageSet, stage_edit};
use crate::plan::SourceVersion;
use crate::report;
use crate::runs::Recorder;
use crate::schedule::OnFailure;
use crate::terminal::size::size;
use crate::terminal::{self, Format, Reporter, stdout, style};
use crate::workspace::run_lock::RunLock;

/// Maximum number of changed files that are listed for a stage.
const MOST_LISTED: usize = 20;

/// Download what has changed at the URLs of stages, and move imports to newer commits
///
/// `repro run` keeps to the content that pipeline.lock names. This command asks each server and
/// each git repository whether it has a newer one, downloads that, and records it in the lock.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// Stages with a `url` or an `import`, or their outs [default: all of them]
    #[arg(value_name = "STAGE|PATH")]
    stages: Vec<String>,
    /// Write this branch, tag or commit into the `import` of the stages in pipeline.toml first
    #[arg(long, value_name = "REV", requires = "stages", conflicts_with = "check")]
    rev: Option<String>,
    /// Only report what has changed; exit with 4 if anything has
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Result for a stage.
#[derive(Debug, Serialize)]
struct Line {
    stage: String,
    from: String,
    #[serde(flatten)]
    state: State,
    /// The content was replaced in the workspace and in the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<bool>,
}

impl UpdateArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let names = select::from_root(root, here, &self.stages)?;
        let Some(rev) = &self.rev else { return self.update(root, &names) };
        let (before, after) = move_to(root, &names, rev)?;
        let result = self.update(root, &names);
        // A mistyped revision stays nowhere.
        let edits = project::hold_edits(root)?;
        if !matches!(result, Ok(exit::OK)) && project::text(root)? == after {
            edits.replace(&root.join(FILE), before.as_bytes())?;
        }
        result
    }

    fn update(&self, root: &Path, names: &[String]) -> Result<u8> {
        let (project, held) = match self.check {
            true => (Project::load(root, &[])?, None),
            false => {
                Project::load_exclusively(root, &[]).map(|(project, held)| (project, Some(held)))?
            }
        };
        let project = Arc::new(project);
        let stages = chosen(&project.pipeline, names)?;
        if stages.is_empty() && !self.json {
            stdout::say!("no stage has a `url` or an `import`");
        }
        let sources = sources();
        let mut found = Vec::new();
        let mut code = exit::OK;
        for &ix in &stages {
            match update::check(&project, ix, &*sources) {
                Ok(state) => found.push((ix, state)),
                Err(error) => {
                    let name = &project.pipeline.stages[ix].name;
                    let error = Error { what: format!("{name}: {}", error.what), ..error };
                    show_error(&error);
                    code = code.max(error.exit_code());
                }
            }
        }
        let (updated, failed) = match &held {
            Some(held) => self.download(&project, held, &mut found, sources)?,
            None => (BTreeMap::new(), exit::OK),
        };
        self.report(&project, &found, &updated)?;
        let is_newer =
            |(_, state): &(StageIx, State)| matches!(state, State::Changed { .. } | State::Missing);
        let check = self.check && found.iter().any(is_newer);
        Ok(match code.max(failed) {
            exit::OK if check => exit::CHECK,
            code => code,
        })
    }

    /// Downloads what may have changed. Returns what has, and the exit code; stages that fail are
    /// shown and removed from `found`.
    fn download(
        &self,
        project: &Arc<Project>,
        held: &RunLock,
        found: &mut Vec<(StageIx, State)>,
        sources: Arc<dyn Sources>,
    ) -> Result<(BTreeMap<crate::pipeline::StageName, Updated>, u8)> {
        let due = found.iter().filter(|(_, state)| *state != State::Unchanged).map(|(ix, _)| *ix);
        let due: Vec<StageIx> = due.collect();
        if due.is_empty() {
            return Ok((BTreeMap::new(), exit::OK));
        }
        let all = &project.pipeline.stages;
        let set = || StageSet::of(all.len(), due.iter().copied());
        let options = Options {
            wanted: set(),
            forced: set(),
            cpus: processors(),
            on_failure: OnFailure::KeepGoing,
            on_foreign: OnForeign::Refuse,
            command: command_line(),
            overrides: Vec::new(),
            role: Role::Ordinary,
            git: None,
            tracking: Arc::new(NoTracking),
            supply: Arc::new(NoSupply),
            sources,
            origins: Wish::Newest,
        };
        let mut recorder = Recorder::start(&project.history, terminal::note);
        let names: Vec<_> = due.iter().map(|&ix| all[ix].name.clone()).collect();
        let format = if self.json { Format::Plain } else { Format::Text };
        let mut reporter = Reporter::choose(format, &names);
        let erase = reporter.eraser();
        let subscribers: Vec<&mut dyn Subscriber> = vec![&mut recorder, reporter.subscriber()];
        let report = run(project, held, &options, subscribers, erase);
        reporter.close();
        if let Some(warning) = recorder.finish() {
            terminal::warn_of(&warning);
        }
        let report = report?;
        show_failures(&report);
        found.retain(|(ix, _)| {
            let mut ended = report.stages.iter().filter(|(name, ..)| *name == all[*ix].name);
            ended.all(|(_, outcome, _)| matches!(outcome, Outcome::Ran | Outcome::Fresh))
        });
        Ok((update::changes(project, &project.lock.stages, &due)?, report.exit))
    }

    fn report(
        &self,
        project: &Project,
        found: &[(StageIx, State)],
        updated: &BTreeMap<crate::pipeline::StageName, Updated>,
    ) -> Result<()> {
        let mut lines = Vec::new();
        for (ix, state) in found {
            let stage = &project.pipeline.stages[*ix];
            let from = stage.origin.as_ref().map(Origin::place).unwrap_or_default().into_owned();
            let update = updated.get(&stage.name);
            if !self.json {
                let name = format!("{}{}{:#}", style::STAGE, stage.name, style::STAGE);
                self.say(project, &name, &from, state, update)?;
            }
            let updated = (!self.check).then_some(update.is_some());
            lines.push(Line { stage: stage.name.to_string(), from, state: state.clone(), updated });
        }
        if self.json {
            stdout::write(&report::json(&lines))?;
        }
        Ok(())
    }

    fn say(
        &self,
        project: &Project,
        name: &str,
        from: &str,
        state: &State,
        update: Option<&Updated>,
    ) -> Result<()> {
        match (state, update) {
            (_, Some(Updated { old, new, files })) => {
                let now = amount(measure(project, new));
                let is_known = |old: &Content| matches!(project.cache.first_missing(old), Ok(None));
                match old.as_ref().filter(|old| is_known(old)) {
                    None if old.is_some() => {
                        stdout::say!("{name} was updated from {from}: {now}");
                    }
                    Some(old) => {
                        let before = amount(measure(project, old));
                        stdout::say!("{name} was updated from {from}: {now} (before: {before})");
                    }
                    None => stdout::say!("{name} was downloaded from {from}: {now}"),
                }
                for change in files.iter().take(MOST_LISTED) {
                    for line in change_lines(change) {
                        stdout::say!("  {line}");
                    }
                }
                if files.len() > MOST_LISTED {
                    stdout::say!("  and {} more", files.len() - MOST_LISTED);
                }
            }
            (State::Unchanged, None) => stdout::say!("{name} is up to date with {from}"),
            (State::Missing, None) if self.check => stdout::say!("{name} has no content of {from}"),
            (State::Moved { old, new }, None) if self.check => {
                let commits = difference(Some(&**old), new);
                stdout::say!("{name} is up to date with {from}, also at its newer commit{commits}");
            }
            (State::Changed { old, new }, None) if self.check => {
                stdout::say!("{name} has changed at {from}{}", difference(old.as_deref(), new));
            }
            (State::Unknown, None) if self.check => {
                stdout::say!("{name} may have changed: {from} names no versions");
            }
            // It was downloaded to compare it.
            (_, None) => stdout::say!("{name} has the same content as before"),
        }
        Ok(())
    }
}

/// Describes the difference of two versions: sizes, or else times.
fn difference(old: Option<&SourceVersion>, new: &SourceVersion) -> String {
    let Some(old) = old else { return String::new() };
    if let (Some(old), Some(new)) = (&old.commit, &new.commit) {
        let short = |commit: &str| commit.get(..10).unwrap_or(commit).to_owned();
        return format!(" ({} → {})", short(old), short(new));
    }
    match (old.bytes, new.bytes) {
        (Some(before), Some(after)) if before != after => {
            return format!(" ({} → {})", size(before), size(after));
        }
        _ => {}
    }
    match &new.modified {
        Some(time) if time.contains(' ') && old.modified != new.modified => format!(" ({time})"),
        _ => String::new(),
    }
}

/// Writes a revision into the `import` of the named stages. Returns the texts of `pipeline.toml`
/// before and after.
fn move_to(root: &Path, names: &[String], rev: &str) -> Result<(String, String)> {
    let pipeline = project::load_pipeline(root, &[])?;
    let edits = project::hold_edits(root)?;
    let before = project::text(root)?;
    let mut text = before.clone();
    for ix in chosen(&pipeline, names)? {
        let Stage { name, origin, line, .. } = &pipeline.stages[ix];
        if !matches!(origin, Some(Origin::Project(_))) {
            return Err(Error::usage(format!("stage `{name}` has no `import`"))
                .hint("`--rev` is for outs of other projects"));
        }
        text = stage_edit::with_rev(&text, name, rev).ok_or_else(|| {
            Error::usage(format!("cannot change `rev` of stage `{name}`"))
                .hint(format!("write it by hand at {FILE}:{line}"))
        })?;
    }
    project::parse(root, &text, &[], &|_| true)?;
    edits.replace(&root.join(FILE), text.as_bytes())?;
    Ok((before, text))
}

/// Returns the named stages, or all, that can be updated.
fn chosen(pipeline: &Pipeline, names: &[String]) -> Result<Vec<StageIx>> {
    if names.is_empty() {
        let all = StageIx::enumerate(&pipeline.stages);
        return Ok(all
            .filter(|(_, stage)| update::is_updatable(stage))
            .map(|(ix, _)| ix)
            .collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        for ix in select::find_all(pipeline, name)? {
            let stage = &pipeline.stages[ix];
            if stage.origin.is_none() {
                return Err(Error::usage(format!(
                    "stage `{}` has no `url` or `import`",
                    stage.name
                ))
                .hint("`repro run` brings other stages up to date"));
            }
            if !update::is_updatable(stage) {
                return Err(Error::usage(format!("stage `{}` is frozen", stage.name))
                    .hint(format!("remove `frozen` at pipeline.toml:{}", stage.line)));
            }
            if !chosen.contains(&ix) {
                chosen.push(ix);
            }
        }
    }
    Ok(chosen)
}
