//! Files and folders of stores: `s3://`, `gs://`, `az://`, `sftp://`, `webdavs://`, `remote://`.
//!
//! # Mechanism
//!
//! The URL names a file or, if there is none or the URL ends with `/`, a folder. The version of a
//! file is its ETag, or else its time and size; that of a folder is the digest of the list of its
//! files with their versions, so one listing answers whether anything has changed. What has been
//! transferred is asked for once more at the end: files that changed meanwhile are read again.
//!
//! # Known limits
//!
//! SFTP has times in seconds: a file that is replaced by one of the same size within the second in
//! which it was listed looks unchanged.

use std::path::Path;
use std::sync::Arc;

use super::listing::{Listing, version};
use super::pieces::unless_stopped;
use super::place::{self, Place, Remotes};
use super::transfer::{File, Transfer};
use super::wanted::{Arrived, Compared, Wanted};
use crate::error::{Error, Result};
use crate::pipeline::{Url, UrlOrigin};
use crate::plan::SourceVersion;
use crate::remote::backend::{Backend, Entry, EntryKind, Fault, FaultKind};
use crate::remote::trouble;

/// Number of times that a transfer follows a source that keeps changing.
const ROUNDS: u32 = 3;
/// Name of the list of the files of a folder.
const LISTING: &str = "listing";

/// The answer of a store to a URL.
#[derive(Debug, Clone)]
enum Seen {
    File(Entry),
    Folder(Vec<Entry>),
}

/// The content of a URL at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    File(SourceVersion),
    Folder(Listing),
}

impl Content {
    /// Returns the version, if it is a folder.
    fn known(&self) -> Option<SourceVersion> {
        match self {
            Content::File(_) => None,
            Content::Folder(listing) => Some(listing.version()),
        }
    }
}

/// Transfers the file or the files of the folder; `None` if it was stopped.
pub(super) fn fetch(wanted: &Wanted<'_>) -> Result<Option<Arrived>> {
    let url = &wanted.origin.url;
    let Some((place, mut content)) = first_look(wanted)? else { return Ok(None) };
    for _ in 0..ROUNDS {
        let Some(transferred) = transfer(wanted, &place, &content)? else { return Ok(None) };
        if transferred == 0 {
            return arrived(wanted.folder, content).map(Some);
        }
        let (store, path, asked) = (Arc::clone(&place.store), place.path.clone(), url.clone());
        let known = content.known();
        let look = move || look(&*store, &path, &asked, known.as_ref());
        let seen = unless_stopped(wanted.is_stopped, look)?;
        let Some(seen) = seen else { return Ok(None) };
        let now = content_of(seen, &place, url)?;
        if now == content {
            return arrived(wanted.folder, content).map(Some);
        }
        content = now;
    }
    Err(Error::environment(format!("`{url}` changed while it was downloaded"))
        .hint("repeat the command when the program that writes it has finished"))
}

/// Compares the version with a listing, or with the facts about the file.
pub(super) fn compare(
    origin: &UrlOrigin,
    known: &SourceVersion,
    remotes: Remotes<'_>,
) -> Result<Compared> {
    let url = &origin.url;
    let (place, seen) =
        place::open(url, remotes, |store, path| look(&**store, path, url, Some(known)))?;
    let now = match content_of(seen, &place, url)? {
        Content::File(version) => version,
        Content::Folder(listing) => listing.version(),
    };
    Ok(match now == *known {
        true => Compared::Same,
        false if now.etag.is_none() && now.modified.is_none() && now.listing.is_none() => {
            Compared::Unknown
        }
        false => Compared::Other(now),
    })
}

/// Finds the store and the content; `None` if it was stopped.
fn first_look(wanted: &Wanted<'_>) -> Result<Option<(Place, Content)>> {
    let url = wanted.origin.url.clone();
    let declared = wanted.remotes.declared.to_vec();
    let root = wanted.remotes.root.to_owned();
    let opened = unless_stopped(wanted.is_stopped, move || {
        let remotes = Remotes { declared: &declared, root: &root };
        place::open(&url, remotes, |store, path| look(&**store, path, &url, None))
    })?;
    let Some(opened) = opened else { return Ok(None) };
    let (place, seen) = opened?;
    let content = content_of(seen, &place, &wanted.origin.url)?;
    if let Content::Folder(_) = content
        && let UrlOrigin { extract: true, .. }
        | UrlOrigin { sha256: Some(_), .. }
        | UrlOrigin { md5: Some(_), .. } = wanted.origin
    {
        return Err(Error::usage(format!("`{}` is a folder", wanted.origin.url))
            .because("`extract`, `sha256` and `md5` are about one file")
            .hint("remove them; the content of each file is in pipeline.lock anyway"));
    }
    Ok(Some((place, content)))
}

/// Asks for a file, and for a folder if there is none. A content that was a folder before is not
/// asked for as a file.
fn look(
    store: &dyn Backend,
    path: &str,
    url: &Url,
    known: Option<&SourceVersion>,
) -> std::result::Result<Option<Seen>, Fault> {
    let was_folder = known.is_some_and(|known| known.listing.is_some());
    let mut failed = None;
    if !url.names_folder() && !was_folder {
        match store.entry(path) {
            Ok(Some(entry)) if entry.kind != EntryKind::Folder => {
                return Ok(Some(Seen::File(entry)));
            }
            Ok(_) => {}
            // Some servers fail when they are asked for a file and there is a folder.
            Err(fault) if fault.kind == FaultKind::Unavailable => failed = Some(fault),
            Err(fault) => return Err(fault),
        }
    }
    match (store.entries(path), failed) {
        (Ok(entries), _) if !entries.is_empty() => Ok(Some(Seen::Folder(entries))),
        (_, Some(fault)) => Err(fault),
        (listed, None) => listed.map(|_| None),
    }
}

fn content_of(
    seen: std::result::Result<Option<Seen>, Fault>,
    place: &Place,
    url: &Url,
) -> Result<Content> {
    let missing = || {
        Error::missing(format!("`{url}` does not exist")).because(format!(
            "`{}` has neither a file nor a folder of this name",
            place.store.place()
        ))
    };
    let seen = seen.map_err(|fault| trouble::error(&*place.store, "read", &place.path, &fault))?;
    match seen.ok_or_else(missing)? {
        Seen::File(Entry { kind: EntryKind::Odd(reason), .. }) => {
            Err(Error::usage(format!("`{url}` {reason}")))
        }
        Seen::File(entry) => Ok(Content::File(version(&entry))),
        Seen::Folder(entries) => {
            let listing = Listing::of(entries, &place.path, url.as_str())?;
            match listing.files.is_empty() {
                true => Err(Error::missing(format!("`{url}` has no files"))),
                false => Ok(Content::Folder(listing)),
            }
        }
    }
}

/// Transfers what has not arrived yet; returns the number of bytes, or `None` if it was stopped.
fn transfer(wanted: &Wanted<'_>, place: &Place, content: &Content) -> Result<Option<u64>> {
    let transfer = Transfer::open(wanted, place)?;
    match content {
        Content::File(version) => {
            let target = wanted.folder.join("part");
            let file = File {
                name: String::new(),
                path: place.path.clone(),
                target,
                version: version.clone(),
            };
            transfer.run(vec![file])
        }
        Content::Folder(listing) => {
            let top = wanted.folder.join("tree");
            let files = listing.files.iter().map(|(name, version)| File {
                name: name.clone(),
                path: match place.path.as_str() {
                    "" => name.clone(),
                    folder => format!("{folder}/{name}"),
                },
                target: top.join(name),
                version: version.clone(),
            });
            super::tree::remove_others(&top, listing)?;
            transfer.run(files.collect())
        }
    }
}

fn arrived(folder: &Path, content: Content) -> Result<Arrived> {
    match content {
        Content::File(version) => Ok(Arrived::File { path: folder.join("part"), version }),
        Content::Folder(listing) => {
            let path = folder.join(LISTING);
            std::fs::write(&path, listing.text()).map_err(|err| Error::io("write", &path, &err))?;
            let version = listing.version();
            Ok(Arrived::Folder { name: "tree".to_owned(), listing: LISTING.to_owned(), version })
        }
    }
}
