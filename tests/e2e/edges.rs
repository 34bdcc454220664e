//! Edges that follow real paths and declared outs: a stage waits for the stage that writes what it
//! reads, by whatever name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;
use crate::snapshot;

/// Returns a project in which `make` copies `in` to `out/v.csv`, and `use` reads `dep`.
fn project(dep: &str) -> Sandbox {
    let sandbox = Sandbox::with(&format!(
        "[stages.use]\ncmd = 'cat {dep} > res'\ndeps = ['{dep}']\nouts = ['res']\n\
         [stages.make]\ncmd = 'cat in > out/v.csv'\ndeps = ['in']\nouts = ['out/v.csv']\n"
    ));
    sandbox.write("in", "1\n");
    sandbox.write("inputs/other", "");
    sandbox
}

/// Runs after each of two edits, and requires that `use` reads what `make` wrote.
fn check(sandbox: &Sandbox) {
    for text in ["1\n", "2\n"] {
        sandbox.write("in", text);
        sandbox.ok(&["run", "-j", "2"]);
        assert_eq!(sandbox.read("res"), text);
        sandbox.ok(&["status", "--check"]);
    }
    sandbox.write("in", "1\n");
    sandbox.ok(&["run", "use"]);
    assert_eq!(sandbox.read("res"), "1\n");
}

/// Requires that `status` predicts what a run would restore, for `use` as well as for `make`.
fn check_prediction(sandbox: &Sandbox) {
    sandbox.write("in", "2\n");
    let status = sandbox.ok(&["status"]);
    assert_eq!(status.stdout.matches("can be restored").count(), 2, "{status}");
}

#[test]
fn glob_into_dotted_dir() {
    for (out, glob) in [
        ("out.parquet", "out.parquet/*.txt"),
        ("models/lr0.1", "models/*/*.txt"),
        ("models/lr0.1", "models/**/*.txt"),
        ("out.parquet", "*.parquet/*.txt"),
    ] {
        let sandbox = Sandbox::with(&format!(
            "[stages.use]\ncmd = 'cat {glob} > res'\ndeps = ['{glob}']\nouts = ['res']\n\
             [stages.make]\ncmd = 'mkdir {out}; cp in {out}/v.txt'\ndeps = ['in']\n\
             outs = ['{out}']\n"
        ));
        check(&sandbox);
    }
}

#[test]
fn existing_folder_with_extension() {
    let sandbox = Sandbox::with(
        "[stages.use]\ncmd = 'cat */v > res'\ndeps = ['**/v']\nouts = ['res']\n\
         [stages.make]\ncmd = 'mkdir made.d; cp in made.d/v'\ndeps = ['in']\nouts = ['made.d']\n",
    );
    sandbox.write("in", "1\n");
    sandbox.ok(&["run", "make"]);
    check(&sandbox);
}

#[test]
fn dep_is_link_to_out() {
    let sandbox = project("inputs/now.csv");
    symlink("../out/v.csv", sandbox.path("inputs/now.csv")).unwrap();
    check(&sandbox);
    check_prediction(&sandbox);
}

#[test]
fn dep_below_linked_folder() {
    for (dep, link, target) in [
        ("old/v.csv", "old", "out"),
        ("old", "old", "out"),
        ("old/*.csv", "old", "out"),
        ("old/deep/v.csv", "old", "dir"),
    ] {
        let sandbox = project(dep);
        symlink(target, sandbox.path(link)).unwrap();
        fs::create_dir(sandbox.path("dir")).unwrap();
        symlink(sandbox.path("out"), sandbox.path("dir/deep")).unwrap();
        sandbox.edit("pipeline.toml", &format!("cat {dep} "), "cat out/v.csv ");
        check(&sandbox);
        check_prediction(&sandbox);
    }
}

#[test]
fn out_below_linked_folder() {
    let sandbox = project("out/v.csv");
    sandbox.edit("pipeline.toml", "outs = ['out/v.csv']", "outs = ['old/v.csv']");
    fs::create_dir(sandbox.path("out")).unwrap();
    symlink("out", sandbox.path("old")).unwrap();
    check(&sandbox);
    check_prediction(&sandbox);
    sandbox.edit(
        "pipeline.toml",
        "[stages.make]",
        "[stages.twice]\ncmd = 'true'\nouts = ['out/v.csv']\n[stages.make]",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:11: out `old/v.csv` (by a link, `out/v.csv`) of stage `make` is also an out of stage `twice`
     hint: an out belongs to one stage; stage `twice` is declared on line 5
    ");
}

#[test]
fn new_link_adds_edge() {
    let sandbox = project("inputs/now.csv");
    sandbox.write("inputs/now.csv", "1\n");
    sandbox.ok(&["run"]);
    sandbox.remove("inputs/now.csv");
    symlink("../out/v.csv", sandbox.path("inputs/now.csv")).unwrap();
    check(&sandbox);
    // Away from the out, and to it by way of a folder.
    sandbox.remove("inputs/now.csv");
    sandbox.write("mine", "3\n");
    symlink("../mine", sandbox.path("inputs/now.csv")).unwrap();
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("res"), "3\n");
    sandbox.remove("inputs");
    fs::create_dir(sandbox.path("real")).unwrap();
    symlink("../out/v.csv", sandbox.path("real/now.csv")).unwrap();
    symlink("real", sandbox.path("inputs")).unwrap();
    check(&sandbox);
}

#[test]
fn link_to_out_inside_dep() {
    for dep in ["inputs", "inputs/*.csv", "**/now.csv"] {
        let sandbox = project(dep);
        sandbox.edit("pipeline.toml", &format!("cat {dep} "), "cat inputs/now.csv ");
        symlink("../out/v.csv", sandbox.path("inputs/now.csv")).unwrap();
        let done = sandbox.repro(&["run"]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains("contains `inputs/now.csv`, a link to `out/v.csv`"), "{done}");
        sandbox.ok(&["run", "make"]);
        assert_eq!(sandbox.repro(&["status"]).code, 2);
        assert_eq!(sandbox.repro(&["run"]).code, 2);
        sandbox.edit("pipeline.toml", &format!("['{dep}']"), &format!("['{dep}', 'out/v.csv']"));
        check(&sandbox);
    }
}

#[test]
fn tracked_input_links_to_out() {
    let sandbox = project("input.csv");
    symlink("out/v.csv", sandbox.path("input.csv")).unwrap();
    sandbox.edit(
        "pipeline.toml",
        "[stages.make]",
        "[stages.raw]\nouts = ['input.csv']\n[stages.make]",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:6: input `input.csv` tracked by stage `raw` is a link to `out/v.csv`, an out of stage `make`
     hint: remove stage `raw`, and use the out as a dep
    ");
}

#[test]
fn brackets_name_an_out() {
    let sandbox = Sandbox::with(
        "[stages.use]\ncmd = \"cat 'v[1].txt' > res\"\ndeps = ['v[1].txt']\nouts = ['res']\n\
         [stages.make]\ncmd = \"cat in > 'v[1].txt'\"\ndeps = ['in']\nouts = ['v[1].txt']\n",
    );
    check(&sandbox);
    sandbox.edit("pipeline.toml", "deps = ['v[1].txt']", "deps = ['v[1].txt/*.csv']");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:3: dep `v[1].txt/*.csv` of stage `use` is a glob, which does not lead into the out `v[1].txt`
     hint: write `v[[]1].txt/*.csv`
    ");
}

#[test]
fn odd_names_in_root_glob() {
    for name in [&b"b\tx.csv"[..], b"b\xff.csv"] {
        let sandbox = Sandbox::with(
            "[stages.a]\ncmd = 'cat *.csv > all'\ndeps = ['*.csv']\nouts = ['all']\n",
        );
        sandbox.write("a.csv", "1\n");
        fs::write(sandbox.root().join(OsStr::from_bytes(b"c\xff.txt")), "").unwrap();
        sandbox.ok(&["run"]);
        fs::write(sandbox.root().join(OsStr::from_bytes(name)), "").unwrap();
        assert_eq!(sandbox.repro(&["status"]).code, 2);
        assert_eq!(sandbox.repro(&["run"]).code, 2);
    }
}

/// Each link is compared with the outs around it, not with all outs of all stages.
#[test]
fn many_links_to_outs() {
    let (stages, links) = (100, 5000);
    let mut pipeline = String::new();
    for number in 0..stages {
        pipeline += &format!("[stages.s{number}]\ncmd = 'mkdir d{number}'\nouts = ['d{number}']\n");
    }
    let deps: Vec<String> = (0..stages).map(|number| format!("'d{number}'")).collect();
    pipeline += &format!(
        "[stages.use]\ncmd = 'ls in > o'\ndeps = ['in', {}]\nouts = ['o']\n",
        deps.join(", ")
    );
    let sandbox = Sandbox::with(&pipeline);
    fs::create_dir(sandbox.path("in")).unwrap();
    for number in 0..links {
        let target = format!("../d{}", number % stages);
        symlink(target, sandbox.path(&format!("in/{number}"))).unwrap();
    }
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
}
