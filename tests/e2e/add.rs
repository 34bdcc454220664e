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
fn add_writes_stage_and_gitignore() {
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

    # >>> kept in the cache, added by `repro` >>>
    /data/raw
    # <<< repro <<<
    ");
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.ok(&["status", "--check"]);
    // Nothing changed.
    let before = (sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock"));
    snapshot!(sandbox.repro(&["add", "data/raw"]), @"
    exit 0
    --- stdout
    `data/raw` is already tracked as stage raw and has not changed
    ");
    assert_eq!((sandbox.read("pipeline.toml"), sandbox.read("pipeline.lock")), before);
    // After an edit, `add` updates the lock, and the stage that reads the input is out of date.
    sandbox.write("data/raw/a", "3\n");
    snapshot!(sandbox.repro(&["add", "data/raw/"]), @"
    exit 0
    --- stdout
    `data/raw` changed and was stored again as stage raw: 2 files, 4 B
    ");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 0
    --- stdout
    sum is out of date: file data/raw/a changed
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
fn add_warns_of_git_path() {
    let sandbox = sandbox();
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "data"]);
    snapshot!(sandbox.repro(&["add", "data/raw"]), @"
    exit 0
    --- stdout
    `data/raw` is tracked as stage raw: 2 files, 4 B
    added `data/raw` to .gitignore
    --- stderr
    warning: git tracks `data/raw` too: `git rm -r --cached data/raw` leaves it to the cache
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
    error: `out/sum.txt` is an out of stage `sum`
     hint: there is nothing to add; `repro run` stores it
    error: `out` contains `out/sum.txt`, which stage `sum` writes
     hint: add the other paths in it one by one
    error: `data` contains `data/raw`, which stage `raw` tracks
     hint: add the other paths in it one by one
    error: `data/raw/a` is inside `data/raw`, which stage `raw` tracks
     hint: `repro add data/raw` records what changed in it
    error: `cache/index` belongs to `repro` or git and cannot be an input
     hint: move your files out of there and add them at their new place
    error: `pipeline.toml` belongs to `repro` or git and cannot be an input
     hint: move your files out of there and add them at their new place
    error: `.` is the project directory itself
     hint: name a path inside it
    error: `/etc/hostname` is not inside the project, `$ROOT`
     hint: move or copy it into the project, or create a link to it there
    error: `absent` does not exist
     hint: paths are relative to the current directory
    error: `broken` is a link to `nowhere`, which does not exist
     hint: create the target, or remove the link
    error: `$ROOT/socket` is neither a file nor a directory
     hint: move it out of the directory: sockets, pipes and devices have no content
    error: `{{ x }}` contains braces that would be read as a template
     hint: rename the path
    error: `data/raw` is already tracked by stage `raw`
     hint: change the name or `desc` of the stage in pipeline.toml
    error: stage `sum` already exists
     hint: choose another name with --name
    error: `--name` and `--desc` need exactly one path
     hint: add the paths one by one
    error: invalid value 'a@b' for '--name <NAME>': stage names consist of letters, digits, `_`, `-` and `.`

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
    error: cannot append a stage to pipeline.toml
     caused by: pipeline.toml:3: cannot extend value of type inline table with a dotted key
     hint: write the stage by hand: a table with `outs` alone
    ");
}
