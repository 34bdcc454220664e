//! A client of HTTP/1.1 for tests, and `repro ui` on a free port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::sandbox::Sandbox;

/// Time after which a test counts as stuck.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running `repro ui`. It is killed when it is dropped.
pub struct Server {
    process: Child,
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
        let mut command = sandbox.command(&["ui", "--port", "0", "--no-open"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().trim_end_matches('/');
        Server { address: address.to_owned(), process }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream
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
        read_reply(stream, method)
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
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Reply {
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

/// Reads an answer whose connection the server closes.
fn read_reply(stream: TcpStream, method: &str) -> Reply {
    let mut stream = BufReader::new(stream);
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
    stream.read_to_end(&mut reply.body).unwrap();
    if let Some(size) = reply.header("content-length").filter(|_| method != "HEAD") {
        assert_eq!(size.parse(), Ok(reply.body.len()), "{:?}", reply.headers);
    }
    reply
}
