//! The stores behind opendal as a [`Backend`]: one small runtime, on which every verb blocks.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::SystemTime;

use opendal::{EntryMode, Operator};
use tokio::runtime::Runtime;

use super::backend::{Backend, Fault, FaultKind, Listed};
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

    fn list_folder(&self, folder: &str) -> Result<Page, Fault> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let is_deep = self.listing == Listing::Deep;
        let lister = self.operator.list_with(&start).recursive(is_deep);
        let entries = match self.run(async { lister.await }) {
            Ok(entries) => entries,
            Err(fault) if fault.kind == FaultKind::Missing => return Ok(Page::default()),
            Err(fault) => return Err(fault),
        };
        let mut page = Page::default();
        for entry in entries {
            let (path, metadata) = entry.into_parts();
            // A store may list the folder itself, or what nobody asked for.
            let below = path.strip_prefix(&start).filter(|rest| !rest.is_empty());
            if below.is_none() || path.matches('/').count() > MAX_DEPTH {
                continue;
            }
            match metadata.mode() {
                EntryMode::DIR => page.folders.push(path.trim_end_matches('/').to_owned()),
                EntryMode::FILE => page.files.push(Listed {
                    path,
                    bytes: metadata.content_length(),
                    modified: metadata.last_modified().map(SystemTime::from),
                }),
                _ => {}
            }
        }
        Ok(page)
    }
}

#[derive(Debug, Default)]
struct Page {
    files: Vec<Listed>,
    folders: Vec<String>,
}

impl Backend for Cloud {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Fault> {
        if self.listing == Listing::None {
            return Err(read_only("a web server has no listing"));
        }
        let folder = folder.trim_matches('/');
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let page = self.list_folder(&folder)?;
            files.extend(page.files);
            if self.listing == Listing::ByFolder {
                folders.extend(page.folders);
            }
        }
        Ok(files)
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
