//! A server of HTTP/1.1 on a port of the loopback interface, whose answers a test writes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request: its path, and its headers with names in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }
}

/// An answer. Its length is that of the body, unless a header says something else.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn cut(mut self, bytes: usize) -> Reply {
        self.cut = Some(bytes);
        self
    }
}

/// Answers as a good server does for a file with an ETag.
pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Reply {
    if request.header("if-none-match") == Some(etag) {
        return Reply::status(304).header("ETag", etag);
    }
    let may_continue = request.header("if-range").is_none_or(|validator| validator == etag);
    let start = request.header("range").filter(|_| may_continue).map(|range| {
        range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap()
    });
    match start {
        Some(start) if start >= bytes.len() => {
            Reply::status(416).header("Content-Range", &format!("bytes */{}", bytes.len()))
        }
        Some(start) => Reply { body: bytes[start..].to_vec(), ..Reply::status(206) }
            .header("ETag", etag)
            .header("Content-Range", &format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
        None => Reply { body: bytes.to_vec(), ..Reply::status(200) }.header("ETag", etag),
    }
}

/// A running server. Its thread ends with the process.
pub struct FileServer {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FileServer {
    /// Starts a server. `answer` gets each request and the number of requests before it.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> FileServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut number = 0;
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let Some(request) = read(&stream) else { continue };
                seen.lock().unwrap().push(request.clone());
                let _ = send(stream, &answer(&request, number));
                number += 1;
            }
        });
        FileServer { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Returns the requests so far, one line each, and forgets them.
    pub fn requests(&self) -> Vec<String> {
        let requests = std::mem::take(&mut *self.requests.lock().unwrap());
        let line = |request: Request| {
            let names = ["range", "if-range", "if-none-match", "if-modified-since"];
            let headers =
                names.iter().filter_map(|name| Some(format!(" {name}: {}", request.header(name)?)));
            format!("{}{}", request.path, headers.collect::<String>())
        };
        requests.into_iter().map(line).collect()
    }

    /// Replaces the address of the server, which differs each time.
    pub fn masked(&self, text: &str) -> String {
        text.replace(&self.address, "SERVER")
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Request { path, headers: headers.collect() })
}

fn send(mut stream: TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    let has = |name: &str| reply.headers.iter().any(|(other, _)| other == name);
    if !has("Content-Length") && !has("Transfer-Encoding") && reply.status != 304 {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let end = reply.cut.unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..end])
}
