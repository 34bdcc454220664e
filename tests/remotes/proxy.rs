//! A proxy in front of a real server, which injects faults by a script: one act for each request.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The fate of a request.
#[derive(Debug, Clone)]
pub enum Act {
    Pass,
    /// An answer of the proxy: status, further headers, body.
    Answer(u16, &'static str, &'static str),
    /// The same, with the head of the request as the body.
    Echo(u16),
    /// The connection is cut before the request is read.
    Reset,
    /// The real answer, but only so many bytes of its body.
    Cut(usize),
    /// No answer.
    Stall,
    /// The real answer, but its body stops in the middle.
    StallBody,
}

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    target: u16,
    script: Mutex<Vec<Act>>,
    /// The act after the end of the script.
    rest: Act,
    seen: Mutex<Vec<(Instant, String)>>,
    ended: AtomicBool,
}

impl Proxy {
    pub fn start(target: u16, script: &[Act], rest: Act) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = script.iter().rev().cloned().collect();
        let state = Arc::new(State {
            target,
            script: Mutex::new(script),
            rest,
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(shared.serve(stream.unwrap())));
            }
        });
        Proxy { port, state }
    }

    /// The head of each request, and when it arrived.
    pub fn seen(&self) -> Vec<(Instant, String)> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let arrived = Instant::now();
        let act = self.script.lock().unwrap().pop().unwrap_or_else(|| self.rest.clone());
        if matches!(act, Act::Reset) {
            // Bytes that nobody reads turn the end of the connection into a reset.
            client.read_exact(&mut [0; 1])?;
            self.seen.lock().unwrap().push((arrived, "reset".to_owned()));
            return Ok(());
        }
        let (head, body) = read_message(&mut client)?;
        self.seen.lock().unwrap().push((arrived, head.clone()));
        match act {
            Act::Reset => {}
            Act::Answer(status, headers, body) => answer(&mut client, status, headers, body)?,
            Act::Echo(status) => answer(&mut client, status, "", &head)?,
            Act::Stall => self.wait(),
            Act::Pass => client.write_all(&self.forward(&head, &body)?)?,
            Act::Cut(length) => {
                let whole = self.forward(&head, &body)?;
                let end = body_start(&whole) + length;
                client.write_all(&whole[..end.min(whole.len())])?;
            }
            Act::StallBody => {
                let whole = self.forward(&head, &body)?;
                let start = body_start(&whole);
                client.write_all(&whole[..start + (whole.len() - start) / 2])?;
                self.wait();
            }
        }
        client.shutdown(Shutdown::Both)
    }

    fn forward(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(("127.0.0.1", self.target))?;
        let lines = head.lines().filter(|line| !line.to_lowercase().starts_with("connection:"));
        for line in lines.filter(|line| !line.is_empty()) {
            server.write_all(format!("{line}\r\n").as_bytes())?;
        }
        server.write_all(b"connection: close\r\n\r\n")?;
        server.write_all(body)?;
        let mut whole = Vec::new();
        server.read_to_end(&mut whole)?;
        Ok(whole)
    }

    fn wait(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn answer(client: &mut TcpStream, status: u16, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n");
    client.write_all(format!("{head}{headers}\r\n{body}").as_bytes())
}

fn body_start(message: &[u8]) -> usize {
    message.windows(4).position(|window| window == b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

fn read_message(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 << 10];
    loop {
        let start = body_start(&bytes);
        if bytes.len() > start || (start >= 4 && bytes.ends_with(b"\r\n\r\n")) {
            let head = String::from_utf8_lossy(&bytes[..start]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            let length: usize = length.unwrap_or(0);
            if bytes.len() - start >= length {
                return Ok((head, bytes[start..].to_vec()));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
