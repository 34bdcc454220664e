//! Worktrees: isolated copies of a project.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use repro::engine::Project;
use repro::engine::worktree::{Revision, Worktree};
use repro::pipeline::Link;
use repro::repo_path::RepoPath;
use repro::workspace::{Indexed, Workspace};

use crate::sandbox::{Done, Sandbox};

fn create(sandbox: &Sandbox) -> Worktree {
    Worktree::create(&Project::load(&sandbox.root(), &[]).unwrap()).unwrap()
}

fn run(sandbox: &Sandbox, worktree: &Worktree, args: &[&str]) -> Done {
    sandbox.ok(&[&["-C", worktree.root().to_str().unwrap()], args].concat())
}

/// Lists everything below a folder but the state of a project: mode, path, and content.
fn listed(root: &Path) -> Vec<String> {
    let is_state = |name: &str| ["cache", "runs", ".git"].contains(&name);
    let walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    let walk = walk.filter_entry(|entry| {
        entry.depth() != 1 || !is_state(&entry.file_name().to_string_lossy())
    });
    let line = |entry: walkdir::DirEntry| {
        let path = entry.path().strip_prefix(root).unwrap().display().to_string();
        if entry.path_is_symlink() {
            return format!("{path} -> {}", fs::read_link(entry.path()).unwrap().display());
        }
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        match entry.file_type().is_dir() {
            true => format!("{mode:o} {path}/"),
            false => format!("{mode:o} {path} {}", fs::read_to_string(entry.path()).unwrap()),
        }
    };
    walk.map(|entry| line(entry.unwrap())).collect()
}

/// A project with every kind of file. Its stage needs files that git ignores.
fn mixed() -> Sandbox {
    let sandbox = Sandbox::empty();
    let umask = "data\n*.tmp\n/local.toml\n";
    sandbox.write("project/.gitignore", umask);
    sandbox.write(
        "project/pipeline.toml",
        "config.include = ['local.toml']\n[stages.s]\n\
         cmd = 'cat ../data/a > ../out/o; cat ../tool.tmp'\nwdir = 'here'\n\
         deps = ['data', 'src/**/*.py']\nouts = ['out']\nparams = ['x']\n",
    );
    sandbox.write("project/local.toml", "x = 1\n");
    sandbox.write("project/data/a", "a");
    sandbox.write("project/data/deep/b", "b");
    sandbox.write("project/tool.tmp", "tool");
    sandbox.write("project/src/m.py", "committed");
    sandbox.write("project/gone", "");
    sandbox.write("project/run.sh", "exit");
    sandbox.write("project/.reproignore", "*.ignored\n");
    sandbox.write("project/x.ignored", "");
    sandbox.write("outside/file", "outside");
    let root = sandbox.path("project");
    fs::create_dir_all(root.join("here/empty")).unwrap();
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("src/m.py", root.join("inside")).unwrap();
    symlink(root.join("src"), root.join("absolute")).unwrap();
    symlink("../outside/file", root.join("out of it")).unwrap();
    symlink(sandbox.path("outside"), root.join("elsewhere")).unwrap();
    symlink("../nothing", root.join("dangling")).unwrap();
    sandbox
}

fn edit_mixed(sandbox: &Sandbox) {
    sandbox.write("project/src/m.py", "edited");
    sandbox.write("project/new/file", "untracked");
    sandbox.remove("project/gone");
    let root = sandbox.path("project");
    let read_only = fs::Permissions::from_mode(0o444);
    fs::set_permissions(root.join("new/file"), read_only).unwrap();
    fs::set_permissions(root.join("new"), fs::Permissions::from_mode(0o555)).unwrap();
}

fn shown(sandbox: &Sandbox, worktree: &Worktree) -> String {
    let lines = listed(worktree.root()).join("\n");
    let lines = lines.replace(worktree.root().to_str().unwrap(), "$WORKTREE");
    lines.replace(sandbox.root().to_str().unwrap(), "$ROOT")
}

fn not_there(path: &str) -> String {
    format!("stage `s` names `{path}`, which is not in the worktree: it is ignored, and not a dep")
}

#[test]
fn files_of_checkout() {
    let sandbox = mixed();
    sandbox.git(&["init", "-q", "project"]);
    sandbox.git(&["-C", "project", "add", "."]);
    sandbox.git(&["-C", "project", "commit", "-qm", "x"]);
    edit_mixed(&sandbox);
    let before = listed(&sandbox.path("project"));
    let project = Project::load(&sandbox.path("project"), &[]).unwrap();
    let worktree = Worktree::create(&project).unwrap();
    insta::assert_snapshot!(shown(&sandbox, &worktree), @"
    644 .gitignore data
    *.tmp
    /local.toml

    644 .reproignore *.ignored

    absolute -> $WORKTREE/src
    dangling -> ../nothing
    755 data/
    644 data/a a
    755 data/deep/
    644 data/deep/b b
    elsewhere -> $ROOT/outside
    755 here/
    755 here/empty/
    inside -> src/m.py
    644 local.toml x = 1

    555 new/
    444 new/file untracked
    out of it -> $ROOT/outside/file
    644 pipeline.toml config.include = ['local.toml']
    [stages.s]
    cmd = 'cat ../data/a > ../out/o; cat ../tool.tmp'
    wdir = 'here'
    deps = ['data', 'src/**/*.py']
    outs = ['out']
    params = ['x']

    755 run.sh exit
    755 src/
    644 src/m.py edited
    644 x.ignored
    ");
    assert_eq!(worktree.warnings(), [not_there("tool.tmp")]);
    let root = worktree.root().to_owned();
    assert_eq!(root.parent().unwrap(), sandbox.path("project/cache/worktrees"));
    // Of a worktree, everything is copied.
    let second = Worktree::create(&Project::load(&root, &[]).unwrap()).unwrap();
    assert_eq!(shown(&sandbox, &second), shown(&sandbox, &worktree));
    drop((worktree, second));
    assert!(!root.exists());
    assert_eq!(fs::read_dir(sandbox.path("project/cache/worktrees")).unwrap().count(), 0);
    assert_eq!(listed(&sandbox.path("project")), before);
}

#[test]
fn files_without_git() {
    let sandbox = mixed();
    edit_mixed(&sandbox);
    let project = Project::load(&sandbox.path("project"), &[]).unwrap();
    let worktree = Worktree::create(&project).unwrap();
    insta::assert_snapshot!(shown(&sandbox, &worktree), @"
    644 .gitignore data
    *.tmp
    /local.toml

    644 .reproignore *.ignored

    absolute -> $WORKTREE/src
    dangling -> ../nothing
    755 data/
    644 data/a a
    755 data/deep/
    644 data/deep/b b
    elsewhere -> $ROOT/outside
    755 here/
    755 here/empty/
    inside -> src/m.py
    644 local.toml x = 1

    555 new/
    444 new/file untracked
    out of it -> $ROOT/outside/file
    644 pipeline.toml config.include = ['local.toml']
    [stages.s]
    cmd = 'cat ../data/a > ../out/o; cat ../tool.tmp'
    wdir = 'here'
    deps = ['data', 'src/**/*.py']
    outs = ['out']
    params = ['x']

    755 run.sh exit
    755 src/
    644 src/m.py edited
    644 tool.tmp tool
    ");
}

#[test]
fn names_that_are_not_utf8() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\n");
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    fs::write(sandbox.root().join(name), "1").unwrap();
    sandbox.git(&["init", "-q"]);
    let worktree = create(&sandbox);
    assert_eq!(fs::read(worktree.root().join(name)).unwrap(), b"1");
}

#[test]
fn submodules_are_files() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'true'\ndeps = ['sub/a']\n");
    sandbox.write("sub/a", "1");
    sandbox.write("sub/build/x", "1");
    sandbox.write("sub/.gitignore", "build\n");
    sandbox.git(&["init", "-q", "sub"]);
    sandbox.git(&["-C", "sub", "add", "."]);
    sandbox.git(&["-C", "sub", "commit", "-qm", "x"]);
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.write("sub/b", "new");
    let worktree = create(&sandbox);
    let names = |folder: &str| crate::sandbox::files(&worktree.root().join(folder));
    assert_eq!(names("sub"), [".gitignore", "a", "b"]);
}

/// Stages that note in `ran` that they ran.
fn chain(sandbox: &Sandbox) {
    let ran = sandbox.path("ran");
    let ran = ran.display();
    sandbox.write(
        "pipeline.toml",
        format!(
            "[stages.data]\nouts = ['in']\n\
             [stages.first]\ncmd = 'cp in a; cp in uncached; echo first >> {ran}'\n\
             deps = ['in']\nouts = ['a', {{ path = 'uncached', cache = false }}]\n\
             [stages.second]\ncmd = 'cat a uncached code > b; echo second >> {ran}'\n\
             deps = ['a', 'uncached', 'code']\nouts = ['b']\n"
        ),
    );
    sandbox.write("in", "1");
    sandbox.write("code", "1");
    sandbox.write(".gitignore", "/ran\n");
}

#[test]
fn upstream_outs_are_restored() {
    for with_git in [false, true] {
        let sandbox = Sandbox::empty();
        chain(&sandbox);
        if with_git {
            sandbox.git(&["init", "-q"]);
        }
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.ran(), ["first", "second"]);
        sandbox.write("code", "2");
        let lock = sandbox.read("pipeline.lock");
        let worktree = create(&sandbox);
        let there = |name: &str| worktree.root().join(name).exists();
        assert_eq!(["in", "a", "b", "uncached"].map(there), [false, false, false, true]);
        run(&sandbox, &worktree, &["run"]);
        assert_eq!(sandbox.ran(), ["second"]);
        assert_eq!(fs::read_to_string(worktree.root().join("b")).unwrap(), "112");
        assert_eq!((sandbox.read("b"), sandbox.read("pipeline.lock")), ("111".into(), lock));
        // The cache is that of the project.
        sandbox.ok(&["run"]);
        assert!(sandbox.ran().is_empty());
        assert_eq!(sandbox.read("b"), "112");
        assert!(!worktree.root().join("cache/objects").exists());
        assert!(!worktree.root().join("runs").exists());
    }
}

#[test]
fn edited_input_is_copied() {
    let sandbox = Sandbox::empty();
    chain(&sandbox);
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("in", "2");
    let worktree = create(&sandbox);
    run(&sandbox, &worktree, &["run"]);
    assert_eq!(sandbox.ran(), ["first", "second"]);
    assert_eq!(fs::read_to_string(worktree.root().join("b")).unwrap(), "221");
}

#[test]
fn outs_without_cache_are_copied() {
    let sandbox = Sandbox::empty();
    chain(&sandbox);
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.remove("cache/objects");
    let worktree = create(&sandbox);
    run(&sandbox, &worktree, &["run"]);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn revision_with_changes() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "-q"]);
    chain(&sandbox);
    sandbox.write("sub/pipeline.toml", "[stages.s]\ncmd = 'sh run.sh'\ndeps = ['ignored']\n");
    sandbox.write("sub/run.sh", "exit");
    sandbox.write("sub/data.bin", [0, 1, 2, 255]);
    sandbox.write("sub/gone", "");
    sandbox.write("sub/kept", "committed");
    let script = fs::Permissions::from_mode(0o755);
    fs::set_permissions(sandbox.path("sub/run.sh"), script).unwrap();
    symlink("kept", sandbox.path("sub/link")).unwrap();
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "x"]);
    sandbox.write("sub/kept", "edited");
    sandbox.write("sub/data.bin", [255, 0, 7]);
    sandbox.write("sub/new", "untracked");
    sandbox.remove("sub/gone");
    sandbox.git(&["add", "--intent-to-add", "."]);
    let diff = "--output=changes";
    sandbox.git(&["-C", "sub", "diff", "--binary", "--relative", diff, "HEAD", "--", "."]);
    sandbox.git(&["reset", "-q"]);
    sandbox.write("sub/kept", "later");
    let status = sandbox.path(".git/index").metadata().unwrap().mtime();
    let of = |diff: Option<&Path>| {
        let revision = Revision { commit: "HEAD", diff };
        Worktree::of_revision(&sandbox.path("sub"), &revision).unwrap()
    };
    let (plain, edited) = (of(None), of(Some(&sandbox.path("sub/changes"))));
    let names = |worktree: &Worktree| crate::sandbox::files(worktree.root());
    let state = |name: &String| name.starts_with("cache/");
    let names = |worktree| names(worktree).into_iter().filter(|n| !state(n)).collect::<Vec<_>>();
    assert_eq!(names(&plain), ["data.bin", "gone", "kept", "pipeline.toml", "run.sh"]);
    assert_eq!(names(&edited), ["data.bin", "kept", "new", "pipeline.toml", "run.sh"]);
    let read = |worktree: &Worktree, name: &str| fs::read(worktree.root().join(name)).unwrap();
    assert_eq!(read(&plain, "kept"), b"committed");
    assert_eq!(
        (read(&edited, "kept"), read(&edited, "link")),
        (b"edited".into(), b"edited".into())
    );
    assert_eq!(read(&edited, "data.bin"), [255, 0, 7]);
    let mode = edited.root().join("run.sh").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(sandbox.path(".git/index").metadata().unwrap().mtime(), status);
    let unknown = Revision { commit: "0123456789012345678901234567890123456789", diff: None };
    let error = Worktree::of_revision(&sandbox.path("sub"), &unknown).unwrap_err();
    assert_eq!(error.what, "the commit 0123456789 is not in this repository");
    drop((plain, edited));
    assert_eq!(fs::read_dir(sandbox.path("sub/cache/worktrees")).unwrap().count(), 0);
}

#[test]
fn stage_cannot_reach_workspace() {
    for kind in Link::ALL {
        let link = kind.word();
        // Who chooses such links has an object in common with the cache, in any workspace.
        let restored = if kind.is_shared() { "" } else { "a" };
        let sandbox = Sandbox::empty();
        sandbox.write(".gitignore", "data\nkept\n");
        sandbox.write(
            "pipeline.toml",
            format!(
                "[cache]\nlink = ['{link}'{}]\n[stages.first]\ncmd = 'cp in a'\n\
                 deps = ['in']\nouts = ['a', {{ path = 'kept', persist = true }}]\n\
                 [stages.s]\ncmd = '''for file in in data/big {restored} code/*; do\n\
                 rm -f \"$file.new\"; chmod u+w \"$file\" && echo changed >> \"$file\"; done\n\
                 rm -r code; touch kept b; echo b >> pipeline.toml; rm pipeline.lock'''\n\
                 deps = ['a', 'data', 'code']\nouts = ['b']\n",
                if kind == Link::Copy { "" } else { ", 'copy'" }
            )
            .replace("cp in a", "cp in a; echo >> kept"),
        );
        for file in ["in", "data/big", "code/x"] {
            sandbox.write(file, file);
        }
        symlink(sandbox.path("code/x"), sandbox.path("link")).unwrap();
        sandbox.git(&["init", "-q"]);
        sandbox.ok(&["run", "first"]);
        let before = listed(&sandbox.root());
        let worktree = create(&sandbox);
        sandbox.repro(&["-C", worktree.root().to_str().unwrap(), "run"]);
        assert!(!worktree.root().join("code").exists(), "{link}");
        drop(worktree);
        assert_eq!(listed(&sandbox.root()), before, "{link}");
    }
}

#[test]
fn relative_paths_out_are_refused() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'cat ../shared/a > a'\nouts = ['a']\n\
         [stages.b]\ncmd = 'cp ../x b'\nwdir = 'sub'\nouts = ['sub/b']\n",
    );
    fs::create_dir(sandbox.path("sub")).unwrap();
    let project = Project::load(&sandbox.root(), &[]).unwrap();
    let error = Worktree::create(&project).unwrap_err();
    assert_eq!(error.what, "stage `a` names `../shared/a`, which is outside the project");
    assert_eq!(error.others.len(), 0);
    assert!(!sandbox.exists("cache/worktrees"));
}

#[test]
fn undeclared_ignored_file_is_named() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = '.venv/bin/tool code'\n");
    for file in [".venv/bin/tool", "code"] {
        sandbox.write(file, "");
    }
    sandbox.write(".gitignore", ".venv\n");
    sandbox.git(&["init", "-q"]);
    let worktree = create(&sandbox);
    assert_eq!(worktree.warnings(), [not_there(".venv/bin/tool")]);
}

#[test]
fn gc_waits_for_worktree() {
    let sandbox = Sandbox::empty();
    chain(&sandbox);
    sandbox.ok(&["run"]);
    let worktree = create(&sandbox);
    let done = sandbox.repro(&["gc", "--yes"]);
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stderr.contains("is in use by another command: process"), "{done}");
    // Runs go on beside it.
    sandbox.write("code", "3");
    sandbox.ok(&["run"]);
    drop(worktree);
    sandbox.ok(&["gc", "--yes"]);
}

#[test]
fn worktree_beside_shared_cache() {
    let sandbox = Sandbox::empty();
    chain(&sandbox);
    let text = sandbox.read("pipeline.toml");
    sandbox.write("a/pipeline.toml", format!("cache.dir = '../store'\n{text}"));
    sandbox.write("a/in", "1");
    sandbox.write("a/code", "1");
    sandbox.ok(&["-C", "a", "run"]);
    let worktree = Worktree::create(&Project::load(&sandbox.path("a"), &[]).unwrap()).unwrap();
    sandbox.ran();
    run(&sandbox, &worktree, &["run"]);
    assert!(sandbox.ran().is_empty());
    assert_eq!(fs::read_dir(sandbox.path("store/projects")).unwrap().count(), 1);
    drop(worktree);
    sandbox.ok(&["-C", "a", "gc", "--yes"]);
}

#[test]
fn known_digests_are_kept() {
    let sandbox = Sandbox::empty();
    chain(&sandbox);
    let old = fs::File::open(sandbox.path("code")).unwrap();
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    // The first run may find that the file has just changed.
    while !matches!(indexed(&sandbox.root(), &sandbox.path("cache")), Indexed::Present(_)) {
        sandbox.ok(&["run"]);
        sandbox.ok(&["status"]);
    }
    let worktree = create(&sandbox);
    let root = worktree.root().to_owned();
    let known = indexed(&root, &root.join("cache"));
    assert!(matches!(known, Indexed::Present(_)), "{known:?}");
    let times = |root: PathBuf| root.join("code").metadata().unwrap().mtime();
    assert_eq!(times(root.clone()), times(sandbox.root()));
    fs::write(root.join("code"), "2").unwrap();
    assert_eq!(indexed(&root, &root.join("cache")), Indexed::Unknown);
}

fn indexed(root: &Path, state: &Path) -> Indexed {
    let workspace = Workspace::open(root, Default::default, state);
    workspace.indexed_content(&RepoPath::parse("code").unwrap())
}

/// A stage that counts its calls in a build folder, which git ignores.
fn with_build(share: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    let text = "[stages.s]\ncmd = 'echo built >> .build/calls; wc -l < .build/calls > o'\n\
                deps = ['src']\nouts = ['o']\n";
    sandbox.write("pipeline.toml", format!("worktrees.share = [{share}]\n{text}"));
    sandbox.write("src", "a");
    sandbox
}

#[test]
fn shared_folder_is_linked() {
    let sandbox = with_build("'.build'");
    let warnings = create(&sandbox).warnings().to_vec();
    let warning = "`.build`, which worktrees share, does not exist: each worktree makes its own";
    assert_eq!(warnings, [warning]);
    sandbox.write(".build/calls", "");
    let first = create(&sandbox);
    assert!(first.warnings().is_empty());
    run(&sandbox, &first, &["run"]);
    // A worktree of a worktree shares the folder of the main project.
    let second = Worktree::create(&Project::load(first.root(), &[]).unwrap()).unwrap();
    run(&sandbox, &second, &["run", "--force"]);
    drop((first, second));
    assert_eq!(sandbox.read(".build/calls"), "built\nbuilt\n");
}

#[test]
fn shared_deps_are_refused() {
    let sandbox = with_build("'src', 'o/x', 'cache', '../x'");
    insta::assert_snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:1: `cache` cannot be shared by worktrees: it belongs to `repro` or git
      hint: `share` is for build folders and environments, which are neither deps nor outs
    error: pipeline.toml:1: `o/x` cannot be shared by worktrees: stage `s` writes `o`
      hint: `share` is for build folders and environments, which are neither deps nor outs
    error: pipeline.toml:1: `share` `../x` of `[worktrees]` leaves the project root
    error: pipeline.toml:1: `src` cannot be shared by worktrees: stage `s` reads `src`
      hint: `share` is for build folders and environments, which are neither deps nor outs
    ");
}
