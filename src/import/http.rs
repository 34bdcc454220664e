//! A client for the REST API of a tracking server: HTTP/1.1, one connection per request.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::percent::encode;

/// Variable with a token, as MLflow's client uses it.
const TOKEN: &str = "MLFLOW_TRACKING_TOKEN";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a byte after which a server counts as gone; that of MLflow's client.
const TIMEOUT: Duration = Duration::from_secs(120);
const MAX_HEAD: u64 = 64 << 10;
/// Maximum size of an answer with JSON.
const MAX_JSON: u64 = 256 << 20;

/// The address of a server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Host and port, for the header `Host`.
    host: String,
    /// Path in front of `/api`, without a slash at its end.
    base: String,
    token: Option<String>,
}

/// The content of a request.
pub(super) enum Content<'a> {
    Nothing,
    Json(&'a Value),
    /// A file of this size.
    File(&'a mut dyn Read, u64),
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Box<dyn Read>,
}

impl Client {
    /// Parses an address such as `http://localhost:5000/mlflow`.
    ///
    /// # Errors
    /// The text is not an HTTP address.
    pub(super) fn new(uri: &str) -> Result<Client> {
        let Some(rest) = uri.strip_prefix("http://") else {
            return Err(Error::usage(format!("`{uri}` is not an HTTP address")).hint(
                "give an address such as `http://localhost:5000`; a server behind HTTPS can be \
                 reached through a tunnel, such as that of `ssh -L`",
            ));
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, base) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || host.contains(['@', ' ']) || host.chars().any(char::is_control) {
            return Err(Error::usage(format!("`{uri}` has no valid host"))
                .hint(format!("a token can be given in `{TOKEN}`")));
        }
        let is_ported = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if is_ported { host.to_owned() } else { format!("{host}:80") };
        let base = base.trim_end_matches('/');
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        let token = std::env::var(TOKEN).ok().filter(|token| !token.contains(['\r', '\n']));
        Ok(Client { host, base, token })
    }

    /// Sends a request with JSON and returns the JSON of the answer; `None` if what it names does
    /// not exist.
    ///
    /// # Errors
    /// The server cannot be reached or refuses the request.
    pub(super) fn find(&self, method: &str, path: &str, body: &Value) -> Result<Option<Value>> {
        let content = if method == "GET" { Content::Nothing } else { Content::Json(body) };
        let answer = self.send(method, path, content)?;
        let status = answer.status;
        let mut text = Vec::new();
        let read = answer.body.take(MAX_JSON).read_to_end(&mut text);
        read.map_err(|err| self.failed(&err))?;
        // An answer of `DELETE`, for example, is empty.
        let json = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&text) };
        match (status, json) {
            (200..=299, Ok(json)) => Ok(Some(json)),
            (404, Ok(json)) if json["error_code"] == "RESOURCE_DOES_NOT_EXIST" => Ok(None),
            (_, Ok(json)) if json["message"].is_string() => Err(self.refused(
                method,
                path,
                &format!("{status} {}", json["message"].as_str().unwrap_or_default()),
            )),
            _ => Err(self.refused(method, path, &format!("{status} without an answer in JSON"))),
        }
    }

    /// Does the same as [`Client::find`] for what must exist.
    pub(super) fn json(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.find(method, path, body)?
            .ok_or_else(|| self.refused(method, path, "404 it does not exist"))
    }

    fn refused(&self, method: &str, path: &str, what: &str) -> Error {
        let path = path.split('?').next().unwrap_or_default();
        Error::environment(format!("`http://{}` refused {method} {}{path}", self.host, self.base))
            .because(what.chars().take(500).collect::<String>())
    }

    fn failed(&self, err: &io::Error) -> Error {
        let error = Error::environment(format!("cannot reach `http://{}`", self.host)).because(err);
        match err.kind() {
            io::ErrorKind::ConnectionRefused => error.hint("is the server running?"),
            _ => error,
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(super) fn send(&self, method: &str, path: &str, content: Content<'_>) -> Result<Answer> {
        self.exchange(method, path, content).map_err(|err| self.failed(&err))
    }

    fn exchange(&self, method: &str, path: &str, content: Content<'_>) -> io::Result<Answer> {
        let mut stream = connect(&self.host)?;
        let kind = match &content {
            Content::Json(_) => "application/json",
            Content::Nothing | Content::File(..) => "application/octet-stream",
        };
        let (body, size) = match &content {
            Content::Nothing => (Vec::new(), 0),
            Content::Json(json) => {
                let body = json.to_string().into_bytes();
                let size = body.len() as u64;
                (body, size)
            }
            Content::File(_, size) => (Vec::new(), *size),
        };
        let token = self.token.iter().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token: String = token.collect();
        let (base, host) = (&self.base, &self.host);
        let head = format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{token}\
             Accept-Encoding: identity\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), &body].concat())?;
        if let Content::File(file, size) = content {
            let sent = io::copy(&mut file.take(size), &mut stream)?;
            if sent < size {
                return Err(io::Error::other("a file became shorter while it was sent"));
            }
        }
        answer(BufReader::new(stream))
    }
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(err) => last = err,
        }
    }
    Err(last)
}

/// Reads the head of an answer.
fn answer(stream: impl BufRead + 'static) -> io::Result<Answer> {
    let mut head = stream.take(MAX_HEAD);
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    loop {
        let line = line(&mut head)?;
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status: u16 = status.and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
        let mut size = None;
        let mut is_chunked = false;
        loop {
            let line = self::line(&mut head)?;
            let Some((name, value)) = line.split_once(':') else {
                if line.is_empty() {
                    break;
                }
                return Err(invalid());
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => size = Some(value.trim().parse().map_err(|_| invalid())?),
                "transfer-encoding" => is_chunked = value.to_ascii_lowercase().contains("chunked"),
                _ => {}
            }
        }
        // The server goes on with the real answer.
        if status == 100 {
            continue;
        }
        let stream = head.into_inner();
        let body: Box<dyn Read> = match size {
            _ if is_chunked => Box::new(Chunks { stream, left: Some(0) }),
            _ if matches!(status, 204 | 304) => Box::new(io::empty()),
            Some(left) => Box::new(Sized { stream, left }),
            None => Box::new(stream),
        };
        return Ok(Answer { status, body });
    }
}

/// Reads a line, and returns it without its end.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(text) => Ok(text.trim_end_matches('\r').to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A body of a known size, which must be complete.
struct Sized<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Sized<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.stream).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A body in chunks, each with its size in front of it.
struct Chunks<R> {
    stream: R,
    /// Number of bytes of the chunk that are left; `None` after the last chunk.
    left: Option<u64>,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut left) = self.left else { return Ok(0) };
        if left == 0 {
            let line = line(&mut (&mut self.stream).take(MAX_HEAD))?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let bad = |_| io::Error::new(io::ErrorKind::InvalidData, "a chunk has no size");
            left = u64::from_str_radix(size, 16).map_err(bad)?;
            if left == 0 {
                self.left = None;
                return Ok(0);
            }
        }
        let read = (&mut self.stream).take(left).read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= read as u64;
        if left == 0 {
            line(&mut (&mut self.stream).take(2))?;
        }
        self.left = Some(left);
        Ok(read)
    }
}

/// Returns a query with `?` in front of it.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key}={}", encode(value, b"")));
    format!("?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers() {
        for (uri, host, base) in [
            ("http://localhost:5000", "localhost:5000", ""),
            ("http://a.b/", "a.b:80", ""),
            ("http://[::1]:80/mlflow/", "[::1]:80", "/mlflow"),
            ("http://a:1/x/y?z#w", "a:1", "/x/y"),
        ] {
            let client = Client::new(uri).unwrap();
            assert_eq!((client.host.as_str(), client.base.as_str()), (host, base), "{uri}");
        }
        for uri in
            ["https://a", "a:5000", "http://", "http://me:pass@a", "http://a b", "http://a\r\nX:"]
        {
            assert!(Client::new(uri).is_err(), "{uri}");
        }
    }

    fn read(text: &'static str) -> io::Result<(u16, String)> {
        let mut answer = answer(text.as_bytes())?;
        let mut body = String::new();
        answer.body.read_to_string(&mut body)?;
        Ok((answer.status, body))
    }

    #[test]
    fn answers_of_servers() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", 200, "abc"),
            ("HTTP/1.0 404 NOT FOUND\r\n\r\nabc", 404, "abc"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\n\r\n", 204, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x\r\n\
                 0123456789\r\n0\r\n\r\n",
                200,
                "abc0123456789",
            ),
        ] {
            assert_eq!(read(text).unwrap(), (status, body.to_owned()), "{text}");
        }
        for text in [
            "",
            "SSH-2.0\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn queries() {
        assert_eq!(query(&[("path", "a/b"), ("x", "&")]), "?path=a%2Fb&x=%26");
    }
}
