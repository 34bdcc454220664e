//! Unpacks archives: zip, tar, and tar compressed with gzip or zstd. The format is found by the
//! first bytes.
//!
//! # Invariants
//!
//! - Nothing is written outside the folder: an entry whose path is absolute or has `..` is refused,
//!   and links are made when everything else has been written, and then checked.
//! - The number of entries and their total size are limited, whatever the archive claims.
//! - Only files, folders, links inside the archive and hard links to earlier files are unpacked.
//!   A device or a pipe is refused. Of the mode, only the owner's execute bit is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use zip::ZipArchive;

use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

const MOST_ENTRIES: usize = 10_000_000;
/// Highest ratio of the unpacked to the packed size, beyond the allowance.
const MOST_RATIO: u64 = 300;
const ALLOWANCE: u64 = 256 << 20;
/// Longest target of a link in a zip.
const MAX_TARGET: u64 = 4096;

/// Unpacks the archive at `path` into the new folder `into`. Messages call it `shown`.
///
/// # Errors
/// The file is not an archive, the archive is damaged or hostile, or the disk is full.
pub(super) fn unpack(path: &Path, shown: &str, into: &Path) -> Result<()> {
    let failed = |err| Error::io("read", path, &err);
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(512).read_to_end(&mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    fs::create_dir(into).map_err(|err| Error::io("create", into, &err))?;
    let mut unpacking = Unpacking::new(shown, into, file.metadata().map_err(failed)?.len());
    let file = BufReader::with_capacity(1 << 16, file);
    if head.starts_with(&[0x1f, 0x8b]) {
        unpacking.tar(MultiGzDecoder::new(file))?;
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(file);
        unpacking.tar(decoder.map_err(|err| unpacking.damaged(&err))?)?;
    } else if head.starts_with(b"PK") {
        unpacking.zip(file)?;
    } else if head.get(257..262) == Some(b"ustar") {
        unpacking.tar(file)?;
    } else {
        let kind = match &head[..] {
            [b'B', b'Z', b'h', ..] => "it is compressed with bzip2",
            [0xfd, b'7', b'z', b'X', b'Z', ..] => "it is compressed with xz",
            [b'7', b'z', 0xbc, ..] => "it is a 7z archive",
            [b'R', b'a', b'r', b'!', ..] => "it is a rar archive",
            _ => "it begins like none of them",
        };
        return Err(Error::usage(format!("`{shown}` is not a zip, tar, tar.gz or tar.zst"))
            .because(kind)
            .hint("remove `extract`, and unpack the file by the `cmd` of another stage"));
    }
    unpacking.finish()
}

/// Decompresses the file at `path`, which is compressed with gzip, to `to`.
///
/// # Errors
/// The bytes are damaged, or unpack to far too much.
pub(super) fn gunzip(path: &Path, shown: &str, to: &Path) -> Result<()> {
    let file = File::open(path).map_err(|err| Error::io("read", path, &err))?;
    let size = file.metadata().map_err(|err| Error::io("read", path, &err))?.len();
    let mut unpacking = Unpacking::new(shown, to, size);
    let mut target = File::create(to).map_err(|err| Error::io("write", to, &err))?;
    unpacking.copy(&mut MultiGzDecoder::new(BufReader::new(file)), &mut target, to)
}

struct Unpacking<'a> {
    shown: &'a str,
    into: &'a Path,
    entries: usize,
    /// Bytes that may still be written, and that could be written at first.
    left: u64,
    most: u64,
    /// Paths of links and their targets.
    links: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Unpacking<'a> {
    fn new(shown: &'a str, into: &'a Path, packed: u64) -> Unpacking<'a> {
        let most = packed.saturating_mul(MOST_RATIO).saturating_add(ALLOWANCE);
        Unpacking { shown, into, entries: 0, left: most, most, links: Vec::new() }
    }

    fn tar(&mut self, input: impl Read) -> Result<()> {
        let mut archive = tar::Archive::new(input);
        let entries = archive.entries().map_err(|err| self.damaged(&err))?;
        for entry in entries {
            let mut entry = entry.map_err(|err| self.damaged(&err))?;
            let name = entry.path_bytes().into_owned();
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let Some(path) = self.path(&name)? else { continue };
            match kind {
                EntryType::Directory => self.folder(&path)?,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let mode = entry.header().mode().map_err(|err| self.damaged(&err))?;
                    self.file(&path, mode, &mut entry)?;
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = entry.link_name_bytes().map(|target| target.into_owned());
                    let target = target.unwrap_or_default();
                    match kind {
                        EntryType::Symlink => self.link(path, &target)?,
                        _ => self.hard_link(&path, &target)?,
                    }
                }
                _ => return Err(self.hostile(&name, "is neither a file nor a folder nor a link")),
            }
        }
        Ok(())
    }

    fn zip(&mut self, input: BufReader<File>) -> Result<()> {
        let mut archive = ZipArchive::new(input).map_err(|err| self.damaged(&err))?;
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at).map_err(|err| self.damaged(&err))?;
            let name = entry.name_raw().to_vec();
            let Some(path) = self.path(&name)? else { continue };
            let mode = entry.unix_mode().unwrap_or(0o644);
            match (entry.is_dir(), entry.is_symlink()) {
                (true, _) => self.folder(&path)?,
                (false, true) => {
                    let mut target = Vec::new();
                    let read = entry.take(MAX_TARGET).read_to_end(&mut target);
                    read.map_err(|err| self.damaged(&err))?;
                    self.link(path, &target)?;
                }
                (false, false) => self.file(&path, mode, &mut entry)?,
            }
        }
        Ok(())
    }

    /// Returns the place of an entry; `None` for the folder itself.
    fn path(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(self.refused().because(format!("it has more than {MOST_ENTRIES} entries")));
        }
        let Ok(text) = std::str::from_utf8(name) else {
            return Err(self.hostile(name, "has a name that is not UTF-8"));
        };
        if text.split('/').any(|part| part == "..") {
            return Err(self.hostile(name, "leads out of the archive"));
        }
        if text.starts_with('/') {
            return Err(self.hostile(name, "is absolute"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.hostile(name, "has a control character in its name"));
        }
        Ok(RepoPath::parse(text).ok().map(|path| path.to_path(self.into)))
    }

    fn folder(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path).map_err(|err| self.not_written(path, &err))
    }

    fn file(&mut self, path: &Path, mode: u32, content: &mut dyn Read) -> Result<()> {
        let mut target = self.create(path, mode)?;
        self.copy(content, &mut target, path)
    }

    /// Creates a file. Of two entries with one name, the later one counts, as for `tar`.
    fn create(&self, path: &Path, mode: u32) -> Result<File> {
        let _ = fs::remove_file(path);
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let mode = if mode & 0o100 == 0 { 0o666 } else { 0o777 };
        let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        created.map_err(|err| self.not_written(path, &err))
    }

    fn copy(&mut self, content: &mut dyn Read, target: &mut File, path: &Path) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(count) => count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => return Err(self.damaged(&err)),
            };
            if count == 0 {
                return Ok(());
            }
            self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
                self.refused()
                    .because(format!("it unpacks to more than {} bytes", self.most))
                    .hint("if it is not an attack, unpack the file by the `cmd` of another stage")
            })?;
            target.write_all(&buffer[..count]).map_err(|err| Error::io("write", path, &err))?;
        }
    }

    fn link(&mut self, path: PathBuf, target: &[u8]) -> Result<()> {
        let Ok(target) = std::str::from_utf8(target) else {
            return Err(self.hostile(target, "is the target of a link, and not UTF-8"));
        };
        self.links.push((path, PathBuf::from(target)));
        Ok(())
    }

    /// Makes a copy of an earlier file.
    fn hard_link(&mut self, path: &Path, target: &[u8]) -> Result<()> {
        let from = self.path(target)?;
        let from = from.filter(|from| from.symlink_metadata().is_ok_and(|meta| meta.is_file()));
        let Some(from) = from else {
            return Err(self.hostile(target, "is a hard link to no earlier file"));
        };
        let mut source = File::open(&from).map_err(|err| Error::io("read", &from, &err))?;
        let meta = source.metadata().map_err(|err| Error::io("read", &from, &err))?;
        self.file(path, std::os::unix::fs::MetadataExt::mode(&meta), &mut source)
    }

    /// Makes the links, and checks that none of them leads out.
    fn finish(self) -> Result<()> {
        for (path, target) in &self.links {
            if let Some(parent) = path.parent() {
                self.folder(parent)?;
            }
            symlink(target, path).map_err(|err| self.not_written(path, &err))?;
        }
        let top = self.into.canonicalize().map_err(|err| Error::io("open", self.into, &err))?;
        for (path, target) in &self.links {
            let leads_inside = match path.canonicalize() {
                Ok(real) => real.starts_with(&top) && !target.is_absolute(),
                // A broken link is a content of its own, unless it might become another one.
                Err(_) => {
                    !target.is_absolute()
                        && !target.components().any(|part| part.as_os_str() == "..")
                }
            };
            if !leads_inside {
                let name = path.strip_prefix(self.into).unwrap_or(path);
                let what = format!("is a link to `{}`, out of the archive", target.display());
                return Err(self.hostile(name.as_os_str().as_encoded_bytes(), &what));
            }
        }
        Ok(())
    }

    fn refused(&self) -> Error {
        Error::usage(format!("`{}` is not unpacked", self.shown))
    }

    fn hostile(&self, name: &[u8], what: &str) -> Error {
        let name = String::from_utf8_lossy(name);
        let name: String = name.chars().take(200).collect();
        self.refused().because(format!("its entry `{}` {what}", name.escape_debug()))
    }

    fn damaged(&self, err: &dyn std::error::Error) -> Error {
        Error::environment(format!("`{}` is a damaged archive", self.shown)).because(err)
    }

    fn not_written(&self, path: &Path, err: &io::Error) -> Error {
        let name = path.strip_prefix(self.into).unwrap_or(path);
        match err.kind() {
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => {
                self.hostile(name.as_os_str().as_encoded_bytes(), "has the name of another one")
            }
            _ => Error::io("write", path, err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a tar with an entry for each name, kind and target of a link.
    fn tar(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, target) in entries {
            let mut header = tar::Header::new_gnu();
            // `set_path` refuses what a hostile archive contains.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_gnu_mut().unwrap().linkname[..target.len()]
                .copy_from_slice(target.as_bytes());
            header.set_entry_type(*kind);
            let content: &[u8] = if *kind == EntryType::Regular { b"x" } else { b"" };
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// Unpacks bytes beside a file that must stay as it is, and returns the error.
    fn unpacked(bytes: &[u8]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let (packed, into) = (dir.path().join("packed"), dir.path().join("into"));
        fs::write(&packed, bytes).unwrap();
        let result = unpack(&packed, "URL", &into);
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["into", "packed"]);
        result.map_err(|error| [vec![error.what], error.causes].concat().join(": "))
    }

    #[test]
    fn hostile_tars() {
        use EntryType::{Char, Fifo, Link, Regular, Symlink};
        for (entries, expected) in [
            (&[("../x", Regular, "")][..], "its entry `../x` leads out of the archive"),
            (&[("a/../../x", Regular, "")], "its entry `a/../../x` leads out of the archive"),
            (&[("/x", Regular, "")], "its entry `/x` is absolute"),
            (&[("a", Symlink, "..")], "its entry `a` is a link to `..`, out of the archive"),
            (&[("a", Symlink, "/etc")], "its entry `a` is a link to `/etc`, out of the archive"),
            (
                &[("p/q/d", Symlink, "../.."), ("x", Symlink, "p/q/d/../packed")],
                "its entry `x` is a link to `p/q/d/../packed`, out of the archive",
            ),
            (&[("a", Symlink, "../no")], "its entry `a` is a link to `../no`, out of the archive"),
            (
                &[("a", Symlink, "/tmp"), ("a/x", Regular, "")],
                "its entry `a` has the name of another one",
            ),
            (&[("a", Link, "../packed")], "its entry `../packed` leads out of the archive"),
            (&[("a", Link, "b")], "its entry `b` is a hard link to no earlier file"),
            (&[("a", Char, "")], "its entry `a` is neither a file nor a folder nor a link"),
            (&[("a", Fifo, "")], "its entry `a` is neither a file nor a folder nor a link"),
            (&[("a\nb", Regular, "")], "its entry `a\\nb` has a control character in its name"),
            (
                &[("a", Regular, ""), ("a/b", Regular, "")],
                "its entry `a` has the name of another one",
            ),
        ] {
            let error = unpacked(&tar(entries)).unwrap_err();
            assert_eq!(error, format!("`URL` is not unpacked: {expected}"), "{entries:?}");
        }
    }

    #[test]
    fn harmless_tar() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let entries = [
            ("./", Directory, ""),
            ("./a/b", Regular, ""),
            ("c", Link, "a/b"),
            ("a/up", Symlink, "../c"),
            ("broken", Symlink, "nothing"),
        ];
        unpacked(&tar(&entries)).unwrap();
    }

    #[test]
    fn hostile_zip_and_damage() {
        let zip = |name: &str| {
            let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(name, options).unwrap();
            zip.write_all(b"x").unwrap();
            zip.finish().unwrap().into_inner()
        };
        unpacked(&zip("a/b")).unwrap();
        let error = unpacked(&zip("../x")).unwrap_err();
        assert_eq!(error, "`URL` is not unpacked: its entry `../x` leads out of the archive");
        for bytes in [&zip("a/b")[..40], &[0x1f, 0x8b, 8, 0, 1], &[0x28, 0xb5, 0x2f, 0xfd, 0]] {
            let error = unpacked(bytes).unwrap_err();
            assert!(error.starts_with("`URL` is a damaged archive"), "{error}");
        }
    }

    #[test]
    fn bombs() {
        use flate2::Compression;
        use flate2::write::GzEncoder;
        // A file of zeros in a tar, compressed to about a thousandth.
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        let mut header = tar::Header::new_gnu();
        let size = ALLOWANCE + (256 << 20);
        header.set_size(size);
        header.set_mode(0o644);
        tar.append_data(&mut header, "zeros", io::repeat(0).take(size)).unwrap();
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        let error = unpacked(&bytes).unwrap_err();
        assert!(error.starts_with("`URL` is not unpacked: it unpacks to more than "), "{error}");
    }
}
