//! A process of Chromium that is driven through a pipe: JSON messages of the DevTools protocol,
//! each ended by a NUL. Unaware of pages.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

const PROGRAM: &str = "chromium-headless-shell";

/// Runs the browser, which reads messages from descriptor 3 and writes them to 4, and removes its
/// folder at its end. So nothing remains of a browser that outlives the tests.
const RUN: &str = r#"folder=$1; shift; "$@" 3<&0 4>&1 0</dev/null 1>&2; rm -rf "$folder""#;

const FLAGS: [&str; 10] = [
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
];

pub struct Connection {
    child: Child,
    /// `None` once the browser was told to end.
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// Events that arrived since the owner last took them.
    pub events: VecDeque<Value>,
    last_id: u64,
    /// Profile and log of the browser.
    folder: PathBuf,
}

impl Connection {
    /// Starts a browser; `None` if there is none.
    pub fn start() -> Option<Connection> {
        if Command::new(PROGRAM).arg("--version").output().is_err() {
            crate::sandbox::untested(&format!("there is no `{PROGRAM}`"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("repro-browser-").tempdir().unwrap().keep();
        let mut command = Command::new("sh");
        command.args(["-c", RUN, "sh"]).arg(&folder).arg(PROGRAM).args(FLAGS);
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .process_group(0)
            .env("HOME", &folder)
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        let mut parts = output.split(0).map_while(Result::ok);
        thread::spawn(move || {
            parts.try_for_each(|part| sender.send(serde_json::from_slice(&part).unwrap()))
        });
        let commands = child.stdin.take();
        let events = VecDeque::new();
        Some(Connection { child, commands, messages, events, last_id: 0, folder })
    }

    /// Sends a command and returns its result, or the message of its error.
    pub fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: &Value,
    ) -> Result<Value, String> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let commands = self.commands.as_mut().unwrap();
        if commands.write_all(format!("{message}\0").as_bytes()).is_err() {
            self.lost(method);
        }
        loop {
            let mut answer = self.next(method);
            if answer["id"] != self.last_id {
                self.events.push_back(answer);
            } else if let Some(error) = answer.get("error") {
                return Err(error["message"].as_str().unwrap().to_owned());
            } else {
                return Ok(answer["result"].take());
            }
        }
    }

    fn next(&mut self, method: &str) -> Value {
        self.messages.recv_timeout(deadline::LIMIT).unwrap_or_else(|_| self.lost(method))
    }

    fn lost(&self, method: &str) -> ! {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("the browser did not answer `{method}`; its log:\n{log}");
    }
}

/// Closes the pipe, which ends the browser and its processes.
impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.commands.take());
        while self.messages.recv_timeout(deadline::LIMIT).is_ok() {}
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
