//! `repro get`: outs of old runs and git revisions, copied to any place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// Two runs: `n` is 1 and 2. In the second, stage `same` is up to date.
fn two_runs() -> Sandbox {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n\
         [stages.model]\n\
         cmd = 'mkdir -p m/sub; echo {{ params.n }} > m/sub/w; printf x{{ params.n }} > m/run.sh; \
         chmod +x m/run.sh; ln -s nowhere m/link; echo {{ params.n }} > plot.svg'\n\
         outs = ['m', 'plot.svg']\n\
         [stages.same]\ncmd = 'echo same > same.txt'\nouts = ['same.txt']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "n=2"]);
    sandbox
}

#[test]
fn out_of_old_run() {
    let sandbox = two_runs();
    fs::create_dir(sandbox.path("to")).unwrap();
    snapshot!(sandbox.repro(&["get", "run-1:plot.svg", "-o", "to"]), @"
    exit 0
    --- stdout
    wrote to/plot.svg (plot.svg of run-1): 1 file, 2 B
    ");
    assert_eq!(sandbox.read("to/plot.svg"), "1\n");
    // A stage that was up to date belongs to the run as well.
    sandbox.ok(&["get", "last:same.txt", "-o", "to/"]);
    sandbox.ok(&["get", "2:plot.svg", "-o", "to/two.svg"]);
    assert_eq!([sandbox.read("to/same.txt"), sandbox.read("to/two.svg")], ["same\n", "2\n"]);
    snapshot!(sandbox.repro(&["get", "run-1:m/sub/w", "-o", "-"]), @"
    exit 0
    --- stdout
    1
    ");
    // Without `-o`, the name in the current directory.
    let here = sandbox.path("to");
    let done = sandbox.finish(sandbox.command(&["get", "run-1:m/sub"]).current_dir(&here));
    assert_eq!(done.code, 0, "{done}");
    let done = sandbox.finish(sandbox.command(&["get", "1:../m/sub/w"]).current_dir(&here));
    assert_eq!(done.code, 0, "{done}");
    assert_eq!([sandbox.read("to/sub/w"), sandbox.read("to/w")], ["1\n", "1\n"]);
    let done = sandbox.ok(&["run", "-p", "n=2"]);
    assert!(done.to_string().contains("everything is up to date"), "{done}");
}

/// An older lock came back between two runs, so an earlier run does not tell what a stage that was
/// up to date had written.
#[test]
fn unrecorded_stage_by_lock() {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n\
         [stages.a]\ncmd = 'echo {{ params.n }} > a'\nouts = ['a']\n\
         [stages.b]\ncmd = 'cp in b'\ndeps = ['in']\nouts = ['b']\n",
    );
    sandbox.write("in", "1");
    sandbox.ok(&["run"]);
    let (lock, pipeline) = (sandbox.read("pipeline.lock"), sandbox.read("pipeline.toml"));
    sandbox.edit("pipeline.toml", "n = 1", "n = 2");
    sandbox.ok(&["run"]);
    sandbox.write("pipeline.lock", lock);
    sandbox.write("pipeline.toml", pipeline);
    sandbox.ok(&["checkout"]);
    // So that the next run loads only what is stale.
    sandbox.ok(&["run"]);
    sandbox.write("in", "2");
    sandbox.ok(&["run"]);
    for (run, a, b) in [("1", "1\n", "1"), ("2", "2\n", "1"), ("3", "1\n", "2")] {
        let get = |path: &str| sandbox.ok(&["get", &format!("{run}:{path}"), "-o", "-"]).stdout;
        assert_eq!([get("a"), get("b")], [a, b], "run-{run}");
    }
    sandbox.ok(&["gc", "--yes", "--runs", "1"]);
    assert_eq!(sandbox.ok(&["get", "3:a", "-o", "-"]).stdout, "1\n");
    // A run without the copy, as older versions made them.
    sandbox.remove("runs/run-1/pipeline.lock");
    sandbox.ok(&["get", "1:a", "-o", "-"]);
}

#[test]
fn folder_is_copied_whole() {
    let sandbox = two_runs();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("new/m");
    let done = sandbox.ok(&["get", "run-1:m", "-o", target.to_str().unwrap()]);
    assert!(done.stdout.contains(" (m of run-1): 2 files, 4 B"), "{done}");
    assert_eq!(files(&target), ["run.sh", "sub/w"]);
    assert_eq!(fs::read_to_string(target.join("sub/w")).unwrap(), "1\n");
    assert_eq!(fs::read_link(target.join("link")).unwrap().to_str(), Some("nowhere"));
    let mode = |name: &str| fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("run.sh") & 0o111, mode("sub/w") & 0o311], [0o111, 0o200]);
    assert_eq!(files(&outside.path().join("new")), ["m/run.sh", "m/sub/w"]);
}

#[test]
fn nothing_is_overwritten() {
    let sandbox = two_runs();
    snapshot!(sandbox.repro(&["get", "run-1:plot.svg"]), @"
    exit 2
    --- stderr
    error: `plot.svg` exists
     hint: `--force` replaces it; `-o PATH` writes to another place
    ");
    assert_eq!(sandbox.read("plot.svg"), "2\n");
    sandbox.write("mine", "of mine");
    sandbox.write("d/m/x", "x");
    snapshot!(sandbox.repro(&["get", "run-1:plot.svg", "-o", "mine"]), @"
    exit 2
    --- stderr
    error: `mine` exists
     hint: `--force` replaces it; `-o PATH` writes to another place
    ");
    snapshot!(sandbox.repro(&["get", "run-1:m", "-o", "d", "--force"]), @"
    exit 2
    --- stderr
    error: `d/m` exists and is a folder
     hint: remove it first, or choose another place with `-o PATH`
    ");
    for target in ["pipeline.toml", "pipeline.lock", "cache/x", "runs/x", ".git/x"] {
        let done = sandbox.repro(&["get", "run-1:plot.svg", "-o", target, "--force"]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains("belongs to `repro` or git"), "{done}");
    }
    // What is replaced on purpose goes to the trash.
    snapshot!(sandbox.repro(&["get", "run-1:plot.svg", "-o", "mine", "--force"]), @"
    exit 0
    --- stdout
    wrote mine (plot.svg of run-1): 1 file, 2 B
    --- stderr
    warning: your version of `mine` was replaced; `repro trash restore 1` brings it back
    ");
    assert_eq!(sandbox.read("mine"), "1\n");
    sandbox.ok(&["trash", "restore", "1"]);
    assert_eq!(sandbox.read("mine"), "of mine");
    assert_eq!(files(&sandbox.path("d")), ["m/x"]);
}

#[test]
fn out_at_git_revision() {
    let sandbox = Sandbox::empty();
    // The project is a subfolder of its repository.
    sandbox.write(
        "p/pipeline.toml",
        "[params]\nn = 1\n[stages.s]\ncmd = 'echo {{ params.n }} > o'\nouts = ['o']\n",
    );
    sandbox.write("p/.gitignore", "/cache/\n/runs/\n/o\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    sandbox.git(&["tag", "empty"]);
    for n in ["1", "2"] {
        sandbox.ok(&["-C", "p", "params", "set", &format!("n={n}")]);
        sandbox.ok(&["-C", "p", "run"]);
        sandbox.git(&["add", "."]);
        sandbox.git(&["commit", "-q", "-m", n]);
    }
    snapshot!(sandbox.repro(&["-C", "p", "get", "HEAD~1:o", "-o", "-"]), @"
    exit 0
    --- stdout
    1
    ");
    sandbox.ok(&["-C", "p", "get", "main:o", "-o", "../two"]);
    assert_eq!(sandbox.read("two"), "2\n");
    let all = ["empty:o", "HEAD:pipeline.toml", "HEAD:oo", "HEAD~7:o", "run-7:o", "rum-1:o"];
    let errors = all.map(|what| {
        let done = sandbox.repro(&["-C", "p", "get", what]);
        assert_eq!(done.code, 2, "{done}");
        done.stderr
    });
    snapshot!(errors.concat(), @"
    error: empty has no `pipeline.lock`
    error: HEAD has no out at `pipeline.toml`
     hint: git has it: `git show HEAD:./pipeline.toml` prints it
    error: HEAD has no out at `oo`
     hint: it has o
    error: `HEAD~7` is neither a run nor a git revision
     hint: `repro runs list` shows the runs
    error: there is no run `run-7`
     hint: the latest are run-2, run-1; `repro runs list` shows more
    error: `rum-1` is neither a run nor a git revision
     hint: did you mean `run-1`?
    ");
    fs::remove_dir_all(sandbox.path("p/cache/objects")).unwrap();
    let mut done = sandbox.repro(&["-C", "p", "get", "HEAD~1:o"]);
    let (_, rest) = done.stderr.split_once("check out commit ").unwrap();
    let commit = rest.split(' ').next().unwrap().to_owned();
    done.stderr = done.stderr.replace(&commit, "[commit]");
    snapshot!(done, @"
    exit 3
    --- stderr
    error: cannot get `o` of HEAD~1
     caused by: the cache does not hold object 50cc1102b1
     hint: check out commit [commit] and run `repro run s`
    ");
}

#[test]
fn unknown_path_or_run() {
    let sandbox = two_runs();
    sandbox.edit("pipeline.toml", "echo same", "exit 1; echo same");
    sandbox.repro(&["run"]);
    let all = [
        "plot.svg",
        "run-1:",
        ":plot.svg",
        "run-1:plot.svgg",
        "run-1:m/sbu",
        "run-1:m/sub/w/x",
        "run-1:zzzzzz",
        "run-9:m",
        "rnu-1:m",
        "nonsense:m",
        "run-3:same.txt",
        "run-1:../m",
        "run-1:/m",
    ];
    let errors = all.map(|what| {
        let done = sandbox.repro(&["get", what, "-o", "new"]);
        assert_eq!(done.code, 2, "{done}");
        format!("{what}\n{}", done.stderr)
    });
    snapshot!(errors.concat(), @"
    plot.svg
    error: `plot.svg` does not name a run or a git revision
     hint: `run-3:model.bin` and `HEAD~2:model.bin` are examples; `repro checkout PATH` restores the current version
    run-1:
    error: `run-1:` has no path after the colon
     hint: `run-3:model.bin` and `HEAD~2:model.bin` are examples
    :plot.svg
    error: `:plot.svg` does not name a run or a git revision
     hint: `run-3:model.bin` and `HEAD~2:model.bin` are examples; `repro checkout PATH` restores the current version
    run-1:plot.svgg
    error: run-1 has no out at `plot.svgg`
     hint: did you mean `plot.svg`?
    run-1:m/sbu
    error: `m` of run-1 has no `sbu`
     hint: did you mean `m/sub`?
    run-1:m/sub/w/x
    error: `m/sub/w` of run-1 is not a folder
    run-1:zzzzzz
    error: run-1 has no out at `zzzzzz`
     hint: it has m, plot.svg, same.txt
    run-9:m
    error: there is no run `run-9`
     hint: the latest are run-3, run-2, run-1; `repro runs list` shows more
    rnu-1:m
    error: `rnu-1` is neither a run nor a git revision
     hint: did you mean `run-1`?
    nonsense:m
    error: `nonsense` is neither a run nor a git revision
     hint: `repro runs list` shows the runs
    run-3:same.txt
    error: run-3 has no out at `same.txt`
     caused by: stage `same` failed in run-3
    run-1:../m
    error: `../m` is not inside the project, `$ROOT`
    run-1:/m
    error: path `/m` is absolute: paths are relative to the project root
    ");
    assert!(!sandbox.exists("new"));
}

#[test]
fn missing_object_names_remedy() {
    let sandbox = two_runs();
    sandbox.ok(&["gc", "--yes", "--runs", "1"]);
    snapshot!(sandbox.repro(&["get", "run-1:plot.svg", "-o", "x"]), @"
    exit 3
    --- stderr
    error: cannot get `plot.svg` of run-1
     caused by: the cache does not hold object 50cc1102b1
     hint: `repro run model` makes it again if the inputs are as in run-1 (`repro runs show run-1`)
    ");
    snapshot!(sandbox.repro(&["get", "run-1:m/sub", "-o", "x"]), @"
    exit 3
    --- stderr
    error: cannot get `m/sub` of run-1
     caused by: the cache does not hold object e3f4315148
     hint: `repro run model` makes it again if the inputs are as in run-1 (`repro runs show run-1`)
    ");
    sandbox.ok(&["get", "run-2:plot.svg", "-o", "x"]);
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'echo 1 > o; echo \"{\\\"artifact\\\": \\\"a\\\"}\" >> $REPRO_EVENTS'\n\
         outs = [{ path = 'o', cache = false }]\n",
    );
    sandbox.ok(&["run"]);
    snapshot!(sandbox.repro(&["get", "last:o", "-o", "x"]), @"
    exit 3
    --- stderr
    error: cannot get `o` of run-1
     caused by: its out `o` has `cache = false`
     hint: `repro run s` makes it again if the inputs are as in run-1 (`repro runs show run-1`)
    ");
    snapshot!(sandbox.repro(&["get", "last:a", "-o", "x"]), @"
    exit 2
    --- stderr
    error: run-1 has no out at `a`
     caused by: its stage reported it as an artifact, but it could not be read at the end
     hint: declare it in `outs`, so that the cache keeps it
    ");
    assert!(!sandbox.exists("x"));
}

#[test]
fn damaged_object_is_not_copied() {
    let sandbox = two_runs();
    let digest = blake3::hash(b"1\n").to_string();
    let object = sandbox.path(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]));
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&object, "2\n").unwrap();
    let done = sandbox.repro(&["get", "run-1:plot.svg", "-o", "-"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, ""), "{done}");
    fs::create_dir(sandbox.path("to")).unwrap();
    let done = sandbox.repro(&["get", "run-1:m", "-o", "to"]);
    assert_eq!(done.code, 3, "{done}");
    assert_eq!(files(&sandbox.path("to")), [""; 0]);
}

#[test]
fn get_as_json() {
    let sandbox = two_runs();
    let done = sandbox.ok(&["get", "run-1:plot.svg", "-o", "x", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((json["from"].as_str(), json["to"].as_str()), (Some("run-1"), Some("x")));
}

#[test]
fn kept_lock_follows_no_link() {
    let sandbox = Sandbox::with(
        "[stages.a]\nouts = ['o']\n\
         cmd = 'ln -s ../../victim \"$REPRO_ROOT/runs/$REPRO_RUN/lock.new\"; echo 1 > o'\n",
    );
    sandbox.write("victim", "precious");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("victim"), "precious");
    assert!(sandbox.path("runs/run-1/pipeline.lock").symlink_metadata().unwrap().is_file());
}
