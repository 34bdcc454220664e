//! Files that do not count: by default, by `.reproignore`, and as the state of a nested project.

use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;
use crate::snapshot;

/// Returns a project whose stages read the folder `src`: as a whole, by globs and item by item.
fn project() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[stages.folder]
cmd = "ls -R src > folder"
deps = ["src"]
outs = ["folder"]
[stages.glob]
cmd = "ls -R src > glob"
deps = ["src/**/*"]
outs = ["glob"]
[stages.root]
cmd = "ls -R src > root"
deps = ["s*/*"]
outs = ["root"]
[stages.items]
cmd = "cp {{ item.path }} items/"
each = "src/*"
outs = ["items/{{ item.name }}"]
"#,
    );
    sandbox.write("src/a.py", "1");
    sandbox.ok(&["run"]);
    sandbox
}

#[test]
fn ignored_files_do_not_count() {
    let sandbox = project();
    sandbox.write(".reproignore", "*.log\n/src/sub/\n");
    sandbox.write("src/.reproignore", "x.*\n!keep.log\n");
    for ignored in ["src/a.log", "src/x.py", "src/sub/y", "src/sub/.reproignore"] {
        sandbox.write(ignored, "!*");
        sandbox.ok(&["status", "--check"]);
        sandbox.ok(&["status", "--check", "folder", "glob", "root", "items"]);
    }
    sandbox.write("src/keep.log", "1");
    for stage in ["folder", "glob", "root", "items"] {
        let done = sandbox.ok(&["why", stage]);
        assert!(done.stdout.contains("file src/keep.log added"), "{done}");
    }
    sandbox.ok(&["run"]);
    assert!(sandbox.exists("items/keep.log") && !sandbox.exists("items/a.log"));
}

#[test]
fn editor_files_do_not_count() {
    let sandbox = project();
    let names = [".a.py.swp", "a.py~", "#a.py#", "4913", ".nfs01", "a.py___jb_tmp___"];
    for name in names {
        sandbox.write(&format!("src/{name}"), "1");
    }
    symlink("user@host.1", sandbox.path("src/.#a.py")).unwrap();
    sandbox.ok(&["status", "--check"]);
    sandbox.write(".reproignore", "!*~\n");
    assert!(sandbox.ok(&["why", "folder"]).stdout.contains("file src/a.py~ added"));
    sandbox.edit("pipeline.toml", "ls -R src > folder", "echo x > src/.b.swp; ls src > folder");
    sandbox.ok(&["run", "folder"]);
}

#[test]
fn changed_rules_are_explained() {
    let sandbox = project();
    sandbox.write("src/a.log", "1");
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
    sandbox.write(".reproignore", "*.log\n");
    snapshot!(sandbox.repro(&["status", "--check"]), @"
    exit 4
    --- stdout
    folder can be restored from the cache: file src/a.log ignored
    glob can be restored from the cache: file src/a.log ignored
    root can be restored from the cache: file src/a.log ignored
    items can be restored from the cache: file src/a.log ignored
    ");
    sandbox.ok(&["run"]);
    sandbox.write(".reproignore", "# none\n");
    snapshot!(sandbox.ok(&["why", "folder"]), @"
    exit 0
    --- stdout
    folder will be restored from the cache
     file src/a.log added
    ");
}

#[test]
fn outs_count_where_ignored() {
    let sandbox = Sandbox::with(
        r#"
[stages.use]
cmd = "cat src/build/*.log src/a.log > all"
deps = ["src"]
outs = ["all"]
[stages.make]
cmd = "cat in > src/build/1.log; cp src/build/1.log src/a.log"
deps = ["in"]
outs = ["src/build/1.log", "src/a.log"]
"#,
    );
    sandbox.write("in", "1");
    sandbox.write(".reproignore", "*.log\nbuild/\n");
    sandbox.write("src/build/note", "1");
    sandbox.ok(&["run"]);
    sandbox.write("src/build/note", "2");
    sandbox.write("src/build/2.log", "2");
    sandbox.ok(&["status", "--check"]);
    sandbox.write("in", "2");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("all"), "222");
}

#[test]
fn named_path_counts() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'cat tmp/*/* x.log > a'\ndeps = ['tmp/in', 'x.log']\nouts = ['a']\n\
         [stages.b]\ncmd = 'cat tmp/*/* > b'\ndeps = ['tmp']\nouts = ['b']\n",
    );
    sandbox.write(".reproignore", "tmp/**\n*.log\n");
    sandbox.write("x.log", "1");
    sandbox.write("tmp/in/x", "1");
    sandbox.ok(&["run"]);
    for path in ["x.log", "tmp/in/x", "tmp/in/y"] {
        sandbox.write(path, "22");
        assert_eq!(sandbox.repro(&["status", "--check"]).code, 4, "{path}");
        sandbox.ok(&["run"]);
        sandbox.ok(&["status", "--check"]);
    }
    // A file that one dep ignores and another names stays in the index.
    fs::remove_dir_all(sandbox.path("cache/objects")).unwrap();
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn nested_project_state() {
    let sandbox = Sandbox::with(
        "[stages.o]\ncmd = 'cat sub/out > o'\ndeps = ['sub']\nouts = ['o']\n\
         [stages.g]\ncmd = 'cat sub/out > g'\ndeps = ['sub/**/*']\nouts = ['g']\n",
    );
    sandbox.write("sub/in", "1");
    sandbox.write(
        "sub/pipeline.toml",
        "[stages.i]\ncmd = 'cat in > out'\ndeps = ['in']\nouts = ['out']\n",
    );
    sandbox.ok(&["-C", "sub", "run"]);
    sandbox.ok(&["run"]);
    sandbox.ok(&["-C", "sub", "run", "--force"]);
    sandbox.ok(&["status", "--check"]);
    sandbox.write("sub/in", "2");
    sandbox.ok(&["-C", "sub", "run"]);
    snapshot!(sandbox.ok(&["why", "o"]), @"
    exit 0
    --- stdout
    o will run
     file sub/in changed
     file sub/out changed
    ");
}

#[test]
fn faulty_ignore_file() {
    let sandbox = project();
    sandbox.write("src/.reproignore", "ok\n[z-a]\n");
    snapshot!(sandbox.repro(&["status", "folder"]), @"
    exit 2
    --- stdout
    folder cannot be checked: src/.reproignore:2: invalid pattern: error parsing glob '[z-a]': invalid range; 'z' > 'a'
     hint: the syntax is that of gitignore files
    ");
}
