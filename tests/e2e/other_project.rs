//! `repro get` and `repro import` of what another project has, from its git repository.

use crate::file_server::{FileServer, Reply};
use crate::sandbox::{Done, Sandbox};
use crate::share::{commit, ok, repro};
use crate::snapshot;

const PIPELINE: &str = "\
[remotes.store]
url = '../store'

[params]
v = 1

[stages.make]
cmd = 'mkdir -p data/sub; for i in 1 2; do echo $i {{ params.v }} > data/$i; done; \
       echo sub > data/sub/x; printf run > data/tool; chmod +x data/tool'
outs = ['data']

[stages.model]
cmd = 'cat data/1 > model.bin; echo {{ params.v }} > score.json'
deps = ['data']
outs = ['model.bin']
metrics = [{ path = 'score.json', cache = false }]
";

const OWN: &str = "[stages.own]\ncmd = 'true'\n";

/// Returns the project `a` in a git repository, pushed to the remote `store`, with tag `v1`, and an
/// empty project `b`.
pub fn projects() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("a/pipeline.toml", PIPELINE);
    sandbox.write("a/.gitignore", "/data\n/model.bin\n/cache\n/runs\n");
    sandbox.write("a/notes/read me.txt", "notes\n");
    sandbox.write("a/notes/deep/er.txt", "deeper\n");
    sandbox.git(&["init", "-q", "a"]);
    sandbox.git(&["-C", "a", "config", "uploadpack.allowFilter", "true"]);
    ok(&sandbox, "a", &["run"]);
    ok(&sandbox, "a", &["push"]);
    commit(&sandbox, "a");
    sandbox.git(&["-C", "a", "tag", "-a", "-m", "v1", "v1"]);
    sandbox.write("b/pipeline.toml", OWN);
    sandbox
}

/// Runs and commits a second version of `a`, and pushes its outs.
pub fn second_version(sandbox: &Sandbox) {
    sandbox.edit("a/pipeline.toml", "v = 1", "v = 2");
    ok(sandbox, "a", &["run"]);
    ok(sandbox, "a", &["push"]);
    commit(sandbox, "a");
}

/// Replaces the beginnings of the ids of commits of `a`.
pub fn without_commits(sandbox: &Sandbox, done: &Done) -> String {
    let mut text = done.to_string();
    for (name, shown) in [("main", "MAIN"), ("v1^{commit}", "V1")] {
        let id = head(sandbox, name);
        text = text.replace(&id, shown).replace(&id[..10], shown);
    }
    text
}

pub fn head(sandbox: &Sandbox, name: &str) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["-C", "a", "rev-parse", name]).current_dir(sandbox.root());
    let done = sandbox.finish(&mut git);
    assert_eq!(done.code, 0, "{done}");
    done.stdout.trim_end().to_owned()
}

pub fn file_url(sandbox: &Sandbox) -> String {
    format!("file://{}", sandbox.path("a").display())
}

#[test]
fn get_by_path_and_url() {
    let sandbox = projects();
    second_version(&sandbox);
    let url = file_url(&sandbox);
    let get = |args: &[&str]| repro(&sandbox, "b", &[&["get"], args].concat());
    let shown = |args: &[&str]| without_commits(&sandbox, &get(args));
    snapshot!(shown(&["../a", "model.bin"]), @"
    exit 0
    --- stdout
    wrote b/model.bin (model.bin of ../a at MAIN): 1 file, 4 B
    ");
    snapshot!(shown(&[&url, "data", "--rev", "v1", "-o", "old"]), @"
    exit 0
    --- stdout
    wrote b/old (data of file://$ROOT/a at V1): 4 files, 15 B
    ");
    assert_eq!([sandbox.read("b/model.bin"), sandbox.read("b/old/2")], ["1 2\n", "2 1\n"]);
    assert_eq!(sandbox.read("b/old/sub/x"), "sub\n");
    snapshot!(shown(&[&url, "data/sub/x", "-o", "-"]), @"
    exit 0
    --- stdout
    sub
    ");
    // In git: a metric, a file and a folder.
    snapshot!(shown(&[&url, "score.json", "-o", "-", "--rev", "main~1"]), @"
    exit 0
    --- stdout
    1
    ");
    snapshot!(shown(&[&url, "notes/read me.txt", "-o", "-"]), @"
    exit 0
    --- stdout
    notes
    ");
    snapshot!(shown(&["../a", "notes"]), @"
    exit 0
    --- stdout
    wrote b/notes (notes of ../a at MAIN): 2 files, 13 B
    ");
    assert_eq!(sandbox.read("b/notes/deep/er.txt"), "deeper\n");
    snapshot!(shown(&[&url, "data/tool", "--json", "--rev", &head(&sandbox, "main")[..7]]), @r#"
    exit 0
    --- stdout
    {
     "commit": "MAIN",
     "digest": "a7fceeda275f1d74d7dd05d0139905d286f7fe37b73b0ff295e35c83b36d8c42",
     "kind": "exec",
     "path": "data/tool",
     "repo": "file://$ROOT/a",
     "stage": "make",
     "to": "b/tool",
     "written": {
     "bytes": 3,
     "count": 1
     }
    }
    "#);
    // Errors.
    snapshot!(shown(&[&url, "modle.bin"]), @"
    exit 2
    --- stderr
    error: `file://$ROOT/a` at MAIN has neither an out nor a file `modle.bin`
     hint: did you mean `model.bin`?
    ");
    snapshot!(shown(&[&url, "data/3"]), @"
    exit 2
    --- stderr
    error: `data` of `file://$ROOT/a` at MAIN has no `3`
    ");
    snapshot!(shown(&[&url, "data/1/x"]), @"
    exit 2
    --- stderr
    error: `data/1` of `file://$ROOT/a` at MAIN is not a folder
    ");
    snapshot!(shown(&[&url, "data", "--rev", "v7"]), @"
    exit 2
    --- stderr
    error: `file://$ROOT/a` has no revision `v7`
     hint: `git ls-remote file://$ROOT/a` lists its branches and tags
    ");
    snapshot!(shown(&["../store", "data"]), @"
    exit 2
    --- stderr
    error: `../store` is not a git repository
     caused by: not a git repository (or any of the parent directories): .git
     hint: name the URL or the folder of a git repository
    ");
    snapshot!(shown(&["../nothing", "data"]), @"
    exit 2
    --- stderr
    error: `../nothing` is not a git repository
     caused by: cannot change to '$ROOT/b/../nothing': No such file or directory
     hint: name the URL or the folder of a git repository
    ");
    snapshot!(shown(&["ext::sh -c id", "data"]), @"
    exit 2
    --- stderr
    error: `ext::sh -c id` names a helper of git
     hint: `https://example.org/project.git` and `../project` are examples
    ");
    snapshot!(shown(&["https://me:secret@example.org/a.git", "data"]), @"
    exit 2
    --- stderr
    error: `example.org/a.git` contains a password, which git would keep
     hint: leave it out: git asks its credential helper
    ");
    snapshot!(shown(&[&url]), @"
    exit 2
    --- stderr
    error: `file://$ROOT/a` has no path
     hint: `repro get REPOSITORY PATH` copies an out of another project
    ");
}

#[test]
fn get_outside_of_a_project() {
    let sandbox = projects();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    std::fs::create_dir(sandbox.path("tmp")).unwrap();
    let mut command = sandbox.command(&["get", "../a", "data"]);
    command.current_dir(sandbox.path("empty")).env("TMPDIR", sandbox.path("tmp"));
    snapshot!(without_commits(&sandbox, &sandbox.finish(&mut command)), @"
    exit 0
    --- stdout
    wrote data (data of ../a at MAIN): 4 files, 15 B
    ");
    assert_eq!(sandbox.read("empty/data/2"), "2 1\n");
    assert_eq!(std::fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
}

#[test]
fn objects_come_from_any_store() {
    let sandbox = projects();
    let url = file_url(&sandbox);
    let get = |out: &str| repro(&sandbox, "b", &["get", &url, "data", "-o", out]);
    // Without the remote, from the cache of the project on this machine.
    std::fs::rename(sandbox.path("store"), sandbox.path("elsewhere")).unwrap();
    assert_eq!(get("1").code, 0);
    sandbox.remove("b/cache");
    sandbox.remove("a/cache");
    snapshot!(without_commits(&sandbox, &get("2")), @"
    exit 3
    --- stderr
    error: nobody has all of `data`, an out of stage `make` of `file://$ROOT/a` at MAIN
     caused by: remote `store` lacks it
     hint: `repro push` in that project sends it to a remote
    ");
    // A clone without its project around it.
    sandbox.git(&["clone", "-q", "--bare", "a", "bare"]);
    std::fs::rename(sandbox.path("elsewhere"), sandbox.path("store")).unwrap();
    assert_eq!(repro(&sandbox, "b", &["get", "../bare", "data", "-o", "3"]).code, 0);
    // A damaged object in a cache does not arrive.
    ok(&sandbox, "a", &["pull"]);
    for path in crate::sandbox::files(&sandbox.path("a/cache/objects")) {
        let path = sandbox.path(&format!("a/cache/objects/{path}"));
        let mut mode = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o644);
        std::fs::set_permissions(&path, mode).unwrap();
        std::fs::write(path, "damaged").unwrap();
    }
    sandbox.remove("b/cache");
    assert_eq!(get("4").code, 0);
    assert_eq!(sandbox.read("b/4/2"), "2 1\n");
}

#[test]
fn get_from_a_web_server() {
    let sandbox = projects();
    sandbox.git(&["-C", "a", "update-server-info"]);
    let root = sandbox.path("a/.git");
    let server = FileServer::start(move |request, _| {
        let path = request.path.split('?').next().unwrap().trim_start_matches('/');
        match std::fs::read(root.join(path)) {
            Ok(body) => Reply { body, ..Reply::status(200) },
            Err(_) => Reply::status(404),
        }
    });
    let args = ["-C", "b", "get", &server.url(""), "model.bin"];
    let shown = |done: &Done| server.masked(&without_commits(&sandbox, done));
    snapshot!(shown(&sandbox.repro(&args)), @"
    exit 3
    --- stderr
    error: nobody has all of `model.bin`, an out of stage `model` of `http://SERVER/` at MAIN
     caused by: remote `store` of `http://SERVER/` at MAIN is the folder `../store`, relative to that project
     hint: set REPRO_REMOTE_STORE_URL to the place of the remote
    ");
    let place = sandbox.path("store");
    let done = sandbox.finish(sandbox.command(&args).env("REPRO_REMOTE_STORE_URL", place));
    snapshot!(shown(&done), @"
    exit 0
    --- stdout
    wrote b/model.bin (model.bin of http://SERVER/ at MAIN): 1 file, 4 B
    ");
}

#[test]
fn import_pins_a_commit() {
    let sandbox = projects();
    let imported = repro(&sandbox, "b", &["import", "../a", "data", "-o", "raw"]);
    snapshot!(without_commits(&sandbox, &imported), @"
    exit 0
    --- stdout
    `raw` is tracked as stage raw: 4 files, 15 B
    --- stderr
    run-1: started
    raw: started (never ran)
    raw: ran in [time]
    ");
    snapshot!(sandbox.read("b/pipeline.toml"), @r#"
    [stages.own]
    cmd = 'true'

    [stages.raw]
    import = { repo = "../a", path = "data" }
    outs = ["raw"]
    "#);
    let lock = sandbox.read("b/pipeline.lock").replace(&head(&sandbox, "main"), "MAIN");
    snapshot!(lock.lines().filter(|line| !line.starts_with("sum")).collect::<Vec<_>>().join("\n"), @r#"
    repro.lock 1

    stage raw
    from {"repo":"../a","path":"data"}
    out tree dd796d7cc7be62889d2826928105e55f19d16f7e561bde339be360b3a0593e68 raw
    version {"commit":"MAIN"}
    "#);
    assert_eq!(sandbox.read("b/raw/1"), "1 1\n");
    second_version(&sandbox);
    // The lock pins the commit.
    sandbox.remove("b/raw");
    sandbox.remove("b/cache");
    ok(&sandbox, "b", &["run"]);
    assert_eq!(sandbox.read("b/raw/1"), "1 1\n");
    snapshot!(without_commits(&sandbox, &repro(&sandbox, "b", &["update", "--check"])), @"
    exit 4
    --- stdout
    raw has changed at data of ../a (V1 → MAIN)
    ");
    snapshot!(without_commits(&sandbox, &repro(&sandbox, "b", &["update"])), @"
    exit 0
    --- stdout
    raw was updated from data of ../a: 4 files, 15 B (before: 4 files, 15 B)
     file raw/1 changed
     file raw/2 changed
    --- stderr
    run-3: started
    raw: started (forced)
    raw: ran in [time]
    ");
    assert_eq!(sandbox.read("b/raw/1"), "1 2\n");
    snapshot!(repro(&sandbox, "b", &["update"]), @"
    exit 0
    --- stdout
    raw is up to date with data of ../a
    ");
    let moved = repro(&sandbox, "b", &["update", "raw", "--rev", "v1"]);
    snapshot!(without_commits(&sandbox, &moved), @"
    exit 0
    --- stdout
    raw was updated from data of ../a at v1: 4 files, 15 B (before: 4 files, 15 B)
     file raw/1 changed
     file raw/2 changed
    --- stderr
    run-4: started
    raw: started (forced)
    raw: ran in [time]
    ");
    assert_eq!(sandbox.read("b/raw/1"), "1 1\n");
    assert!(sandbox.read("b/pipeline.toml").contains("rev = \"v1\""));
    // Nothing but a run and an update needs the repository.
    std::fs::rename(sandbox.path("a"), sandbox.path("gone")).unwrap();
    snapshot!(repro(&sandbox, "b", &["status"]), @"
    exit 0
    --- stdout
    everything is up to date (2 stages)
    ");
    sandbox.remove("b/raw");
    ok(&sandbox, "b", &["run"]);
    assert_eq!(sandbox.read("b/raw/1"), "1 1\n");
    sandbox.remove("b/cache");
    let toml = sandbox.read("b/pipeline.toml");
    snapshot!(repro(&sandbox, "b", &["update", "--rev", "v2", "raw"]), @"
    exit 2
    --- stderr
    run-6: started
    raw: started (forced)
    raw: failed: could not be downloaded
    error: stage `raw` failed: could not be downloaded
     caused by: `../a` is not a git repository
     caused by: cannot change to '$ROOT/b/../a': No such file or directory
     hint: name the URL or the folder of a git repository
    ");
    assert_eq!(sandbox.read("b/pipeline.toml"), toml);
}

#[test]
fn import_of_git_files() {
    let sandbox = projects();
    let url = file_url(&sandbox);
    ok(&sandbox, "b", &["import", &url, "notes", "--rev", "main", "--name", "texts"]);
    ok(&sandbox, "b", &["import", &url, "score.json", "-o", "their/"]);
    assert_eq!(sandbox.read("b/notes/read me.txt"), "notes\n");
    assert_eq!(sandbox.read("b/their/score.json"), "1\n");
    // The repository changes elsewhere: the pin moves, the content stays.
    second_version(&sandbox);
    snapshot!(without_commits(&sandbox, &repro(&sandbox, "b", &["update", "texts"])), @"
    exit 0
    --- stdout
    texts has the same content as before
    --- stderr
    run-3: started
    texts: started (forced)
    texts: ran in [time]
    ");
    assert!(sandbox.read("b/pipeline.lock").contains(&head(&sandbox, "main")));
    ok(&sandbox, "b", &["status", "--check", "texts"]);
    // Only the named files have arrived.
    let files = sandbox.path("b/cache/repositories");
    let copies = std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path());
    let copies: Vec<_> = copies.filter(|path| path.is_dir()).collect();
    assert_eq!(copies.len(), 1);
    for (path, code) in [("score.json", 0), (".gitignore", 1)] {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(&copies[0]).args([
            "cat-file",
            "-e",
            &head(&sandbox, &format!("v1:{path}")),
        ]);
        let done = sandbox.finish(git.env("GIT_NO_LAZY_FETCH", "1"));
        assert_eq!(done.code, code, "{path}: {done}");
    }
    ok(&sandbox, "b", &["gc", "--yes"]);
    assert!(!files.exists());
    sandbox.remove("b/notes");
    sandbox.remove("b/cache");
    ok(&sandbox, "b", &["run"]);
    assert_eq!(sandbox.read("b/notes/deep/er.txt"), "deeper\n");
}

#[test]
fn refused_imports() {
    let sandbox = projects();
    let import = |args: &[&str]| {
        without_commits(&sandbox, &repro(&sandbox, "b", &[&["import"], args].concat()))
    };
    snapshot!(import(&["../a", "modle.bin"]), @"
    exit 2
    --- stderr
    run-1: started
    modle: started (never ran)
    modle: failed: could not be downloaded
    error: stage `modle` failed: could not be downloaded
     caused by: `../a` at MAIN has neither an out nor a file `modle.bin`
     hint: did you mean `model.bin`?
    ");
    assert_eq!(sandbox.read("b/pipeline.toml"), OWN);
    snapshot!(import(&["mlflow", "data"]), @"
    exit 2
    --- stderr
    error: `data` does not exist
    ");
    snapshot!(import(&["./mlflow", "data"]), @"
    exit 2
    --- stderr
    run-2: started
    data: started (never ran)
    data: failed: could not be downloaded
    error: stage `data` failed: could not be downloaded
     caused by: `mlflow` is not a git repository
     caused by: cannot change to '$ROOT/b/mlflow': No such file or directory
     hint: name the URL or the folder of a git repository
    ");
    snapshot!(import(&["../a"]), @"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
     <PATH>

    Usage: repro import <REPOSITORY> <PATH>

    For more information, try '--help'.
    ");
    let mut shown = String::new();
    for (import, outs) in [
        ("{ repo = 'x' }", "['a']"),
        ("{ repo = '-x', path = 'x' }", "['a']"),
        ("{ repo = 'x', path = '../x', rev = '-v' }", "['a']"),
        ("{ repo = 'x', path = 'x', rew = 'v' }", "['a', 'b']"),
        ("'x'", "['a']"),
    ] {
        let text = format!("[stages.a]\nimport = {import}\nouts = {outs}\ncmd = 'x'\n");
        sandbox.write("b/pipeline.toml", text);
        shown.push_str(&format!("{}\n", repro(&sandbox, "b", &["status"]).stderr));
    }
    snapshot!(shown, @r#"
    error: pipeline.toml:2: `import` of stage `a` has no `path`
     hint: import = { repo = "https://…", path = "data/x", rev = "v1" }
    error: pipeline.toml:4: stage `a` has `import` and `cmd`
     hint: a stage that downloads can only have import, outs, desc, frozen; read its outs in another stage

    error: pipeline.toml:2: `repo` in `import` of stage `a` begins with a dash
     hint: write `./` before the name of a folder
    error: pipeline.toml:4: stage `a` has `import` and `cmd`
     hint: a stage that downloads can only have import, outs, desc, frozen; read its outs in another stage

    error: pipeline.toml:2: `path` in `import` of stage `a` leaves the project root
    error: pipeline.toml:2: `rev` in `import` of stage `a` is not a git revision
     hint: write a branch, a tag or a commit
    error: pipeline.toml:4: stage `a` has `import` and `cmd`
     hint: a stage that downloads can only have import, outs, desc, frozen; read its outs in another stage

    error: pipeline.toml:2: stage `a` has `import` and 2 outs, not one
     hint: write outs = ["PATH"]: the file or the folder
    error: pipeline.toml:2: unknown key `rew` in `import` of stage `a`
     hint: did you mean `rev`?
    error: pipeline.toml:4: stage `a` has `import` and `cmd`
     hint: a stage that downloads can only have import, outs, desc, frozen; read its outs in another stage

    error: pipeline.toml:2: `import` of stage `a` must be a table, not a string
    error: pipeline.toml:4: stage `a` has `import` and `cmd`
     hint: a stage that downloads can only have import, outs, desc, frozen; read its outs in another stage
    "#);
}
