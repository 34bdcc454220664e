//! A file from an HTTP server, with resume: what came of a broken transfer is kept and continued.
//!
//! Beside the file lies a note with the server's validators. A part is only continued when the server says
//! that it still has the same file (`If-Range`); a whole file is only used again when the server says so
//! too (304). Knows nothing about archives.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use kit::Events;
use kit::files::write_json;
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};

use crate::source::without_secrets;

/// Attempts in a row that bring nothing new, and attempts in all.
const FRUITLESS: u32 = 5;
const ATTEMPTS: u32 = 100;

/// Without a byte for so long, a connection counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes between two progress events.
const REPORT: u64 = 1 << 20;

/// Brings the file behind `address` into the folder and returns its path.
///
/// `wait` is the time before the first new attempt; it doubles with each that brings nothing.
///
/// # Errors
/// An answer that no new attempt will change, such as 404; too many attempts; any failure of the disk.
pub(crate) fn fetch(address: &str, folder: &Path, wait: Duration, events: &Events) -> Result<PathBuf> {
    let download = Download::new(address, folder)?;
    let (mut fruitless, mut wait) = (0, wait);
    for _ in 0..ATTEMPTS {
        let before = download.have();
        let fault = match download.attempt(events) {
            Ok(()) => return Ok(download.part),
            Err(Fault::Final(error)) => return Err(error),
            Err(Fault::Passing(error)) => error,
        };
        if download.have() > before {
            fruitless = 0;
        } else {
            fruitless += 1;
            if fruitless == FRUITLESS {
                return Err(fault.context(format!(
                    "cannot download `{}`: {FRUITLESS} attempts in a row failed",
                    without_secrets(address)
                )));
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_secs(60));
        }
        eprintln!("warning: {fault:#}; trying again");
    }
    bail!("cannot download `{}`: the connection broke {ATTEMPTS} times", without_secrets(address))
}

/// What is known about the bytes on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    etag: Option<String>,
    last_modified: Option<String>,
    complete: bool,
}

impl Note {
    /// What `If-Range` may name: a strong tag, else the date.
    fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

enum Fault {
    /// May be gone next time: connections, 5xx.
    Passing(anyhow::Error),
    /// Will not: 404, a full disk.
    Final(anyhow::Error),
}

struct Download {
    address: String,
    agent: Agent,
    part: PathBuf,
    note: PathBuf,
}

impl Download {
    fn new(address: &str, folder: &Path) -> Result<Download> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        // The system's certificates: companies add their own there, or name them in `SSL_CERT_FILE`.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build();
        let name = fnv1a(address);
        Ok(Download {
            address: address.to_owned(),
            agent: Agent::new_with_config(config),
            part: folder.join(format!("{name:016x}.part")),
            note: folder.join(format!("{name:016x}.json")),
        })
    }

    fn have(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |meta| meta.len())
    }

    fn attempt(&self, events: &Events) -> Result<(), Fault> {
        // A note that cannot be read is as good as none: the transfer starts over.
        let note: Note = fs::read(&self.note)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let have = self.have();
        let response = self.ask(&note, have)?;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED if note.complete && have > 0 => Ok(()),
            StatusCode::OK => self.receive(response, 0, events),
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(have) => {
                self.receive(response, have, events)
            }
            // The server's file is another one than the part's; or it answered with a range of its own.
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED => {
                self.forget().map_err(Fault::Final)?;
                Err(Fault::Passing(anyhow!("the server has no such part of the file")))
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Fault::Passing(self.refused(status)))
            }
            status if status.is_server_error() => Err(Fault::Passing(self.refused(status))),
            status => Err(Fault::Final(anyhow!("{}; is `download.source` right?", self.refused(status)))),
        }
    }

    fn ask(&self, note: &Note, have: u64) -> Result<Response<ureq::Body>, Fault> {
        // A compressed transfer would have other lengths and ranges than the file.
        let mut request = self.agent.get(&self.address).header("Accept-Encoding", "identity");
        if note.complete && have > 0 {
            if let Some(tag) = &note.etag {
                request = request.header("If-None-Match", tag);
            }
            if let Some(date) = &note.last_modified {
                request = request.header("If-Modified-Since", date);
            }
        } else if let Some(validator) = note.validator().filter(|_| have > 0) {
            request = request.header("Range", format!("bytes={have}-")).header("If-Range", validator);
        }
        request.call().map_err(|error| {
            let shown = without_secrets(&self.address);
            let is_final = match &error {
                ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => true,
                // What is no TLS, or a certificate that nobody vouches for.
                ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
                _ => false,
            };
            let error = anyhow!("cannot reach `{shown}`: {error}");
            if is_final { Fault::Final(error) } else { Fault::Passing(error) }
        })
    }

    /// Writes the body from byte `start` on. The note comes first: bytes without one are never continued.
    fn receive(&self, response: Response<ureq::Body>, start: u64, events: &Events) -> Result<(), Fault> {
        let text = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let mut note = Note { etag: text("etag"), last_modified: text("last-modified"), complete: false };
        let length = response.body().content_length();
        if start == 0 {
            self.forget().map_err(Fault::Final)?;
        }
        write_json(&self.note, &note).map_err(Fault::Final)?;
        let file = OpenOptions::new().append(true).create(true).open(&self.part);
        let file =
            file.with_context(|| format!("cannot write `{}`", self.part.display())).map_err(Fault::Final)?;
        let end = length.map(|length| start + length);
        let got = self.copy(response.into_body().into_reader(), file, start, end, events)?;
        if end.is_some_and(|end| got < end) {
            return Err(Fault::Passing(anyhow!("the connection ended after {got} bytes")));
        }
        note.complete = true;
        write_json(&self.note, &note).map_err(Fault::Final)
    }

    fn copy(
        &self,
        mut body: impl Read,
        mut file: File,
        start: u64,
        end: Option<u64>,
        events: &Events,
    ) -> Result<u64, Fault> {
        let mut buffer = vec![0; 1 << 16];
        let (mut got, mut reported) = (start, start);
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok(got),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let error = anyhow!("the connection broke after {got} bytes ({error})");
                    return Err(Fault::Passing(error));
                }
            };
            let written = file.write_all(&buffer[..count]);
            written
                .with_context(|| format!("cannot write `{}`", self.part.display()))
                .map_err(Fault::Final)?;
            got += count as u64;
            if let Some(end) = end.filter(|end| got - reported >= REPORT || got == *end) {
                events.progress(got, end);
                reported = got;
            }
        }
    }

    fn forget(&self) -> Result<()> {
        for path in [&self.part, &self.note] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove `{}`", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn refused(&self, status: StatusCode) -> anyhow::Error {
        anyhow!("`{}` answered {status}", without_secrets(&self.address))
    }
}

/// The first byte of `Content-Range: bytes 100-199/200`.
fn range_start(response: &Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

/// A name for an address, after Fowler, Noll and Vo.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
