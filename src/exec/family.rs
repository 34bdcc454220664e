//! Finds the processes of a command, also those that left its process group.
//!
//! # Mechanism
//!
//! A [`Mark`] identifies an execution in two ways: by a token in its environment, which every child
//! process inherits, and by the process id and start time of its first process. A *family* consists
//! of the processes found by either, of their children, and of the process groups and sessions that
//! any of them leads. All is read from `/proc`.
//!
//! # Invariants
//!
//! - A token is never used twice, and a process id counts only together with its start time, this
//!   boot of the machine and the namespace of process ids. So no other process is ever taken for
//!   one of the family.
//! - This process and its ancestors never belong to a family.
//!
//! # Known limits
//!
//! - Processes of other users (`sudo`) hide their environment. They are found as children.
//! - A process that empties its environment, moves to a session of its own and outlives its parent
//!   is not found; neither is one that another program starts on behalf of the command, such as a
//!   container.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::unique::unique;

/// Environment variable with the tokens of a process, separated by colons. There are several in
/// a stage that runs `repro` itself.
pub(super) const VARIABLE: &str = "REPRO_MARK";
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Identity of the processes of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    token: String,
    leader: Option<Leader>,
}

/// The first process of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leader {
    pid: i32,
    /// Ticks since the machine started.
    start: u64,
}

impl Mark {
    pub(super) fn new() -> Mark {
        Mark { token: unique(), leader: None }
    }

    /// Returns the value of [`VARIABLE`] for the execution.
    pub(super) fn variable(&self) -> String {
        match std::env::var(VARIABLE) {
            Ok(outer) if !outer.is_empty() => format!("{outer}:{}", self.token),
            _ => self.token.clone(),
        }
    }

    /// Records the first process, which must not have been waited for.
    pub(super) fn set_leader(&mut self, pid: Pid) {
        let entry = Entry::read(pid.as_raw_nonzero().get());
        self.leader = entry.map(|entry| Leader { pid: entry.pid, start: entry.start });
    }

    /// Returns the first line of the mark's file.
    pub(super) fn token_line(&self) -> String {
        format!("{}\n", self.token)
    }

    /// Returns the second line of the mark's file; nothing if the first process is unknown.
    pub(super) fn leader_line(&self) -> String {
        let line = |leader: Leader| format!("{} {} {}\n", leader.pid, leader.start, *HOST);
        self.leader.map_or_else(String::new, line)
    }

    /// Reads the text of a mark's file; the first process of another machine is left out.
    pub(super) fn decode(text: &str) -> Option<Mark> {
        let mut lines = text.lines();
        let token = lines.next().filter(|token| !token.is_empty())?.to_owned();
        let leader = lines.next().and_then(|line| {
            let (pid, rest) = line.split_once(' ')?;
            let (start, host) = rest.split_once(' ')?;
            let leader = Leader { pid: pid.parse().ok()?, start: start.parse().ok()? };
            (host == *HOST).then_some(leader)
        });
        Some(Mark { token, leader })
    }
}

/// The boot of the machine and the namespace of process ids.
static HOST: LazyLock<String> = LazyLock::new(|| {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let names = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), names.display())
});

/// Kills the families of some marks and of the processes that `also` returns, until none is left.
/// Returns the processes that do not end within `patience`.
pub(super) fn kill(marks: &[&Mark], also: impl Fn() -> Vec<Pid>, patience: Duration) -> Vec<Pid> {
    let until = Instant::now() + patience;
    loop {
        let found = members(marks, &also());
        for pid in &found {
            let _ = kill_process(*pid, Signal::KILL);
        }
        if found.is_empty() || Instant::now() >= until {
            return found;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the living processes of the families of some marks and of the processes `also`.
pub(super) fn members(marks: &[&Mark], also: &[Pid]) -> Vec<Pid> {
    if marks.is_empty() && also.is_empty() {
        return Vec::new();
    }
    let table = table();
    let mut found: BTreeSet<i32> = also.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
    found.extend(table.iter().filter(|entry| entry.is_marked(marks)).map(|entry| entry.pid));
    let mut before = 0;
    while before != found.len() {
        before = found.len();
        let related = table.iter().filter(|entry| {
            [entry.parent, entry.group, entry.session].iter().any(|other| found.contains(other))
        });
        found.extend(related.map(|entry| entry.pid).collect::<Vec<_>>());
    }
    let own = ancestors(&table);
    let living = table.iter().filter(|entry| !entry.is_zombie && found.contains(&entry.pid));
    living
        .filter(|entry| !own.contains(&entry.pid))
        .filter_map(|entry| Pid::from_raw(entry.pid))
        .collect()
}

/// Returns this process and its ancestors.
fn ancestors(table: &[Entry]) -> BTreeSet<i32> {
    let mut own = BTreeSet::new();
    let mut at = Some(getpid().as_raw_nonzero().get());
    while let Some(pid) = at.filter(|pid| own.insert(*pid)) {
        at = table.iter().find(|entry| entry.pid == pid).map(|entry| entry.parent);
    }
    own
}

/// A process, from `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    start: u64,
    is_zombie: bool,
}

fn table() -> Vec<Entry> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(Entry::read).collect()
}

impl Entry {
    fn read(pid: i32) -> Option<Entry> {
        /// The text is shorter than that, so one call reads it.
        const LENGTH: u64 = 2048;
        let mut stat = Vec::with_capacity(LENGTH as usize);
        let file = File::open(format!("/proc/{pid}/stat")).ok()?;
        file.take(LENGTH).read_to_end(&mut stat).ok()?;
        Entry::parse(pid, &stat)
    }

    fn parse(pid: i32, stat: &[u8]) -> Option<Entry> {
        // The name of the program, in brackets, may contain anything.
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
        // A first thread that has ended while others run looks like a zombie.
        let is_zombie = matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1;
        Some(Entry {
            pid,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            start: fields.get(19)?.parse().ok()?,
            is_zombie,
        })
    }

    fn is_marked(&self, marks: &[&Mark]) -> bool {
        let leader = Leader { pid: self.pid, start: self.start };
        if marks.iter().any(|mark| mark.leader == Some(leader)) {
            return true;
        }
        let Ok(environment) =
            fs::read(Path::new("/proc").join(self.pid.to_string()).join("environ"))
        else {
            return false;
        };
        let mut variables = environment.split(|&byte| byte == 0);
        let value = variables
            .find_map(|variable| variable.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="));
        value.is_some_and(|value| {
            value
                .split(|&byte| byte == b':')
                .any(|token| marks.iter().any(|mark| mark.token.as_bytes() == token))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_stat() {
        let stat = b"17 (a) b (c) S 1 16 15 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let entry =
            Entry { pid: 17, parent: 1, group: 16, session: 15, start: 4242, is_zombie: false };
        assert_eq!(Entry::parse(17, stat), Some(entry));
        let zombie = b"17 (x) Z 1 16 15 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert!(Entry::parse(17, zombie).unwrap().is_zombie);
        let first_thread_ended = b"17 (x) Z 1 16 15 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4242 9";
        assert!(!Entry::parse(17, first_thread_ended).unwrap().is_zombie);
        for torn in [&b""[..], b"17 (x", b"17 (x) S 1 2"] {
            assert_eq!(Entry::parse(17, torn), None);
        }
    }

    #[test]
    fn mark_of_other_boot() {
        let mark = Mark { token: "t".into(), leader: Some(Leader { pid: 7, start: 9 }) };
        assert_eq!(Mark::decode(&(mark.token_line() + &mark.leader_line())), Some(mark.clone()));
        assert_eq!(Mark::decode("t\n7 9 other\n"), Some(Mark { leader: None, ..mark }));
        for torn in ["t\n", "t", "t\n7 9", "t\n7"] {
            assert_eq!(Mark::decode(torn).unwrap().leader, None);
        }
        assert_eq!(Mark::decode(""), None);
    }

    #[test]
    fn own_process_is_no_member() {
        let mut mark = Mark::new();
        mark.set_leader(getpid());
        assert!(mark.leader.is_some());
        // The other tests' processes are children of this one.
        assert!(!members(&[&mark], &[]).contains(&getpid()));
    }
}
