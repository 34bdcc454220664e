//! The stores behind opendal as a [`Backend`]: one small runtime, on which every verb blocks.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::SystemTime;

use opendal::{EntryMode, Metadata, Operator};
use tokio::runtime::Runtime;

use super::backend::{Backend, DEEPEST, Entry, EntryKind, Fault, FaultKind, Listed, too_deep};
use super::fault::fault;
use super::http::observed;

/// Deepest folder that is listed, for stores that invent folders without an end.
const MAX_DEPTH: usize = 16;
/// Threads that drive the connections; the verbs themselves run on the threads of the callers.
const THREADS: usize = 2;

/// A store that opendal speaks with.
pub(super) struct Cloud {
    pub(super) operator: Operator,
    pub(super) place: String,
    pub(super) parallelism: usize,
    pub(super) listing: Listing,
}

/// The way to list the files below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// The store lists all files with a prefix.
    Deep,
    /// The store lists one folder at a time.
    ByFolder,
    /// The store has no listing, and its files can only be read.
    None,
}

impl Cloud {
    fn run<T>(&self, verb: impl Future<Output = opendal::Result<T>>) -> Result<T, Fault> {
        let runtime = runtime().map_err(|message| Fault { kind: FaultKind::Other, message })?;
        let (result, ending) = runtime.block_on(observed(verb));
        result.map_err(|err| fault(&err, ending))
    }

    /// Lists a folder, or everything below it if the store lists that at once.
    fn page(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let is_deep = self.listing == Listing::Deep;
        let lister = self.operator.list_with(&start).recursive(is_deep);
        let entries = match self.run(async { lister.await }) {
            Ok(entries) => entries,
            Err(fault) if fault.kind == FaultKind::Missing => return Ok(Vec::new()),
            Err(fault) => return Err(fault),
        };
        let entries = entries.into_iter().map(opendal::Entry::into_parts);
        // A store may list the folder itself, or what nobody asked for.
        let below = entries
            .filter(|(path, _)| path.strip_prefix(&start).is_some_and(|rest| !rest.is_empty()));
        Ok(below.map(|(path, metadata)| entry(path, &metadata)).collect())
    }

    /// Lists everything below a folder; calls `deeper` before each folder below, which says whether
    /// to list it.
    fn walk(
        &self,
        folder: &str,
        deeper: impl Fn(&str) -> Result<bool, Fault>,
    ) -> Result<Vec<Entry>, Fault> {
        if self.listing == Listing::None {
            return Err(read_only("a web server has no listing"));
        }
        let mut found = Vec::new();
        let mut folders = vec![folder.trim_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let page = self.page(&folder)?;
            if self.listing == Listing::ByFolder {
                for below in page.iter().filter(|entry| entry.kind == EntryKind::Folder) {
                    if deeper(&below.path)? {
                        folders.push(below.path.clone());
                    }
                }
            }
            found.extend(page);
        }
        Ok(found)
    }
}

fn entry(path: String, metadata: &Metadata) -> Entry {
    let kind = match metadata.mode() {
        EntryMode::DIR => EntryKind::Folder,
        // The client asks for another file then.
        EntryMode::FILE if path.trim() != path || path.contains("//") => {
            EntryKind::Odd("begins or ends with a blank, or has an empty name in its path")
        }
        EntryMode::FILE => EntryKind::File,
        EntryMode::Unknown => EntryKind::Odd("is neither a file nor a folder"),
    };
    Entry {
        path: path.trim_end_matches('/').to_owned(),
        kind,
        bytes: if kind == EntryKind::File { metadata.content_length() } else { 0 },
        etag: metadata.etag().map(str::to_owned),
        modified: metadata.last_modified().map(SystemTime::from),
    }
}

impl Backend for Cloud {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Fault> {
        let is_near = |path: &str| path.matches('/').count() <= MAX_DEPTH;
        let entries = self.walk(folder, |below| Ok(is_near(below)))?.into_iter();
        let files = entries.filter(|entry| entry.kind == EntryKind::File && is_near(&entry.path));
        Ok(files
            .map(|Entry { path, bytes, modified, .. }| Listed { path, bytes, modified })
            .collect())
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, Fault> {
        match self.run(self.operator.stat(path)) {
            Err(fault) if fault.kind == FaultKind::Missing => Ok(None),
            Err(fault) => Err(fault),
            Ok(metadata) => Ok(Some(entry(path.to_owned(), &metadata))),
        }
    }

    fn entries(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        self.walk(folder, |below| match below.matches('/').count() > DEEPEST {
            true => Err(too_deep(below)),
            false => Ok(true),
        })
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, Fault> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(Vec::new());
        }
        let mut reading = self.operator.read_with(path);
        if let Some(range) = range.clone() {
            reading = reading.range(range);
        }
        let bytes = self.run(async { reading.await })?.to_vec();
        match range {
            Some(range) if bytes.len() as u64 != range.end - range.start => {
                let wanted = range.end - range.start;
                let message = format!("{} bytes arrived instead of {wanted}", bytes.len());
                Err(Fault { kind: FaultKind::Truncated, message })
            }
            _ => Ok(bytes),
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        if self.listing == Listing::None {
            return Err(read_only("files behind a web server can only be read"));
        }
        self.run(self.operator.write(path, bytes.to_vec())).map(drop)
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        if self.listing == Listing::None {
            return Err(read_only("files behind a web server can only be read"));
        }
        match self.run(self.operator.delete(path)) {
            Err(fault) if fault.kind == FaultKind::Missing => Ok(()),
            deleted => deleted,
        }
    }

    fn parallelism(&self) -> usize {
        self.parallelism
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("place", &self.place).finish_non_exhaustive()
    }
}

fn read_only(message: &str) -> Fault {
    Fault { kind: FaultKind::Unsupported, message: message.to_owned() }
}

/// Returns the runtime that all stores share.
fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(THREADS).thread_name("remote").enable_all().build();
        built.map_err(|err| format!("cannot start a thread: {err}"))
    });
    runtime.as_ref().map_err(Clone::clone)
}
