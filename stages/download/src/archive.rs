//! The entries of a `.tar`, `.tar.gz` or `.zip`, one after the other, within bounds.
//!
//! Which of the three a file is shows in its first bytes, not its name. Knows nothing about where entries go.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;

/// More entries than any data set of clips has.
const MOST_ENTRIES: usize = 1_000_000;

/// Audio hardly shrinks: an archive that grows more than this, after the allowance, is a bomb.
const MOST_GROWTH: u64 = 100;
const ALLOWANCE: u64 = 64 << 20;

/// What is known of an entry before its content is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number in the archive, from 0.
    pub(crate) index: usize,
    /// Its path as the archive has it: nothing to trust.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// A link, a device, a pipe, an encrypted file, or one whose name is no text.
    Other,
}

/// Calls `visit` with each entry and its content, in the archive's order.
///
/// # Errors
/// A file that is no such archive or is damaged; too many entries; content that grows too much; the first
/// error of `visit`.
pub(crate) fn visit(path: &Path, visit: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let length = file.metadata()?.len();
    let most = length.saturating_mul(MOST_GROWTH).saturating_add(ALLOWANCE);
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::with_capacity(1 << 16, file);
    if head.starts_with(&[0x1f, 0x8b]) {
        visit_tar(Bounded { inner: MultiGzDecoder::new(file), left: most }, visit)
    } else if head.starts_with(b"PK") {
        visit_zip(file, most, visit)
    } else if head.get(257..262) == Some(b"ustar") {
        visit_tar(Bounded { inner: file, left: most }, visit)
    } else {
        bail!("it is no .tar.gz, .tgz, .tar or .zip; is `download.source` the address of the archive itself?")
    }
}

fn visit_tar(reader: impl Read, visit: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<()>) -> Result<()> {
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
        let entry_of = |name, kind| Entry { index, name, kind };
        let described = match name {
            Ok(name) => entry_of(name, kind),
            Err(name) => entry_of(String::from_utf8_lossy(name.as_bytes()).into_owned(), Kind::Other),
        };
        visit(described, &mut entry)?;
    }
    Ok(())
}

fn visit_zip(
    file: BufReader<File>,
    most: u64,
    visit: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut archive = zip::ZipArchive::new(file).context("it is damaged")?;
    ensure!(archive.len() <= MOST_ENTRIES, "it has more than {MOST_ENTRIES} entries");
    let mut left = most;
    for index in 0..archive.len() {
        let Ok(mut entry) = archive.by_index(index) else {
            // Encrypted, or packed in a way that is not known.
            let name = format!("entry {index}");
            visit(Entry { index, name, kind: Kind::Other }, &mut std::io::empty())?;
            continue;
        };
        let name = entry.name().map(|name| name.into_owned());
        // The upper bits of a Unix mode say what kind of file it is; 0 is what other systems write.
        let format = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
        let kind = match &name {
            Ok(_) if entry.is_dir() => Kind::Folder,
            Ok(_) if entry.is_file() && matches!(format, 0 | 0o100_000) => Kind::File,
            _ => Kind::Other,
        };
        let name = name.unwrap_or_else(|_| format!("entry {index}"));
        let mut content = Bounded { inner: &mut entry, left };
        visit(Entry { index, name, kind }, &mut content)?;
        left = content.left;
    }
    Ok(())
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
