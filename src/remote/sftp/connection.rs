//! One `ssh` process that runs the server's SFTP subsystem: requests to its stdin, answers from its
//! stdout. It ends when this process ends, however it ends, since its stdin is then closed.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::packet::{EXTENDED_REPLY, INIT, Incoming, MAX, Outgoing, STATUS, VERSION};
use crate::pipeline::SshPlace;
use crate::remote::backend::{Fault, FaultKind};
use crate::remote::redact::redact;

const PROTOCOL: u32 = 3;
const CONNECT_SECONDS: u64 = 15;
/// Time that `ssh` has to end by itself.
const END: Duration = Duration::from_secs(1);
/// Longest text of `ssh` that is kept.
const MAX_WORDS: u64 = 16 << 10;

#[derive(Debug)]
pub(super) struct Connection {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// Reads what `ssh` says until it ends.
    words: Option<JoinHandle<String>>,
    read: Vec<u8>,
    at: usize,
    next_id: u32,
    timeout: Duration,
    extensions: Vec<String>,
}

/// The answer of a server to a request that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) words: String,
}

/// The failure of a request: of the request alone, or of the connection, which is then useless.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    Lost(Fault),
}

impl Connection {
    /// Connects, and waits for the server's greeting.
    pub(super) fn open(place: &SshPlace, timeout: Duration) -> Result<Connection, Fault> {
        let mut child = command(place, timeout).spawn().map_err(|err| {
            let message = match err.kind() {
                std::io::ErrorKind::NotFound => "the program `ssh` is not installed".to_owned(),
                _ => format!("`ssh` cannot be started: {err}"),
            };
            Fault { kind: FaultKind::Other, message }
        })?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, child.stderr.take()) else {
            panic!("BUG: a pipe that was asked for is missing");
        };
        let words = std::thread::Builder::new().name("ssh".to_owned()).spawn(move || {
            let mut text = Vec::new();
            let mut stderr = stderr;
            let _ = (&mut stderr).take(MAX_WORDS).read_to_end(&mut text);
            // `ssh` must not block on a full pipe.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut this = Connection {
            child,
            stdin: Some(stdin),
            stdout,
            words: words.ok(),
            read: Vec::new(),
            at: 0,
            next_id: 0,
            timeout: timeout.max(Duration::from_secs(CONNECT_SECONDS)),
            extensions: Vec::new(),
        };
        this.greet()?;
        this.timeout = timeout;
        Ok(this)
    }

    fn greet(&mut self) -> Result<(), Fault> {
        self.write(&Outgoing::new(INIT, PROTOCOL).finish())?;
        let packet = self.receive()?;
        if packet.kind != VERSION || packet.id < PROTOCOL {
            return Err(self.other("the server does not speak version 3 of SFTP"));
        }
        let mut fields = packet.fields();
        while let (Some(name), Some(_)) = (fields.text(), fields.text()) {
            self.extensions.push(String::from_utf8_lossy(name).into_owned());
        }
        Ok(())
    }

    /// Reports whether the server offers an extension of OpenSSH.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|name| name == extension)
    }

    /// Sends a request without waiting; returns its id.
    pub(super) fn send(
        &mut self,
        kind: u8,
        fields: impl FnOnce(Outgoing) -> Outgoing,
    ) -> Result<u32, Failure> {
        self.next_id = self.next_id.wrapping_add(1);
        let packet = fields(Outgoing::new(kind, self.next_id)).finish();
        self.write(&packet).map_err(Failure::Lost)?;
        Ok(self.next_id)
    }

    /// Sends a request and returns its answer.
    pub(super) fn ask(
        &mut self,
        kind: u8,
        fields: impl FnOnce(Outgoing) -> Outgoing,
    ) -> Result<Incoming, Failure> {
        let id = self.send(kind, fields)?;
        let answer = self.receive().map_err(Failure::Lost)?;
        match answer.id == id {
            true => checked(answer),
            false => Err(Failure::Lost(self.other("the server answered out of order"))),
        }
    }

    /// Returns the answer to any of the requests that were sent.
    pub(super) fn receive(&mut self) -> Result<Incoming, Fault> {
        let head: [u8; 4] = self.take(4)?.try_into().unwrap_or_default();
        let length = u32::from_be_bytes(head);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MAX) else {
            // The start-up files of a shell may print something.
            let text = String::from_utf8_lossy(&head).into_owned();
            let text = format!("{text}{}", String::from_utf8_lossy(&self.read[self.at..]));
            let what = "the server does not speak SFTP, but sent";
            return Err(self.other(&format!("{what} `{}`", redact(&text))));
        };
        let bytes = self.take(length)?;
        Incoming::parse(&bytes).ok_or_else(|| self.other("the server sent an incomplete packet"))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.read.len() - self.at < length {
            if self.at > 0 && self.at == self.read.len() {
                self.read.clear();
                self.at = 0;
            }
            self.wait()?;
            let mut buffer = [0; 64 << 10];
            match self.stdout.read(&mut buffer) {
                Ok(0) => return Err(self.lost()),
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.lost()),
            }
        }
        let bytes = self.read[self.at..self.at + length].to_vec();
        self.at += length;
        if self.at > MAX {
            self.read.drain(..self.at);
            self.at = 0;
        }
        Ok(bytes)
    }

    /// Waits until something can be read.
    fn wait(&mut self) -> Result<(), Fault> {
        let limit = Timespec::try_from(self.timeout).ok();
        let result = {
            let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
            poll(&mut fds, limit.as_ref())
        };
        match result {
            Ok(0) => {
                let message = format!("no answer within {}s", self.timeout.as_secs_f64());
                let _ = self.child.kill();
                Err(Fault { kind: FaultKind::Unavailable, message })
            }
            // An interruption ends in another turn of the loop, and an error in one of reading.
            _ => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let written = self.stdin.as_mut().map(|stdin| stdin.write_all(bytes));
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(self.lost()),
        }
    }

    /// Returns the reason why `ssh` ended, in its own words.
    fn lost(&mut self) -> Fault {
        self.stdin = None;
        let start = Instant::now();
        // It says why while it ends.
        while start.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        explain(&words)
    }

    fn other(&self, message: &str) -> Fault {
        Fault { kind: FaultKind::Other, message: message.to_owned() }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Turns a status other than success into a refusal.
pub(super) fn checked(answer: Incoming) -> Result<Incoming, Failure> {
    if answer.kind != STATUS {
        return Ok(answer);
    }
    let mut fields = answer.fields();
    match fields.number() {
        Some(super::packet::OK) => Ok(answer),
        Some(code) => {
            let words = String::from_utf8_lossy(fields.text().unwrap_or_default()).into_owned();
            Err(Failure::Refused(Refusal { code, words }))
        }
        None => {
            let message = "the server sent an incomplete packet".to_owned();
            Err(Failure::Lost(Fault { kind: FaultKind::Other, message }))
        }
    }
}

/// Returns the fields of the answer to an extended request.
pub(super) fn is_extended(answer: &Incoming) -> bool {
    answer.kind == EXTENDED_REPLY
}

fn command(place: &SshPlace, timeout: Duration) -> Command {
    let mut command = Command::new("ssh");
    // Three unanswered messages end a connection.
    let interval = (timeout.as_secs() / 3).clamp(1, 60);
    for option in [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={CONNECT_SECONDS}"),
        format!("ServerAliveInterval={interval}"),
        "ServerAliveCountMax=3".to_owned(),
        // A master in the background would keep our pipes open.
        "ControlMaster=no".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "PermitLocalCommand=no".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    if let Some(port) = place.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &place.user {
        command.arg("-l").arg(user);
    }
    // Brackets around an IPv6 address belong to URLs.
    let host = place.host.trim_start_matches('[').trim_end_matches(']');
    command.args(["-s", "--", host, "sftp"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C must not cut the transfers that end in good order.
    command.process_group(0);
    command
}

/// Returns the fault that the words of `ssh` mean.
fn explain(words: &str) -> Fault {
    let lines: Vec<&str> = words
        .lines()
        .map(|line| line.trim().trim_start_matches("ssh: "))
        .filter(|line| !line.is_empty() && !line.starts_with("Warning: Permanently added"))
        .collect();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    let kind = if has("Permission denied")
        || has("Host key verification failed")
        || has("Too many authentication failures")
        || has("REMOTE HOST IDENTIFICATION HAS CHANGED")
    {
        FaultKind::Denied
    } else if has("Could not resolve hostname") && !has("Temporary failure")
        || has("subsystem request failed")
        || has("Bad configuration option")
    {
        FaultKind::Other
    } else {
        FaultKind::Unavailable
    };
    let start = lines.len().saturating_sub(3);
    let message = match lines.is_empty() {
        true => "the connection broke".to_owned(),
        false => format!("ssh: {}", redact(&lines[start..].join("; "))),
    };
    Fault { kind, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ssh() {
        for (words, kind, message) in [
            ("", FaultKind::Unavailable, "the connection broke"),
            (
                "Warning: Permanently added 'h' to the list of known hosts.\r\n\
                 me@h: Permission denied (publickey).\r\n",
                FaultKind::Denied,
                "ssh: me@h: Permission denied (publickey).",
            ),
            (
                "No ED25519 host key is known for h and you have requested strict checking.\n\
                 Host key verification failed.\n",
                FaultKind::Denied,
                "ssh: No ED25519 host key is known for h and you have requested strict checking.; \
                 Host key verification failed.",
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\n",
                FaultKind::Unavailable,
                "ssh: kex_exchange_identification: read: Connection reset by peer",
            ),
            (
                "ssh: Could not resolve hostname h: Name or service not known\n",
                FaultKind::Other,
                "ssh: Could not resolve hostname h: Name or service not known",
            ),
        ] {
            let fault = explain(words);
            assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{words}");
        }
    }
}
