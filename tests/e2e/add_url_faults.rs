//! `repro add URL` from faulty servers: cut connections, odd answers, and refusals.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::file_server::{FileServer, Reply, Request, file};
use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

fn masked(server: &FileServer, done: &Done) -> String {
    server.masked(&done.to_string())
}

/// Runs `repro add` of `/x.bin` against a server with these answers, and checks the content.
fn add_from(
    bytes: &[u8],
    answer: impl Fn(&Request, usize) -> Reply + Send + 'static,
) -> (Sandbox, FileServer) {
    let server = FileServer::start(answer);
    let sandbox = Sandbox::with("");
    let done = sandbox.repro(&["add", &server.url("x.bin")]);
    assert_eq!(done.code, 0, "{done}");
    assert!(std::fs::read(sandbox.path("x.bin")).unwrap() == bytes);
    (sandbox, server)
}

fn bytes() -> Vec<u8> {
    (0..100_000_u32).flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn cut_connection_continues() {
    let data = bytes();
    let sent = data.clone();
    let (_, server) = add_from(&data, move |request, number| {
        let reply = file(request, &sent, "\"a\"");
        if number < 3 { reply.cut(100_000) } else { reply }
    });
    assert_eq!(
        server.requests(),
        [
            "/x.bin",
            "/x.bin range: bytes=100000- if-range: \"a\"",
            "/x.bin range: bytes=200000- if-range: \"a\"",
            "/x.bin range: bytes=300000- if-range: \"a\"",
        ]
    );
}

#[test]
fn next_command_continues() {
    let data = bytes();
    let sent = data.clone();
    let server = FileServer::start(move |request, number| match number {
        0 => file(request, &sent, "\"a\"").cut(100_000),
        1..4 => Reply::status(503),
        _ => file(request, &sent, "\"a\""),
    });
    let sandbox = Sandbox::with("");
    let url = server.url("x.bin");
    snapshot!(masked(&server, &sandbox.repro(&["add", &url])), @"
    exit 3
    --- stderr
    run-1: started
    x: started (never ran)
    x: failed: could not be downloaded
    error: stage `x` failed: could not be downloaded
     caused by: cannot download `http://SERVER/x.bin`
     caused by: the server answered 503
     hint: try again later
    ");
    assert_eq!(sandbox.read("pipeline.toml"), "");
    assert!(!sandbox.exists("x.bin"));
    server.requests();
    sandbox.ok(&["add", &url]);
    assert!(std::fs::read(sandbox.path("x.bin")).unwrap() == data);
    assert_eq!(server.requests(), ["/x.bin range: bytes=100000- if-range: \"a\""]);
}

#[test]
fn file_that_changes_between_parts() {
    let data = bytes();
    let sent = data.clone();
    add_from(&data, move |request, number| match number {
        0 => file(request, &vec![7; 400_000], "\"old\"").cut(100_000),
        _ => file(request, &sent, "\"new\""),
    });
}

#[test]
fn weak_etag_starts_again() {
    let data = bytes();
    let sent = data.clone();
    let (_, server) = add_from(&data, move |request, number| {
        let reply = file(request, &sent, "W/\"a\"");
        if number == 0 { reply.cut(100_000) } else { reply }
    });
    assert_eq!(server.requests(), ["/x.bin", "/x.bin"]);
}

#[test]
fn odd_servers() {
    let data = bytes();
    let sent = data.clone();
    // Ignores ranges.
    add_from(&data, move |_, number| {
        let reply = Reply { body: sent.clone(), ..Reply::status(200) }.header("ETag", "\"a\"");
        if number == 0 { reply.cut(100_000) } else { reply }
    });
    let sent = data.clone();
    // Continues elsewhere, then refuses the range, then obeys.
    add_from(&data, move |request, number| match number {
        0 | 2 => file(request, &sent, "\"a\"").cut(100_000),
        1 => Reply { body: sent[5..].to_vec(), ..Reply::status(206) }
            .header("Content-Range", &format!("bytes 5-{}/{}", sent.len() - 1, sent.len())),
        3 => Reply::status(416),
        _ => file(request, &sent, "\"a\""),
    });
    let sent = data.clone();
    // Redirects, and is busy for a moment.
    add_from(&data, move |request, number| match (number, request.path.as_str()) {
        (0, _) => Reply::status(429).header("Retry-After", "0"),
        (_, "/x.bin") => Reply::status(302).header("Location", "/elsewhere"),
        _ => {
            // The address before may contain a secret.
            assert_eq!(request.header("referer"), None);
            file(request, &sent, "\"a\"")
        }
    });
    // Sends a file in chunks, without its length.
    add_from(b"hello world", |_, _| {
        Reply { body: b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n".to_vec(), ..Reply::status(200) }
            .header("Transfer-Encoding", "chunked")
    });
    // Compresses although it is asked not to.
    add_from(b"hello hello hello", |request, _| {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        Reply { body: gzip(b"hello hello hello"), ..Reply::status(200) }
            .header("Content-Encoding", "gzip")
            .header("ETag", "\"a\"")
    });
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    deadline::wait(child).stdout
}

#[test]
fn refused_downloads() {
    let server = FileServer::start(|request, _| match request.path.as_str() {
        "/gone" => Reply::status(410),
        "/secret" => Reply::status(401),
        "/teapot" => Reply::status(418),
        "/loop" => Reply::status(302).header("Location", "/loop"),
        "/brotli" => Reply { body: vec![1], ..Reply::status(200) }.header("Content-Encoding", "br"),
        "/short" => {
            Reply { body: vec![1; 10], ..Reply::status(200) }.header("Content-Length", "20")
        }
        "/file" => file(request, b"content", "\"a\""),
        _ => Reply::status(404),
    });
    let sandbox = Sandbox::with("");
    let add = |arguments: &[&str]| {
        let url = server.url(arguments[0]);
        let arguments: Vec<&str> =
            ["add", &url].into_iter().chain(arguments[1..].iter().copied()).collect();
        let done = sandbox.repro(&arguments);
        assert_eq!(sandbox.read("pipeline.toml"), "", "{done}");
        masked(&server, &done)
    };
    snapshot!(add(&["missing"]), @"
    exit 2
    --- stderr
    run-1: started
    missing: started (never ran)
    missing: failed: could not be downloaded
    error: stage `missing` failed: could not be downloaded
     caused by: `http://SERVER/missing` does not exist
     caused by: the server answered 404
    ");
    snapshot!(add(&["gone"]), @"
    exit 2
    --- stderr
    run-2: started
    gone: started (never ran)
    gone: failed: could not be downloaded
    error: stage `gone` failed: could not be downloaded
     caused by: `http://SERVER/gone` does not exist
     caused by: the server answered 410
    ");
    snapshot!(add(&["secret"]), @"
    exit 3
    --- stderr
    run-3: started
    secret: started (never ran)
    secret: failed: could not be downloaded
    error: stage `secret` failed: could not be downloaded
     caused by: `http://SERVER/secret` may not be read
     caused by: the server answered 401
     hint: name a login and a password in `~/.netrc`, or let the `cmd` of a stage download the file
    ");
    snapshot!(add(&["teapot"]), @"
    exit 3
    --- stderr
    run-4: started
    teapot: started (never ran)
    teapot: failed: could not be downloaded
    error: stage `teapot` failed: could not be downloaded
     caused by: cannot download `http://SERVER/teapot`
     caused by: the server answered 418
    ");
    snapshot!(add(&["loop"]), @"
    exit 3
    --- stderr
    run-5: started
    loop: started (never ran)
    loop: failed: could not be downloaded
    error: stage `loop` failed: could not be downloaded
     caused by: cannot download `http://SERVER/loop`
     caused by: there are too many redirects
    ");
    snapshot!(add(&["brotli"]), @"
    exit 3
    --- stderr
    run-6: started
    brotli: started (never ran)
    brotli: failed: could not be downloaded
    error: stage `brotli` failed: could not be downloaded
     caused by: `http://SERVER/brotli` is sent with the encoding `br`
     caused by: the request asks for the file as it is
     hint: let the `cmd` of a stage download the file
    ");
    snapshot!(add(&["short"]), @"
    exit 3
    --- stderr
    run-7: started
    short: started (never ran)
    short: 10 B of 20 B (50 %)
    short: failed: could not be downloaded
    error: stage `short` failed: could not be downloaded
     caused by: the connection to `http://SERVER/short` was cut off
     caused by: the answer ended early: end of file before message length reached
     caused by: 10 of 20 bytes arrived
     hint: repeat the command: it continues where this one ended
    ");
    snapshot!(add(&["file", "--sha256", &"0".repeat(64)]), @"
    exit 2
    --- stderr
    run-8: started
    file: started (never ran)
    file: 7 B of 7 B (100 %)
    file: failed: could not be downloaded
    error: stage `file` failed: could not be downloaded
     caused by: `http://SERVER/file` does not have the expected sha256
     caused by: pipeline.toml has 0000000000000000000000000000000000000000000000000000000000000000, the file has ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73
     hint: if you trust the file, correct `sha256`; else ask who publishes it
    ");
    snapshot!(add(&["file", "--sha256", "12"]), @"
    exit 2
    --- stderr
    error: `--sha256` must have 64 hexadecimal digits
    ");
    snapshot!(add(&["file", "--extract"]), @"
    exit 2
    --- stderr
    run-9: started
    file: started (never ran)
    file: 7 B of 7 B (100 %)
    file: failed: could not be downloaded
    error: stage `file` failed: could not be downloaded
     caused by: `http://SERVER/file` is not a zip, tar, tar.gz or tar.zst
     caused by: it begins like none of them
     hint: remove `extract`, and unpack the file by the `cmd` of another stage
    ");
    snapshot!(add(&["file", "-o", "../x"]), @"
    exit 2
    --- stderr
    error: `../x` is not inside the project, `$ROOT`
    ");
    snapshot!(add(&["file", "-o", "cache/x"]), @"
    exit 2
    --- stderr
    error: `cache/x` belongs to `repro` or git and cannot be an input
     hint: move your files out of there and add them at their new place
    ");
    sandbox.write("mine", "");
    snapshot!(add(&["file", "-o", "mine"]), @"
    exit 2
    --- stderr
    run-10: started
    mine: failed: would replace 1 file that `repro` did not make: `mine`
    error: stage `mine` failed: would replace 1 file that `repro` did not make: `mine`
     hint: `repro run --replace` moves it to the trash; or move it, or declare another out (pipeline.toml:3)
    ");
    snapshot!(sandbox.repro(&["add", "htps://x/y"]), @"
    exit 2
    --- stderr
    error: `htps://x/y` has the unknown scheme `htps`
     hint: did you mean `https`?
    ");
    snapshot!(sandbox.repro(&["add", "https://me:secret@example.org/y"]), @"
    exit 2
    --- stderr
    error: `example.org/y` contains a password, which git would keep
     hint: write the login and the password into `~/.netrc`
    ");
    snapshot!(sandbox.repro(&["add", "https://example.org/y?sv=1&sig=SECRET"]), @"
    exit 2
    --- stderr
    error: `https://example.org/y` contains a secret, the value of `sig`, which git would keep
     hint: use the URL of the store, such as `s3://BUCKET/PATH`, with credentials from the environment; or let the `cmd` of a stage download the file
    ");
    snapshot!(sandbox.repro(&["add", "mine", "--extract"]), @"
    exit 2
    --- stderr
    error: `--output`, `--extract` and `--sha256` need a URL
     hint: `repro add https://example.org/data.zip --extract` is an example
    ");
    snapshot!(sandbox.repro(&["add", "mine", "https://x/y"]), @"
    exit 2
    --- stderr
    error: a URL is added alone
     hint: call `repro add` once for each URL, and once for all paths
    ");
    snapshot!(sandbox.repro(&["add", "http://127.0.0.1:1/y"]), @"
    exit 3
    --- stderr
    run-11: started
    y: started (never ran)
    y: failed: could not be downloaded
    error: stage `y` failed: could not be downloaded
     caused by: cannot download `http://127.0.0.1:1/y`
     caused by: cannot connect: Connection refused (os error 111)
     hint: check the address and the network, and repeat the command
    ");
}

/// Makes everything in a folder as old as nobody continues it.
fn age(folder: &Path) {
    let old = SystemTime::now() - Duration::from_secs(7 * 24 * 3600 + 60);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            File::open(&path).unwrap().set_modified(old).unwrap();
        }
    }
    File::open(folder).unwrap().set_modified(old).unwrap();
}

#[test]
fn gc_removes_old_downloads() {
    let server = FileServer::start(|request, number| match number {
        0 => file(request, &bytes(), "\"a\"").cut(100_000),
        _ => Reply::status(404),
    });
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\nouts = []\n");
    assert_eq!(sandbox.repro(&["add", &server.url("x.bin")]).code, 2);
    let downloads = sandbox.path("cache/downloads");
    let count = || std::fs::read_dir(&downloads).unwrap().count();
    // The other one is `.gitignore`.
    assert_eq!(count(), 2);
    sandbox.ok(&["gc", "--yes"]);
    assert_eq!(count(), 2);
    age(&downloads);
    snapshot!(sandbox.repro(&["gc"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 0 0 B
    last 1 run (not counted above) 0 0 B
    traces of the objects above 0 0 B

    unreferenced count size
    objects 0 0 B
    traces 0 0 B
    temporary files 0 0 B
    unfinished downloads 1 100 kB

    nothing deleted: `repro gc --yes` with the same options deletes 1 unfinished download: 100 kB
    ");
    snapshot!(sandbox.repro(&["gc", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 0 0 B
    last 1 run (not counted above) 0 0 B
    traces of the objects above 0 0 B

    unreferenced count size
    objects 0 0 B
    traces 0 0 B
    temporary files 0 0 B
    unfinished downloads 1 100 kB

    deleted 1 unfinished download: 100 kB
    ");
    assert_eq!(count(), 1);
}
