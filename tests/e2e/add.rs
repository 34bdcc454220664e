//! `repro add`: the files it writes, later edits of a tracked input, and refused paths.

use crate::sandbox::Sandbox;
use crate::snapshot;

const PIPELINE: &str = r#"# Sums.
[params]
n = 1   # how many

[stages.sum]   # the only one
cmd = "cat data/raw/* > out/sum.txt; echo sum >> ran"
deps = ["data/raw"]
outs = ["out/sum.txt"]
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("data/raw/a", "1\n");
    sandbox.write("data/raw/b", "2\n");
    sandbox
}

#[test]
fn add_writes_stage_cache_and_gitignore() {
    let sandbox = sandbox();
    sandbox.git(&["init", "-q"]);
    sandbox.write(".gitignore", "/out\n");
    snapshot!(sandbox.repro(&["add", "data/raw"]), @"
    exit 0
    --- stdout
    `data/raw` is tracked as stage raw: 2 files, 4 B
    added `data/raw` to .gitignore
    ");
    assert_eq!(
        sandbox.read("pipeline.toml"),
        format!("{PIPELINE}\n[stages.raw]\nouts = [\"data/raw\"]\n")
    );
    snapshot!(sandbox.read(".gitignore"), @"
    /out

    # What `repro add` tracks: the cache keeps it.
    /data/raw
    ");
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.ok(&["status", "--check"]);
    // Nothing changed.
    let before = (sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock"));
    snapshot!(sandbox.repro(&["add", "data/raw"]), @"
    exit 0
    --- stdout
    `data/raw` is tracked as stage raw, and has not changed
    ");
    assert_eq!((sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock")), before);
    // After an edit, `add` updates the lock, and the stage that reads the input is out of date.
    sandbox.write("data/raw/a", "3\n");
    snapshot!(sandbox.repro(&["add", "data/raw/"]), @"
    exit 0
    --- stdout
    `data/raw` has changed and is tracked anew as stage raw: 2 files, 4 B
    ");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    sum is out of date: data/raw/a changed
    1 stage up to date
    ");
    sandbox.remove("data/raw");
    sandbox.ok(&["checkout"]);
    assert_eq!(sandbox.read("data/raw/a"), "3\n");
}

#[test]
fn add_names_stages() {
    let sandbox = sandbox();
    sandbox.write("data/sum.csv", "");
    sandbox.write("more/raw", "");
    sandbox.write("more/x y.txt", "");
    snapshot!(sandbox.repro(&["add", "data/raw", "more/raw", "more/x y.txt", "data/sum.csv"]), @"
    exit 0
    --- stdout
    `data/raw` is tracked as stage raw: 2 files, 4 B
    `data/sum.csv` is tracked as stage data-sum: 1 file, 0 B
    `more/raw` is tracked as stage more-raw: 1 file, 0 B
    `more/x y.txt` is tracked as stage x-y: 1 file, 0 B
    ");
    sandbox.write("z", "");
    snapshot!(sandbox.repro(&["add", "z", "--name", "last", "--desc", "The \"last\" one"]), @"
    exit 0
    --- stdout
    `z` is tracked as stage last: 1 file, 0 B
    ");
    let text = sandbox.read("pipeline.toml");
    snapshot!(text.strip_prefix(PIPELINE).unwrap().trim_start(), @r#"
    [stages.raw]
    outs = ["data/raw"]

    [stages.data-sum]
    outs = ["data/sum.csv"]

    [stages.more-raw]
    outs = ["more/raw"]

    [stages.x-y]
    outs = ["more/x y.txt"]

    [stages.last]
    desc = 'The "last" one'
    outs = ["z"]
    "#);
    // Outside a git repository, no .gitignore is written.
    assert!(!sandbox.exists(".gitignore"));
}

#[test]
fn add_path_relative_to_cwd() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&["add", "raw", "../data/raw/../raw"]);
    command.current_dir(sandbox.path("data"));
    snapshot!(sandbox.finish(&mut command), @"
    exit 0
    --- stdout
    `data/raw` is tracked as stage raw: 2 files, 4 B
    ");
}

#[test]
fn add_to_pipeline_without_stages() {
    let sandbox = Sandbox::with("[pipeline]\nname = 'x'");
    sandbox.write("in.txt", "1");
    sandbox.ok(&["add", "in.txt"]);
    assert_eq!(
        sandbox.read("pipeline.toml"),
        "[pipeline]\nname = 'x'\n\n[stages.in]\nouts = [\"in.txt\"]\n"
    );
}

#[test]
fn add_warns_of_path_in_git() {
    let sandbox = sandbox();
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "data"]);
    snapshot!(sandbox.repro(&["add", "data/raw"]), @"
    exit 0
    --- stdout
    `data/raw` is tracked as stage raw: 2 files, 4 B
    added `data/raw` to .gitignore
    --- stderr
    warning: git keeps `data/raw`, too: `git rm -r --cached data/raw` leaves it to the cache
    ");
    // A broader pattern that the user already has is enough.
    sandbox.write("big/x", "");
    sandbox.write(".gitignore", "big/\n");
    snapshot!(sandbox.repro(&["add", "big"]), @"
    exit 0
    --- stdout
    `big` is tracked as stage big: 1 file, 0 B
    ");
    assert_eq!(sandbox.read(".gitignore"), "big/\n");
}

#[test]
fn add_refuses_invalid_inputs() {
    let sandbox = sandbox();
    sandbox.ok(&["add", "data/raw"]);
    sandbox.ok(&["run"]);
    std::os::unix::fs::symlink("nowhere", sandbox.path("broken")).unwrap();
    std::os::unix::net::UnixListener::bind(sandbox.path("socket")).unwrap();
    sandbox.write("{{ x }}", "");
    let before = sandbox.read("pipeline.toml");
    let refused = |args: &[&str]| {
        let done = sandbox.repro(&[&["add"], args].concat());
        assert_eq!(done.code, 2, "{done}");
        assert_eq!(sandbox.read("pipeline.toml"), before);
        done.stderr
    };
    let all = [
        &["out/sum.txt"][..],
        &["out"],
        &["data"],
        &["data/raw/a"],
        &["cache/index"],
        &["pipeline.toml"],
        &["."],
        &["/etc/hostname"],
        &["absent"],
        &["broken"],
        &["socket"],
        &["{{ x }}"],
        &["data/raw", "--name", "other"],
        &["ran", "--name", "sum"],
        &["ran", "data/raw", "--name", "x"],
        &["ran", "--name", "a@b"],
    ]
    .map(refused);
    snapshot!(all.concat(), @"
    error: `out/sum.txt` is an out of stage `sum`, which makes it
     hint: there is nothing to add: `repro run` keeps it
    error: `out` holds `out/sum.txt`, which stage `sum` makes
     hint: add what lies beside that, path by path
    error: `data` holds `data/raw`, which stage `raw` tracks
     hint: add what lies beside that, path by path
    error: `data/raw/a` lies in `data/raw`, which stage `raw` tracks
     hint: `repro add data/raw` takes up what changed in it
    error: `cache/index` belongs to `repro` or git and is no input
     hint: move what is yours out of there, and add it at its new place
    error: `pipeline.toml` belongs to `repro` or git and is no input
     hint: move what is yours out of there, and add it at its new place
    error: `.` is the project itself
     hint: name something in it
    error: `/etc/hostname` is not inside the project, `$ROOT`
     hint: move or copy it into the project, or make a link to it there
    error: there is no `absent`
     hint: paths count from the folder that you are in
    error: `broken` is a link to `nowhere`, where nothing is
     hint: make what it leads to, or remove it
    error: `$ROOT/socket` is neither a file nor a directory
     hint: sockets, pipes and devices have no content to depend on; move it out of there
    error: `{{ x }}` has braces in its name that would be a template
     hint: rename it
    error: `data/raw` is tracked already, by stage `raw`
     hint: change its name or `desc` in pipeline.toml
    error: there is a stage `sum` already
     hint: give it another --name
    error: `--name` and `--desc` are of one path, and there are several
     hint: add them one by one
    error: invalid value 'a@b' for '--name <NAME>': cannot name a stage: use letters, digits, `_`, `-`, `.`

    For more information, try '--help'.
    ");
}

#[test]
fn add_refuses_inline_stages_table() {
    let sandbox = Sandbox::with("stages = { a = { cmd = 'true' } }\n");
    sandbox.write("in.txt", "1");
    snapshot!(sandbox.repro(&["add", "in.txt"]), @"
    exit 2
    --- stderr
    error: a stage cannot be put at the end of pipeline.toml
     caused by: pipeline.toml:3: cannot extend value of type inline table with a dotted key
     hint: write it there by hand: `outs` and nothing else
    ");
}
