//! The processes of a stage's stale items: one for all, or one each. A finished item is kept at once, so that a crash half way
//! keeps the finished half.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::list::{Item, Shared, is_by_item};
use crate::engine::commit;
use crate::engine::observe::{self, Observation};
use crate::engine::run::processes::{Say, Stop, execute, following};
use crate::engine::run::worker::{Performed, Setting, make_room, retrying, unsuccessful};
use crate::error::{Error, Result};
use crate::exec::{Ended, Job, More, Said};
use crate::pipeline::{Each, Mode, Presence, Stage};
use crate::plan::Trace;
use crate::repo_path::RepoPath;
use crate::workspace::Seen;

/// The processes of a stage's stale items.
pub(super) struct Processing<'a> {
    setting: Setting<'a>,
    stage: &'a Stage,
    each: &'a Each,
    shared: &'a Shared,
    stale: &'a [&'a Item],
    observation: &'a Observation,
    by_path: BTreeMap<&'a str, &'a Item>,
    /// Items whose outs are in the cache by now.
    kept: Mutex<BTreeSet<&'a RepoPath>>,
    say: &'a Say<'a>,
}

impl<'a> Processing<'a> {
    pub(super) fn new(
        setting: Setting<'a>,
        stage: &'a Stage,
        each: &'a Each,
        shared: &'a Shared,
        stale: &'a [&'a Item],
        observation: &'a Observation,
        say: &'a Say<'a>,
    ) -> Processing<'a> {
        let by_path = stale.iter().map(|item| (item.path.as_str(), *item)).collect();
        Processing {
            setting,
            stage,
            each,
            shared,
            stale,
            observation,
            by_path,
            kept: Mutex::default(),
            say,
        }
    }

    /// Runs them all; `Some` is what went wrong.
    pub(super) fn all(&self, job: Job) -> Result<Option<Performed>> {
        self.tell_progress();
        let (log, events) = (job.log.clone(), job.events());
        let say = |said: Vec<Said>| {
            let (items, rest) = said.into_iter().partition(|said| matches!(said, Said::Item(_)));
            let items: Vec<Said> = items;
            (self.say)(rest).wait();
            items.par_iter().for_each(|said| {
                if let Said::Item(path) = said {
                    self.finished(path);
                }
            });
            if !items.is_empty() {
                self.tell_progress();
            }
        };
        following(&log, &events, &say, || match &self.each.mode {
            Mode::Together => self.together(job),
            Mode::Apart(_) => self.apart(&job),
        })
    }

    fn together(&self, mut job: Job) -> Result<Option<Performed>> {
        let list = job.log.with_file_name("items.jsonl");
        job.env.push(("REPRO_ITEMS".into(), list.clone().into()));
        let prepare = |failures| {
            let left = self.left();
            if failures > 0 {
                for out in self.stage.outs.iter().filter(|out| !is_by_item(self.each, &out.path)) {
                    make_room(self.setting.project, self.stage, out, self.observation, failures)?;
                }
                self.remove_outs(&left)?;
            }
            let mut text = String::new();
            for item in left {
                let line = serde_json::json!({ "item": item.path, "outs": item.outs });
                let _ = writeln!(text, "{line}");
            }
            fs::write(&list, text).map_err(|err| Error::io("write", &list, &err))
        };
        if let Some(bad) = self.attempts(&job, prepare)? {
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
                cmd: self.shared.fingerprint(self.each, item).cmd.unwrap_or_default(),
                shell: job.shell.clone(),
                dir: job.dir.clone(),
                env: job.env.clone(),
                log: job.log.clone(),
                marker: job.marker.with_file_name(format!("{}~{number}", self.stage.name)),
            };
            let prepare = |failures| if failures > 0 { self.remove_outs(&[item]) } else { Ok(()) };
            match self.attempts(&job, prepare).map_err(|err| Box::new(Err(err)))? {
                None => {
                    self.keep(item).map_err(|err| Box::new(Err(err)))?;
                    self.tell_progress();
                    Ok(())
                }
                Some(bad) => Err(Box::new(Ok(about(bad, item)))),
            }
        });
        let others = done.bad.len().saturating_sub(1);
        match (done.bad.into_values().next(), done.unstarted) {
            (None, 0) => Ok(None),
            (None, _) if self.setting.groups.stops_within(Duration::ZERO) => {
                Ok(Some(Performed::Stopped))
            }
            (None, _) => Ok(Some(Performed::Cut)),
            (Some(first), _) => (*first).map(|bad| Some(and_others(bad, others))),
        }
    }

    /// One process, tried as often as the stage allows.
    fn attempts(
        &self,
        job: &Job,
        prepare: impl Fn(u64) -> Result<()>,
    ) -> Result<Option<Performed>> {
        let failure = |ended: &Result<Option<Performed>>| match ended {
            Ok(Some(Performed::Failed { failure, .. })) => Some(failure.what.clone()),
            _ => None,
        };
        let attempt = |failures| {
            prepare(failures)?;
            let (ended, stop): (Ended, Stop) =
                execute(self.setting.groups, job, self.stage.timeout, self.say, || More::Later)?;
            Ok(unsuccessful(self.stage, ended, stop))
        };
        retrying(self.setting, self.stage, self.say, failure, attempt)
            .unwrap_or(Ok(Some(Performed::Stopped)))
    }

    /// The items that no process has finished yet.
    fn left(&self) -> Vec<&'a Item> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.stale.iter().copied().filter(|item| !kept.contains(&item.path)).collect()
    }

    /// What a failed attempt left behind is nobody's.
    fn remove_outs(&self, items: &[&Item]) -> Result<()> {
        let workspace = &self.setting.project.workspace;
        items.iter().flat_map(|item| &item.outs).try_for_each(|out| workspace.remove(out))
    }

    /// A process said that the outs of an item are complete.
    fn finished(&self, path: &str) {
        let Some(item) = self.by_path.get(path) else {
            return self
                .tell(Said::Warning(format!("reported item `{path}`, which it was not given")));
        };
        if let Err(error) = self.keep(item) {
            self.tell(Said::Warning(format!("item `{path}` is not kept yet: {error}")));
        }
    }

    fn tell_progress(&self) {
        let done = self.kept.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.tell(Said::Progress { done: done as u64, total: self.stale.len() as u64 });
    }

    fn tell(&self, said: Said) {
        (self.say)(vec![said]).wait();
    }

    /// Keeps the outs of an item and its trace.
    fn keep(&self, item: &'a Item) -> Result<()> {
        if self.kept.lock().unwrap_or_else(PoisonError::into_inner).contains(&item.path) {
            return Ok(());
        }
        let project = self.setting.project;
        let mut outs = BTreeMap::new();
        for (path, out) in item.outs.iter().zip(&self.each.outs) {
            let Some(seen) = project.workspace.observe(path)? else {
                if out.presence == Presence::Optional {
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
        let fingerprint = self.shared.fingerprint(self.each, item);
        project.cache.put_trace(&Trace { fingerprint, outs, accepted: None })?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(&item.path);
        Ok(())
    }

    /// Refuses outs that may have been made of something else: of what the item, or a dep of them all, was for a while.
    fn check_unwritten(&self, item: &Item) -> Result<()> {
        let (project, stage) = (self.setting.project, self.stage);
        let now = project.workspace.observe(&item.path)?;
        if now.as_ref().map(Seen::content) != Some(item.content)
            || Some(project.workspace.stamp(&item.path)?) != item.stamp
        {
            return Err(Error::usage(format!(
                "item `{}` changed while it was processed",
                item.path
            ))
            .hint("run again"));
        }
        let of_all = stage.deps.iter().filter(|dep| dep.path != *self.each.glob.text());
        of_all
            .into_iter()
            .try_for_each(|dep| observe::check_unwritten(project, stage, dep, self.observation))
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
            failure
                .causes
                .push(format!("{count} more {} failed", if count == 1 { "item" } else { "items" }));
            Performed::Failed { failure, exit }
        }
        other => other,
    }
}
