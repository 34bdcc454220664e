//! The work of a stage with items: what is out of date is found item by item, what was computed before comes from the
//! cache, the rest is processed, and each finished item is kept at once, so that a crash half way keeps the finished half.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::observe::{self, Observation};
use super::perform::{Performed, Setting, committed, failed, job, make_room, unsuccessful};
use super::processes::{Stop, execute, following};
use super::{Project, commit};
use crate::digest::Content;
use crate::error::{Error, Kind, Result, exit};
use crate::event::{Failure, Millis, Work};
use crate::exec::{Ended, Job, Said};
use crate::pipeline::{Each, ItemOut, Mode, Presence, Stage, StageIx};
use crate::plan::{Change, Decision, Fingerprint, Left, Trace};
use crate::repo_path::RepoPath;
use crate::workspace::{Seen, Stamp};

/// One match of the stage's glob.
#[derive(Debug)]
struct Item {
    path: RepoPath,
    content: Content,
    stamp: Stamp,
    fingerprint: Fingerprint,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its outs lie there.
    Fresh,
    Restore(Left),
    Stale,
}

/// Brings the items of a stage up to date, and commits the stage.
pub(super) fn run(
    setting: Setting<'_>,
    ix: StageIx,
    each: &Each,
    observation: &Observation,
    say: &(dyn Fn(Vec<Said>) + Sync),
) -> Performed {
    let project = setting.project;
    let stage = &project.pipeline.stages[ix];
    let items = match items(project, stage, each, observation) {
        Ok(items) => items,
        Err(error) => return failed("could not be started", error),
    };
    let stale: Vec<&Item> = items.iter().filter(|item| matches!(item.state, State::Stale)).collect();
    // What is of no item is written anew whenever the set of items is another one.
    let plain = stage.outs.iter().any(|out| !is_by_item(each, &out.path));
    let process = !stale.is_empty() || (plain && each.mode == Mode::Together);
    let job = match prepare(project, stage, each, observation, &items).and_then(|()| job(setting, stage, 0)) {
        Ok(job) => job,
        Err(error) if error.kind == Kind::Damaged => return Performed::Damaged(error),
        Err(error) => return failed("could not be started", error),
    };
    if !process {
        return match committed(project, stage, observation) {
            Performed::Done(trace, _) => Performed::Done(trace, Work::Restore),
            other => other,
        };
    }
    let by_path = stale.iter().map(|item| (item.path.as_str(), *item)).collect();
    let work =
        Processing { setting, stage, each, observation, stale: &stale, by_path, kept: Mutex::default(), say };
    match work.all(job) {
        Err(error) if error.kind == Kind::Usage => {
            let failure = Failure { what: error.what, causes: error.causes, hint: error.hint };
            Performed::Failed { failure, exit: exit::STAGE_FAILED }
        }
        Err(error) => failed("has items that could not be processed", error),
        Ok(Some(unsuccessful)) => unsuccessful,
        Ok(None) => committed(project, stage, observation),
    }
}

/// Whether an out is a folder of outs by item.
fn is_by_item(each: &Each, out: &RepoPath) -> bool {
    let lies_in = |base: RepoPath| base == *out || base.below(out).is_some();
    each.outs.iter().filter_map(|out| out.path.base()).any(lies_in)
}

/// The items, each with what is to be done about it.
fn items(project: &Project, stage: &Stage, each: &Each, observation: &Observation) -> Result<Vec<Item>> {
    let glob = each.glob.text();
    let mut matches = Vec::new();
    if let Some(seen) = observation.deps.get(glob) {
        let base = each.glob.base().map_or(String::new(), |base| format!("{base}/"));
        find(each, &base, seen, &mut matches);
    }
    let forced = matches!(&observation.decision, Decision::Run(changes) if changes[..] == [Change::Forced]);
    let mut deps = observation.fingerprint.deps.clone();
    deps.remove(glob);
    let mut items = Vec::with_capacity(matches.len());
    let mut makers: BTreeMap<RepoPath, RepoPath> = BTreeMap::new();
    for (path, content) in matches {
        let mut outs = BTreeSet::new();
        for ItemOut { path: text, .. } in &each.outs {
            let out = text.path(&path, &each.glob).map_err(|bad| {
                Error::usage(format!("the out `{text}` of item `{path}` {bad}"))
                    .hint(format!("stage `{}` is declared in line {}", stage.name, stage.line))
            })?;
            if let Some(other) = makers.insert(out.clone(), path.clone()) {
                return Err(Error::usage(format!("items `{other}` and `{path}` would both write `{out}`"))
                    .hint("name more of the item in the out: `{{ item.dir }}`, `{{ item.name }}`"));
            }
            outs.insert(out);
        }
        let mut fingerprint = Fingerprint {
            deps: deps.clone(),
            outs,
            each: BTreeSet::new(),
            ..observation.fingerprint.clone()
        };
        fingerprint.deps.insert(path.clone(), content);
        if let Mode::Apart(cmd) = &each.mode {
            fingerprint.cmd = Some(cmd.command(&path, &each.glob));
        }
        let stamp = project.workspace.stamp(&path)?;
        items.push(Item { path, content, stamp, fingerprint, state: State::Stale });
    }
    if !forced {
        let states: Vec<State> =
            items.par_iter().map(|item| state(project, observation, &item.fingerprint)).collect();
        items.iter_mut().zip(states).for_each(|(item, state)| item.state = state);
    }
    Ok(items)
}

fn find(each: &Each, base: &str, seen: &Seen, matches: &mut Vec<(RepoPath, Content)>) {
    let Seen::Dir { tree, dirs, .. } = seen else { return };
    for (name, content) in &tree.entries {
        let path = format!("{base}{name}");
        if each.glob.matches(&path) {
            matches.extend(RepoPath::parse_canonical(&path).map(|path| (path, *content)));
        } else if let Some(dir) = dirs.get(name) {
            find(each, &format!("{path}/"), dir, matches);
        }
    }
}

fn state(project: &Project, observation: &Observation, fingerprint: &Fingerprint) -> State {
    let Some(trace) = project.cache.trace(&fingerprint.key()) else {
        return State::Stale;
    };
    let mut differing = trace.left();
    differing.retain(|path, left| found(observation, path) != *left);
    if differing.is_empty() {
        State::Fresh
    } else if differing.values().flatten().all(|content| project.cache.lacking(content).is_none()) {
        State::Restore(differing)
    } else {
        State::Stale
    }
}

/// What lay at the path of an item's out when the stage was looked at.
fn found(observation: &Observation, path: &RepoPath) -> Option<Content> {
    let (top, seen) = observation.outs.iter().find(|(out, _)| *out == path || path.below(out).is_some())?;
    let mut seen = seen.as_ref()?;
    let Some(below) = path.below(top) else {
        return Some(seen.content());
    };
    let mut names = below.split('/').peekable();
    while let Some(name) = names.next() {
        let Seen::Dir { tree, dirs, .. } = seen else { return None };
        if names.peek().is_none() {
            return tree.entries.get(name).copied();
        }
        seen = dirs.get(name)?;
    }
    None
}

/// Removes what belongs to no item or will be made anew, kept in the cache before, and restores what can be.
fn prepare(
    project: &Project,
    stage: &Stage,
    each: &Each,
    observation: &Observation,
    items: &[Item],
) -> Result<()> {
    let mut staying: BTreeSet<&RepoPath> = BTreeSet::new();
    for item in items.iter().filter(|item| !matches!(item.state, State::Stale)) {
        staying.extend(&item.fingerprint.outs);
    }
    for out in &stage.outs {
        if !is_by_item(each, &out.path) {
            make_room(project, stage, out, observation, 0)?;
            continue;
        }
        if let Some(Some(seen)) = observation.outs.get(&out.path) {
            clear(project, &out.path, seen, &staying)?;
        }
        project.workspace.make_dir(&out.path)?;
    }
    for item in items {
        if let State::Restore(outs) = &item.state {
            let seen = outs.keys().map(|path| (path.clone(), found(observation, path).map(Seen::Leaf)));
            let _written = commit::restore(project, outs, &seen.collect())?;
        }
    }
    for out in
        items.iter().filter(|item| matches!(item.state, State::Stale)).flat_map(|item| &item.fingerprint.outs)
    {
        project.workspace.make_parent(out)?;
    }
    Ok(())
}

/// Removes all but what stays, and the folders that this empties.
fn clear(project: &Project, path: &RepoPath, seen: &Seen, staying: &BTreeSet<&RepoPath>) -> Result<()> {
    let lies_in = |other: &&&RepoPath| other.below(path).is_some();
    if staying.contains(path) {
        return Ok(());
    }
    let next = staying.range::<RepoPath, _>((std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded));
    let holds =
        next.take_while(|other| other.as_str().starts_with(path.as_str())).any(|other| lies_in(&other));
    let Seen::Dir { tree, dirs, .. } = seen else {
        commit::keep(project, path, seen)?;
        return project.workspace.remove(path);
    };
    if !holds {
        commit::keep(project, path, seen)?;
        return project.workspace.remove(path);
    }
    for (name, content) in &tree.entries {
        let leaf = Seen::Leaf(*content);
        clear(project, &path.join(name), dirs.get(name).unwrap_or(&leaf), staying)?;
    }
    Ok(())
}

/// The processes of a stage's stale items.
struct Processing<'a> {
    setting: Setting<'a>,
    stage: &'a Stage,
    each: &'a Each,
    observation: &'a Observation,
    stale: &'a [&'a Item],
    by_path: BTreeMap<&'a str, &'a Item>,
    /// Items whose outs are in the cache by now.
    kept: Mutex<BTreeSet<RepoPath>>,
    say: &'a (dyn Fn(Vec<Said>) + Sync),
}

impl Processing<'_> {
    /// Runs them all; `Some` is what went wrong.
    fn all(&self, job: Job) -> Result<Option<Performed>> {
        self.tell_progress();
        let (log, events) = (job.log.clone(), job.events());
        let say = |said: Vec<Said>| {
            let (items, rest) = said.into_iter().partition(|said| matches!(said, Said::Item(_)));
            let items: Vec<Said> = items;
            (self.say)(rest);
            for said in items {
                if let Said::Item(path) = said {
                    self.finished(&path);
                }
            }
        };
        following(&log, &events, &say, || match &self.each.mode {
            Mode::Together => self.together(job),
            Mode::Apart(_) => self.apart(&job),
        })
    }

    fn together(&self, mut job: Job) -> Result<Option<Performed>> {
        let list = job.log.with_file_name("items.jsonl");
        let mut text = String::new();
        for item in self.stale {
            let outs: Result<Vec<RepoPath>, _> =
                self.each.outs.iter().map(|out| out.path.path(&item.path, &self.each.glob)).collect();
            let line = serde_json::json!({ "item": item.path, "outs": outs.unwrap_or_default() });
            let _ = writeln!(text, "{line}");
        }
        fs::write(&list, text).map_err(|err| Error::io("write", &list, &err))?;
        job.env.push(("REPRO_ITEMS".into(), list.into()));
        if let Some(bad) = self.attempts(&job)? {
            return Ok(Some(bad));
        }
        self.stale.par_iter().try_for_each(|item| self.keep(item))?;
        Ok(None)
    }

    /// A process an item, each when the scheduler has room for it.
    fn apart(&self, job: &Job) -> Result<Option<Performed>> {
        let done = self.setting.units.perform(self.stale.len(), |number| {
            let item = self.stale[number];
            let job = Job {
                cmd: item.fingerprint.cmd.clone().unwrap_or_default(),
                shell: job.shell.clone(),
                dir: job.dir.clone(),
                env: job.env.clone(),
                log: job.log.clone(),
                marker: job.marker.with_file_name(format!("{}~{number}", self.stage.name)),
            };
            match self.attempts(&job).map_err(Err)? {
                None => {
                    self.keep(item).map_err(Err)?;
                    self.tell_progress();
                    Ok(())
                }
                Some(bad) => Err(Ok(about(bad, item))),
            }
        });
        let others = done.bad.len().saturating_sub(1);
        match (done.bad.into_values().next(), done.unstarted) {
            (None, 0) => Ok(None),
            (None, _) if self.setting.groups.stops_within(Duration::ZERO) => Ok(Some(Performed::Stopped)),
            (None, _) => Ok(Some(Performed::Cut)),
            (Some(first), _) => first.map(|bad| Some(and_others(bad, others))),
        }
    }

    /// One process, tried as often as the stage allows.
    fn attempts(&self, job: &Job) -> Result<Option<Performed>> {
        let mut failures = 0;
        loop {
            let (ended, stop): (Ended, Stop) =
                execute(self.setting.groups, job, self.stage.timeout, self.say)?;
            let bad = unsuccessful(self.stage, ended, stop);
            let Some(Performed::Failed { failure, .. }) = &bad else {
                return Ok(bad);
            };
            if failures >= self.stage.retries.count {
                return Ok(bad);
            }
            let delay = self.stage.retries.delay.saturating_mul(1 << failures.min(16));
            failures += 1;
            (self.say)(vec![Said::Warning(format!(
                "{}; it is tried again after {}",
                failure.what,
                Millis::from(delay)
            ))]);
            if self.setting.groups.stops_within(delay) {
                return Ok(Some(Performed::Stopped));
            }
        }
    }

    /// A process said that the outs of an item are complete.
    fn finished(&self, path: &str) {
        let Some(item) = self.by_path.get(path) else {
            return (self.say)(vec![Said::Warning(format!(
                "reported item `{path}`, which it was not given"
            ))]);
        };
        match self.keep(item) {
            Ok(()) => self.tell_progress(),
            Err(error) => (self.say)(vec![Said::Warning(format!("item `{path}` is not kept yet: {error}"))]),
        }
    }

    fn is_optional(&self, item: &Item, path: &RepoPath) -> bool {
        let makes =
            |out: &&ItemOut| out.path.path(&item.path, &self.each.glob).is_ok_and(|made| made == *path);
        self.each.outs.iter().find(makes).is_some_and(|out| out.presence == Presence::Optional)
    }

    fn tell_progress(&self) {
        let done = self.kept.lock().unwrap_or_else(PoisonError::into_inner).len();
        (self.say)(vec![Said::Progress { done: done as u64, total: self.stale.len() as u64 }]);
    }

    /// Keeps the outs of an item and its trace.
    fn keep(&self, item: &Item) -> Result<()> {
        if self.kept.lock().unwrap_or_else(PoisonError::into_inner).contains(&item.path) {
            return Ok(());
        }
        let project = self.setting.project;
        let mut outs = BTreeMap::new();
        for path in &item.fingerprint.outs {
            let Some(seen) = project.workspace.observe(path)? else {
                if self.is_optional(item, path) {
                    continue;
                }
                return Err(Error::usage(format!(
                    "exited with code 0, but did not write `{path}`, an out of item `{}`",
                    item.path
                ))
                .hint(format!(
                    "write it, or correct the outs of stage `{}` in line {}; `optional = true` if it may be missing",
                    self.stage.name, self.stage.line
                )));
            };
            commit::check_restorable(project, path, &seen)?;
            commit::keep(project, path, &seen)?;
            outs.insert(path.clone(), seen.content());
        }
        self.check_unwritten(item)?;
        project.cache.put_trace(&Trace { fingerprint: item.fingerprint.clone(), outs, accepted: None })?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(item.path.clone());
        Ok(())
    }
}

impl Processing<'_> {
    /// Refuses outs that may have been made of something else: of what the item, or a dep of them all, was for a while.
    fn check_unwritten(&self, item: &Item) -> Result<()> {
        let (project, stage) = (self.setting.project, self.stage);
        let now = project.workspace.observe(&item.path)?;
        if now.as_ref().map(Seen::content) != Some(item.content)
            || project.workspace.stamp(&item.path)? != item.stamp
        {
            return Err(Error::usage(format!("item `{}` changed while it was processed", item.path))
                .hint("run again"));
        }
        let of_all = stage.deps.iter().filter(|dep| dep.path != *self.each.glob.text());
        of_all.into_iter().try_for_each(|dep| observe::check_unwritten(project, stage, dep, self.observation))
    }
}

fn about(bad: Performed, item: &Item) -> Performed {
    match bad {
        Performed::Failed { mut failure, exit } => {
            failure.what = format!("{}, for item `{}`", failure.what, item.path);
            Performed::Failed { failure, exit }
        }
        other => other,
    }
}

fn and_others(bad: Performed, count: usize) -> Performed {
    match bad {
        Performed::Failed { mut failure, exit } if count > 0 => {
            failure.causes.push(format!("{count} more {} failed", if count == 1 { "item" } else { "items" }));
            Performed::Failed { failure, exit }
        }
        other => other,
    }
}
