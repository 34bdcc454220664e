//! Reads `.tar`, `.tar.gz` and `.zip` archives within bounds: lists the entries, then reads some.
//!
//! The format is detected from the first bytes, not from the name. For a `.zip` only the directory
//! at its end and the wanted members are read. Does not know where an archive is stored or where
//! its entries are written.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

/// Upper bound on the number of entries; no data set of clips has as many.
const MAX_ENTRIES: usize = 1_000_000;

/// Highest compression ratio, after the allowance. Audio hardly compresses, so more is a zip bomb.
const MAX_RATIO: u64 = 100;
const ALLOWANCE: u64 = 64 << 20;

/// Size of a zip member's local header, without its name and extra fields.
const HEADER: u64 = 30;
/// Upper bound on a zip member's size beyond its content: header, name and extra fields (each up
/// to 64 KiB), and a data descriptor of up to 24 bytes.
const OVERHEAD: u64 = HEADER + 2 * 0xffff + 24;

/// An entry's metadata, which is known before its content is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Position in the archive, from 0.
    pub(crate) index: usize,
    /// Path as stored in the archive. Untrusted.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Byte range within a `.zip`; empty for other formats.
    pub(crate) span: Range<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// A link, a device, a pipe, an encrypted file, or a file with a name that is not UTF-8.
    Other,
}

/// An archive of a known format.
pub(crate) struct Archive<R> {
    format: Format<R>,
    /// Upper bound on the unpacked size of all entries together.
    max_size: u64,
}

enum Format<R> {
    Tar(BufReader<R>),
    TarGz(BufReader<R>),
    Zip(Box<ZipArchive<BufReader<R>>>),
}

/// Callback that receives an entry and its content.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>;

impl<R: Read + Seek> Archive<R> {
    /// Detects the format and, for a `.zip`, reads the directory.
    ///
    /// # Errors
    /// If the file is not such an archive, or is a damaged `.zip`.
    pub(crate) fn open(mut reader: R) -> Result<Archive<R>> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        let max_size = length.saturating_mul(MAX_RATIO).saturating_add(ALLOWANCE);
        let mut head = Vec::new();
        reader.by_ref().take(512).read_to_end(&mut head)?;
        reader.seek(SeekFrom::Start(0))?;
        let reader = BufReader::with_capacity(1 << 16, reader);
        let format = if head.starts_with(&[0x1f, 0x8b]) {
            Format::TarGz(reader)
        } else if head.starts_with(b"PK") {
            let zip = ZipArchive::new(reader).context("it is damaged")?;
            ensure!(zip.len() <= MAX_ENTRIES, "it has more than {MAX_ENTRIES} entries");
            Format::Zip(Box::new(zip))
        } else if head.get(257..262) == Some(b"ustar") {
            Format::Tar(reader)
        } else {
            bail!(
                "it is not a .tar.gz, .tgz, .tar or .zip; \
                 is `download.source` the URL of the archive itself?"
            )
        };
        Ok(Archive { format, max_size })
    }

    /// Reports whether listing the entries needs the whole file.
    pub(crate) fn needs_all(&self) -> bool {
        !matches!(self.format, Format::Zip(_))
    }

    /// Returns all entries, in the archive's order.
    ///
    /// # Errors
    /// If the archive is damaged, has too many entries or unpacks to too much, or if members of a
    /// `.zip` overlap.
    pub(crate) fn entries(&mut self) -> Result<Vec<Entry>> {
        if let Format::Zip(zip) = &self.format {
            return zip_entries(zip);
        }
        let mut entries = Vec::new();
        self.visit_tar(&mut |entry, _| {
            entries.push(entry.clone());
            Ok(())
        })?;
        Ok(entries)
    }

    /// Calls `visit` with each of the `wanted` entries.
    ///
    /// # Errors
    /// As [`Archive::entries`]; if content does not match its checksum; the first error of `visit`.
    pub(crate) fn read(&mut self, wanted: &[&Entry], visit: Visit<'_>) -> Result<()> {
        let max_size = self.max_size;
        let Format::Zip(zip) = &mut self.format else {
            let wanted: HashSet<usize> = wanted.iter().map(|entry| entry.index).collect();
            return self.visit_tar(&mut |entry, content| {
                if wanted.contains(&entry.index) { visit(entry, content) } else { Ok(()) }
            });
        };
        let mut left = max_size;
        for entry in wanted {
            let member = zip.by_index(entry.index);
            let member = member.with_context(|| format!("it is damaged at `{}`", entry.name))?;
            let mut content = Bounded { inner: member, left };
            visit(entry, &mut content)?;
            left = content.left;
        }
        Ok(())
    }

    fn visit_tar(&mut self, visit: Visit<'_>) -> Result<()> {
        let left = self.max_size;
        let (reader, packed) = match &mut self.format {
            Format::Tar(reader) => (reader, false),
            Format::TarGz(reader) => (reader, true),
            Format::Zip(_) => bail!("BUG: a .zip is not a .tar"),
        };
        reader.seek(SeekFrom::Start(0))?;
        match packed {
            true => visit_tar(Bounded { inner: MultiGzDecoder::new(reader), left }, visit),
            false => visit_tar(Bounded { inner: reader, left }, visit),
        }
    }
}

fn visit_tar(reader: impl Read, visit: Visit<'_>) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    for (index, entry) in archive.entries()?.enumerate() {
        ensure!(index < MAX_ENTRIES, "it has more than {MAX_ENTRIES} entries");
        let mut entry = entry.context("it is damaged")?;
        let name = String::from_utf8(entry.path_bytes().into_owned());
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
            tar::EntryType::Directory => Kind::Folder,
            _ => Kind::Other,
        };
        let (name, kind) = match name {
            Ok(name) => (name, kind),
            Err(name) => (String::from_utf8_lossy(name.as_bytes()).into_owned(), Kind::Other),
        };
        visit(&Entry { index, name, kind, span: 0..0 }, &mut entry)?;
    }
    Ok(())
}

/// Lists the entries from the directory at the end alone, without reading any member.
fn zip_entries<R: Read + Seek>(zip: &ZipArchive<R>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut extents = Vec::new();
    for index in 0..zip.len() {
        let member = zip.by_index_data(index).context("it is damaged")?;
        let start = member.header_start();
        extents
            .push((start, start.saturating_add(HEADER).saturating_add(member.compressed_size())));
        // The upper bits of a Unix mode are the file type; other systems write 0.
        let format = member.unix_mode().map_or(0, |mode| mode & 0o170_000);
        let name = member.name().map(|name| name.into_owned());
        let kind = match &name {
            Ok(_) if member.is_dir() => Kind::Folder,
            Ok(_) if member.is_file() && matches!(format, 0 | 0o100_000) && !member.encrypted() => {
                Kind::File
            }
            _ => Kind::Other,
        };
        let name = name.unwrap_or_else(|_| format!("entry {index}"));
        let max_end = start.saturating_add(OVERHEAD).saturating_add(member.compressed_size());
        entries.push(Entry { index, name, kind, span: start..max_end });
    }
    // A member ends before the next one starts, and the last ends before the directory.
    extents.sort_unstable();
    let starts =
        extents.iter().skip(1).map(|(start, _)| *start).chain([zip.central_directory_start()]);
    let mut next_of = HashMap::new();
    for ((start, end), next) in extents.iter().zip(starts) {
        ensure!(*end <= next, "it is damaged: its members overlap");
        next_of.insert(*start, next);
    }
    for entry in &mut entries {
        entry.span.end = entry.span.end.min(next_of[&entry.span.start]);
    }
    Ok(entries)
}

/// Like [`std::io::Take`], but returns an error at the limit instead of ending.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(format!("it unpacks to more than {MAX_RATIO} times its size"))
        })?;
        Ok(count)
    }
}
