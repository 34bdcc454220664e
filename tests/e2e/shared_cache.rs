//! A cache that several projects use.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::sandbox::{Done, Sandbox, files};
use crate::snapshot;

/// Projects `a` and `b` beside the folder of a shared cache.
fn two() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("home/x", "");
    for project in ["a", "b"] {
        project_at(&sandbox, project, "dir = '../store'");
    }
    sandbox
}

fn project_at(sandbox: &Sandbox, project: &str, cache: &str) {
    sandbox.write(
        &format!("{project}/pipeline.toml"),
        format!(
            "[cache]\n{cache}\n[stages.s]\ncmd = 'cp in out; echo $REPRO_ROOT >> ../ran'\n\
                 deps = ['in']\nouts = ['out']\n"
        ),
    );
    sandbox.write(&format!("{project}/in"), "1");
}

fn in_project(sandbox: &Sandbox, project: &str, args: &[&str]) -> Done {
    sandbox.repro(&[&["-C", project], args].concat())
}

fn ok(sandbox: &Sandbox, project: &str, args: &[&str]) -> Done {
    sandbox.ok(&[&["-C", project], args].concat())
}

fn run_with(sandbox: &Sandbox, project: &str, input: &str) {
    sandbox.write(&format!("{project}/in"), input);
    ok(sandbox, project, &["run"]);
}

fn holds(sandbox: &Sandbox, content: &str) -> bool {
    let digest = blake3::hash(content.as_bytes()).to_string();
    sandbox.exists(&format!("store/objects/{}/{}", &digest[..2], &digest[2..]))
}

#[test]
fn outs_come_from_other_project() {
    let sandbox = two();
    ok(&sandbox, "a", &["run"]);
    assert_eq!(sandbox.ran(), ["a"].map(|name| sandbox.path(name).display().to_string()));
    ok(&sandbox, "b", &["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("b/out"), "1");
    // The state of a project stays in its own folder.
    let own = files(&sandbox.path("b/cache"));
    let own: Vec<&str> =
        own.iter().map(String::as_str).filter(|file| !file.starts_with('.')).collect();
    assert_eq!(own, ["index", "pipeline", "run.lock"]);
    ok(&sandbox, "b", &["run"]);
    ok(&sandbox, "b", &["fsck"]);
}

#[test]
fn gc_counts_every_project() {
    let sandbox = two();
    run_with(&sandbox, "a", "old");
    run_with(&sandbox, "a", "locked a");
    run_with(&sandbox, "b", "in a run of b");
    run_with(&sandbox, "b", "locked b");
    fs::remove_dir_all(sandbox.path("a/runs")).unwrap();
    snapshot!(in_project(&sandbox, "a", &["gc", "--yes"]), @r"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 1 8 B
    last 0 runs (not counted above) 0 0 B
    project $ROOT/b (not counted above) 2 21 B
    traces of the objects above 3 639 B

    unreferenced count size
    objects 1 3 B
    traces 1 213 B
    temporary files 0 0 B

    deleted 1 object, 1 trace: 216 B
    ");
    let kept = ["old", "locked a", "in a run of b", "locked b"].map(|it| holds(&sandbox, it));
    assert_eq!(kept, [false, true, true, true]);
    // Options that keep less apply to `a` alone.
    ok(&sandbox, "a", &["gc", "--runs", "0", "--yes"]);
    assert!(holds(&sandbox, "in a run of b") && holds(&sandbox, "locked b"));
    ok(&sandbox, "b", &["gc", "--runs", "0", "--yes"]);
    assert!(!holds(&sandbox, "in a run of b") && holds(&sandbox, "locked b"));
    sandbox.remove("b/out");
    ok(&sandbox, "b", &["checkout"]);
    assert_eq!(sandbox.read("b/out"), "locked b");
}

#[test]
fn gc_spares_trash_of_others() {
    let sandbox = two();
    for project in ["a", "b"] {
        run_with(&sandbox, project, "1");
        sandbox.write(&format!("{project}/out"), format!("edited in {project}"));
        ok(&sandbox, project, &["run"]);
    }
    ok(&sandbox, "a", &["gc", "--trash", "0d", "--runs", "0", "--yes"]);
    assert!(!holds(&sandbox, "edited in a"));
    ok(&sandbox, "b", &["trash", "restore", "1"]);
    assert_eq!(sandbox.read("b/out"), "edited in b");
}

#[test]
fn cache_dir_must_be_folder() {
    let sandbox = two();
    for dir in ["/dev/null", "/dev/null/x"] {
        project_at(&sandbox, "a", &format!("dir = '{dir}'"));
        let done = in_project(&sandbox, "a", &["run"]);
        assert_eq!(done.code, 2, "{done}");
        let what = format!("`[cache] dir` is `{dir}`, which is not a folder");
        assert!(done.stderr.contains(&what), "{done}");
    }
}

#[test]
fn gc_counts_revisions_of_others() {
    let sandbox = two();
    sandbox.git(&["init", "-q", "b"]);
    run_with(&sandbox, "b", "in git");
    sandbox.git(&["-C", "b", "add", "pipeline.lock"]);
    sandbox.git(&["-C", "b", "commit", "-qm", "x"]);
    run_with(&sandbox, "b", "now");
    ok(&sandbox, "a", &["run"]);
    // `a` is not in git, and needs nothing there.
    ok(&sandbox, "b", &["gc", "--runs", "0", "--all-branches", "--git", "main", "--yes"]);
    assert!(holds(&sandbox, "in git") && holds(&sandbox, "1"));
    let done = in_project(&sandbox, "a", &["gc", "--git", "main"]);
    assert_eq!(done.code, 2, "{done}");
    sandbox.remove("b/runs");
    ok(&sandbox, "a", &["gc", "--runs", "0", "--yes"]);
    assert!(!holds(&sandbox, "in git"));
}

#[test]
fn gc_names_missing_project() {
    let sandbox = two();
    ok(&sandbox, "a", &["run"]);
    run_with(&sandbox, "b", "of b");
    fs::rename(sandbox.path("b"), sandbox.path("c")).unwrap();
    assert_eq!(in_project(&sandbox, "a", &["gc"]).code, 3);
    snapshot!(in_project(&sandbox, "a", &["gc", "--yes"]), @r"
    exit 3
    --- stderr
    error: nothing is removed: cannot read the project `$ROOT/b`, which uses the cache
     caused by: cannot read `$ROOT/b/pipeline.toml`
     caused by: No such file or directory (os error 2)
     hint: if it is gone for good: `repro gc --forget '$ROOT/b'`
    ");
    assert!(holds(&sandbox, "of b"));
    snapshot!(in_project(&sandbox, "a", &["gc", "--forget", "d"]), @r"
    exit 2
    --- stderr
    error: `d` is not a project that uses the cache `$ROOT/store`
     hint: the others are `$ROOT/b`
    ");
    snapshot!(in_project(&sandbox, "a", &["gc", "--forget", "b"]), @r"
    exit 0
    --- stdout
    forgot `b`: `repro gc` no longer keeps its objects
    ");
    ok(&sandbox, "c", &["run"]);
    ok(&sandbox, "a", &["gc", "--yes"]);
    assert!(holds(&sandbox, "of b"));
    sandbox.write("c/pipeline.lock", "no lock");
    let done = in_project(&sandbox, "a", &["gc", "--yes"]);
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stderr.contains("caused by: pipeline.lock:1: "), "{done}");
    assert!(holds(&sandbox, "of b"));
    sandbox.remove("c");
    ok(&sandbox, "a", &["gc", "--forget", "c"]);
    ok(&sandbox, "a", &["gc", "--yes"]);
    assert!(!holds(&sandbox, "of b") && holds(&sandbox, "1"));
}

#[test]
fn gc_waits_for_running_project() {
    let sandbox = two();
    ok(&sandbox, "a", &["run"]);
    sandbox.fifo("started");
    sandbox.fifo("goes on");
    sandbox.edit(
        "b/pipeline.toml",
        "[stages.s]",
        "[stages.first]\ncmd = 'echo new > new'\nouts = ['new']\n[stages.then]\n\
         cmd = 'echo > ../started; cat \"../goes on\"; cp new copy'\n\
         deps = ['new']\nouts = ['copy']\n[stages.s]",
    );
    let child = sandbox
        .command(&["-C", "b", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sandbox.read_fifo("started");
    assert!(holds(&sandbox, "new\n"));
    for args in [&["gc"][..], &["gc", "--yes", "--runs", "0"]] {
        let done = in_project(&sandbox, "a", args);
        assert_eq!(done.code, 3, "{done}");
        let by = format!("is in use by another project: process {} in `$ROOT", child.id());
        assert!(done.stderr.contains(&by), "{done}");
    }
    // Other commands go on beside it.
    run_with(&sandbox, "a", "2");
    fs::write(sandbox.path("goes on"), "").unwrap();
    let output = deadline::wait(child);
    assert!(output.status.success());
    ok(&sandbox, "a", &["gc", "--yes", "--runs", "0"]);
    assert!(holds(&sandbox, "new\n") && holds(&sandbox, "2"));
}

#[test]
fn cache_folder_settings() {
    let sandbox = two();
    let run = |variable: &str| {
        let mut command = sandbox.command(&["-C", "a", "run"]);
        let done = sandbox
            .finish(command.env("REPRO_CACHE_DIR", variable).env("HOME", sandbox.path("home")));
        (done.code, done)
    };
    let absolute = sandbox.path("absolute");
    for (variable, folder) in [
        ("~/c", "home/c"),
        ("../relative", "relative"),
        ("", "store"),
        (absolute.to_str().unwrap(), "absolute"),
    ] {
        let (code, done) = run(variable);
        assert_eq!(code, 0, "{done}");
        sandbox.remove("a/pipeline.lock");
        sandbox.remove("a/out");
        assert!(sandbox.exists(&format!("{folder}/objects")), "{variable}: {done}");
        assert_eq!(sandbox.ran().len(), 1, "{variable}");
    }
    // Its own cache by another name is not shared.
    let (code, done) = run("../a/cache");
    assert_eq!(code, 0, "{done}");
    assert!(!sandbox.exists("a/cache/projects"));
    project_at(&sandbox, "b", "dir = ''");
    snapshot!(in_project(&sandbox, "b", &["status"]), @r"
    exit 2
    --- stderr
    error: pipeline.toml:2: `dir` of `[cache]` is not a path
     hint: give a folder: absolute, from the home directory (`~/…`), or relative to the project
    ");
    project_at(&sandbox, "b", "dir = 'store'");
    snapshot!(in_project(&sandbox, "b", &["status"]), @r"
    exit 2
    --- stderr
    error: `[cache] dir` is `$ROOT/b/store`, which is inside the project
     hint: give a folder outside; without the setting, `cache` in the project is used
    ");
    project_at(&sandbox, "b", "dir = '../a/cache'");
    snapshot!(in_project(&sandbox, "b", &["run"]), @r"
    exit 2
    --- stderr
    error: `[cache] dir` is `$ROOT/a/cache`, the own cache of the project `$ROOT/a`
     caused by: `repro gc` there would not know of this project
     hint: choose a folder of its own for the shared cache, and set it in both projects
    ");
}

#[test]
fn setting_is_read_from_snapshot() {
    let sandbox = two();
    ok(&sandbox, "a", &["run"]);
    ok(&sandbox, "a", &["run"]);
    sandbox.remove("a/out");
    ok(&sandbox, "a", &["run"]);
    assert_eq!(sandbox.ran().len(), 1);
    assert!(!sandbox.exists("a/cache/objects"));
}

#[test]
fn symlinks_into_shared_cache() {
    let sandbox = two();
    for project in ["a", "b"] {
        project_at(&sandbox, project, "dir = '../store'\nlink = ['symlink']");
        run_with(&sandbox, project, project);
    }
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    fs::rename(sandbox.path("a"), sandbox.path("elsewhere/a")).unwrap();
    assert_eq!(sandbox.read("elsewhere/a/out"), "a", "the project was moved");
    sandbox.remove("b/pipeline.lock");
    fs::remove_dir_all(sandbox.path("b/runs")).unwrap();
    project_at(&sandbox, "c", "dir = '../store'");
    ok(&sandbox, "c", &["gc", "--forget", "a"]);
    ok(&sandbox, "c", &["gc", "--yes"]);
    assert!(!sandbox.exists("elsewhere/a/../../store/objects/none"));
    assert_eq!(sandbox.read("b/out"), "b", "a link keeps its object");
}

#[test]
fn gc_refuses_linked_cache() {
    for link in ["cache", "cache/objects"] {
        let sandbox = Sandbox::empty();
        fs::create_dir(sandbox.path("store")).unwrap();
        for project in ["a", "b"] {
            project_at(&sandbox, project, "link = ['symlink']");
            sandbox.write(&format!("{project}/in"), project);
            if link != "cache" {
                fs::create_dir(sandbox.path(&format!("{project}/cache"))).unwrap();
            }
            symlink(sandbox.path("store"), sandbox.path(&format!("{project}/{link}"))).unwrap();
            ok(&sandbox, project, &["run"]);
        }
        for args in [&["gc"][..], &["gc", "--yes", "--runs", "0"]] {
            let done = in_project(&sandbox, "a", args);
            assert_eq!(done.code, 2, "{done}");
            assert!(
                done.stderr.contains(&format!("`{link}` is a link to `$ROOT/store`, which other")),
                "{done}"
            );
        }
        assert_eq!(sandbox.read("b/out"), "b");
    }
}

#[test]
fn uncached_outs_of_others() {
    let sandbox = two();
    sandbox.edit(
        "a/pipeline.toml",
        "outs = ['out']",
        "outs = [{ path = 'scratch', cache = false }]",
    );
    sandbox.edit("a/pipeline.toml", "cp in out", "cp in scratch");
    ok(&sandbox, "a", &["run"]);
    run_with(&sandbox, "b", "2");
    ok(&sandbox, "b", &["fsck"]);
    ok(&sandbox, "b", &["fsck", "--repair"]);
    let done = ok(&sandbox, "b", &["gc", "--yes"]);
    assert!(done.stdout.ends_with("\nnothing to delete\n"), "{done}");
    assert!(!holds(&sandbox, "1"));
}

#[test]
fn projects_run_at_once() {
    let sandbox = Sandbox::empty();
    let names = ["a", "b", "c", "d"];
    for project in names {
        sandbox.write(
            &format!("{project}/pipeline.toml"),
            "cache.dir = '../store'\n[stages.s]\n\
             cmd = 'mkdir out; for i in $(seq 100); do echo $i > out/$i; done; cat in >> out/1'\n\
             deps = ['in']\nouts = ['out']\n",
        );
    }
    for round in ["1", "2", "3"] {
        let start = |project: &&str| {
            sandbox.write(&format!("{project}/in"), round);
            let mut command = sandbox.command(&["-C", project, "run"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let running: Vec<_> = names.iter().map(start).collect();
        for child in running {
            assert!(deadline::wait(child).status.success());
        }
        ok(&sandbox, "a", &["fsck"]);
    }
    assert_eq!(files(&sandbox.path("store/tmp")), [""; 0]);
}
