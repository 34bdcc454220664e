//! The supply of a run: asks the remotes with `auto = "pull"` for what a fingerprint already has.
//!
//! # Mechanism
//!
//! The first question opens the remotes and reads their new index files, once for a run or sweep,
//! on a thread of its own. If a remote does not answer in time, fails, or stops sending, it is left
//! out from then on, with one warning: a run never depends on a remote.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::ask::ask_all;
use super::fetch::{FetchReport, fetch_contents_during_run, fetch_traces_during_run};
use super::remotes_folder;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::run::{NoSupply, Progress, Supply};
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Auto, RemoteSpec};
use crate::remote::{Meter, Remote};

/// Time in which something has to arrive while a remote is sending.
const STALL: Duration = Duration::from_secs(60);
/// Time between two looks at what has arrived.
const LOOK: Duration = Duration::from_millis(100);

/// Returns the supply of the runs of a project.
pub fn supply(project: &Project) -> Arc<dyn Supply> {
    let is_asked = |spec: &&RemoteSpec| spec.auto == Auto::Pull;
    let specs: Vec<RemoteSpec> =
        project.pipeline.remotes.iter().filter(is_asked).cloned().collect();
    if specs.is_empty() {
        return Arc::new(NoSupply);
    }
    Arc::new(Remotes {
        specs,
        root: project.history.clone(),
        folder: remotes_folder(project),
        opening: Mutex::default(),
        state: Mutex::default(),
    })
}

#[derive(Debug)]
struct Remotes {
    specs: Vec<RemoteSpec>,
    root: PathBuf,
    folder: PathBuf,
    /// Held by the one who opens the remotes.
    opening: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Remotes that have answered and did not fail since; `None` before the first question.
    open: Option<Vec<Arc<Remote>>>,
    /// Meters of the transfers that are going on.
    meters: Vec<Arc<Meter>>,
    warnings: Vec<String>,
    is_stopped: bool,
}

impl Supply for Remotes {
    fn objects(
        &self,
        project: &Project,
        wanted: &[Content],
        progress: Progress<'_>,
    ) -> Option<String> {
        self.open().into_iter().find_map(|asked| {
            // Most stages are not there at all, and a folder need not be fetched to know that.
            let has = |content: &Content| {
                let digest = content.digest();
                project.cache.has(&digest) || asked.catalog().has(&digest)
            };
            if !wanted.iter().all(has) {
                return None;
            }
            self.fetch(&asked, progress, |remote, meter| {
                fetch_contents_during_run(project, remote, wanted, meter)
            })?;
            let is_here =
                |content: &Content| matches!(project.cache.first_missing(content), Ok(None));
            wanted.iter().all(is_here).then(|| asked.name.clone())
        })
    }

    fn traces(
        &self,
        project: &Project,
        keys: &[Digest],
        progress: Progress<'_>,
    ) -> BTreeMap<Digest, String> {
        let mut brought = BTreeMap::new();
        for asked in self.open() {
            let is_there =
                |key: &&Digest| !brought.contains_key(*key) && asked.catalog().trace(key).is_some();
            let wanted: Vec<Digest> = keys.iter().filter(is_there).copied().collect();
            if wanted.is_empty() {
                continue;
            }
            let mut complete = Vec::new();
            self.fetch(&asked, progress, |remote, meter| {
                let (traces, report) = fetch_traces_during_run(project, remote, &wanted, meter)?;
                complete = traces;
                Ok(report)
            });
            let name = || asked.name.clone();
            brought.extend(complete.iter().map(|trace| (trace.fingerprint.key(), name())));
        }
        brought
    }

    fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.state().warnings)
    }

    fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        state.meters.iter().for_each(|meter| meter.stop());
    }
}

impl Remotes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the remotes that can be asked. Others that ask meanwhile wait for the first.
    fn open(&self) -> Vec<Arc<Remote>> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state().is_stopped {
            return Vec::new();
        }
        if let Some(open) = &self.state().open {
            return open.clone();
        }
        let answers = ask_all(&self.specs, &self.root, &self.folder);
        let mut state = self.state();
        let mut open = Vec::new();
        for (spec, answer) in answers {
            match answer {
                Ok(remote) => {
                    state.warnings.extend(remote.warnings.iter().cloned());
                    open.push(Arc::new(remote));
                }
                Err(error) => state.warnings.push(unused(&spec.name, &error)),
            }
        }
        state.open = Some(open.clone());
        open
    }

    /// Fetches from a remote, which is left out from then on if it fails or stops sending.
    fn fetch(
        &self,
        asked: &Remote,
        progress: Progress<'_>,
        work: impl FnOnce(&Remote, &Meter) -> Result<FetchReport>,
    ) -> Option<()> {
        let meter = self.meter()?;
        progress(0, 0);
        let stalled = Watchdog::over(&meter, progress, || work(asked, &meter));
        self.state().meters.retain(|other| !Arc::ptr_eq(other, &meter));
        let name = &asked.name;
        let report = match stalled {
            Watched::Stalled => {
                let what = format!("nothing has arrived for {} seconds", STALL.as_secs());
                self.leave_out(name, &Error::environment(what));
                return None;
            }
            Watched::Done(report) => report,
        };
        match report {
            Err(error) => self.leave_out(name, &error),
            Ok(mut report) if !report.errors.is_empty() => {
                let error = report.errors.swap_remove(0);
                match error.kind {
                    // One object is damaged there; the others are not.
                    Kind::Damaged => {
                        self.state().warnings.push(format!("remote `{name}`: {error}"));
                    }
                    _ => self.leave_out(name, &error),
                }
            }
            Ok(_) => {}
        }
        Some(())
    }

    /// Returns the meter of a new transfer; `None` once the run stops.
    fn meter(&self) -> Option<Arc<Meter>> {
        let mut state = self.state();
        let meter = Arc::<Meter>::default();
        state.meters.push(Arc::clone(&meter));
        (!state.is_stopped).then_some(meter)
    }

    fn leave_out(&self, name: &str, error: &Error) {
        let mut state = self.state();
        let mut was_open = false;
        if let Some(open) = &mut state.open {
            let before = open.len();
            open.retain(|asked| asked.name != name);
            was_open |= open.len() < before;
        }
        // Several stages can notice it at the same time.
        if was_open && !state.is_stopped {
            state.warnings.push(unused(name, error));
        }
    }
}

fn unused(name: &str, error: &Error) -> String {
    format!("remote `{name}` is not used in this run: {error}")
}

enum Watched<T> {
    Done(T),
    Stalled,
}

/// Reports the progress of a transfer, and stops it if nothing arrives for too long.
struct Watchdog;

impl Watchdog {
    fn over<T>(meter: &Meter, progress: Progress<'_>, work: impl FnOnce() -> T) -> Watched<T> {
        let (done, ended) = channel::<()>();
        thread::scope(|scope| {
            let watch = thread::Builder::new().spawn_scoped(scope, move || {
                let mut last = (meter.done(), Instant::now());
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
                    let now = meter.done();
                    if now != last.0 {
                        last = (now, Instant::now());
                        progress(now.objects, meter.total().objects);
                    } else if last.1.elapsed() >= STALL {
                        meter.stop();
                        return true;
                    }
                }
                false
            });
            let result = work();
            drop(done);
            match watch.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(true)) => Watched::Stalled,
                _ => Watched::Done(result),
            }
        })
    }
}
