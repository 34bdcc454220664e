//! Decides whether a request may come in at all.
//!
//! # What it holds off
//!
//! - *A page of another site* that the user has open can send requests to this server. It cannot
//!   read the answers, and what it writes is refused by `Origin`.
//! - *DNS rebinding*: such a page can give its own name the address of this server, and would then
//!   read the answers. Its requests name its own host, so without a token the host must be a name
//!   of this machine's loopback interface.
//! - *Other machines, and other users of this one*: with a token, every request needs it, as a
//!   header or as the cookie that a URL with the token sets.
//!
//! # Known limits
//!
//! - Without a token, every user of this machine can read and write the runs.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hyper::Method;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, ORIGIN};

use super::refusal::Refusal;
use crate::error::{Error, Result};
use crate::regular_file;

/// Least length of a token.
const MIN_TOKEN: usize = 16;

/// A secret that every request must know. It is kept as a digest, which takes the same time to
/// compare, whatever is compared with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(blake3::Hash);

impl Token {
    /// Reads the token in a file, without the white space around it.
    ///
    /// # Errors
    /// The file cannot be read, or its content is too short.
    pub fn read(path: &Path) -> Result<Token> {
        let text =
            regular_file::read_text_following(path).map_err(|err| Error::io("read", path, &err))?;
        let text = text.trim();
        if text.len() < MIN_TOKEN {
            return Err(Error::usage(format!(
                "the token in `{}` has fewer than {MIN_TOKEN} characters",
                path.display()
            ))
            .hint(format!("`openssl rand -hex 32 > {}` makes a good one", path.display())));
        }
        Ok(Token::of(text))
    }

    /// Makes a token that nobody can guess, and returns its text as well.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<(Token, String)> {
        let source = Path::new("/dev/urandom");
        let mut bytes = [0; 32];
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|err| Error::io("read", source, &err))?;
        let text = hex(&bytes);
        Ok((Token::of(&text), text))
    }

    fn of(text: &str) -> Token {
        Token(blake3::hash(text.as_bytes()))
    }

    /// Returns the value of the cookie, from which nobody can tell the token.
    fn cookie(&self) -> String {
        hex(&blake3::derive_key("repro 2026 cookie of the dashboard", self.0.as_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The rules for requests to one server.
#[derive(Debug)]
pub(in crate::serve) struct Guard {
    token: Option<Token>,
    /// Cookies do not tell ports of one host apart, so the name does.
    cookie_name: String,
}

impl Guard {
    pub(in crate::serve) fn new(token: Option<Token>, port: u16) -> Guard {
        Guard { token, cookie_name: format!("repro-{port}") }
    }

    /// Refuses a request that may come from a page of another site.
    ///
    /// # Errors
    /// The host or the origin is another one.
    pub(in crate::serve) fn check_source(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let Some(host) = text(HOST) else {
            return Err(Refusal::invalid("the request does not name its host"));
        };
        if headers.get_all(HOST).iter().count() > 1 {
            return Err(Refusal::invalid("the request names several hosts"));
        }
        if self.token.is_none() && !is_loopback(host) {
            return Err(Refusal::forbidden(format!(
                "the host `{host}` is not a name of this machine: use `localhost`, or start \
                 `repro ui` with `--token-file`"
            )));
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match text(ORIGIN) {
            Some(origin) if changes && !is_origin(origin, host) => Err(Refusal::forbidden(
                format!("a page of `{origin}` must not change anything here"),
            )),
            _ => Ok(()),
        }
    }

    /// Checks the token of a request, if the server has one.
    ///
    /// # Errors
    /// The token is missing or wrong.
    pub(in crate::serve) fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(given) = bearer.and_then(|text| text.strip_prefix("Bearer ")) {
            if Token::of(given.trim()) == *token {
                return Ok(());
            }
            return Err(Refusal::unauthenticated("the token is wrong"));
        }
        // Compared as digests, which takes the same time for all values.
        let expected = Token::of(&token.cookie());
        if cookies(headers, &self.cookie_name).any(|value| Token::of(value) == expected) {
            return Ok(());
        }
        Err(Refusal::unauthenticated(
            "this server asks for its token: send `Authorization: Bearer TOKEN` (MLflow: \
             `MLFLOW_TRACKING_TOKEN`), or open the page once with `?token=TOKEN`",
        ))
    }

    /// Returns the header that sets the cookie, if `given` is the token.
    pub(in crate::serve) fn cookie_for(&self, given: &str) -> Option<String> {
        let token = self.token.as_ref().filter(|token| Token::of(given.trim()) == **token)?;
        let (name, value) = (&self.cookie_name, token.cookie());
        Some(format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict"))
    }
}

/// Returns the values of the cookies of a name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(move |pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// Reports whether the host of a request, with or without a port, is this machine by its loopback
/// interface. The port may be another one: that of a tunnel.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    is_port && (["127.0.0.1", "[::1]"].contains(&name) || name.eq_ignore_ascii_case("localhost"))
}

/// Reports whether `origin` is that of a page of the server that is called `host`.
fn is_origin(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        pairs.collect()
    }

    #[test]
    fn hosts_of_this_machine() {
        for host in ["localhost", "LOCALHOST:7878", "127.0.0.1:1", "[::1]", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "::1",
            "localhost:x",
            "[::1",
            "127.0.0.2",
            "localhost:80:90",
            "user@localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn origins() {
        let guard = Guard::new(None, 1);
        let check = |method: Method, origin: &str| {
            let headers = headers(&[(HOST, "localhost:7878"), (ORIGIN, origin)]);
            guard.check_source(&method, &headers).is_ok()
        };
        assert!(check(Method::POST, "http://localhost:7878"));
        assert!(check(Method::GET, "http://evil.example"));
        for origin in ["http://evil.example", "null", "", "http://localhost", "localhost:7878"] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert!(!check(method, origin), "{origin}");
            }
        }
        let without = headers(&[(HOST, "localhost:7878")]);
        assert!(guard.check_source(&Method::POST, &without).is_ok());
        assert!(guard.check_source(&Method::GET, &HeaderMap::new()).is_err());
    }

    #[test]
    fn token_as_header_and_cookie() {
        let guard = Guard::new(Some(Token::of("0123456789abcdef")), 80);
        assert!(guard.cookie_for("0123456789abcdeF").is_none());
        let set = guard.cookie_for("0123456789abcdef").unwrap();
        assert!(!set.contains("0123456789abcdef"));
        let (cookie, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
        let check = |name, value: &str| guard.check_token(&headers(&[(name, value)])).is_ok();
        assert!(check(AUTHORIZATION, "Bearer 0123456789abcdef"));
        assert!(check(COOKIE, &format!("a=b; {cookie}")));
        assert!(!check(COOKIE, "repro-80=x"));
        assert!(!check(COOKIE, "repro-80=0123456789abcdef"));
        assert!(!check(COOKIE, &cookie.replace("repro-80", "repro-81")));
        assert!(!check(AUTHORIZATION, "Bearer x"));
        assert!(!check(AUTHORIZATION, "0123456789abcdef"));
        assert!(Guard::new(None, 80).check_token(&HeaderMap::new()).is_ok());
    }
}
