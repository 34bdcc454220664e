//! One command as a process group of its own.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, geteuid, kill_process_group, pidfd_open, waitid,
};

use crate::error::{Error, Result};

/// How often a process is looked at where its end is not told.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// What to start.
#[derive(Debug)]
pub struct Job {
    pub cmd: String,
    /// The words before the command; `sh -c` if there are none.
    pub shell: Vec<String>,
    pub dir: PathBuf,
    /// On top of this process's own environment.
    pub env: Vec<(String, OsString)>,
    /// Takes what the command writes to stdout and stderr, in the order in which it writes.
    pub log: PathBuf,
    /// The file that marks the command as running: see [`kill_orphans`](super::kill_orphans).
    pub marker: PathBuf,
}

impl Job {
    /// The file beside the log that the command appends events to.
    pub fn events(&self) -> PathBuf {
        self.log.with_file_name("events.jsonl")
    }

    /// Whether nothing more can be written to the log and to the events. Some file systems have no size, and root writes also
    /// where the rest is kept free for it.
    pub fn is_log_full(&self) -> bool {
        rustix::fs::statvfs(&self.log).is_ok_and(|disk| {
            let free = if geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
            disk.f_blocks > 0 && free == 0
        })
    }
}

#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    /// Tells of its end; `None` where the kernel gives none: it has no such thing, or too many files are open.
    pidfd: Option<OwnedFd>,
    marker: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Process {
    pub fn start(job: &Job) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(&job.log);
        let log = log.map_err(|err| Error::io("write", &job.log, &err))?;
        let second = log.try_clone().map_err(|err| Error::io("write", &job.log, &err))?;
        let marker = lock_marker(&job.marker)?;
        // Not looked up: the stage may have a PATH of its own, without a shell in it.
        let shell: Vec<&str> = match &job.shell[..] {
            [] => vec!["/bin/sh", "-c"],
            words => words.iter().map(String::as_str).collect(),
        };
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(&job.cmd)
            .current_dir(&job.dir)
            .envs(job.env.iter().map(|(name, value)| (name, value)));
        command.stdin(marker).stdout(log).stderr(second).process_group(0);
        let child = command.spawn().map_err(|err| {
            let error = Error::environment(format!("cannot start `{}`", shell[0])).because(&err);
            match err.kind() {
                std::io::ErrorKind::ArgumentListTooLong => {
                    error.hint("the command is too long; put it into a script")
                }
                _ => error.hint(format!("it would run in `{}`", job.dir.display())),
            }
        })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { panic!("BUG: a process id that is none") };
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
        Ok(Process { child, group: Group(pid), pidfd, marker: job.marker.clone() })
    }

    pub fn group(&self) -> Group {
        self.group
    }

    /// Whether it ends before so much time has passed. Asking costs no thread.
    pub fn exits_within(&self, timeout: Duration) -> bool {
        let Some(pidfd) = &self.pidfd else {
            std::thread::sleep(timeout.min(POLL_INTERVAL));
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            return !matches!(waitid(WaitId::Pid(self.group.0), options), Ok(None));
        };
        let timeout = Timespec::try_from(timeout).ok();
        poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref())
            .is_ok_and(|ready| ready > 0)
    }

    pub fn wait(mut self) -> Result<Exit> {
        let status = self
            .child
            .wait()
            .map_err(|err| Error::environment("cannot wait for a process").because(err))?;
        let _ = std::fs::remove_file(&self.marker);
        Ok(exit(status))
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        // A shell reports a child that a signal killed as 128 + the signal.
        (Some(code), _) if (129..=159).contains(&code) => Exit::Signal(code - 128),
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// The process's stdin: an empty file, locked for as long as any process has it open.
fn lock_marker(path: &PathBuf) -> Result<File> {
    let cannot = |err: std::io::Error| Error::io("write", path, &err);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(cannot)?;
    }
    let marker = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(cannot)?;
    marker.lock().map_err(cannot)?;
    Ok(marker)
}

/// Why a process neither runs nor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// It read from the terminal, or changed its settings, from the background.
    WantsTerminal,
    BySignal(i32),
}

/// A running process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(Pid);

impl Group {
    /// Asks every process of it to end.
    pub fn terminate(self) {
        let _ = kill_process_group(self.0, Signal::TERM);
        // One that is halted would hear of it only when somebody lets it go on.
        let _ = kill_process_group(self.0, Signal::CONT);
    }

    /// Ends every process of it.
    pub fn kill(self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }

    /// Whether its first process is halted, and why. The terminal's signals go to a whole group, so it speaks for all.
    pub fn halted(self) -> Option<Halt> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.0), options).ok()??;
        let signal = status.stopping_signal()?;
        Some(match Signal::from_named_raw(signal) {
            Some(Signal::TTIN | Signal::TTOU) => Halt::WantsTerminal,
            _ => Halt::BySignal(signal),
        })
    }
}
