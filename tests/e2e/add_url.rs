//! `repro add URL` and stages with `url`: downloads, faults of servers, and what the lock pins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::file_server::{FileServer, Reply, Request, file};
use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

const PIPELINE: &str = r#"
[stages.count]
cmd = "wc -c < data.csv > count; echo count >> ran"
deps = ["data.csv"]
outs = ["count"]
"#;

/// A server with one file, whose versions are "v0", "v1" and so on.
fn versions() -> (FileServer, Arc<AtomicUsize>) {
    let version = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&version);
    let server = FileServer::start(move |request, _| {
        let version = now.load(Ordering::SeqCst);
        match request.path.as_str() {
            "/data.csv" => {
                file(request, format!("v{version}\n").as_bytes(), &format!("\"{version}\""))
            }
            _ => Reply::status(404),
        }
    });
    (server, version)
}

fn masked(server: &FileServer, done: &Done) -> String {
    server.masked(&done.to_string())
}

#[test]
fn add_url_pins_content() {
    let (server, version) = versions();
    let sandbox = Sandbox::with("");
    sandbox.git(&["init", "-q"]);
    let url = server.url("data.csv");
    snapshot!(masked(&server, &sandbox.repro(&["add", &url])), @"
    exit 0
    --- stdout
    `data.csv` is tracked as stage data: 1 file, 3 B
    --- stderr
    run-1: started
    data: started (never ran)
    data: 3 B of 3 B (100 %)
    data: ran in [time]
    ");
    snapshot!(server.masked(&sandbox.read("pipeline.toml")), @r#"
    [stages.data]
    url = "http://SERVER/data.csv"
    outs = ["data.csv"]
    "#);
    // The checksum depends on the port of the server.
    let lock = sandbox.read("pipeline.lock");
    snapshot!(server.masked(lock.rsplit_once("sum ").unwrap().0), @r#"
    repro.lock 1

    stage data
    from {"url":"http://SERVER/data.csv"}
    out file 95247e4ae6feb76b93152697eedd73224d0c789dde25a29cd8729a076ac33d72 data.csv
    version {"etag":"\"0\"","bytes":3}
    "#);
    snapshot!(sandbox.read(".gitignore"), @"
    # >>> kept in the cache, added by `repro` >>>
    /data.csv
    # <<< repro <<<
    ");
    assert_eq!(sandbox.read("data.csv"), "v0\n");
    assert_eq!(std::fs::read_dir(sandbox.path("cache/downloads")).unwrap().count(), 1);
    server.requests();
    // The network is not asked while the content is there, in the workspace or in the cache.
    version.store(1, Ordering::SeqCst);
    let stage = sandbox.read("pipeline.toml");
    sandbox.write("pipeline.toml", format!("{stage}{PIPELINE}"));
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
    sandbox.remove("data.csv");
    sandbox.ok(&["run"]);
    sandbox.write("data.csv", "edited\n");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    data can be restored from the cache: out data.csv differs from what the stage wrote
    1 stage up to date
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("data.csv"), "v0\n");
    snapshot!(masked(&server, &sandbox.repro(&["add", &url])), @"
    exit 0
    --- stdout
    `data.csv` is already tracked as stage data and has not changed
    ");
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn clone_without_cache_downloads_again() {
    let (server, version) = versions();
    let sandbox = Sandbox::with("");
    sandbox.ok(&["add", &server.url("data.csv")]);
    let clone = Sandbox::with(&sandbox.read("pipeline.toml"));
    clone.write("pipeline.lock", sandbox.read("pipeline.lock"));
    clone.ok(&["run"]);
    assert_eq!(clone.read("data.csv"), "v0\n");
    assert_eq!(clone.read("pipeline.lock"), sandbox.read("pipeline.lock"));
    // The source has changed meanwhile.
    let late = Sandbox::with(&sandbox.read("pipeline.toml"));
    late.write("pipeline.lock", sandbox.read("pipeline.lock"));
    version.store(1, Ordering::SeqCst);
    snapshot!(masked(&server, &late.repro(&["run"])), @"
    exit 2
    --- stderr
    run-1: started
    data: started (out data.csv is missing, and 1 more)
    data: 3 B of 3 B (100 %)
    data: failed: could not be downloaded
    error: stage `data` failed: could not be downloaded
     caused by: the content of `http://SERVER/data.csv` has changed
     caused by: pipeline.lock has 95247e4ae6 for `data.csv`, the source has 893dcd398a
     hint: `repro update data` takes over the new content; `repro pull` brings the old one, if a remote has it

    ✗ run-1 failed after [time]: 1 failed
    ");
    assert!(!late.exists("data.csv"));
    assert_eq!(late.read("pipeline.lock"), sandbox.read("pipeline.lock"));
    snapshot!(masked(&server, &late.repro(&["update"])), @"
    exit 0
    --- stdout
    data was updated from http://SERVER/data.csv: 1 file, 3 B
    --- stderr
    run-2: started
    data: started (forced)
    data: 3 B of 3 B (100 %)
    data: ran in [time]
    ");
    assert_eq!(late.read("data.csv"), "v1\n");
}

#[test]
fn update_takes_over_newer_content() {
    let (server, version) = versions();
    let sandbox = Sandbox::with("");
    sandbox.ok(&["add", &server.url("data.csv")]);
    let stage = sandbox.read("pipeline.toml");
    sandbox.write("pipeline.toml", format!("{stage}{PIPELINE}"));
    sandbox.ok(&["run"]);
    server.requests();
    snapshot!(masked(&server, &sandbox.repro(&["update", "--check"])), @"
    exit 0
    --- stdout
    data is up to date with http://SERVER/data.csv
    ");
    assert_eq!(server.requests(), ["/data.csv if-none-match: \"0\""]);
    version.store(1, Ordering::SeqCst);
    snapshot!(masked(&server, &sandbox.repro(&["update", "--check"])), @"
    exit 4
    --- stdout
    data has changed at http://SERVER/data.csv
    ");
    assert_eq!(sandbox.read("data.csv"), "v0\n");
    snapshot!(masked(&server, &sandbox.repro(&["update", "data"])), @"
    exit 0
    --- stdout
    data was updated from http://SERVER/data.csv: 1 file, 3 B (before: 1 file, 3 B)
    --- stderr
    run-3: started
    data: started (forced)
    data: 3 B of 3 B (100 %)
    data: ran in [time]
    ");
    assert_eq!(sandbox.read("data.csv"), "v1\n");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    count is out of date: dep data.csv changed
    1 stage up to date
    ");
    snapshot!(masked(&server, &sandbox.repro(&["update", "data.csv", "--json"])), @r#"
    exit 0
    --- stdout
    [
     {
     "from": "http://SERVER/data.csv",
     "stage": "data",
     "state": "unchanged",
     "updated": false
     }
    ]
    "#);
    snapshot!(sandbox.repro(&["update", "count"]), @"
    exit 2
    --- stderr
    error: stage `count` has no `url`
     hint: `repro run` brings other stages up to date
    ");
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
        _ => file(request, &sent, "\"a\""),
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

#[test]
fn server_without_versions() {
    let sent = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&sent);
    let server = FileServer::start(move |_, _| {
        let body = now.load(Ordering::SeqCst).to_string().into_bytes();
        Reply { body, ..Reply::status(200) }
    });
    let sandbox = Sandbox::with("");
    sandbox.ok(&["add", &server.url("x")]);
    snapshot!(masked(&server, &sandbox.repro(&["update", "--check"])), @"
    exit 0
    --- stdout
    x may have changed: http://SERVER/x names no versions
    ");
    snapshot!(masked(&server, &sandbox.repro(&["update"])), @"
    exit 0
    --- stdout
    x has the same content as before
    --- stderr
    run-2: started
    x: started (forced)
    x: 1 B of 1 B (100 %)
    x: ran in [time]
    ");
    sent.store(1, Ordering::SeqCst);
    sandbox.ok(&["update"]);
    assert_eq!(sandbox.read("x"), "1");
}

#[test]
fn archive_becomes_folder() {
    let other = Sandbox::empty();
    other.write("a/b/c.txt", "1\n");
    other.write("a/run", "#!/bin/sh\n");
    std::os::unix::fs::symlink("b/c.txt", other.path("a/link")).unwrap();
    let script = "chmod 755 a/run; tar cf x.tar a; tar czf plain a";
    assert!(
        std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(other.root())
            .status()
            .unwrap()
            .success()
    );
    let sandbox = Sandbox::with("");
    let url = |name: &str| format!("file://{}/{name}", other.root().display());
    sandbox.ok(&["add", &url("x.tar"), "--extract"]);
    assert_eq!(sandbox.read("x/a/b/c.txt"), "1\n");
    assert_eq!(sandbox.read("x/a/link"), "1\n");
    sandbox.ok(&["add", &url("plain"), "--extract", "-o", "y"]);
    // Another archive with the same entries has the same content.
    let lock = sandbox.read("pipeline.lock");
    let tree = |path: &str| {
        let line = lock.lines().find(|line| line.ends_with(&format!(" {path}"))).unwrap();
        line.trim_end_matches(path).to_owned()
    };
    assert_eq!(tree("x"), tree("y"));
    other.write("a/b/c.txt", "2\n");
    other.write("a/new", "");
    assert!(
        std::process::Command::new("tar")
            .args(["cf", "x.tar", "a"])
            .current_dir(other.root())
            .status()
            .unwrap()
            .success()
    );
    let done = sandbox.repro(&["update", "x"]).to_string();
    snapshot!(done.replace(other.root().to_str().unwrap(), "OTHER"), @"
    exit 0
    --- stdout
    x was updated from file://OTHER/x.tar: 4 files, 14 B (before: 3 files, 14 B)
     file x/a/b/c.txt changed
     file x/a/link changed
     file x/a/new added
    --- stderr
    run-3: started
    x: started (forced)
    x: 10 kB of 10 kB (100 %)
    x: ran in [time]
    ");
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
     caused by: end of file before message length reached
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
     caused by: Connection refused (os error 111)
     hint: check the address and the network, and repeat the command
    ");
}

#[test]
fn password_from_netrc() {
    let server = FileServer::start(|request, _| match request.header("authorization") {
        // me:secret
        Some("Basic bWU6c2VjcmV0") => file(request, b"1", "\"a\""),
        _ => Reply::status(401),
    });
    let sandbox = Sandbox::with("");
    sandbox.write(".netrc", "machine 127.0.0.1 login me password secret\n");
    sandbox.ok(&["add", &server.url("x")]);
    assert!(!sandbox.read("pipeline.lock").contains("secret"));
}

#[test]
fn sha256_of_the_declaration() {
    let (server, _) = versions();
    let url = server.url("data.csv");
    let sandbox = Sandbox::with(&format!(
        "[stages.data]\nurl = \"{url}\"\nouts = [\"data.csv\"]\nmd5 = \"00\"\n"
    ));
    snapshot!(sandbox.repro(&["run"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:4: `md5` of stage `data` must have 32 hexadecimal digits
    ");
    sandbox.edit("pipeline.toml", "md5 = \"00\"", &format!("md5 = \"{}\"", "0".repeat(32)));
    snapshot!(masked(&server, &sandbox.repro(&["run"])), @"
    exit 2
    --- stderr
    run-1: started
    data: started (never ran)
    data: 3 B of 3 B (100 %)
    data: failed: could not be downloaded
    error: stage `data` failed: could not be downloaded
     caused by: `http://SERVER/data.csv` does not have the expected md5
     caused by: pipeline.toml has 00000000000000000000000000000000, the file has ea7afa4937820af4157472fe4c685ddc
     hint: if you trust the file, correct `md5`; else ask who publishes it

    ✗ run-1 failed after [time]: 1 failed
    ");
    // Of "v0\n".
    sandbox.edit("pipeline.toml", &"0".repeat(32), "EA7AFA4937820AF4157472FE4C685DDC");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("data.csv"), "v0\n");
}

#[test]
fn local_file_by_url() {
    let sandbox = Sandbox::with("");
    let other = Sandbox::empty();
    other.write("a b.csv", "1\n");
    let url = format!("file://{}/a%20b.csv", other.root().display());
    sandbox.ok(&["add", &url, "-o", "data/", "--name", "table"]);
    assert_eq!(sandbox.read("data/a b.csv"), "1\n");
    let show = |done: &Done| done.to_string().replace(other.root().to_str().unwrap(), "OTHER");
    snapshot!(show(&sandbox.repro(&["update"])), @"
    exit 0
    --- stdout
    table is up to date with file://OTHER/a%20b.csv
    ");
    other.write("a b.csv", "2\n2\n");
    snapshot!(show(&sandbox.repro(&["update"])), @"
    exit 0
    --- stdout
    table was updated from file://OTHER/a%20b.csv: 1 file, 4 B (before: 1 file, 2 B)
    --- stderr
    run-2: started
    table: started (forced)
    table: 4 B of 4 B (100 %)
    table: ran in [time]
    ");
    assert_eq!(sandbox.read("data/a b.csv"), "2\n2\n");
    other.remove("a b.csv");
    snapshot!(show(&sandbox.repro(&["update"])), @"
    exit 2
    --- stderr
    error: table: `file://OTHER/a%20b.csv` does not exist
    ");
    let folder = format!("file://{}", other.root().display());
    snapshot!(show(&sandbox.repro(&["add", &folder, "-o", "f"])), @"
    exit 2
    --- stderr
    run-3: started
    f: started (never ran)
    f: failed: could not be downloaded
    error: stage `f` failed: could not be downloaded
     caused by: `file://OTHER` is not a file
     hint: a URL names one file; a folder can be a dep outside of the project
    ");
}

#[test]
fn declarations_with_url() {
    let sandbox = Sandbox::with(
        r#"
[stages.a]
url = "https://x/y"
cmd = "true"
outs = ["a"]
[stages.b]
url = "https://x/y"
outs = ["b", "c"]
[stages.c]
url = "example.org/y"
outs = ["d"]
[stages.d]
extract = true
outs = ["e"]
[stages.e]
url = "https://x/y"
outs = [{ path = "f", persist = true }]
sha256 = "xyz"
"#,
    );
    snapshot!(sandbox.repro(&["status"]), @r#"
    exit 2
    --- stderr
    error: pipeline.toml:4: stage `a` has `url` and `cmd`
     hint: a stage that downloads can only have url, extract, sha256, md5, outs, desc, frozen; read its outs in another stage
    error: pipeline.toml:7: stage `b` has `url` and 2 outs, not one
     hint: write outs = ["PATH"]: the file, or with `extract = true` the folder
    error: pipeline.toml:10: `url` of stage `c` is not a URL
     hint: `https://example.org/data.csv` is an example
    error: pipeline.toml:13: stage `d` has `extract` but no `url`
     hint: add url = "https://…", or remove the key
    error: pipeline.toml:16: out `f` of stage `e` has options, but the stage has `url`
     hint: write outs = ["PATH"]: the file, or with `extract = true` the folder
    error: pipeline.toml:18: `sha256` of stage `e` must have 64 hexadecimal digits
    "#);
}
