//! `repro run --watch`: runs, and runs again when something changes that a run would read.
//!
//! ```text
//! watch ──▶ run ──▶ (changed meanwhile?) ──no──▶ wait ──▶ debounce ──▶ watch …
//! ```
//! Folders are watched before the run observes them, so that no change is missed. A change only
//! starts a run; the run decides what is out of date. Changes to outs are ignored, or each run
//! would start another.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::project;
use crate::error::{Result, exit};
use crate::exec::signals;
use crate::pipeline::{self, Glob, Override, Pipeline, StageIx, StageSet};
use crate::repo_path::RepoPath;
use crate::workspace::reproignore::{self, Ignores};
use crate::workspace::scan::{self, WatchPoint};
use crate::workspace::watch::{WatchEvent, Watcher};

/// Debounce delay: after this long without changes, a save of several files or a checkout is over.
const SETTLED: Duration = Duration::from_millis(100);
/// Upper bound on the debounce delay.
const PATIENCE: Duration = Duration::from_secs(2);
/// Number of failed runs in a row, each started by its own writes, after which the watch waits.
const MOST_FAILURES: usize = 3;

/// Notice to the user between runs.
#[derive(Debug)]
pub enum Notice {
    Waiting,
    /// A path changed; `None` if too many did to name one.
    Changed(Option<RepoPath>),
}

/// Callbacks of a watch.
pub trait Watched {
    /// Brings everything up to date once, reports the result, and returns the exit code.
    fn run(&mut self) -> u8;
    /// Returns the stages with inputs to watch.
    fn wanted(&self, pipeline: &Pipeline) -> Result<StageSet>;
    fn notify(&mut self, notice: Notice);
}

enum Message {
    Changed(WatchEvent),
    Signal,
}

/// Watches until a signal arrives. Returns 130 if the signal interrupted a run, and 0 otherwise.
///
/// # Errors
/// If the system cannot watch files.
pub fn watch(root: &Path, overrides: &[Override], watched: &mut dyn Watched) -> Result<u8> {
    let (sender, inbox) = channel();
    let changes = sender.clone();
    let mut watcher =
        Watcher::start(move |changed| changes.send(Message::Changed(changed)).is_ok())?;
    let _signals = watch_signals(sender)?;
    let mut watch_set = WatchSet::default();
    let mut failures = 0;
    loop {
        watch_set.renew(root, overrides, watched);
        watch_set.watch(root, &mut watcher)?;
        let code = watched.run();
        if code == exit::INTERRUPTED {
            return Ok(code);
        }
        let mut events =
            EventSource { root, inbox: &inbox, watcher: &mut watcher, watch_set: &watch_set };
        let meanwhile = match events.changed_so_far() {
            ControlFlow::Continue(meanwhile) => meanwhile,
            ControlFlow::Break(()) => return Ok(exit::OK),
        };
        failures = if code == exit::OK || meanwhile.is_none() { 0 } else { failures + 1 };
        let changed = match meanwhile {
            Some(changed) if failures < MOST_FAILURES => changed,
            _ => {
                failures = 0;
                watched.notify(Notice::Waiting);
                match events.wait() {
                    Some(changed) => changed,
                    None => return Ok(exit::OK),
                }
            }
        };
        if events.settle().is_break() {
            return Ok(exit::OK);
        }
        watched.notify(Notice::Changed(changed));
    }
}

fn watch_signals(sender: Sender<Message>) -> Result<signals::SignalGuard> {
    signals::watch(move || match sender.send(Message::Signal) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    })
}

/// A changed path in the watch set; `None` if too much changed to name one.
type ChangedPath = Option<RepoPath>;

struct EventSource<'a> {
    root: &'a Path,
    inbox: &'a Receiver<Message>,
    watcher: &'a mut Watcher,
    watch_set: &'a WatchSet,
}

impl EventSource<'_> {
    /// Returns the first relevant change so far. Breaks on a signal.
    fn changed_so_far(&mut self) -> ControlFlow<(), Option<ChangedPath>> {
        let mut first = None;
        while let Ok(note) = self.inbox.try_recv() {
            match note {
                Message::Signal => return ControlFlow::Break(()),
                Message::Changed(changed) => {
                    // Called even when the result is not needed: it forgets removed folders.
                    let changed_path = self.changed_path(&changed);
                    first = first.or(changed_path);
                }
            }
        }
        ControlFlow::Continue(first)
    }

    /// Waits for a relevant change; `None` on a signal.
    fn wait(&mut self) -> Option<ChangedPath> {
        loop {
            match self.inbox.recv() {
                Ok(Message::Changed(changed)) => {
                    if let Some(changed_path) = self.changed_path(&changed) {
                        return Some(changed_path);
                    }
                }
                Ok(Message::Signal) | Err(_) => return None,
            }
        }
    }

    /// Waits until relevant changes stop. Breaks on a signal.
    fn settle(&mut self) -> ControlFlow<()> {
        let patience = Instant::now() + PATIENCE;
        let mut until = Instant::now() + SETTLED;
        loop {
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Signal) | Err(RecvTimeoutError::Disconnected) => {
                    return ControlFlow::Break(());
                }
                Err(RecvTimeoutError::Timeout) => return ControlFlow::Continue(()),
                Ok(Message::Changed(changed)) if self.changed_path(&changed).is_some() => {
                    until = (Instant::now() + SETTLED).min(patience);
                }
                Ok(Message::Changed(_)) => {}
            }
        }
    }

    fn changed_path(&mut self, changed: &WatchEvent) -> Option<ChangedPath> {
        if *changed == WatchEvent::Overflow {
            return Some(None);
        }
        let paths = self.watcher.paths(changed);
        let inside = paths.iter().filter_map(|path| path.strip_prefix(self.root).ok()?.to_str());
        let mut inside = inside.filter_map(|path| RepoPath::parse(path).ok());
        if let Some(path) = inside.find(|path| self.watch_set.holds(path)) {
            return Some(Some(path));
        }
        // Or a parent folder of a target.
        let is_target = |path: &PathBuf| {
            self.watch_set
                .targets
                .range(path.clone()..)
                .next()
                .is_some_and(|target| target.starts_with(path))
        };
        paths.iter().any(is_target).then_some(None)
    }
}

/// The paths that a run would read.
#[derive(Debug, Default)]
struct WatchSet {
    /// `pipeline.toml` and the files that it includes.
    sources: BTreeSet<RepoPath>,
    /// Deps that no stage writes.
    deps: BTreeSet<RepoPath>,
    globs: Vec<Glob>,
    /// Paths that stages write.
    made: BTreeSet<RepoPath>,
    /// Links through which sources, deps and globs are read, and their targets.
    targets: BTreeSet<PathBuf>,
    ignores: Option<Ignores>,
}

impl WatchSet {
    /// Updates the set for the present pipeline. If the pipeline does not parse, updates only its
    /// files.
    fn renew(&mut self, root: &Path, overrides: &[Override], watched: &dyn Watched) {
        let read = RefCell::new(BTreeSet::from_iter(RepoPath::parse(pipeline::FILE)));
        // A missing dep may appear later.
        let pipeline = project::text(root)
            .and_then(|text| project::parse_noting(root, &text, overrides, &|_| true, &read))
            .and_then(|pipeline| watched.wanted(&pipeline).map(|wanted| (pipeline, wanted)));
        let read = read.into_inner();
        let Ok((pipeline, wanted)) = pipeline else {
            self.sources.extend(read);
            return;
        };
        let ignores = Some(Ignores::of(root));
        *self = WatchSet { sources: read, ignores, ..WatchSet::default() };
        for (ix, stage) in StageIx::enumerate(&pipeline.stages) {
            let wanted = wanted.contains(ix);
            let outs = stage.outs.iter().map(|out| out.path.clone());
            match (stage.is_tracked_input(), wanted) {
                (false, _) => self.made.extend(outs),
                (true, true) => self.deps.extend(outs),
                (true, false) => {}
            }
            for dep in stage.deps.iter().filter(|_| wanted) {
                match &dep.glob {
                    Some(glob) => self.globs.push(glob.clone()),
                    None => drop(self.deps.insert(dep.path.clone())),
                }
            }
        }
        let deps = std::mem::take(&mut self.deps);
        self.deps = deps.into_iter().filter(|dep| !self.is_made(dep)).collect();
        let read =
            self.sources.iter().chain(&self.deps).chain(self.globs.iter().filter_map(Glob::base));
        self.targets = read.flat_map(|path| self.links_of(root, &path.to_path(root))).collect();
    }

    /// Returns the symlinks that a path goes through and its target, up to the first path that a
    /// run writes: neither that path nor anything behind it starts a run.
    fn links_of(&self, root: &Path, path: &Path) -> Vec<PathBuf> {
        scan::symlink_chain(path).into_iter().take_while(|at| !self.is_written(root, at)).collect()
    }

    /// Reports whether a change at a path may affect a run.
    fn holds(&self, path: &RepoPath) -> bool {
        if self.sources.contains(path) {
            return true;
        }
        let is_above = |other: &RepoPath| path.contains(other);
        if self.is_made(path) || path.is_reserved() {
            // A folder above a source may appear or disappear.
            return self.sources.iter().any(is_above);
        }
        // A file with rules matters like the folder that it is in.
        let is_rules = path.as_str().rsplit('/').next() == Some(reproignore::FILE);
        let changed = match path.ancestors().next().filter(|_| is_rules) {
            Some(folder) => &RepoPath::parse(folder).unwrap_or_else(|_| path.clone()),
            None if is_rules => return true,
            None => path,
        };
        let is_ignored = || !is_rules && self.is_ignored(path);
        let concerns = |dep: &RepoPath| {
            changed.contains(dep)
                || (dep.contains(changed) && (!is_ignored() || self.is_ignored(dep)))
        };
        let matches = |glob: &Glob| match glob.base() {
            Some(base) => concerns(base),
            None => !is_ignored(),
        };
        self.deps.iter().any(concerns)
            || self.globs.iter().any(matches)
            || self.sources.iter().any(is_above)
    }

    fn is_ignored(&self, path: &RepoPath) -> bool {
        self.ignores.as_ref().is_some_and(|ignores| ignores.is_ignored(path))
    }

    fn is_made(&self, path: &RepoPath) -> bool {
        self.made.contains(path) || path.ancestors().any(|above| self.made.contains(above))
    }

    /// Reports whether a run writes at the path, through its stages or itself.
    fn is_written(&self, root: &Path, path: &Path) -> bool {
        let below = path.strip_prefix(root).ok().and_then(Path::to_str).map(RepoPath::parse);
        below.and_then(Result::ok).is_some_and(|path| self.is_made(&path) || path.is_reserved())
    }

    /// Reports whether the ignore rules leave out the path.
    fn is_left_out(&self, root: &Path, path: &Path) -> bool {
        let below = path.strip_prefix(root).ok().and_then(Path::to_str).map(RepoPath::parse);
        below.and_then(Result::ok).is_some_and(|path| self.is_ignored(&path))
    }

    /// Watches every folder in which a relevant change can happen.
    fn watch(&mut self, root: &Path, watcher: &mut Watcher) -> Result<()> {
        watcher.forget();
        watcher.watch(root)?;
        for path in
            self.sources.iter().chain(&self.deps).chain(self.globs.iter().filter_map(Glob::base))
        {
            // A missing path can appear only in an existing folder.
            for above in path.ancestors() {
                watcher.watch(&root.join(above))?;
            }
        }
        let mut targets = Vec::new();
        let tops = self.deps.iter().map(Some).chain(self.globs.iter().map(Glob::base));
        for top in tops {
            let top = top.map_or(root.to_owned(), |top| top.to_path(root));
            let matters =
                |path: &Path| !self.is_written(root, path) && !self.is_left_out(root, path);
            for place in scan::watch_points(&top, &matters) {
                match place {
                    WatchPoint::Folder(folder) => watcher.watch(&folder)?,
                    WatchPoint::Link(link) => targets.extend(self.links_of(root, &link)),
                }
            }
        }
        self.targets.extend(targets);
        let folders: BTreeSet<&Path> =
            self.targets.iter().filter_map(|target| target.parent()).collect();
        for folder in folders {
            let existing = folder.ancestors().find(|folder| folder.is_dir());
            existing.map_or(Ok(()), |folder| watcher.watch(folder))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn relevant_changes() {
        let watch_set = WatchSet {
            sources: [path("pipeline.toml"), path("conf/base.toml")].into(),
            deps: [path("src"), path("data/in.txt"), path("data/made/x")].into(),
            globs: vec![Glob::parse(&path("tests/**/*.py")).unwrap().unwrap()],
            made: [path("data/made"), path("src/gen")].into(),
            targets: BTreeSet::new(),
            ignores: Some(Ignores::of(Path::new("/nonexistent"))),
        };
        for (text, expected) in [
            ("pipeline.toml", true),
            ("conf/base.toml", true),
            ("conf", true),
            ("conf/other.toml", false),
            ("src", true),
            ("src/a/b", true),
            ("src/gen", false),
            ("src/gen/x", false),
            ("src/__pycache__/a.pyc", false),
            ("src/.repro-tmp-1-2", true),
            ("src/.a.py.swp", false),
            ("src/.reproignore", true),
            (".reproignore", true),
            ("other/.reproignore", false),
            ("data", true),
            ("data/in.txt", true),
            ("data/other.txt", false),
            ("data/made/x", false),
            ("tests/a/b.py", true),
            ("tests", true),
            ("README.md", false),
            ("pipeline.lock", false),
            ("cache/index", false),
        ] {
            assert_eq!(watch_set.holds(&path(text)), expected, "{text}");
        }
    }
}
