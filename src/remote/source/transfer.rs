//! The transfer of files from a store into a folder of this machine.
//!
//! # Mechanism
//!
//! Large files are read in pieces, several at once, and appended in their order. A journal names
//! the version of each file before its first byte is written, so the next transfer knows which
//! bytes it can keep: a file is whole if it has the size of its version.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::listing::Listing;
use super::pieces::{Piece, Reader};
use super::place::Place;
use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::parallel;
use crate::plan::SourceVersion;
use crate::remote::backend::{Fault, FaultKind};
use crate::remote::trouble;

/// Bytes of a file that are read at once.
const PIECE: u64 = 4 << 20;

/// A file to transfer.
#[derive(Debug)]
pub(super) struct File {
    /// Path below the folder; empty for a single file.
    pub(super) name: String,
    /// Path in the store.
    pub(super) path: String,
    pub(super) target: PathBuf,
    pub(super) version: SourceVersion,
}

impl File {
    fn bytes(&self) -> u64 {
        self.version.bytes.unwrap_or_default()
    }

    fn append(&self) -> Result<fs::File> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.target);
        opened.map_err(|err| self.not_written(&err))
    }

    fn not_written(&self, err: &std::io::Error) -> Error {
        Error::io("write", &self.target, err)
    }
}

/// A file of which pieces are under way.
#[derive(Debug)]
struct Open {
    file: fs::File,
    at: u64,
    /// Pieces that arrived before the one at `at`.
    early: BTreeMap<u64, Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Transfer<'a> {
    wanted: &'a Wanted<'a>,
    place: &'a Place,
    /// The versions of the files that earlier transfers began.
    begun: HashMap<String, SourceVersion>,
    journal: fs::File,
    /// The files of the known version.
    known: Listing,
}

impl<'a> Transfer<'a> {
    /// Reads what earlier transfers left.
    pub(super) fn open(wanted: &'a Wanted<'a>, place: &'a Place) -> Result<Transfer<'a>> {
        let path = wanted.folder.join("journal");
        let text = fs::read(&path).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        let begun = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let journal = OpenOptions::new().append(true).create(true).open(&path);
        let mut journal = journal.map_err(|err| Error::io("write", &path, &err))?;
        if !text.is_empty() && !text.ends_with(b"\n") {
            // A line that a kill tore.
            journal.write_all(b"\n").map_err(|err| Error::io("write", &path, &err))?;
        }
        let known = wanted.known.and_then(|known| Listing::parse(known.listing));
        Ok(Transfer { wanted, place, begun, journal, known: known.unwrap_or_default() })
    }

    /// Transfers what has not arrived yet; returns the number of bytes, `None` if it was stopped.
    pub(super) fn run(mut self, files: Vec<File>) -> Result<Option<u64>> {
        let total = files.iter().map(File::bytes).fold(0, u64::saturating_add);
        let mut done = 0;
        let (mut due, mut known) = (Vec::new(), Vec::new());
        for file in files {
            match self.prepared(&file)? {
                Some(at) if at == file.bytes() => done += at,
                Some(at) => due.push((file, at)),
                None if self.known.files.get(&file.name) == Some(&file.version) => known.push(file),
                None => due.push((file, 0)),
            }
        }
        let Some(others) = self.copied(known, &mut done, total)? else { return Ok(None) };
        due.extend(others.into_iter().map(|file| (file, 0)));
        for (file, _) in due.iter().filter(|(file, _)| file.bytes() == 0) {
            file.append()?;
        }
        due.retain(|(file, _)| file.bytes() > 0);
        let before = done + due.iter().map(|(_, at)| at).sum::<u64>();
        if due.is_empty() {
            (self.wanted.progress)(total, Some(total));
            return Ok(Some(0));
        }
        let stopped = self.read(&due, before, total)?.is_none();
        Ok((!stopped).then_some(total - before))
    }

    /// Copies files of the known version. Returns those that could not be copied; `None` if it was
    /// stopped.
    fn copied(&self, files: Vec<File>, done: &mut u64, total: u64) -> Result<Option<Vec<File>>> {
        let Some(known) = self.wanted.known else { return Ok(Some(files)) };
        let (lost, bytes) = (Mutex::new(Vec::new()), AtomicU64::new(*done));
        parallel::try_for_each(&files, |file| -> Result<()> {
            if (self.wanted.is_stopped)() {
                return Ok(());
            }
            match (known.copy)(&file.name, &file.target)? {
                true => {
                    let now = bytes.fetch_add(file.bytes(), Ordering::Relaxed) + file.bytes();
                    (self.wanted.progress)(now, Some(total));
                }
                false => {
                    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.push(file.name.clone());
                }
            }
            Ok(())
        })?;
        if (self.wanted.is_stopped)() {
            return Ok(None);
        }
        *done = bytes.into_inner();
        let lost: HashSet<String> =
            lost.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
        Ok(Some(files.into_iter().filter(|file| lost.contains(&file.name)).collect()))
    }

    /// Returns the number of bytes of a file that an earlier transfer has left; `None` for a file
    /// that begins now.
    fn prepared(&mut self, file: &File) -> Result<Option<u64>> {
        let length = file.target.symlink_metadata().ok().filter(fs::Metadata::is_file);
        let length = length.map(|meta| meta.len()).filter(|length| *length <= file.bytes());
        if let Some(length) = length
            && self.begun.get(&file.name) == Some(&file.version)
        {
            return Ok(Some(length));
        }
        match fs::remove_file(&file.target) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &file.target, &err));
            }
            _ => {}
        }
        if let Some(parent) = file.target.parent() {
            fs::create_dir_all(parent).map_err(|err| Error::io("create", parent, &err))?;
        }
        let line = serde_json::to_vec(&(&file.name, &file.version)).unwrap_or_default();
        let written = self.journal.write_all(&[&line[..], b"\n"].concat());
        written.map_err(|err| file.not_written(&err)).map(|()| None)
    }

    /// Reads the rest of each file; `None` if it was stopped.
    fn read(&self, due: &[(File, u64)], mut done: u64, total: u64) -> Result<Option<()>> {
        let jobs = self.place.store.parallelism();
        let mut pieces =
            due.iter().enumerate().flat_map(|(number, (file, at))| pieces(number, file, *at));
        let count = pieces.clone().take(jobs).count();
        let reader = Reader::start(&self.place.store, count)?;
        let mut open: HashMap<usize, Open> = HashMap::new();
        // Pieces that are not yet appended, so that they fit in memory.
        let mut waiting = 0;
        loop {
            while waiting < 2 * jobs
                && let Some(piece) = pieces.next()
            {
                reader.request(piece);
                waiting += 1;
            }
            if waiting == 0 {
                return Ok(Some(()));
            }
            let Some((piece, read)) = reader.next(self.wanted.is_stopped) else { return Ok(None) };
            let (file, at) = &due[piece.file];
            let bytes = read.map_err(|fault| self.failed(file, &fault))?;
            let entry = match open.remove(&piece.file) {
                Some(entry) => entry,
                None => Open { file: file.append()?, at: *at, early: BTreeMap::new() },
            };
            let mut entry = entry;
            entry.early.insert(piece.range.start, bytes);
            while let Some(bytes) = entry.early.remove(&entry.at) {
                entry.file.write_all(&bytes).map_err(|err| file.not_written(&err))?;
                entry.at += bytes.len() as u64;
                done += bytes.len() as u64;
                waiting -= 1;
            }
            (self.wanted.progress)(done, Some(total));
            if entry.at < file.bytes() {
                open.insert(piece.file, entry);
            }
        }
    }

    fn failed(&self, file: &File, fault: &Fault) -> Error {
        let url = &self.wanted.origin.url;
        match fault.kind {
            FaultKind::Missing | FaultKind::Truncated => {
                Error::environment(format!("`{url}` changed while it was downloaded"))
                    .because(format!("`{}`: {fault}", file.path))
                    .hint("repeat the command: it continues where this one ended")
            }
            _ => trouble::error(&*self.place.store, "read", &file.path, fault),
        }
    }
}

/// Returns the pieces of a file from `at` on.
fn pieces(number: usize, file: &File, at: u64) -> impl Iterator<Item = Piece> + Clone {
    let (path, end) = (file.path.clone(), file.bytes());
    let starts = (0..).map(move |index| at + index * PIECE).take_while(move |start| *start < end);
    starts.map(move |start| Piece {
        file: number,
        path: path.clone(),
        range: start..(start + PIECE).min(end),
    })
}
