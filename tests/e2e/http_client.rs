//! A client of HTTP/1.1 for tests, and `repro ui` on a free port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::Sandbox;

/// Time after which a test counts as stuck.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running `repro ui`. It is killed when it is dropped.
pub struct Server {
    process: Option<Child>,
    /// Host and port.
    pub address: String,
}

/// An answer. The names of its headers are in lower case.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Server {
    pub fn start(sandbox: &Sandbox) -> Server {
        Server::start_with(sandbox, &[])
    }

    /// Starts `repro ui` with further arguments.
    pub fn start_with(sandbox: &Sandbox, args: &[&str]) -> Server {
        let args: Vec<&str> =
            ["ui", "--port", "0", "--no-open"].into_iter().chain(args.iter().copied()).collect();
        let mut process = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let url = deadline::lines(process.stdout.take().unwrap()).next().unwrap();
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/');
        Server { address: address.to_owned(), process: Some(process) }
    }

    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Sends a signal to the process, waits for its end and returns its exit code.
    pub fn end(&mut self, signal: Signal) -> Option<i32> {
        let process = self.process.take().unwrap();
        kill_process(Pid::from_child(&process), signal).unwrap();
        deadline::wait(process).status.code()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// Sends bytes as they are on a connection of their own, and returns the answer.
    pub fn exchange(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that refuses the head may not read the rest.
        let _ = stream.write_all(bytes);
        Reply::read(&mut BufReader::new(stream), "GET")
    }

    /// Sends a request with a body of `size` bytes, which `write` writes.
    pub fn send(
        &self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        size: usize,
        write: impl FnOnce(&mut TcpStream),
    ) -> Reply {
        let mut stream = self.connect();
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}Content-Length: \
             {size}\r\n\r\n",
            self.address,
            headers.collect::<String>()
        );
        stream.write_all(head.as_bytes()).unwrap();
        write(&mut stream);
        Reply::read(&mut BufReader::new(stream), method)
    }

    pub fn request(&self, method: &str, target: &str, body: &[u8]) -> Reply {
        self.send((method, target), &[], body.len(), |stream| {
            // A server that refuses the head may not read the body.
            let _ = stream.write_all(body);
        })
    }

    pub fn get(&self, target: &str) -> Reply {
        self.request("GET", target, b"")
    }

    pub fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(("GET", target), headers, 0, |_| ())
    }

    /// Sends JSON and returns the status and the JSON of the answer.
    pub fn json(
        &self,
        method: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        let body = body.to_string();
        let kind = [("Content-Type", "application/json")];
        let reply = self.send((method, target), &kind, body.len(), |stream| {
            let _ = stream.write_all(body.as_bytes());
        });
        (reply.status, reply.json())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Reply {
    /// Reads the next answer on a connection.
    pub fn read(stream: &mut BufReader<TcpStream>, method: &str) -> Reply {
        let mut line = || {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        let size = reply.header("content-length").map(|size| size.parse().unwrap());
        match (method, status, size) {
            ("HEAD", ..) | (_, 304, _) => {}
            (_, _, Some(size)) => {
                reply.body.resize(size, 0);
                stream.read_exact(&mut reply.body).unwrap();
            }
            _ => drop(stream.read_to_end(&mut reply.body).unwrap()),
        }
        reply
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|err| panic!("{err}: {self:?}"))
    }
}
