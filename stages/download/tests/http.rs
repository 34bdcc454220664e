//! The program against a real HTTP server on loopback: ranges, broken connections, hostile archives.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// What the server was asked for: the path, and the headers in lower case.
#[derive(Clone, Debug)]
struct Request {
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the server answers: the head without its last line, the body, and how much of the body it sends
/// before it closes the connection.
struct Reply {
    head: String,
    body: Vec<u8>,
    send: usize,
}

impl Reply {
    fn status(line: &str) -> Reply {
        Reply { head: format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n"), body: vec![], send: 0 }
    }

    fn file(body: &[u8], etag: &str) -> Reply {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: {etag}\r\n", body.len());
        Reply { head, body: body.to_vec(), send: body.len() }
    }

    fn rest(body: &[u8], start: usize, etag: &str) -> Reply {
        let (rest, end) = (&body[start..], body.len());
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{end}\r\nETag: {etag}\r\n",
            rest.len(),
            end - 1
        );
        Reply { head, body: rest.to_vec(), send: rest.len() }
    }

    fn broken_after(self, send: usize) -> Reply {
        Reply { send, ..self }
    }
}

struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the requests one after the other, each on a connection of its own; `reply` gets the request
    /// and how many there were before.
    fn start(reply: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let headers = lines
                    .take_while(|line| !line.is_empty())
                    .filter_map(|line| {
                        line.split_once(": ").map(|(key, value)| (key.to_lowercase(), value.to_owned()))
                    })
                    .collect();
                let request = Request { path, headers };
                let before = seen.lock().unwrap().len();
                seen.lock().unwrap().push(request.clone());
                let Reply { head, body, send } = reply(&request, before);
                let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes());
                let _ = stream.write_all(&body[..send]);
            }
        });
        Server { address, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn download(root: &Path, source: &str, params: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_download"));
    command.current_dir(root).env_clear().args([
        "--retry-wait",
        "0",
        "-p",
        &format!("download.source={source}"),
    ]);
    for param in params {
        command.args(["-p", param]);
    }
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn check_clips(root: &Path, output: &Output, expected: &[(&str, &str)]) {
    assert!(output.status.success(), "{}", stderr(output));
    let audio = root.join("data/audio");
    let found: Vec<_> = kit::files::class_files(&audio, |_| true)
        .unwrap()
        .iter()
        .map(|file| {
            let name = file.path.strip_prefix(&audio).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file.path).unwrap())
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(found, expected);
}

/// A tar header takes any name this way, also those that `tar` refuses to write.
fn append(tar: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    if kind.is_symlink() || kind.is_hard_link() {
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
    }
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        append(&mut tar, name, tar::EntryType::Regular, content.as_bytes());
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.add_symlink("rock/link.wav", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap().into_inner()
}

const FILES: &[(&str, &str)] = &[
    ("genres/rock/b.wav", "rock b"),
    ("genres/rock/a.wav", "rock a"),
    ("genres/blues/c.au", "not audio here"),
    ("genres/blues/a.wav", "blues a"),
    ("genres/README.md", "words"),
];
const CLIPS: &[(&str, &str)] =
    &[("blues/a.wav", "blues a"), ("rock/a.wav", "rock a"), ("rock/b.wav", "rock b")];

#[test]
fn every_kind_of_archive_is_unpacked() {
    for (name, bytes) in [
        ("a.tar", tar(FILES)),
        ("a.tar.gz", gzip(&tar(FILES))),
        ("a.tgz?download=1&x=a.zip", gzip(&tar(FILES))),
        ("a.zip", zip(FILES)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _| Reply::file(&bytes, "\"1\""));
        let output = download(dir.path(), &format!("{}/{name}", server.address), &[]);
        check_clips(dir.path(), &output, CLIPS);
        assert_eq!(server.requests()[0].path, format!("/{name}"));
        let output = download(dir.path(), &format!("{}/{name}", server.address), &["download.per_genre=1"]);
        check_clips(dir.path(), &output, &CLIPS[..2]);
    }
}

#[test]
fn a_broken_transfer_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let archive = tar(FILES);
    let bytes = archive.clone();
    let server = Server::start(move |request, before| match request.header("range") {
        None => Reply::file(&bytes, "\"1\"").broken_after(1000),
        Some(range) => {
            let start: usize =
                range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
            let reply = Reply::rest(&bytes, start, "\"1\"");
            if before == 1 { reply.broken_after(500) } else { reply }
        }
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
    let ranges: Vec<_> =
        server.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=1000-".to_owned()), Some("bytes=1500-".to_owned())]);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"1\""));
}

#[test]
fn a_later_run_continues_what_an_earlier_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tar(FILES);
    let server = Server::start(move |request, before| match (request.header("range"), before) {
        (_, 1..=5) => Reply::status("503 Service Unavailable"),
        (None, _) => Reply::file(&bytes, "\"1\"").broken_after(1000),
        (Some(_), _) => Reply::rest(&bytes, 1000, "\"1\""),
    });
    let source = format!("{}/a.tar", server.address);
    let output = download(dir.path(), &source, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("5 attempts in a row failed"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 6);
    let output = download(dir.path(), &source, &[]);
    check_clips(dir.path(), &output, CLIPS);
    assert_eq!(server.requests().len(), 7);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tar(FILES);
    let server = Server::start(move |_, before| {
        let reply = Reply::file(&bytes, "\"1\"");
        if before == 0 { reply.broken_after(1000) } else { reply }
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn a_part_of_another_file_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (tar(&[("x/old.wav", "old")]), tar(FILES));
    let server = Server::start(move |request, before| match before {
        0 => Reply::file(&old, "\"1\"").broken_after(600),
        // The range begins elsewhere than asked; then the server refuses ranges at all.
        1 => Reply::rest(&new, 10, "\"2\""),
        _ => {
            assert_eq!(request.header("range"), None);
            Reply::file(&new, "\"2\"")
        }
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn a_file_without_validators_is_never_continued() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tar(FILES);
    let server = Server::start(move |request, before| {
        assert_eq!(request.header("range"), None);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", bytes.len());
        let send = if before == 0 { 1000 } else { bytes.len() };
        Reply { head, body: bytes.clone(), send }
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn a_whole_archive_is_used_again_while_the_server_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tar(FILES);
    let server = Server::start(move |request, _| match request.header("if-none-match") {
        Some("\"1\"") => Reply::status("304 Not Modified"),
        _ => Reply::file(&bytes, "\"1\""),
    });
    let source = format!("{}/a.tar", server.address);
    for _ in 0..2 {
        let output = download(dir.path(), &source, &[]);
        check_clips(dir.path(), &output, CLIPS);
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn redirects_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tar(FILES);
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/a.tar" => Reply {
            head: "HTTP/1.1 302 Found\r\nLocation: /elsewhere/b.tar\r\nContent-Length: 0\r\n".to_owned(),
            body: vec![],
            send: 0,
        },
        _ => Reply::file(&bytes, "\"1\""),
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn answers_that_will_not_change_are_final() {
    let dir = tempfile::tempdir().unwrap();
    kit::files::write_atomic(dir.path().join("data/audio/blues/a.wav"), "kept").unwrap();
    let server = Server::start(|_, _| Reply::status("404 Not Found"));
    let output = download(dir.path(), &format!("{}/a.tar?token=secret", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("answered 404 Not Found; is `download.source` right?"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert_eq!(server.requests().len(), 1);
    assert!(dir.path().join("data/audio/blues/a.wav").exists());
}

#[test]
fn files_that_are_no_usable_archives_are_errors() {
    let bomb = tar(&[("x/a.wav", "\0".repeat(100 << 20).as_str())]);
    for (bytes, part) in [
        (b"<html>log in first</html>".to_vec(), "it is no .tar.gz, .tgz, .tar or .zip"),
        (b"PK\x03\x04 but no zip".to_vec(), "it is damaged"),
        (gzip(&tar(FILES))[..200].to_vec(), "cannot unpack"),
        (tar(&[("README.md", "words"), ("a.wav", "in no folder")]), "has no audio in class folders"),
        (gzip(&bomb), "unpacks to more than 100 times its size"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _| Reply::file(&bytes, "\"1\""));
        let output = download(dir.path(), &format!("{}/a.tar.gz", server.address), &[]);
        assert_eq!(output.status.code(), Some(1), "{part}");
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
}

#[test]
fn hostile_entries_never_leave_the_folder() {
    use tar::EntryType;
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["../evil/a.wav", "/tmp/evil/a.wav", "rock/../../../evil/b.wav", "rock/..", "../../x.wav"] {
        append(&mut builder, name, EntryType::Regular, b"evil");
    }
    for (name, kind) in [
        ("rock/link.wav", EntryType::Symlink),
        ("rock/hard.wav", EntryType::Link),
        ("rock/device.wav", EntryType::Block),
        ("rock/pipe.wav", EntryType::Fifo),
        // A folder that is a link, and a file through it.
        ("pop", EntryType::Symlink),
    ] {
        append(&mut builder, name, kind, b"");
    }
    append(&mut builder, "pop/a.wav", EntryType::Regular, b"pop a");
    append(&mut builder, "pop/a.wav", EntryType::Regular, b"twice");
    let hostile_zip = zip(&[
        ("../evil/a.wav", "evil"),
        ("/tmp/evil/a.wav", "evil"),
        ("pop/a.wav", "pop a"),
        ("..\\evil\\a.wav", "evil"),
    ]);
    for bytes in [builder.into_inner().unwrap(), hostile_zip] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b/project");
        fs::create_dir_all(&root).unwrap();
        let server = Server::start(move |_, _| Reply::file(&bytes, "\"1\""));
        let output = download(&root, &format!("{}/a", server.address), &[]);
        check_clips(&root, &output, &[("pop/a.wav", "pop a")]);
        assert!(stderr(&output).contains("unsafe paths; they are left out"), "{}", stderr(&output));
        let above: Vec<_> =
            fs::read_dir(root.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(above, ["project"]);
        assert!(!Path::new("/tmp/evil").exists());
    }
}
