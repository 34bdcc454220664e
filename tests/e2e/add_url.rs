//! `repro add URL` and stages with `url`: downloads, updates, and what the lock pins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::file_server::{FileServer, Reply, file};
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
    error: stage `count` has no `url` or `import`
     hint: `repro run` brings other stages up to date
    ");
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
     hint: declare it as a remote and use `remote://NAME/PATH`, or make a link to it
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
     hint: write outs = ["PATH"]: the file or the folder
    error: pipeline.toml:10: `url` of stage `c` is not a URL
     hint: `https://example.org/data.csv` is an example
    error: pipeline.toml:13: stage `d` has `extract` but no `url`
     hint: add url = "https://…", or remove the key
    error: pipeline.toml:16: out `f` of stage `e` has options, but the stage has `url`
     hint: write outs = ["PATH"]: the file or the folder
    error: pipeline.toml:18: `sha256` of stage `e` must have 64 hexadecimal digits
    "#);
}
