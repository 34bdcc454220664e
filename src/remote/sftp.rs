//! A store on a machine that the system's `ssh` reaches.
//!
//! Speaks SFTP over `ssh -s HOST sftp`, so keys, agents, jump hosts and `~/.ssh/config` work as
//! usual, and errors have the words of `ssh`. Connections are made one after the other and kept:
//! by default a server drops some of ten that log in at once (`MaxStartups`).

mod connection;
mod packet;
mod transfer;

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::connection::{Connection, Failure, Refusal, is_extended};
use self::packet::{
    ATTRS, Attributes, CLOSE, DENIED, END, EXTENDED, FAILURE, MISSING, MKDIR, NAME, NO_PLACE,
    NO_SPACE, OPENDIR, READDIR, REMOVE, RENAME, SHORT, STAT, UNSUPPORTED,
};
use super::backend::{Backend, DEEPEST, Entry, EntryKind, Fault, FaultKind, Listed, too_deep};
use super::folder::below;
use crate::pipeline::SshPlace;
use crate::unique::unique;

/// Connections at once.
pub(super) const CONNECTIONS: usize = 4;
/// Deepest folder that is listed, for servers that invent folders without an end.
const MAX_DEPTH: usize = 16;
/// Start of the names of files that are being written.
const TEMPORARY: &str = ".tmp-";

#[derive(Debug)]
pub(super) struct Sftp {
    place: SshPlace,
    timeout: Duration,
    idle: Mutex<Vec<Connection>>,
    /// Held while a connection is made.
    connecting: Mutex<()>,
}

impl Sftp {
    /// Returns the store in a folder; connects when it is first used.
    pub(super) fn new(place: SshPlace, timeout: Duration) -> Sftp {
        Sftp { place, timeout, idle: Mutex::default(), connecting: Mutex::default() }
    }

    /// Runs a verb over a connection, which serves the next one unless it was lost.
    fn with<T>(
        &self,
        path: &str,
        verb: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let idle = lock(&self.idle).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let _one_at_a_time = lock(&self.connecting);
                Connection::open(&self.place, self.timeout)?
            }
        };
        match verb(&mut connection) {
            Err(Failure::Lost(fault)) => Err(fault),
            result => {
                lock(&self.idle).push(connection);
                result.map_err(|failure| match failure {
                    Failure::Refused(refusal) => fault(&refusal, path),
                    Failure::Lost(fault) => fault,
                })
            }
        }
    }

    fn full(&self, path: &str) -> String {
        match (self.place.path.as_str(), path) {
            ("", "") => ".".to_owned(),
            ("", path) => path.to_owned(),
            (root, "") => root.to_owned(),
            (root, path) => format!("{}/{path}", root.trim_end_matches('/')),
        }
    }

    fn write(&self, to: &mut Connection, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let full = self.full(path);
        let folder = full.rsplit_once('/').map_or("", |(folder, _)| folder);
        let temporary = match folder {
            "" if full.starts_with('/') => format!("/{TEMPORARY}{}", unique()),
            "" => format!("{TEMPORARY}{}", unique()),
            folder => format!("{folder}/{TEMPORARY}{}", unique()),
        };
        let handle = match transfer::create(to, &temporary) {
            Err(Failure::Refused(Refusal { code: MISSING, .. })) => {
                self.make_folders(to, folder)?;
                transfer::create(to, &temporary)?
            }
            handle => handle?,
        };
        let written =
            transfer::upload(to, &handle, bytes).and_then(|()| rename(to, &temporary, &full));
        if let Err(Failure::Refused(refusal)) = written {
            let _ = to.ask(REMOVE, |packet| packet.text(temporary.as_bytes()));
            return Err(match refusal.code == FAILURE && is_full(to, folder, bytes.len()) {
                true => Failure::Refused(Refusal { code: NO_SPACE, words: refusal.words }),
                false => Failure::Refused(refusal),
            });
        }
        written
    }

    /// Makes a folder of the store and those above it. The folder that contains the store must
    /// exist: otherwise a disk may not be mounted, or the URL has a mistake.
    fn make_folders(&self, to: &mut Connection, folder: &str) -> Result<(), Failure> {
        let root = self.place.path.trim_end_matches('/');
        let below = folder.strip_prefix(root).unwrap_or(folder);
        let mut path = root.to_owned();
        let parts = below.split('/').filter(|part| !part.is_empty());
        for part in std::iter::once("").chain(parts) {
            if !part.is_empty() {
                if !path.is_empty() || root.starts_with('/') || self.place.path.starts_with('/') {
                    path.push('/');
                }
                path.push_str(part);
            }
            if path.is_empty() {
                continue;
            }
            match make_folder(to, &path) {
                Err(Failure::Refused(Refusal { code: MISSING, words })) if part.is_empty() => {
                    return Err(Failure::Refused(Refusal { code: NO_PLACE, words }));
                }
                made => made?,
            }
        }
        Ok(())
    }

    /// Returns the error for a place whose folder is missing together with the one above it.
    fn check_place(&self, to: &mut Connection) -> Result<(), Failure> {
        let root = self.place.path.trim_end_matches('/');
        let Some((above, _)) = root.rsplit_once('/') else { return Ok(()) };
        for folder in [root, above] {
            let folder = if folder.is_empty() { "/" } else { folder };
            match to.ask(STAT, |packet| packet.text(folder.as_bytes())) {
                Err(Failure::Refused(Refusal { code: MISSING, .. })) => {}
                found => return found.map(drop),
            }
        }
        Err(Failure::Refused(Refusal { code: NO_PLACE, words: String::new() }))
    }

    fn stat(&self, to: &mut Connection, path: &str) -> Result<Attributes, Failure> {
        let answer = to.ask(STAT, |packet| packet.text(self.full(path).as_bytes()))?;
        let attributes = answer.fields().attributes().filter(|_| answer.kind == ATTRS);
        attributes.ok_or_else(transfer::unexpected)
    }

    /// Returns the entry for a name in a listing. A link counts as the file that it leads to.
    fn listed(
        &self,
        to: &mut Connection,
        folder: &str,
        name: &[u8],
        attributes: Attributes,
    ) -> Result<Entry, Failure> {
        let Ok(name) = std::str::from_utf8(name) else {
            let path = below(folder, &String::from_utf8_lossy(name));
            let kind = EntryKind::Odd("has a name that is not UTF-8");
            return Ok(Entry { kind, ..entry(path, attributes) });
        };
        let path = below(folder, name);
        if !attributes.is_link() {
            return Ok(entry(path, attributes));
        }
        match self.stat(to, &path) {
            Err(Failure::Refused(_)) => {
                let kind = EntryKind::Odd("is a link to nothing");
                Ok(Entry { kind, ..entry(path, attributes) })
            }
            Ok(target) if target.is_folder() => {
                let kind = EntryKind::Odd("is a link to a folder");
                Ok(Entry { kind, ..entry(path, attributes) })
            }
            target => target.map(|target| entry(path, target)),
        }
    }

    fn list_folder(
        &self,
        to: &mut Connection,
        folder: &str,
    ) -> Result<Vec<(Vec<u8>, Attributes)>, Failure> {
        let full = self.full(folder);
        let opened = to.ask(OPENDIR, |packet| packet.text(full.as_bytes()));
        let handle = match opened {
            Err(Failure::Refused(Refusal { code: MISSING, .. })) => {
                return self.check_place(to).map(|()| Vec::new());
            }
            opened => transfer::handle(&opened?)?,
        };
        let mut entries = Vec::new();
        loop {
            let answer = match to.ask(READDIR, |packet| packet.text(&handle)) {
                Err(Failure::Refused(Refusal { code: END, .. })) => break,
                answer => answer?,
            };
            let mut fields = answer.fields();
            let count = fields.number().filter(|_| answer.kind == NAME).unwrap_or(0);
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let (name, _, attributes) = (fields.text(), fields.text(), fields.attributes());
                let (Some(name), Some(attributes)) = (name, attributes) else { break };
                if !matches!(name, b"." | b"..") {
                    entries.push((name.to_owned(), attributes));
                }
            }
        }
        to.ask(CLOSE, |packet| packet.text(&handle))?;
        Ok(entries)
    }
}

impl Backend for Sftp {
    fn place(&self) -> String {
        self.place.to_string()
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Fault> {
        self.with(folder, |connection| {
            let mut files = Vec::new();
            let mut folders = vec![folder.trim_matches('/').to_owned()];
            while let Some(folder) = folders.pop() {
                for (name, attributes) in self.list_folder(connection, &folder)? {
                    let Some(name) = plain_name(&name) else { continue };
                    let path = below(&folder, name);
                    if attributes.is_folder() && path.matches('/').count() < MAX_DEPTH {
                        folders.push(path);
                    } else if attributes.is_file() {
                        let bytes = attributes.bytes.unwrap_or_default();
                        files.push(Listed { path, bytes, modified: attributes.modified });
                    }
                }
            }
            Ok(files)
        })
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, Fault> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(Vec::new());
        }
        self.with(path, |connection| {
            let read = transfer::download(connection, &self.full(path), range);
            if let Err(Failure::Refused(Refusal { code: MISSING, .. })) = read {
                self.check_place(connection)?;
            }
            read
        })
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        self.with(path, |connection| self.write(connection, path, bytes))
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        let full = self.full(path);
        let removed = |connection: &mut Connection| match connection
            .ask(REMOVE, |packet| packet.text(full.as_bytes()))
        {
            Err(Failure::Refused(Refusal { code: MISSING, .. })) => Ok(()),
            removed => removed.map(drop),
        };
        self.with(path, removed)
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, Fault> {
        self.with(path, |connection| match self.stat(connection, path) {
            Err(Failure::Refused(Refusal { code: MISSING, .. })) => {
                self.check_place(connection).map(|()| None)
            }
            found => found.map(|attributes| Some(entry(path.to_owned(), attributes))),
        })
    }

    fn entries(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        let listed = self.with(folder, |connection| {
            let mut found = Vec::new();
            let mut folders = vec![(folder.trim_matches('/').to_owned(), 0)];
            while let Some((folder, depth)) = folders.pop() {
                if depth > DEEPEST {
                    return Ok(Err(too_deep(&folder)));
                }
                for (name, attributes) in self.list_folder(connection, &folder)? {
                    let listed = self.listed(connection, &folder, &name, attributes)?;
                    if listed.kind == EntryKind::Folder {
                        folders.push((listed.path.clone(), depth + 1));
                    }
                    found.push(listed);
                }
            }
            Ok(Ok(found))
        });
        listed?
    }

    fn parallelism(&self) -> usize {
        CONNECTIONS
    }
}

fn entry(path: String, attributes: Attributes) -> Entry {
    let kind = match (attributes.is_file(), attributes.is_folder()) {
        (true, _) => EntryKind::File,
        (false, true) => EntryKind::Folder,
        (false, false) => EntryKind::Odd("is neither a file nor a folder"),
    };
    let Attributes { bytes, modified, .. } = attributes;
    Entry { path, kind, bytes: bytes.unwrap_or_default(), etag: None, modified }
}

fn fault(refusal: &Refusal, path: &str) -> Fault {
    let words = super::redact::redact(&refusal.words);
    let (kind, message) = match refusal.code {
        MISSING => (FaultKind::Missing, format!("`{path}` does not exist")),
        DENIED => (FaultKind::Denied, "the server denies permission".to_owned()),
        UNSUPPORTED => (FaultKind::Unsupported, words),
        NO_SPACE => (FaultKind::Full, "the disk of the server is full".to_owned()),
        NO_PLACE => (FaultKind::NoSuchPlace, "the folder above it does not exist".to_owned()),
        SHORT | END => (FaultKind::Truncated, "the file ends early".to_owned()),
        code => (FaultKind::Other, format!("the server answered {code}: {words}")),
    };
    Fault { kind, message }
}

fn make_folder(to: &mut Connection, path: &str) -> Result<(), Failure> {
    match to.ask(MKDIR, |packet| packet.text(path.as_bytes()).number(0)) {
        // The protocol has no code for a folder that exists.
        Err(Failure::Refused(refusal)) if refusal.code == FAILURE => {
            to.ask(STAT, |packet| packet.text(path.as_bytes())).map(drop)
        }
        made => made.map(drop),
    }
}

/// Renames a file and replaces the one of that name.
fn rename(to: &mut Connection, from: &str, into: &str) -> Result<(), Failure> {
    let replacing = "posix-rename@openssh.com";
    if to.has(replacing) {
        let packet = |packet: packet::Outgoing| packet.text(replacing.as_bytes());
        let renamed = to
            .ask(EXTENDED, |outgoing| packet(outgoing).text(from.as_bytes()).text(into.as_bytes()));
        return renamed.map(drop);
    }
    let plainly = |to: &mut Connection| {
        to.ask(RENAME, |packet| packet.text(from.as_bytes()).text(into.as_bytes())).map(drop)
    };
    match plainly(to) {
        Err(Failure::Refused(refusal)) if refusal.code == FAILURE => {
            let _ = to.ask(REMOVE, |packet| packet.text(into.as_bytes()))?;
            plainly(to)
        }
        renamed => renamed,
    }
}

/// Reports whether the disk of a folder has no room for so many bytes.
fn is_full(to: &mut Connection, folder: &str, bytes: usize) -> bool {
    let name = "statvfs@openssh.com";
    if !to.has(name) {
        return false;
    }
    let folder = if folder.is_empty() { "." } else { folder };
    let answer = to.ask(EXTENDED, |packet| packet.text(name.as_bytes()).text(folder.as_bytes()));
    let Ok(answer) = answer else { return false };
    let mut fields = answer.fields();
    let numbers: Vec<u64> = std::iter::from_fn(|| fields.long()).take(5).collect();
    // Block size, unit of counts, blocks, free blocks, free blocks for users.
    match numbers[..] {
        [_, unit, _, _, free] if is_extended(&answer) => free.saturating_mul(unit) <= bytes as u64,
        _ => false,
    }
}

/// Returns the name of a file of a store; `None` for temporary files and other names.
fn plain_name(name: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let name = std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|b| is_plain(&b)))?;
    (!matches!(name, "" | "." | "..") && !name.starts_with(TEMPORARY)).then_some(name)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
