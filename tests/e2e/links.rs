//! Link kinds between cache and workspace: the configured kind is used, and nothing writes through
//! a link into the cache.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::sandbox::{Done, Sandbox, files};
use crate::snapshot;

const PIPELINE: &str = r#"
[cache]
link = ["reflink", "copy"]

[stages.a]
cmd = "mkdir d; cat in > d/x; cp d/x d/tool; chmod +x d/tool; echo a >> ran"
deps = ["in"]
outs = ["d"]

[stages.log]
cmd = "sed s/^/l/ in >> log; echo log >> ran"
deps = ["in"]
outs = [{ path = "log", persist = true }]
"#;

fn sandbox(kinds: &str) -> Sandbox {
    let sandbox = Sandbox::with(&PIPELINE.replace(r#"["reflink", "copy"]"#, kinds));
    sandbox.write("in", "1\n");
    sandbox
}

/// Returns how the file shares content with an object (symlink, hardlink, private), and its mode.
fn kind(sandbox: &Sandbox, path: &str) -> String {
    let full = sandbox.path(path);
    let meta = full.symlink_metadata().unwrap();
    let objects = sandbox.path("cache/objects");
    let word = match () {
        () if meta.is_symlink() => {
            let target = fs::read_link(&full).unwrap();
            assert!(
                target.is_relative() && full.canonicalize().unwrap().starts_with(&objects),
                "{target:?}"
            );
            "symlink"
        }
        () if is_object(&objects, meta.ino()) => "hardlink",
        () => "private",
    };
    format!("{word} {:o}", full.metadata().unwrap().permissions().mode() & 0o777)
}

fn is_object(objects: &Path, inode: u64) -> bool {
    files(objects).iter().any(|object| objects.join(object).metadata().unwrap().ino() == inode)
}

/// Asserts that the cache is whole.
fn whole(sandbox: &Sandbox) -> Done {
    sandbox.ok(&["fsck"])
}

#[test]
fn outs_use_configured_link_kind() {
    for (kinds, expected) in [
        (r#"["reflink", "copy"]"#, "private 644"),
        (r#"["copy"]"#, "private 644"),
        (r#"["hardlink", "copy"]"#, "hardlink 444"),
        (r#"["symlink", "copy"]"#, "symlink 444"),
    ] {
        let sandbox = sandbox(kinds);
        sandbox.ok(&["run"]);
        assert_eq!(kind(&sandbox, "d/x"), expected, "{kinds}");
        // Objects are not executable, so an executable file cannot be linked.
        assert_eq!(kind(&sandbox, "d/tool"), "private 755", "{kinds}");
        sandbox.ok(&["status", "--check"]);
        sandbox.remove("d");
        sandbox.ok(&["checkout"]);
        assert_eq!(kind(&sandbox, "d/x"), expected, "{kinds}");
        sandbox.ran();
        sandbox.ok(&["run"]);
        assert!(sandbox.ran().is_empty());
        whole(&sandbox);
    }
}

#[test]
fn stage_never_writes_into_cache() {
    for kinds in [r#"["hardlink", "copy"]"#, r#"["symlink", "copy"]"#] {
        let sandbox = sandbox(kinds);
        sandbox.ok(&["run"]);
        sandbox.write("in", "2\n");
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("log"), "l1\nl2\n");
        assert_eq!(sandbox.read("d/x"), "2\n");
        whole(&sandbox);
        sandbox.write("in", "1\n");
        sandbox.ran();
        sandbox.ok(&["run", "a"]);
        assert!(sandbox.ran().is_empty());
        assert_eq!(sandbox.read("d/x"), "1\n");
    }
}

#[test]
fn checkout_relink() {
    let sandbox = sandbox(r#"["reflink", "copy"]"#);
    sandbox.ok(&["run"]);
    let with = |kinds: &str, args: &[&str]| {
        sandbox.finish(sandbox.command(args).env("REPRO_CACHE_LINK", kinds))
    };
    snapshot!(with("hardlink", &["checkout", "--relink"]), @"
    exit 0
    --- stdout
    restored or relinked the outs of a, log: 2 files, 5 B
    ");
    assert_eq!(kind(&sandbox, "d/x"), "hardlink 444");
    snapshot!(with("hardlink", &["checkout", "--relink"]), @"
    exit 0
    --- stdout
    the workspace already matches `pipeline.lock`
    ");
    snapshot!(with("symlink, copy", &["checkout", "--relink", "d/x"]), @"
    exit 0
    --- stdout
    restored or relinked d/x: 1 file, 2 B
    ");
    assert_eq!(
        (kind(&sandbox, "d/x"), kind(&sandbox, "log")),
        ("symlink 444".into(), "hardlink 444".into())
    );
    snapshot!(sandbox.repro(&["checkout", "--relink"]), @"
    exit 0
    --- stdout
    restored or relinked the outs of a, log: 2 files, 5 B
    ");
    assert_eq!(
        (kind(&sandbox, "d/x"), kind(&sandbox, "log")),
        ("private 644".into(), "private 644".into())
    );
    sandbox.ok(&["status", "--check"]);
    snapshot!(with("hardlnk", &["status"]), @"
    exit 2
    --- stderr
    error: environment variable `REPRO_CACHE_LINK` names `hardlnk`, which is not a kind of link
     hint: did you mean `hardlink`?
    ");
}

#[test]
fn tracked_input_linked_by_relink() {
    let sandbox = sandbox(r#"["hardlink"]"#);
    sandbox.ok(&["add", "in"]);
    assert_eq!(kind(&sandbox, "in"), "private 644");
    sandbox.ok(&["checkout", "--relink", "in"]);
    assert_eq!(kind(&sandbox, "in"), "hardlink 444");
}

#[test]
fn out_replaced_by_other_object() {
    let sandbox = sandbox(r#"["symlink"]"#);
    sandbox.ok(&["run"]);
    sandbox.remove("d/x");
    fs::copy(
        sandbox.path("cache/objects").join(&files(&sandbox.path("cache/objects"))[0]),
        sandbox.path("d/x"),
    )
    .unwrap();
    sandbox.ok(&["run"]);
    assert_eq!((sandbox.read("d/x"), kind(&sandbox, "d/x")), ("1\n".into(), "symlink 444".into()));
}

#[test]
fn gc_keeps_linked_objects() {
    let sandbox = sandbox(r#"["symlink"]"#);
    sandbox.ok(&["run"]);
    fs::rename(sandbox.path("log"), sandbox.path("mine")).unwrap();
    sandbox.remove("pipeline.lock");
    snapshot!(sandbox.repro(&["gc", "--runs", "0", "--yes"]), @"
    exit 0
    --- stdout
    kept count size
    pipeline.lock 0 0 B
    last 0 runs (not counted above) 0 0 B
    workspace links (not counted above) 2 5 B
    traces of the objects above 1 213 B

    unreferenced count size
    objects 1 160 B
    traces 1 242 B
    temporary files 0 0 B

    deleted 1 object, 1 trace: 402 B
    ");
    assert_eq!(sandbox.read("mine"), "l1\n");
    assert_eq!(sandbox.read("d/x"), "1\n");
}

#[test]
fn write_through_link_is_noticed() {
    let sandbox = sandbox(r#"["hardlink", "copy"]"#);
    sandbox.ok(&["run"]);
    fs::set_permissions(sandbox.path("d/x"), fs::Permissions::from_mode(0o644)).unwrap();
    // Writing through the hard link damages the object.
    fs::OpenOptions::new()
        .write(true)
        .open(sandbox.path("d/x"))
        .and_then(|mut file| {
            use std::io::Write as _;
            file.write_all(b"X")
        })
        .unwrap();
    let done = sandbox.repro(&["fsck"]);
    assert_eq!(done.code, 4, "{done}");
    snapshot!(done, @"
    exit 4
    --- stdout
    damaged object 50cc1102b1
     `d/tool` of stage `a` in pipeline.lock
     `d/x` of stage `a` in pipeline.lock
     `d/tool` of trace 2fbd011002
     and 1 more
    the cache is not intact: 1 damaged object; checked 3 objects (165 B), 2 traces
    `repro fsck --repair` rebuilds what it can and moves damaged objects to cache/damaged
    ");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    sandbox.ran();
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("d/x"), "1\n");
    whole(&sandbox);
}

#[test]
fn invalid_link_kinds() {
    let errors = [r#"["hardlnk"]"#, "[]", r#"["copy", "copy"]"#, "3", "[3]"].map(|kinds| {
        let done = sandbox(kinds).repro(&["status"]);
        assert_eq!(done.code, 2, "{done}");
        done.stderr
    });
    snapshot!(errors.concat(), @"
    error: pipeline.toml:3: `link` of `[cache]` names `hardlnk`, which is not a kind of link
     hint: did you mean `hardlink`?
    error: pipeline.toml:3: `link` of `[cache]` must name at least one kind of link
     hint: the kinds are reflink, hardlink, symlink, copy
    error: pipeline.toml:3: `link` of `[cache]` names `copy` twice
     hint: the kinds are reflink, hardlink, symlink, copy
    error: pipeline.toml:3: `link` of `[cache]` must be a list of strings, not an integer
    error: pipeline.toml:3: `link` of `[cache]` must contain only strings, not an integer
    ");
    let sandbox = Sandbox::with("[cache]\nlinks = ['copy']\n[stages.a]\ncmd = 'true'\n");
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:2: unknown key `links` in `[cache]`
     hint: did you mean `link`?
    ");
}

#[test]
fn rerun_repairs_object_behind_link() {
    for kind in ["hardlink", "symlink"] {
        let sandbox = sandbox(&format!("[\"{kind}\", \"copy\"]"));
        sandbox.ok(&["run"]);
        fs::write(sandbox.path("d/x"), "through the link").unwrap();
        sandbox.edit("pipeline.toml", "mkdir d;", ": again; mkdir d;");
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("d/x"), "1\n", "{kind}");
        whole(&sandbox);
    }
}

#[test]
fn mode_changed_through_link() {
    for kind in ["hardlink", "symlink"] {
        let sandbox = sandbox(&format!("[\"{kind}\", \"copy\"]"));
        sandbox.ok(&["run"]);
        fs::set_permissions(sandbox.path("d/x"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(sandbox.repro(&["status", "--check"]).code, 4, "{kind}");
        sandbox.ok(&["run"]);
        sandbox.ok(&["status", "--check"]);
    }
}
