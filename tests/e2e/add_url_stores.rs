//! `repro add` of URLs of stores: declarations, and what a hostile store lists. Real servers are in
//! `tests/remotes`.

use crate::file_server::{FileServer, Reply};
use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

/// A server that lists these keys below `data/`, as S3 does, and has a file for each.
fn listing(keys: &[&str]) -> FileServer {
    let entry = |key: &&str| {
        format!(
            "<Contents><Key>data/{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified>\
             <ETag>\"1\"</ETag><Size>1</Size></Contents>"
        )
    };
    let entries: String = keys.iter().map(entry).collect();
    FileServer::start(move |request, _| match request.path.as_str() {
        path if path.contains("list-type=2") => {
            let body = format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
            );
            Reply { body: body.into_bytes(), ..Reply::status(200) }
        }
        // As some servers answer for a folder.
        "/bucket/data" => Reply::status(500),
        _ => Reply { body: b"1".to_vec(), ..Reply::status(206) },
    })
}

/// Adds the folder `data` of a server in place of S3.
fn add(sandbox: &Sandbox, server: &FileServer) -> Done {
    let mut command = command(sandbox, server, "s3://bucket/data/");
    sandbox.finish(&mut command)
}

fn command(sandbox: &Sandbox, server: &FileServer, url: &str) -> std::process::Command {
    let mut command = sandbox.command(&["add", url, "-o", "got"]);
    command
        .env("AWS_ENDPOINT_URL", server.url(""))
        .env("AWS_ACCESS_KEY_ID", "TESTKEY")
        .env("AWS_SECRET_ACCESS_KEY", "TESTSECRET0123456789");
    command
}

#[test]
fn hostile_listings() {
    for (keys, cause) in [
        (&["../../x"][..], "its file `../../x` leads out of the folder"),
        (&["/etc/passwd"], "its file `/etc/passwd` is absolute"),
        (&["a/../b"], "its file `a/../b` leads out of the folder"),
        (&["a&#10;b"], "its file `a\\nb` has a control character in its name"),
        (&["a", "b", "a"], "its file `a` is listed twice"),
        (&["a", "a/b"], "its file `a` is also a folder, that of `a/b`"),
    ] {
        let server = listing(keys);
        let sandbox = Sandbox::with("");
        let done = add(&sandbox, &server);
        assert_eq!(done.code, 2, "{keys:?}: {done}");
        assert!(done.to_string().contains(cause), "{keys:?}: {done}");
        assert!(!sandbox.exists("got"));
        assert_eq!(sandbox.read("pipeline.toml"), "");
    }
}

#[test]
fn harmless_listing() {
    let server = listing(&["a", "A", "b/", "b/c d"]);
    let sandbox = Sandbox::with("");
    let done = add(&sandbox, &server);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(sandbox.read("got/A") + &sandbox.read("got/a") + &sandbox.read("got/b/c d"), "111");
}

#[test]
fn server_that_fails_for_folders() {
    let server = listing(&["a", "b/c"]);
    let sandbox = Sandbox::with("");
    let done = sandbox.finish(&mut command(&sandbox, &server, "s3://bucket/data"));
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(sandbox.read("got/a") + &sandbox.read("got/b/c"), "11");
    let asked = server.requests();
    let fails = asked.iter().filter(|path| *path == "/bucket/data").count();
    assert!(fails <= 5, "{asked:?}");
}

#[test]
fn declarations_of_stores() {
    let sandbox = Sandbox::with(
        r#"
[remotes.lab]
url = "s3://bucket/store"
[stages.a]
url = "s3://key:secret@bucket/x"
outs = ["a"]
[stages.b]
url = "s3://bucket/x?versionId=1"
outs = ["b"]
[stages.c]
url = "s4://bucket/x"
outs = ["c"]
[stages.d]
url = "sftp://host/a/../b"
outs = ["d"]
"#,
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:5: `url` of stage `a` contains a password, which git would keep
     hint: credentials come from the environment
    error: pipeline.toml:8: `url` of stage `b` has a query or a fragment
     hint: write `?` as %3F and `#` as %23 in a path
    error: pipeline.toml:11: `url` of stage `c` has the unknown scheme `s4`
     hint: the schemes are https, http, file, s3, gs, az, sftp, ssh, webdav, webdavs, remote
    error: pipeline.toml:14: `url` of stage `d` has an empty name, `.` or `..` in its path
     hint: write the path without it
    ");
    let sandbox = Sandbox::with(
        "[remotes.lab]\nurl = 's3://bucket'\n[stages.a]\nurl = 'remote://lap/x'\nouts = ['a']\n",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: stage `a` downloads from remote `lap`, which is not declared
     hint: did you mean `remote://lab/…`?
    ");
    snapshot!(sandbox.repro(&["add", "remote://other/x"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: stage `a` downloads from remote `lap`, which is not declared
     hint: did you mean `remote://lab/…`?
    ");
}

#[test]
fn folder_of_remote_folder() {
    let other = Sandbox::empty();
    other.write("shelf/data/a", "1\n");
    other.write("shelf/data/b/c", "2\n");
    other.write("elsewhere", "3\n");
    let remote = format!("[remotes.shelf]\nurl = '{}/shelf'\n", other.root().display());
    let sandbox = Sandbox::with(&remote);
    sandbox.ok(&["add", "remote://shelf/data"]);
    assert_eq!(sandbox.read("data/a") + &sandbox.read("data/b/c"), "1\n2\n");
    snapshot!(sandbox.repro(&["update"]), @"
    exit 0
    --- stdout
    data is up to date with remote://shelf/data
    ");
    other.write("shelf/data/b/c", "3\n3\n");
    snapshot!(sandbox.repro(&["update"]), @"
    exit 0
    --- stdout
    data was updated from remote://shelf/data: 2 files, 6 B (before: 2 files, 4 B)
     file data/b/c changed
    --- stderr
    run-2: started
    data: started (forced)
    data: 2 B of 6 B (33 %)
    data: 6 B of 6 B (100 %)
    data: ran in [time]
    ");
    snapshot!(sandbox.repro(&["add", "remote://shelf/data", "--extract", "-o", "x"]), @"
    exit 2
    --- stderr
    run-3: started
    x: started (never ran)
    x: failed: could not be downloaded
    error: stage `x` failed: could not be downloaded
     caused by: `remote://shelf/data` is a folder
     caused by: `extract`, `sha256` and `md5` are about one file
     hint: remove them; the content of each file is in pipeline.lock anyway
    ");
    std::os::unix::fs::symlink("..", other.path("shelf/data/up")).unwrap();
    snapshot!(sandbox.repro(&["update"]), @"
    exit 2
    --- stderr
    error: data: `remote://shelf/data` is not downloaded
     caused by: its file `up` is a link, which is not followed
     hint: rename or remove the file there, or add other files one by one
    ");
}

#[test]
fn same_origin_twice() {
    let other = Sandbox::empty();
    other.write("data", "1\n");
    let url = format!("file://{}/data", other.root().display());
    let stage = |name: &str| format!("[stages.{name}]\nurl = '{url}'\nouts = ['{name}']\n");
    let stages: Vec<String> = (0..8).map(|number| stage(&format!("s{number}"))).collect();
    let sandbox = Sandbox::with(&stages.concat());
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("s7"), "1\n");
}
