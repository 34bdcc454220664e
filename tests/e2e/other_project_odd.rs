//! `repro get` and `repro import` from repositories that are hostile, odd, or change in odd ways.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::file_server::{FileServer, Reply};
use crate::other_project::{file_url, head, projects, second_version, without_commits};
use crate::sandbox::{Done, Sandbox};
use crate::share::{commit, ok, repro};
use crate::snapshot;

const SECRET: &str = "TESTTOKEN0123456789";

/// Returns the id of the object that a command of git makes from `input`, in the repository `repo`.
fn made(sandbox: &Sandbox, repo: &str, args: &[&str], input: &[u8]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(sandbox.path(repo)).args(args);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").envs(
        ["GIT_AUTHOR", "GIT_COMMITTER"]
            .iter()
            .flat_map(|who| [(format!("{who}_NAME"), "t"), (format!("{who}_EMAIL"), "t@x")]),
    );
    let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    git.stdin.take().unwrap().write_all(input).unwrap();
    let answer = deadline::wait(git);
    assert!(answer.status.success(), "git {args:?}");
    String::from_utf8(answer.stdout).unwrap().trim_end().to_owned()
}

/// Writes a tree of entries with mode, id and name, without any check.
fn tree(sandbox: &Sandbox, repo: &str, entries: &[(&str, &str, &str)]) -> String {
    let hex = |id: &str| -> Vec<u8> {
        (0..id.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap())
            .collect()
    };
    let line = |(mode, id, name): &(&str, &str, &str)| {
        [format!("{mode} {name}\0").as_bytes(), &hex(id)].concat()
    };
    let bytes: Vec<u8> = entries.iter().flat_map(line).collect();
    let args = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
    made(sandbox, repo, &args, &bytes)
}

/// Makes a tree the content of the branch `main` of a new repository.
fn set_main(sandbox: &Sandbox, repo: &str, tree: &str) {
    let commit = made(sandbox, repo, &["commit-tree", "-m", "x", tree], b"");
    sandbox.git(&["-C", repo, "update-ref", "refs/heads/main", &commit]);
}

/// Replaces the id of the commit `main` of a repository.
fn masked(sandbox: &Sandbox, repo: &str, done: &Done) -> String {
    let id = made(sandbox, repo, &["rev-parse", "main"], b"");
    done.to_string().replace(&id[..10], "MAIN")
}

#[test]
fn endless_folder() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "-q", "--bare", "bomb"]);
    let blob = made(&sandbox, "bomb", &["hash-object", "-w", "--stdin"], b"x");
    let names: Vec<String> = (0..32).map(|number| format!("{number}")).collect();
    let mut id = blob;
    for mode in ["100644", "40000", "40000", "40000", "40000", "40000", "40000"] {
        let entries: Vec<_> = names.iter().map(|name| (mode, &*id, &**name)).collect();
        id = tree(&sandbox, "bomb", &entries);
    }
    let top = tree(&sandbox, "bomb", &[("40000", &*id, "top")]);
    set_main(&sandbox, "bomb", &top);
    let done = sandbox.repro(&["get", "bomb", "top"]);
    let error =
        "error: cannot take `top` of `$ROOT/bomb` at MAIN: it has more than 1048576 files\n";
    assert!(masked(&sandbox, "bomb", &done).contains(error), "{done}");
    assert_eq!(done.code, 2, "{done}");
    assert!(!sandbox.exists("top"));
}

#[test]
fn names_that_are_refused() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "-q", "--bare", "odd"]);
    let blob = made(&sandbox, "odd", &["hash-object", "-w", "--stdin"], b"x");
    let file = |name| ("100644", &*blob, name);
    let inner = tree(&sandbox, "odd", &[file("config")]);
    let folder = |name| ("40000", &*inner, name);
    let mut shown = String::new();
    for entries in [
        &[folder(".git")][..],
        &[folder(".GIT")],
        &[folder("..")],
        &[file("a\nb")],
        &[file("a"), folder("a")],
        &[("160000", &*blob, "sub")],
    ] {
        let id = tree(&sandbox, "odd", entries);
        let top = tree(&sandbox, "odd", &[("40000", &*id, "top")]);
        set_main(&sandbox, "odd", &top);
        let done = sandbox.repro(&["get", "odd", "top"]);
        assert_eq!(done.code, 2, "{done}");
        let text = masked(&sandbox, "odd", &done);
        shown.push_str(&format!("{}\n", text.trim_start_matches("exit 2\n--- stderr\n")));
        assert!(!sandbox.exists("top"));
    }
    snapshot!(shown, @"
    error: cannot take `top` of `$ROOT/odd` at MAIN: its file `.git/config` cannot be written
     caused by: git would obey what is in `.git`
     hint: rename it there, or name the files beside it one by one
    error: cannot take `top` of `$ROOT/odd` at MAIN: its file `.GIT/config` cannot be written
     caused by: git would obey what is in `.git`
     hint: rename it there, or name the files beside it one by one
    error: cannot take `top` of `$ROOT/odd` at MAIN: its file `../config` cannot be written
     caused by: it has a name that no file can have, or that leads elsewhere
     hint: rename it there, or name the files beside it one by one
    error: cannot take `top` of `$ROOT/odd` at MAIN: its file `a\\nb` cannot be written
     caused by: it has a name that no file can have, or that leads elsewhere
     hint: rename it there, or name the files beside it one by one
    error: cannot take `top` of `$ROOT/odd` at MAIN: it has `a` twice
     hint: name the files in it one by one
    error: `top/sub` of `$ROOT/odd` at MAIN is a submodule
     hint: name the repository of the submodule, or the folders beside it
    ");
}

#[test]
fn pointers_of_git_lfs() {
    let sandbox = projects();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    sandbox.write("a/notes/large.bin", pointer);
    commit(&sandbox, "a");
    let get = |path: &str| without_commits(&sandbox, &repro(&sandbox, "b", &["get", "../a", path]));
    snapshot!(get("notes"), @"
    exit 2
    --- stderr
    error: `notes/large.bin` of `../a` at MAIN is kept by git-lfs
     caused by: git has only a pointer to it
     hint: clone the repository with git-lfs, and `repro add` the file
    ");
    assert_eq!(get("notes"), get("notes/large.bin"));
    assert!(!sandbox.exists("b/notes") && !sandbox.exists("b/large.bin"));
}

const MIXED: &str = "\
[stages.clean]
cmd = 'mkdir -p data/clean/x; echo 1 > data/clean/x/a; echo 2 > data/table; echo 3 > data/score'
outs = ['data/clean', 'data/table']
metrics = [{ path = 'data/score', cache = false }]
";

#[test]
fn folder_of_files_and_outs() {
    let sandbox = Sandbox::empty();
    sandbox.write("a/pipeline.toml", MIXED);
    sandbox.write("a/data/read.me", "read me\n");
    sandbox.write("a/data/sub/pipeline.toml", "[stages.s]\ncmd = 'echo 4 > s'\nouts = ['s']\n");
    sandbox.write("a/.gitignore", "/data/clean\n/data/table\ncache\nruns\n/data/sub/s\n");
    sandbox.write("b/pipeline.toml", "[stages.own]\ncmd = 'true'\n");
    sandbox.git(&["init", "-q", "a"]);
    ok(&sandbox, "a", &["run"]);
    ok(&sandbox, "a/data/sub", &["run"]);
    commit(&sandbox, "a");
    snapshot!(masked(&sandbox, "a", &repro(&sandbox, "b", &["get", "../a", "data"])), @"
    exit 0
    --- stdout
    wrote b/data (data of ../a at MAIN): 7 files, 195 B
    ");
    let read = |path: &str| sandbox.read(&format!("b/data/{path}"));
    let texts = ["read.me", "clean/x/a", "table", "score", "sub/s"].map(read);
    assert_eq!(texts, ["read me\n", "1\n", "2\n", "3\n", "4\n"]);
    // A folder with nothing but outs, and one of which nothing was kept.
    ok(&sandbox, "b", &["import", "../a", "data/clean", "--name", "c"]);
    sandbox.git(&["-C", "a", "rm", "-qr", "--cached", "data/sub", "data/read.me", "data/score"]);
    sandbox.git(&["-C", "a", "commit", "-qm", "x"]);
    ok(&sandbox, "b", &["get", "../a", "data", "-o", "outs"]);
    assert_eq!(crate::sandbox::files(&sandbox.path("b/outs")), ["clean/x/a", "score", "table"]);
    sandbox.remove("a/cache");
    sandbox.remove("b/cache");
    let lost = repro(&sandbox, "b", &["get", "../a", "data", "-o", "lost"]);
    snapshot!(masked(&sandbox, "a", &lost), @"
    exit 3
    --- stderr
    error: nobody has all of `data/clean`, an out of stage `clean` of `../a` at MAIN
     caused by: it declares no remote
     hint: declare a remote in that project; `repro push` in that project sends it to a remote
    ");
    assert!(!sandbox.exists("b/lost"));
}

/// Writes a program in place of `name` that calls the shell script, and returns the `PATH` for it.
fn shim(sandbox: &Sandbox, name: &str, script: &str) -> String {
    let path = format!("shim/{name}");
    sandbox.write(&path, format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(sandbox.path(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", sandbox.path("shim").display(), std::env::var("PATH").unwrap())
}

fn real_git() -> String {
    let found = deadline::output(Command::new("sh").args(["-c", "command -v git"]));
    String::from_utf8(found.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn kill_while_copy_is_created() {
    let sandbox = projects();
    let url = file_url(&sandbox);
    let git = real_git();
    let path = shim(
        &sandbox,
        "git",
        &format!("[ \"$3\" != config ] || {{ kill -9 $PPID; exit 1; }}\nexec {git} \"$@\""),
    );
    let args = ["-C", "b", "get", &url, "data"];
    let killed = deadline::output(sandbox.command(&args).env("PATH", path));
    assert!(!killed.status.success());
    ok(&sandbox, "b", &["get", &url, "data"]);
}

#[test]
fn branches_that_are_gone() {
    let sandbox = projects();
    let url = file_url(&sandbox);
    let get = |rev: &str| {
        let done = repro(&sandbox, "b", &["get", &url, "score.json", "-o", "-", "--rev", rev]);
        without_commits(&sandbox, &done)
    };
    sandbox.git(&["-C", "a", "branch", "topic"]);
    second_version(&sandbox);
    snapshot!(get("topic~0"), @"
    exit 0
    --- stdout
    1
    ");
    assert_eq!([get("heads/topic"), get("HEAD~1")], [get("topic~0"), get("topic~0")]);
    sandbox.git(&["-C", "a", "branch", "-D", "topic"]);
    snapshot!(get("topic~0"), @"
    exit 2
    --- stderr
    error: `file://$ROOT/a` has no revision `topic~0`
     hint: `git ls-remote file://$ROOT/a` lists its branches and tags
    ");
    // A folder of refs takes the place of the branch.
    sandbox.git(&["-C", "a", "branch", "topic/deep"]);
    snapshot!(get("topic/deep~1"), @"
    exit 0
    --- stdout
    1
    ");
}

#[test]
fn commit_that_is_gone() {
    let sandbox = projects();
    ok(&sandbox, "b", &["import", &file_url(&sandbox), "data"]);
    let id = head(&sandbox, "main");
    sandbox.git(&["-C", "a", "commit", "-q", "--amend", "-m", "y"]);
    sandbox.git(&["-C", "a", "tag", "-d", "v1"]);
    sandbox.git(&["-C", "a", "reflog", "expire", "--expire=now", "--all"]);
    sandbox.git(&["-C", "a", "gc", "-q", "--prune=now"]);
    for path in ["b/data", "b/cache"] {
        sandbox.remove(path);
    }
    let done = repro(&sandbox, "b", &["run"]).to_string().replace(&id[..10], "OLD");
    snapshot!(done, @"
    exit 2
    --- stderr
    run-2: started
    own: started (never ran)
    data: started (out data is missing, and 1 more)
    own: ran in [time]
    data: failed: could not be downloaded
    error: stage `data` failed: could not be downloaded
     caused by: `file://$ROOT/a` has no commit OLD
     hint: `repro update` moves to a commit that exists; `repro pull` brings the content, if a remote of this project has it

    ✓ own ran [time]
    ✗ data failed

    ✗ run-2 failed after [time]: 1 failed, 1 ran
    ");
}

#[test]
fn newer_commit_of_same_content() {
    let sandbox = projects();
    let url = file_url(&sandbox);
    ok(&sandbox, "b", &["import", &url, "data"]);
    ok(&sandbox, "b", &["import", &url, "notes"]);
    sandbox.write("a/unrelated", "x");
    commit(&sandbox, "a");
    let update = |args: &[&str]| {
        without_commits(&sandbox, &repro(&sandbox, "b", &[&["update"], args].concat()))
    };
    snapshot!(update(&["--check"]), @"
    exit 0
    --- stdout
    data is up to date with data of file://$ROOT/a, also at its newer commit (V1 → MAIN)
    notes is up to date with notes of file://$ROOT/a, also at its newer commit (V1 → MAIN)
    ");
    assert!(update(&["--check", "--json"]).contains("\"state\": \"moved\""));
    snapshot!(update(&["data"]), @"
    exit 0
    --- stdout
    data has the same content as before
    --- stderr
    run-3: started
    data: started (forced)
    data: ran in [time]
    ");
    assert!(sandbox.read("b/pipeline.lock").contains(&head(&sandbox, "main")));
    sandbox.write("a/notes/read me.txt", "other\n");
    commit(&sandbox, "a");
    snapshot!(update(&["--check", "notes"]), @"
    exit 4
    --- stdout
    notes has changed at notes of file://$ROOT/a (V1 → MAIN)
    ");
}

#[test]
fn repository_of_another_user() {
    let sandbox = projects();
    let mut command = sandbox.command(&["-C", "b", "get", "../a", "data"]);
    let done = sandbox.finish(command.env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"));
    snapshot!(done, @"
    exit 3
    --- stderr
    error: git cannot read `../a`
     caused by: detected dubious ownership in repository at '$ROOT/a'
     hint: if you trust its owner: `git config --global --add safe.directory $ROOT/a`
    ");
}

#[test]
fn nobody_is_asked() {
    let sandbox = projects();
    let path = shim(&sandbox, "ssh", "echo \"$*\" >> \"$HOME/asked\"\necho no 1>&2\nexit 255");
    let asked = |name: &str, value: &str| {
        let mut command = sandbox.command(&["-C", "b", "get", "me@host:a.git", "data"]);
        let done = sandbox.finish(command.env("PATH", &path).env(name, value));
        assert_eq!(done.code, 3, "{done}");
        let asked = sandbox.read("asked");
        sandbox.remove("asked");
        asked
    };
    let plain = asked("X", "");
    assert!(plain.contains("BatchMode=yes") && plain.contains("ConnectTimeout="), "{plain}");
    // The user's own command counts.
    assert!(!asked("GIT_SSH_COMMAND", "ssh -v").contains("BatchMode"));
    sandbox.write("config", "[core]\nsshCommand = ssh -q\n");
    let config = sandbox.path("config");
    assert!(!asked("GIT_CONFIG_GLOBAL", config.to_str().unwrap()).contains("BatchMode"));
}

#[test]
fn private_scratch_project() {
    let sandbox = projects();
    let git = real_git();
    let script =
        format!("stat -c %a \"$TMPDIR\"/repro-get-* >> \"$HOME/modes\"\nexec {git} \"$@\"");
    let path = shim(&sandbox, "git", &script);
    for folder in ["empty", "tmp"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
    }
    let mut command = sandbox.command(&["get", "../a", "notes"]);
    command.current_dir(sandbox.path("empty")).env("TMPDIR", sandbox.path("tmp"));
    let done = sandbox.finish(command.env("PATH", path));
    assert_eq!(done.code, 0, "{done}");
    assert!(sandbox.read("modes").lines().all(|mode| mode == "700"));
}

/// A web server without files, and the credentials that it was sent.
fn listening() -> (FileServer, Arc<Mutex<Vec<String>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sent);
    let server = FileServer::start(move |request, _| {
        let credentials = request.header("authorization").unwrap_or("none").to_owned();
        noted.lock().unwrap().push(credentials);
        Reply::status(404)
    });
    (server, sent)
}

#[test]
fn credentials_are_for_own_remotes() {
    let sandbox = projects();
    let (server, sent) = listening();
    for scheme in ["http", "webdav"] {
        let url = server.url("store").replacen("http", scheme, 1);
        let text = sandbox.read("a/pipeline.toml");
        let declared = text.lines().find(|line| line.starts_with("url = ")).unwrap();
        sandbox.edit("a/pipeline.toml", declared, &format!("url = '{url}'"));
        commit(&sandbox, "a");
        if sandbox.exists("a/cache") {
            sandbox.remove("a/cache");
        }
        let sent_with = |name: &str, value: &str| {
            let mut command = sandbox.command(&["-C", "b", "get", "../a", "data"]);
            let done = sandbox.finish(command.env(name, value));
            assert_ne!(done.code, 0, "{done}");
            assert!(!done.to_string().contains(SECRET), "{done}");
            let mut sent: Vec<String> = std::mem::take(&mut *sent.lock().unwrap());
            sent.dedup();
            sent
        };
        sandbox.write("b/pipeline.toml", "[stages.own]\ncmd = 'true'\n");
        assert_eq!(sent_with("REPRO_REMOTE_STORE_TOKEN", SECRET), ["none"]);
        // A remote of this project on the same server.
        let own = format!("[remotes.mine]\nurl = '{}'\n", url.replace("store", "mine"));
        sandbox.write("b/pipeline.toml", own + "[stages.own]\ncmd = 'true'\n");
        assert_eq!(sent_with("REPRO_REMOTE_STORE_TOKEN", SECRET), ["none"]);
        let bearer = format!("Bearer {SECRET}");
        assert_eq!(sent_with("REPRO_REMOTE_MINE_TOKEN", SECRET), [&*bearer]);
        // A line for the host.
        sandbox.write("netrc", "machine 127.0.0.1 login me password p\n");
        let netrc = sandbox.path("netrc");
        assert_eq!(sent_with("NETRC", netrc.to_str().unwrap()), ["Basic bWU6cA=="]);
    }
}
