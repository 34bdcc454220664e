//! Runs one command in its own process group.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, geteuid, getpgid, kill_process,
    kill_process_group, pidfd_open, waitid,
};
use wait4::Wait4 as _;

use super::family::{self, Mark};
use super::orphans::mark_of;
use crate::error::{Error, MORE_PROCESSES, Result};
use crate::regular_file;

/// Maximum wait for killed processes to end before the run goes on.
const PATIENCE: Duration = Duration::from_secs(2);
/// Interval for polling a process without a pidfd.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A command to start.
#[derive(Debug)]
pub struct Job {
    pub cmd: String,
    /// Program and arguments that precede the command; `/bin/sh -c` if empty.
    pub shell: Vec<String>,
    pub dir: PathBuf,
    /// Variables added to this process's environment.
    pub env: Vec<(String, OsString)>,
    /// File that receives stdout and stderr, in the order of the writes.
    pub log: PathBuf,
    /// File that marks the command as running: see [`kill_orphans`](super::kill_orphans).
    pub marker: PathBuf,
}

impl Job {
    /// Returns the path of the file, next to the log, to which the command appends events.
    pub fn events(&self) -> PathBuf {
        self.log.with_file_name("events.jsonl")
    }

    /// Reports whether the file system of the log is full.
    ///
    /// Root can also use the blocks that are reserved for it. File systems that report no size are
    /// never full.
    pub fn is_log_full(&self) -> bool {
        rustix::fs::statvfs(&self.log).is_ok_and(|disk| {
            let free = if geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
            disk.f_blocks > 0 && free == 0
        })
    }
}

/// A started command.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    /// Becomes readable on exit; `None` if the kernel has no pidfds or no file descriptors are
    /// left.
    pidfd: Option<OwnedFd>,
    marker: PathBuf,
    /// Peak memory of this program when the command had started.
    own_peak: Option<u64>,
}

/// Resources used by a process and the processes that it waited for.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub cpu: Duration,
    /// Peak memory of the largest process in bytes; `None` if it does not exceed that of this
    /// program.
    pub memory: Option<u64>,
}

/// Exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Process {
    /// Starts a command.
    ///
    /// # Errors
    /// The log or the marker cannot be written, or the shell cannot be started.
    pub fn start(job: &Job) -> Result<Process> {
        let log = open_log(&job.log).map_err(|err| Error::io("write", &job.log, &err))?;
        let second = log.try_clone().map_err(|err| Error::io("write", &job.log, &err))?;
        let marker = lock_marker(&job.marker)?;
        let mut mark = Mark::new();
        let mut saved = save_mark(&job.marker, &mark)?;
        // An absolute path: the stage may set a PATH that contains no shell.
        let shell: Vec<&str> = match &job.shell[..] {
            [] => vec!["/bin/sh", "-c"],
            words => words.iter().map(String::as_str).collect(),
        };
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(&job.cmd)
            .current_dir(&job.dir)
            .envs(job.env.iter().map(|(name, value)| (name, value)))
            .env(family::VARIABLE, mark.variable());
        command.stdin(marker).stdout(log).stderr(second).process_group(0);
        let child = command.spawn().map_err(|err| {
            remove_marker(&job.marker);
            cannot_start(job, shell[0], &err)
        })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { panic!("BUG: invalid process id") };
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
        mark.set_leader(pid);
        // The mark is useful even without its first process.
        let _ = saved.write_all(mark.leader_line().as_bytes());
        let group = Group { first: pid, mark: Arc::new(mark) };
        let marker = job.marker.clone();
        Ok(Process { child, group, pidfd, marker, own_peak: own_peak() })
    }

    pub fn group(&self) -> Group {
        self.group.clone()
    }

    /// Waits at most `timeout` and reports whether the process has ended. Needs no extra thread.
    ///
    /// Without a pidfd it may return false early: call it in a loop.
    pub fn exits_within(&self, timeout: Duration) -> bool {
        let Some(pidfd) = &self.pidfd else {
            std::thread::sleep(timeout.min(POLL_INTERVAL));
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            return !matches!(waitid(WaitId::Pid(self.group.first), options), Ok(None));
        };
        let timeout = Timespec::try_from(timeout).ok();
        poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref())
            .is_ok_and(|ready| ready > 0)
    }

    /// Waits for the process to end and removes its marker.
    pub fn wait(self) -> Result<(Exit, Usage)> {
        let ended = self
            .child
            .wait4()
            .map_err(|err| Error::environment("cannot wait for a process").because(err))?;
        remove_marker(&self.marker);
        let used = ended.rusage;
        // Until it starts its program, a process shares the memory of this one, which counts.
        let memory = self.own_peak.and_then(|own| Some(used.maxrss).filter(|peak| *peak > own));
        Ok((exit(ended.status), Usage { cpu: used.utime + used.stime, memory }))
    }
}

/// Returns the peak of this process's memory in bytes.
fn own_peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        // A shell reports a child that a signal killed as 128 + the signal.
        (Some(code), _) if (129..=159).contains(&code) => Exit::Signal(code - 128),
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// Opens a log for appending. A stage of the run may have put anything in its place.
fn open_log(path: &Path) -> std::io::Result<File> {
    regular_file::check(path)?;
    let log = regular_file::options().create(true).append(true).open(path)?;
    // The process that inherits it expects a file without special flags.
    rustix::fs::fcntl_setfl(&log, OFlags::APPEND)?;
    Ok(log)
}

fn cannot_start(job: &Job, program: &str, err: &std::io::Error) -> Error {
    let error = Error::environment(format!("cannot start `{program}`")).because(err);
    match err.kind() {
        ErrorKind::ArgumentListTooLong => error.hint(too_long(job)),
        ErrorKind::WouldBlock => error.hint(MORE_PROCESSES),
        _ => error.hint(format!("its working directory is `{}`", job.dir.display())),
    }
}

/// Returns the remedy for a command and variables that are too long: the kernel limits each of them
/// and their sum. Names the longest.
fn too_long(job: &Job) -> String {
    let set = job.env.iter().map(|(name, value)| (OsString::from(name), value.clone()));
    let lengths = std::env::vars_os().chain(set).map(|(name, value)| (value.len(), name));
    match lengths.max() {
        Some((length, name)) if length > job.cmd.len() => format!(
            "variable `{}` is too long ({length} bytes): write its value to a file, and let the \
             command read that",
            name.display()
        ),
        _ => format!("the command is too long ({} bytes): move it to a script", job.cmd.len()),
    }
}

/// Opens the process's stdin: an empty file that is locked while any process has it open.
fn lock_marker(path: &Path) -> Result<File> {
    let cannot = |err: std::io::Error| Error::io("write", path, &err);
    let marker = match regular_file::create(path) {
        // Only the first stage finds no folder.
        Err(err) if err.kind() == ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            std::fs::create_dir_all(folder).and_then(|()| regular_file::create(path))
        }
        created => created,
    };
    let marker = marker.map_err(cannot)?;
    marker.lock().map_err(cannot)?;
    Ok(marker)
}

fn remove_marker(marker: &Path) {
    let _ = std::fs::remove_file(marker);
    let _ = std::fs::remove_file(mark_of(marker));
}

/// Writes the token of the mark to a file, to whose end the first process is added.
fn save_mark(marker: &Path, mark: &Mark) -> Result<File> {
    let path = mark_of(marker);
    regular_file::create(&path)
        .and_then(|mut file| file.write_all(mark.token_line().as_bytes()).map(|()| file))
        .map_err(|err| Error::io("write", &path, &err))
}

/// Reason why a process is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// The process read from the terminal, or changed its settings, from the background.
    WantsTerminal,
    BySignal(i32),
}

/// The processes of a running command: its process group, and its [family](super::family), some of
/// which may have left the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    first: Pid,
    mark: Arc<Mark>,
}

impl Group {
    /// Asks all processes of some groups to end (SIGTERM).
    pub fn terminate<'a>(groups: impl IntoIterator<Item = &'a Group>) {
        let groups: Vec<&Group> = groups.into_iter().collect();
        for group in &groups {
            let _ = kill_process_group(group.first, Signal::TERM);
            // A suspended process receives SIGTERM only after it is resumed.
            let _ = kill_process_group(group.first, Signal::CONT);
        }
        let is_told = |pid: &Pid| groups.iter().any(|group| getpgid(Some(*pid)) == Ok(group.first));
        for pid in family::members(&marks(&groups), &[]).iter().filter(|pid| !is_told(pid)) {
            let _ = kill_process(*pid, Signal::TERM);
            let _ = kill_process(*pid, Signal::CONT);
        }
    }

    /// Kills all processes of some groups (SIGKILL). Call it before, or right after, their first
    /// processes were waited for.
    pub fn kill<'a>(groups: impl IntoIterator<Item = &'a Group>) {
        let groups: Vec<&Group> = groups.into_iter().collect();
        for group in &groups {
            let _ = kill_process_group(group.first, Signal::KILL);
        }
        family::kill(&marks(&groups), Vec::new, PATIENCE);
    }

    /// Kills what a command that has ended left in the background.
    pub fn kill_rest(&self) {
        family::kill(&[&self.mark], Vec::new, PATIENCE);
    }

    /// Returns why its first process is suspended; `None` if it is not.
    ///
    /// Terminal signals go to the whole group, so the first process stands for all.
    pub fn halted(&self) -> Option<Halt> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.first), options).ok()??;
        let signal = status.stopping_signal()?;
        Some(match Signal::from_named_raw(signal) {
            Some(Signal::TTIN | Signal::TTOU) => Halt::WantsTerminal,
            _ => Halt::BySignal(signal),
        })
    }
}

fn marks<'a>(groups: &[&'a Group]) -> Vec<&'a Mark> {
    groups.iter().map(|group| &*group.mark).collect()
}
