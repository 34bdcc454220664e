//! The entries of a `.tar`, `.tar.gz` or `.zip`, within bounds: first what there is, then what is wanted of it.
//!
//! Which of the three a file is shows in its first bytes, not its name. Of a `.zip` only the directory at its end
//! and the wanted members are read. Knows nothing about where an archive lies or where entries go.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

/// More entries than any data set of clips has.
const MOST_ENTRIES: usize = 1_000_000;

/// Audio hardly shrinks: an archive that grows more than this, after the allowance, is a bomb.
const MOST_GROWTH: u64 = 100;
const ALLOWANCE: u64 = 64 << 20;

/// Before a member's content: a header of 30 bytes, the name and extra fields, each up to 64 KiB; after it, up
/// to 24 bytes of data descriptor.
const HEADER: u64 = 30;
const AROUND: u64 = HEADER + 2 * 0xffff + 24;

/// What is known of an entry before its content is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number in the archive, from 0.
    pub(crate) index: usize,
    /// Its path as the archive has it: nothing to trust.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where a `.zip` has it; empty in others.
    pub(crate) span: Range<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// A link, a device, a pipe, an encrypted file, or one whose name is no text.
    Other,
}

/// An archive whose kind is known.
pub(crate) struct Archive<R> {
    form: Form<R>,
    /// The bytes that all entries together may have.
    most: u64,
}

enum Form<R> {
    Tar(BufReader<R>),
    TarGz(BufReader<R>),
    Zip(Box<ZipArchive<BufReader<R>>>),
}

/// Gets an entry and its content.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>;

impl<R: Read + Seek> Archive<R> {
    /// # Errors
    /// A file that is no such archive, or a damaged `.zip`.
    pub(crate) fn open(mut reader: R) -> Result<Archive<R>> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        let most = length.saturating_mul(MOST_GROWTH).saturating_add(ALLOWANCE);
        let mut head = Vec::new();
        reader.by_ref().take(512).read_to_end(&mut head)?;
        reader.seek(SeekFrom::Start(0))?;
        let reader = BufReader::with_capacity(1 << 16, reader);
        let form = if head.starts_with(&[0x1f, 0x8b]) {
            Form::TarGz(reader)
        } else if head.starts_with(b"PK") {
            let zip = ZipArchive::new(reader).context("it is damaged")?;
            ensure!(zip.len() <= MOST_ENTRIES, "it has more than {MOST_ENTRIES} entries");
            Form::Zip(Box::new(zip))
        } else if head.get(257..262) == Some(b"ustar") {
            Form::Tar(reader)
        } else {
            bail!(
                "it is no .tar.gz, .tgz, .tar or .zip; is `download.source` the address of the archive itself?"
            )
        };
        Ok(Archive { form, most })
    }

    /// Whether nothing less than all of the file will do.
    pub(crate) fn needs_all(&self) -> bool {
        !matches!(self.form, Form::Zip(_))
    }

    /// What there is, in the archive's order.
    ///
    /// # Errors
    /// A damaged archive, too many entries, content that grows too much, members of a `.zip` that overlap.
    pub(crate) fn entries(&mut self) -> Result<Vec<Entry>> {
        if let Form::Zip(zip) = &self.form {
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
    /// As [`Archive::entries`]; content that is not what its checksum says; the first error of `visit`.
    pub(crate) fn read(&mut self, wanted: &[&Entry], visit: Visit<'_>) -> Result<()> {
        let most = self.most;
        let Form::Zip(zip) = &mut self.form else {
            let wanted: HashSet<usize> = wanted.iter().map(|entry| entry.index).collect();
            return self.visit_tar(&mut |entry, content| {
                if wanted.contains(&entry.index) { visit(entry, content) } else { Ok(()) }
            });
        };
        let mut left = most;
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
        let most = self.most;
        let (reader, packed) = match &mut self.form {
            Form::Tar(reader) => (reader, false),
            Form::TarGz(reader) => (reader, true),
            Form::Zip(_) => bail!("BUG: a .zip is no .tar"),
        };
        reader.seek(SeekFrom::Start(0))?;
        match packed {
            true => visit_tar(Bounded { inner: MultiGzDecoder::new(reader), left: most }, visit),
            false => visit_tar(Bounded { inner: reader, left: most }, visit),
        }
    }
}

fn visit_tar(reader: impl Read, visit: Visit<'_>) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    for (index, entry) in archive.entries()?.enumerate() {
        ensure!(index < MOST_ENTRIES, "it has more than {MOST_ENTRIES} entries");
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

/// From the directory at the end alone: no member is touched.
fn zip_entries<R: Read + Seek>(zip: &ZipArchive<R>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut extents = Vec::new();
    for index in 0..zip.len() {
        let member = zip.by_index_data(index).context("it is damaged")?;
        let start = member.header_start();
        extents
            .push((start, start.saturating_add(HEADER).saturating_add(member.compressed_size())));
        // The upper bits of a Unix mode say what kind of file it is; 0 is what other systems write.
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
        let most = start.saturating_add(AROUND).saturating_add(member.compressed_size());
        entries.push(Entry { index, name, kind, span: start..most });
    }
    // Where one member ends the next begins, and the directory after the last.
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

/// Fails where `Take` would end quietly.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(format!("it unpacks to more than {MOST_GROWTH} times its size"))
        })?;
        Ok(count)
    }
}
