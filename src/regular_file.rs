//! Opens files without waiting for a FIFO, which a project from elsewhere may contain. In place of
//! this program's own state, a link is not followed either. Does not know which files these are.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

/// Returns options with which opening fails for a link and returns at once for a FIFO.
pub fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.custom_flags(flags.bits().cast_signed());
    options
}

/// Opens a file for reading.
///
/// # Errors
/// I/O errors; [`ErrorKind::InvalidInput`] if `path` is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    checked(path, options().read(true).open(path))
}

/// Opens the file at the path `parts` below a folder. No link is followed on the way, so the file
/// is inside of the folder, whatever a process puts there.
///
/// # Errors
/// I/O errors; [`ErrorKind::InvalidInput`] if a part is not a plain name, or the path leads to
/// something else than a regular file.
pub fn open_below(folder: &Path, parts: &[impl AsRef<str>]) -> io::Result<File> {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['/', '\0']);
    let Some((name, above)) = parts.split_last() else { return Err(invalid_path()) };
    if !parts.iter().all(|part| is_name(part.as_ref())) {
        return Err(invalid_path());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |folder: &File, name: &str, more: OFlags| -> io::Result<File> {
        Ok(openat(folder, name, flags | more, Mode::empty())?.into())
    };
    let mut at = File::open(folder)?;
    for part in above {
        at = open(&at, part.as_ref(), OFlags::DIRECTORY)?;
    }
    let opened = match open(&at, name.as_ref(), OFlags::empty()) {
        // A link, a socket.
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(invalid_path()),
        opened => opened?,
    };
    if opened.metadata()?.is_file() { Ok(opened) } else { Err(invalid_path()) }
}

fn invalid_path() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "it is not a regular file of this folder")
}

/// Opens a file for reading and writing; creates it if it is missing. Its bytes stay.
///
/// # Errors
/// I/O errors; [`ErrorKind::InvalidInput`] if `path` is not a regular file.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let opened = options().read(true).write(true).create(true).truncate(false).open(path);
    checked(path, opened)
}

/// Opens a file whose writes go to its end; creates it if it is missing.
///
/// # Errors
/// I/O errors; [`ErrorKind::InvalidInput`] if `path` is not a regular file.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    checked(path, options().append(true).create(true).open(path))
}

/// Creates an empty file, or empties the one that exists. Anything else at `path` is replaced.
pub fn create(path: &Path) -> io::Result<File> {
    // The usual case: one call, which neither follows a link nor opens anything else.
    let new = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    if !matches!(&new, Err(err) if err.kind() == ErrorKind::AlreadyExists) {
        return new;
    }
    match open_or_create(path) {
        Ok(file) => file.set_len(0).map(|()| file),
        Err(err) if err.kind() == ErrorKind::InvalidInput => {
            std::fs::remove_file(path)?;
            File::create_new(path)
        }
        Err(err) => Err(err),
    }
}

/// Reads a whole file.
///
/// # Errors
/// I/O errors; [`ErrorKind::InvalidInput`] if `path` is not a regular file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole file of the user, which may be a link to one.
///
/// # Errors
/// I/O errors; [`ErrorKind::InvalidInput`] for a FIFO, socket or device.
pub fn read_following(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let special =
        || io::Error::new(ErrorKind::InvalidInput, "it is a FIFO, socket or device, not a file");
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // A socket cannot be opened.
        Err(_) if path.metadata().is_ok_and(|meta| is_special(meta.file_type())) => {
            return Err(special());
        }
        opened => opened?,
    };
    if is_special(file.metadata()?.file_type()) {
        return Err(special());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Does the same as [`read_following`] for a text.
///
/// # Errors
/// As there; [`ErrorKind::InvalidData`] if the bytes are not UTF-8.
pub fn read_text_following(path: &Path) -> io::Result<String> {
    let invalid = |_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read_following(path)?).map_err(invalid)
}

fn is_special(kind: FileType) -> bool {
    !kind.is_file() && !kind.is_dir() && !kind.is_symlink()
}

/// Fails if `path` exists and is not a regular file. Opens nothing.
///
/// # Errors
/// [`ErrorKind::InvalidInput`].
pub fn check(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if !meta.is_file() => Err(not_regular(meta.file_type())),
        _ => Ok(()),
    }
}

/// Fails unless the opened file is a regular one.
fn checked(path: &Path, opened: io::Result<File>) -> io::Result<File> {
    let kind = match &opened {
        Ok(file) => file.metadata()?.file_type(),
        // Not the error of the open, which differs by kind of file.
        Err(err) if err.kind() == ErrorKind::NotFound => return opened,
        Err(_) => match path.symlink_metadata() {
            Ok(meta) => meta.file_type(),
            Err(_) => return opened,
        },
    };
    if kind.is_file() {
        return opened;
    }
    Err(not_regular(kind))
}

fn not_regular(kind: FileType) -> io::Error {
    let what = if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "a FIFO, socket or device"
    };
    let text = format!("it is {what}, and `repro` keeps a file of its own there");
    io::Error::new(ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn links_of_users_are_followed() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path(name)).unwrap();
            fs::write(path("text"), "mine").unwrap();
            link("text", "link");
            assert_eq!(read_following(&path("link")).unwrap(), b"mine");
            let (cwd, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
            rustix::fs::mknodat(cwd, path("fifo"), fifo, rustix::fs::Mode::RWXU, 0).unwrap();
            link("fifo", "to-fifo");
            link("/dev/zero", "to-zero");
            let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
            for name in ["fifo", "to-fifo", "to-zero", "socket"] {
                let kind = read_following(&path(name)).unwrap_err().kind();
                assert_eq!(kind, ErrorKind::InvalidInput, "{name}");
            }
            assert_eq!(read_following(&path("none")).unwrap_err().kind(), ErrorKind::NotFound);
        });
    }

    #[test]
    fn no_path_leaves_the_folder() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            fs::create_dir_all(path("run/a/b")).unwrap();
            fs::write(path("run/a/b/c"), "inside").unwrap();
            fs::write(path("secret"), "outside").unwrap();
            let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path(name)).unwrap();
            link("../../secret", "run/a/file");
            link("../..", "run/a/folder");
            let (cwd, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
            rustix::fs::mknodat(cwd, path("run/fifo"), fifo, Mode::RWXU, 0).unwrap();
            let open = |parts: &[&str]| open_below(&path("run"), parts);
            let mut text = String::new();
            open(&["a", "b", "c"]).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside");
            assert_eq!(open(&["a", "none"]).unwrap_err().kind(), ErrorKind::NotFound);
            for parts in [
                &["..", "secret"][..],
                &["a", "file"],
                &["a", "folder", "secret"],
                &["a/b", "c"],
                &["a", "b"],
                &["a", "."],
                &["", "etc", "passwd"],
                &["fifo"],
                &["a\0"],
                &[],
            ] {
                assert!(open(parts).is_err(), "{parts:?}");
            }
        });
    }

    #[test]
    fn only_regular_files_are_opened() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            fs::write(path("victim"), "precious").unwrap();
            std::os::unix::fs::symlink("victim", path("link")).unwrap();
            std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
            fs::create_dir(path("folder")).unwrap();
            let (cwd, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
            rustix::fs::mknodat(cwd, path("fifo"), fifo, rustix::fs::Mode::RWXU, 0).unwrap();
            for name in ["link", "dangling", "folder", "fifo"] {
                let failed = |opened: io::Result<File>| opened.unwrap_err().kind();
                assert_eq!(failed(open(&path(name))), ErrorKind::InvalidInput, "{name}");
                assert_eq!(failed(open_or_create(&path(name))), ErrorKind::InvalidInput, "{name}");
            }
            for name in ["link", "dangling", "fifo", "victim", "new"] {
                drop(create(&path(name)).unwrap());
                assert!(path(name).symlink_metadata().unwrap().is_file(), "{name}");
                if name == "link" {
                    assert_eq!(fs::read(path("victim")).unwrap(), b"precious");
                }
            }
            assert_eq!(read(&path("victim")).unwrap(), b"");
            assert_eq!(open(&path("none")).unwrap_err().kind(), ErrorKind::NotFound);
        });
    }
}
