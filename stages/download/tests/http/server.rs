//! An HTTP server on loopback with scripted replies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A received request: the path, and the headers in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first and the last byte of the requested range.
    pub(crate) fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().unwrap(), last.parse().unwrap()))
    }
}

/// A scripted reply.
pub(crate) struct Reply {
    /// Status line and headers, without the last line.
    head: String,
    body: Vec<u8>,
    /// Bytes of the body to send.
    send: usize,
    /// Bytes per write.
    slice: usize,
    end: End,
}

enum End {
    Close,
    /// Sends nothing more and waits until the client disconnects.
    Hold,
}

impl Reply {
    pub(crate) fn new(head: &str, body: &[u8]) -> Reply {
        Reply {
            head: format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n", body.len()),
            body: body.to_vec(),
            send: body.len(),
            slice: usize::MAX,
            end: End::Close,
        }
    }

    pub(crate) fn status(line: &str) -> Reply {
        Reply::new(line, b"")
    }

    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::new(&format!("302 Found\r\nLocation: {to}"), b"")
    }

    /// Sends the whole file, like a server without ranges.
    pub(crate) fn file(body: &[u8], etag: &str) -> Reply {
        Reply::new(&format!("200 OK\r\nETag: {etag}"), body)
    }

    /// Replies like a server with ranges.
    pub(crate) fn ranged(request: &Request, body: &[u8], etag: &str) -> Reply {
        let is_same = request.header("if-range").is_none_or(|tag| tag == etag);
        match request.range().filter(|_| is_same) {
            None => Reply::file(body, etag),
            Some((first, _)) if first >= body.len() => Reply::status(&format!(
                "416 Range Not Satisfiable\r\nContent-Range: bytes */{}",
                body.len()
            )),
            Some((first, last)) => {
                let last = last.min(body.len() - 1);
                let total = body.len();
                let range = format!("Content-Range: bytes {first}-{last}/{total}");
                let head = format!("206 Partial Content\r\nETag: {etag}\r\n{range}");
                Reply::new(&head, &body[first..=last])
            }
        }
    }

    /// Replaces the head, which need not match the body.
    pub(crate) fn with_head(self, head: &str) -> Reply {
        Reply { head: head.to_owned(), ..self }
    }

    pub(crate) fn broken_after(self, send: usize) -> Reply {
        Reply { send: send.min(self.body.len()), ..self }
    }

    pub(crate) fn held_after(self, send: usize) -> Reply {
        Reply { send, end: End::Hold, ..self }
    }

    pub(crate) fn in_slices_of(self, slice: usize) -> Reply {
        Reply { slice, ..self }
    }

    fn write(&self, stream: &mut TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.write_all(format!("{}Connection: close\r\n\r\n", self.head).as_bytes());
        for slice in self.body[..self.send].chunks(self.slice) {
            let _ = stream.write_all(slice);
        }
        if let End::Hold = self.end {
            let _ = stream.read(&mut [0]);
        }
    }
}

pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(crate) address: String,
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that handles each request on its own connection and thread.
    ///
    /// `reply` gets the request and the number of earlier requests.
    pub(crate) fn start(
        reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (Arc::clone(&requests), Arc::new(reply));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (seen, reply) = (Arc::clone(&seen), Arc::clone(&reply));
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    reply(&request, before).write(&mut stream);
                });
            }
        });
        Server { address: format!("http://127.0.0.1:{port}"), port, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the total size of the requested ranges of a file of `length` bytes.
    pub(crate) fn bytes_requested(&self, length: usize) -> usize {
        let size = |(first, last): (usize, usize)| last.min(length - 1) + 1 - first;
        self.requests().iter().filter_map(Request::range).map(size).sum()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        })
        .collect();
    Some(Request { path, headers })
}
