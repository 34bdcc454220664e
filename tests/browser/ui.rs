//! `repro ui` on a project, on a free port of the loopback interface.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::driver::Page;
use crate::sandbox::Sandbox;

pub struct Ui {
    server: Child,
    url: String,
}

impl Ui {
    pub fn start(sandbox: &Sandbox) -> Ui {
        let mut command = sandbox.command(&["ui", "--port", "0", "--no-open"]);
        // Changed pages are tested without compiling them.
        command.envs(std::env::vars_os().filter(|(name, _)| name == "REPRO_UI_ASSETS"));
        Ui::of(&mut command)
    }

    /// Starts the server by this command.
    pub fn of(command: &mut Command) -> Ui {
        let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = deadline::lines(server.stdout.take().unwrap());
        let url = lines.next().expect("`repro ui` prints its URL");
        Ui { server, url: url.trim_end_matches('/').to_owned() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Opens a page in a browser of its own and waits for its content; `None` if there is no
    /// browser.
    pub fn open(&self, path: &str) -> Option<Page> {
        let mut page = Page::open(&self.url(path))?;
        page.ready();
        Some(page)
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.server), Signal::INT);
        let _ = self.server.wait();
    }
}
