//! Soundness: never a false "up to date", never a write outside the project, never a damaged object
//! restored.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::run::chain;
use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn same_size_and_mtime() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.ok(&["run"]);
    let meta = fs::metadata(sandbox.path("in.txt")).unwrap();
    sandbox.write("in.txt", "a b c d");
    let times = fs::FileTimes::new().set_modified(meta.modified().unwrap());
    fs::File::options().write(true).open(sandbox.path("in.txt")).unwrap().set_times(times).unwrap();
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
}

#[test]
fn rapid_edits() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'cp in out'\ndeps = ['in']\nouts = ['out']\n");
    for n in 0..40 {
        sandbox.write("in", format!("{n:04}"));
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("out"), format!("{n:04}"));
    }
}

#[test]
fn dep_through_symlink() {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'cp -r in out'\ndeps = ['in']\nouts = ['out']\n");
    sandbox.write("one/f", "1");
    sandbox.write("two/f", "2");
    symlink("one", sandbox.path("in")).unwrap();
    sandbox.ok(&["run"]);
    fs::remove_file(sandbox.path("in")).unwrap();
    symlink("two", sandbox.path("in")).unwrap();
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    sandbox.write("two/f", "1");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 0);
}

#[test]
fn symlink_loop() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\ndeps = ['in']\n");
    sandbox.write("in/f", "1");
    symlink(".", sandbox.path("in/loop")).unwrap();
    let done = sandbox.repro(&["status"]);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stdout.contains("which contains it"), "{done}");
}

#[test]
fn deeply_nested_folders() {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'cp -r in out'\ndeps = ['in']\nouts = ['out']\n");
    let deep = |top: &str| format!("{top}{}", "/d".repeat(800));
    let mut dir = sandbox.path("in");
    for level in 0..800 {
        dir.push("d");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir(dir.with_file_name("e")).unwrap();
        fs::write(dir.with_file_name("f"), level.to_string()).unwrap();
    }
    sandbox.ok(&["run"]);
    sandbox.remove("out");
    sandbox.write("out", "in the way");
    sandbox.ok(&["checkout"]);
    assert!(sandbox.exists(&deep("out")));
    sandbox.write(&format!("{}/g", deep("in")), "new");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    sandbox.ok(&["fsck"]);
}

#[test]
fn no_item_through_outside_link() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'cp {{ item.path }} d/made'\neach = 'in/*'\n\
         outs = ['d/made/{{ item.name }}']\n",
    );
    sandbox.write("in/a", "a");
    symlink(outside.path(), sandbox.path("d")).unwrap();
    let done = sandbox.repro(&["run"]);
    assert!(done.stderr.contains("outside the project"), "{done}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn no_restore_through_outside_link() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "mine").unwrap();
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo theirs > d/f'\nouts = ['d/f']\n");
    sandbox.ok(&["run"]);
    sandbox.remove("d");
    symlink(outside.path(), sandbox.path("d")).unwrap();
    for args in [&["checkout"][..], &["run"], &["run", "--force"]] {
        let done = sandbox.repro(args);
        assert_ne!(done.code, 0, "{args:?} {done}");
        assert!(done.stderr.contains("outside the project"), "{args:?} {done}");
    }
    assert_eq!(fs::read_to_string(outside.path().join("f")).unwrap(), "mine");
}

#[test]
fn lock_with_outside_path() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    let lock = sandbox.read("pipeline.lock");
    for path in ["../x", "/tmp/x", "a/../../x"] {
        sandbox.write("pipeline.lock", lock.replace(" words.txt\n", &format!(" {path}\n")));
        let done = sandbox.repro(&["checkout"]);
        assert_eq!(done.code, 2, "{done}");
    }
}

#[test]
fn damaged_object_is_rebuilt() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    let digest = blake3::hash(sandbox.read("words.txt").as_bytes()).to_string();
    let object = sandbox.path(&format!("cache/objects/{}/{}", &digest[..2], &digest[2..]));
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&object, "rotten").unwrap();
    let words = sandbox.read("words.txt");
    sandbox.remove("words.txt");
    sandbox.ran();
    let done = sandbox.repro(&["checkout", "words"]);
    assert_eq!(done.code, 3, "{done}");
    let done = sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["words"], "{done}");
    assert_eq!(sandbox.read("words.txt"), words);
}

#[test]
fn restore_keeps_modes_and_links() {
    let sandbox = Sandbox::with(
        "[stages.s]\n\
         cmd = 'mkdir -p d/empty; echo x > d/tool; chmod +x d/tool; ln -s nowhere d/link'\n\
         outs = ['d']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.remove("d");
    sandbox.ok(&["run"]);
    assert!(sandbox.path("d/empty").is_dir());
    assert_eq!(fs::metadata(sandbox.path("d/tool")).unwrap().permissions().mode() & 0o111, 0o111);
    assert_eq!(fs::read_link(sandbox.path("d/link")).unwrap().to_str(), Some("nowhere"));
}

#[test]
fn restored_files_are_writable() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    sandbox.remove("words.txt");
    sandbox.ok(&["run"]);
    sandbox.write("words.txt", "by hand");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("words.txt"), "a\nb\nc\na");
}

#[test]
fn float_params_round_trip() {
    let floats = "9.014274576114835e-20\n93.21874718936273\n0.1\n1e300\n5e-324";
    let params: String =
        floats.lines().zip(0..).map(|(float, n)| format!("p{n} = {float}\n")).collect();
    let names: Vec<String> = (0..floats.lines().count()).map(|n| format!("'p{n}'")).collect();
    let sandbox = Sandbox::with(&format!(
        "[params]\n{params}[stages.s]\ncmd = 'true'\nparams = [{}]\n",
        names.join(", ")
    ));
    sandbox.ok(&["run"]);
    let done = sandbox.repro(&["status", "--check"]);
    assert_eq!(done.code, 0, "{done}");
}

#[test]
fn file_created_while_stage_waits() {
    // With one processor, the second stage is observed before the first one runs, and starts after
    // it. Which one is first depends on chance.
    for _ in 0..100 {
        let sandbox = Sandbox::with(
            "[stages.a]\ncmd = 'mkdir -p bout; echo precious > bout/notes; touch a'\nouts = ['a']\n\
             [stages.b]\ncmd = 'mkdir -p bout; touch bout/x'\nouts = ['bout']\n",
        );
        let done = sandbox.repro(&["run", "-j", "1"]);
        if done.stderr.find("a: started") < done.stderr.find("b: started") {
            assert!(done.stderr.contains("did not make: `bout/notes`"), "{done}");
            assert_eq!(sandbox.read("bout/notes"), "precious\n");
            return;
        }
    }
    panic!("`b` always came first");
}

#[test]
fn ignore_list_spares_outs() {
    let sandbox = Sandbox::with(
        "[params]\nn = 1\n[stages.s]\n\
         cmd = 'mkdir -p d/__pycache__ d/.git; cat in/* > d/in; \
         echo {{ params.n }} | tee d/__pycache__/x > d/.git/x'\n\
         deps = ['in']\nouts = ['d']\n",
    );
    sandbox.write("in/a", "a");
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "n = 1", "n = 2");
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "n = 2", "n = 1");
    sandbox.ok(&["run"]);
    assert_eq!(
        (sandbox.read("d/__pycache__/x"), sandbox.read("d/.git/x")),
        ("1\n".into(), "1\n".into())
    );
    sandbox.write("in/__pycache__/x", "noise");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 0);
}

#[test]
fn unrestorable_broken_link() {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'mkdir d; ln -s /nowhere/x d/link'\nouts = ['d']\n");
    snapshot!(sandbox.repro(&["run"]), @"
    exit 1
    --- stderr
    run-1: started
    s: started (never ran)
    s: failed after [time]: `d/link` is a link to `/nowhere/x`, which does not exist
    error: stage `s` failed after [time]: `d/link` is a link to `/nowhere/x`, which does not exist
     hint: a broken link that is absolute or leads upwards cannot be cached; remove it, or create its target

    ✗ run-1 failed after [time]: 1 failed
    ");
    sandbox.edit("pipeline.toml", "/nowhere/x", "nowhere");
    sandbox.ok(&["run"]);
    sandbox.remove("d");
    sandbox.ok(&["run"]);
    assert_eq!(fs::read_link(sandbox.path("d/link")).unwrap().to_str(), Some("nowhere"));
}

#[test]
fn reserved_paths_are_not_outs() {
    for out in
        ["cache", "cache/x", "runs", ".git/hooks/post-checkout", "pipeline.toml", "pipeline.lock"]
    {
        let sandbox = Sandbox::with(&format!("[stages.s]\ncmd = 'true'\nouts = ['{out}']\n"));
        let done = sandbox.repro(&["run"]);
        assert_eq!(done.code, 2, "{done}");
        assert!(done.stderr.contains("pipeline.toml:3: out"), "{done}");
        let chain = chain();
        chain.ok(&["run"]);
        let lock = chain.read("pipeline.lock");
        chain.write("pipeline.lock", lock.replace(" words.txt\n", &format!(" {out}\n")));
        assert_eq!(chain.repro(&["checkout"]).code, 2, "{out}");
    }
}

#[test]
fn undeclared_out_is_plain_folder() {
    let list = "[stages.t]\ncmd = 'ls d > list'\ndeps = ['d']\nouts = ['list']\n";
    let sandbox = Sandbox::with(&format!(
        "[stages.s]\ncmd = 'mkdir -p d/__pycache__; touch d/f d/__pycache__/f'\nouts = ['d']\n\
         {list}"
    ));
    sandbox.ok(&["run"]);
    sandbox.write("pipeline.toml", list);
    sandbox.ok(&["run"]);
    // When the second run started, the lock still listed `d` as an out of `s`. That must not
    // influence how the run observes `d`, which is a plain folder by now.
    sandbox.ok(&["status", "--check"]);
}
