//! Files at the outs of a stage that no stage made: a run never replaces them unasked.

use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;
use crate::snapshot;

const TRAIN: &str = "[stages.train]\ncmd = 'echo ran >> ran; mkdir -p model; cat data > model/w'\n\
                     deps = ['data']\nouts = ['model']\n";

fn train() -> Sandbox {
    let sandbox = Sandbox::with(TRAIN);
    sandbox.write("data", "d");
    sandbox
}

/// A project whose out holds the files of a user.
fn occupied() -> Sandbox {
    let sandbox = train();
    for name in ["a", "b", "c", "d", "e"] {
        sandbox.write(&format!("model/{name}"), format!("precious {name}"));
    }
    sandbox
}

/// Asserts that a run is refused because of `path`, and that nothing changed there.
fn refused(sandbox: &Sandbox, args: &[&str], path: &str, content: &str) {
    let done = sandbox.repro(args);
    assert_eq!(done.code, 2, "{done}");
    assert!(done.stderr.contains("would replace"), "{done}");
    assert!(done.stderr.contains(&format!("`{path}`")), "{path}\n{done}");
    assert_eq!(sandbox.read(path), content);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn foreign_files_are_refused() {
    let sandbox = occupied();
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stdout
    train would replace 5 files that `repro` did not make: `model/a`, `model/b`, `model/c`, and 2 more
     hint: `repro accept train --reason TEXT` keeps them as outs of the stage; `repro run --replace` moves them to the trash; or move them, or declare another out (pipeline.toml:4)
    ");
    for args in [&["run", "-n"][..], &["why", "train"], &["run", "-n", "--json"]] {
        let done = sandbox.repro(args);
        assert!(done.code == 2 && done.stdout.contains("would replace 5 files"), "{done}");
    }
    refused(&sandbox, &["run"], "model/a", "precious a");
    refused(&sandbox, &["run", "-f"], "model/a", "precious a");
    sandbox.ok(&["accept", "train", "--reason", "made on the cluster"]);
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty() && sandbox.exists("model/a"));
}

#[test]
fn replaced_files_are_kept() {
    let sandbox = occupied();
    sandbox.ok(&["run", "-n", "--replace"]);
    let done = sandbox.ok(&["run", "--replace"]);
    assert!(done.stderr.contains("your version of `model` was replaced"), "{done}");
    assert_eq!(sandbox.read("model/w"), "d");
    assert!(!sandbox.exists("model/a"));
    sandbox.ok(&["trash", "restore", "1", "-o", "mine"]);
    assert_eq!(sandbox.read("mine/a"), "precious a");
}

#[test]
fn foreign_files_of_waiting_stage() {
    let sandbox = occupied();
    let text = sandbox.read("pipeline.toml");
    sandbox.remove("data");
    sandbox.write(
        "pipeline.toml",
        format!("[stages.get]\ncmd = 'echo d > data'\nouts = ['data']\n{text}"),
    );
    let done = sandbox.ok(&["status"]);
    let told = "never ran, would replace model/a and 4 more, which repro did not make";
    assert!(done.stdout.contains(told), "{done}");
    refused(&sandbox, &["run"], "model/a", "precious a");
    assert!(!sandbox.ok(&["run", "-n", "--replace"]).stdout.contains("would replace"));
}

#[test]
fn git_tracked_files() {
    let sandbox = train();
    sandbox.write("model/src.py", "print()");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    refused(&sandbox, &["run"], "model/src.py", "print()");
    let done = sandbox.repro(&["run", "--replace"]);
    assert!(done.stderr.contains("1 file that git tracks: `model/src.py`"), "{done}");
    assert!(done.stderr.contains("git rm --cached"), "{done}");
    refused(&sandbox, &["run", "--replace"], "model/src.py", "print()");
    sandbox.git(&["rm", "-q", "--cached", "model/src.py"]);
    refused(&sandbox, &["run"], "model/src.py", "print()");
    sandbox.ok(&["run", "--replace"]);
    // The lock names the out now, so git does not matter.
    sandbox.git(&["add", "."]);
    sandbox.write("data", "e");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("model/w"), "e");
}

#[test]
fn tracked_file_with_cached_content() {
    let sandbox = train();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.remove("pipeline.lock");
    sandbox.write("data", "other");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "model"]);
    refused(&sandbox, &["run"], "model/w", "d");
}

#[test]
fn restore_refuses_foreign_files() {
    let sandbox = train();
    sandbox.ok(&["run"]);
    sandbox.ran();
    for path in ["pipeline.lock", "model"] {
        sandbox.remove(path);
    }
    sandbox.write("model/w", "precious");
    let done = sandbox.repro(&["status"]);
    assert!(done.code == 2 && done.stdout.contains("1 file that `repro` did not make"), "{done}");
    refused(&sandbox, &["run"], "model/w", "precious");
    sandbox.ok(&["run", "--replace"]);
    assert_eq!(sandbox.read("model/w"), "d");
    assert!(sandbox.ran().is_empty());
}

#[test]
fn cached_files() {
    let sandbox = train();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.remove("pipeline.lock");
    // The present inputs still lead to the outs.
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
    sandbox.remove("pipeline.lock");
    sandbox.write("model/notes", "mine");
    let done = sandbox.repro(&["run"]);
    assert!(done.stderr.contains("replace 1 file that `repro` did not make: `model/notes`"));
    sandbox.remove("model/notes");
    sandbox.write("data", "other");
    refused(&sandbox, &["run"], "model/w", "d");
}

#[test]
fn copied_out() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'cat in > o'\ndeps = ['in']\nouts = ['o']\n");
    sandbox.write("in", "one");
    sandbox.ok(&["run"]);
    std::fs::create_dir(sandbox.path("keep")).unwrap();
    std::fs::copy(sandbox.path("o"), sandbox.path("keep/best")).unwrap();
    sandbox.write("in", "two");
    sandbox.ok(&["run"]);
    let text = sandbox.read("pipeline.toml");
    let more = "[stages.k]\ncmd = 'echo new > keep/best'\nouts = ['keep/best']\n";
    sandbox.write("pipeline.toml", format!("{text}{more}"));
    refused(&sandbox, &["run"], "keep/best", "one");
    let done = sandbox.ok(&["run", "--replace"]);
    assert!(done.stderr.contains("your version of `keep/best` was replaced"), "{done}");
    sandbox.ok(&["gc", "--runs", "1", "--yes"]);
    sandbox.ok(&["trash", "restore", "1", "-o", "back"]);
    assert_eq!(sandbox.read("back"), "one");
}

#[test]
fn remains_of_failed_stage() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'mkdir out; echo rest > out/x; exit $(cat code)'\n\
         deps = ['code']\nouts = ['out']\n",
    );
    sandbox.write("code", "1");
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    let started = sandbox.read("cache/started");
    // Without the file, nobody knows who made the remains.
    sandbox.remove("cache/started");
    refused(&sandbox, &["run"], "out/x", "rest\n");
    sandbox.write("cache/started", started);
    let done = sandbox.repro(&["run"]);
    assert!(done.code == 1 && !done.stderr.contains("warning"), "{done}");
    assert!(!sandbox.exists("cache/trash"));
    sandbox.write("out/mine", "precious");
    refused(&sandbox, &["run"], "out/mine", "precious");
    sandbox.remove("out/mine");
    sandbox.write("code", "0");
    sandbox.ok(&["run"]);
    assert!(!sandbox.exists("cache/started") && !sandbox.exists("cache/trash"));
    // The same if the lock names the out.
    sandbox.edit("pipeline.toml", "rest", "remains");
    sandbox.write("code", "1");
    for _ in 0..2 {
        let done = sandbox.repro(&["run"]);
        assert!(done.code == 1 && !done.stderr.contains("warning"), "{done}");
    }
    assert!(!sandbox.exists("cache/trash"));
}

#[test]
fn later_file() {
    let failing = "[stages.s]\ncmd = 'exit 1'\nouts = ['data.csv']\n";
    let other = "[stages.t]\ncmd = 'echo ran >> ran; echo 2 > data.csv'\nouts = ['data.csv']\n";
    for later in [failing.replace("exit 1", "echo 2 > data.csv"), other.to_owned()] {
        let sandbox = Sandbox::with(failing);
        assert_eq!(sandbox.repro(&["run"]).code, 1);
        sandbox.write("data.csv", "precious");
        sandbox.write("pipeline.toml", later);
        refused(&sandbox, &["run"], "data.csv", "precious");
    }
}

#[test]
fn killed_stage() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 2 > out'\nouts = ['out']\n");
    sandbox.write("cache/started", "\n\"out\"\n");
    sandbox.write("out", "precious");
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("your version of `out` was replaced"), "{done}");
    sandbox.ok(&["trash", "restore", "1", "-o", "back"]);
    assert_eq!(sandbox.read("back"), "precious");
}

#[test]
fn corrected_out() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'echo ran >> ran; cat in > out; echo more >> in'\n\
         deps = ['in']\nouts = ['out']\n",
    );
    sandbox.write("in", "1\n");
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    sandbox.ran();
    sandbox.write("out", "corrected");
    refused(&sandbox, &["run"], "out", "corrected");
}

#[test]
fn undeclared_claim() {
    let sandbox = Sandbox::with("[stages.old]\ncmd = 'echo 1 > o; exit 1'\nouts = ['o']\n");
    assert_eq!(sandbox.repro(&["run"]).code, 1);
    assert!(sandbox.exists("cache/started"));
    sandbox.write("pipeline.toml", "[stages.new]\ncmd = 'true'\n");
    sandbox.ok(&["run"]);
    assert!(!sandbox.exists("cache/started"));
}

#[test]
fn plain_claims() {
    let text = "[stages.s]\ncmd = 'echo 1 > o'\nouts = ['o']\n";
    let sandbox = Sandbox::with(text);
    sandbox.write("victim", "");
    sandbox.write("cache/x", "");
    symlink("../victim", sandbox.path("cache/started")).unwrap();
    let done = sandbox.repro(&["run"]);
    assert!(done.code != 0 && done.stderr.contains("symbolic link"), "{done}");
    assert_eq!(sandbox.read("victim"), "");
    sandbox.remove("cache/started");
    sandbox.fifo("cache/started");
    let done = sandbox.repro(&["run"]);
    assert!(done.code != 0 && done.stderr.contains("FIFO"), "{done}");
}

#[test]
fn dropped_out() {
    let sandbox = train();
    sandbox.ok(&["run"]);
    sandbox.ran();
    sandbox.write("pipeline.toml", "[stages.other]\ncmd = 'true'\n");
    sandbox.ok(&["run"]);
    sandbox.write("model/w", "precious");
    sandbox.write("pipeline.toml", TRAIN);
    sandbox.write("data", "other");
    refused(&sandbox, &["run"], "model/w", "precious");
}

#[test]
fn edit_beside_change() {
    let sandbox = train();
    sandbox.ok(&["run"]);
    sandbox.write("model/notes", "mine");
    sandbox.write("data", "other");
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("your version of `model/notes` was replaced"), "{done}");
}

#[test]
fn persistent_out_is_kept() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'echo 2 >> log'\nouts = [{ path = 'log', persist = true }]\n",
    );
    sandbox.write("log", "1\n");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("log"), "1\n2\n");
}

#[test]
fn items_refuse_foreign_files() {
    let sandbox = Sandbox::with(
        "[stages.up]\neach = 'in/*'\n\
         cmd = 'echo ran >> ran; cat {{ item.path }} > up/{{ item.name }}'\n\
         outs = ['up/{{ item.name }}']\n",
    );
    sandbox.write("in/a", "a");
    sandbox.write("up/notes", "precious");
    refused(&sandbox, &["run"], "up/notes", "precious");
    sandbox.remove("up/notes");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["ran"]);
}

#[test]
fn former_file_makes_way() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 1 > o'\nouts = ['o']\n");
    sandbox.ok(&["run"]);
    sandbox.write("pipeline.toml", "[stages.s]\ncmd = 'echo 2 > o/f'\nouts = ['o/f']\n");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o/f"), "2\n");
    sandbox.write("o/notes", "precious");
    sandbox.write("pipeline.toml", "[stages.s]\ncmd = 'echo 3 > o'\nouts = ['o']\n");
    refused(&sandbox, &["run"], "o/notes", "precious");
    sandbox.remove("o/notes");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o"), "3\n");
    // The cache has the outs of the second run.
    sandbox.write("pipeline.toml", "[stages.s]\ncmd = 'echo 2 > o/f'\nouts = ['o/f']\n");
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("restored"), "{done}");
    assert_eq!(sandbox.read("o/f"), "2\n");
}

#[test]
fn foreign_file_in_the_way() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo 1 > o/f'\nouts = ['o/f']\n");
    sandbox.write("o", "precious");
    refused(&sandbox, &["run"], "o", "precious");
    sandbox.ok(&["run", "--replace"]);
    sandbox.remove("o");
    sandbox.write("o", "precious too");
    let done = sandbox.repro(&["checkout"]);
    assert!(done.code == 2 && done.stderr.contains("`o` is in the way of `o/f`"), "{done}");
    assert_eq!(sandbox.read("o"), "precious too");
    // That the cache holds the content does not make it a stage's.
    sandbox.write("o", "precious");
    assert_eq!(sandbox.repro(&["checkout"]).code, 2);
    sandbox.remove("o");
    sandbox.ok(&["checkout"]);
    assert_eq!(sandbox.read("o/f"), "1\n");
}

#[test]
fn users_link_is_refused() {
    let sandbox = train();
    sandbox.write("big/w", "d");
    symlink("big", sandbox.path("model")).unwrap();
    let done = sandbox.repro(&["run"]);
    assert!(done.code == 2 && done.stderr.contains("`model`, a link to `big`"), "{done}");
    assert!(sandbox.path("model").is_symlink());
    let done = sandbox.ok(&["run", "--replace"]);
    assert!(done.stderr.contains("`model` was a link to `big`, and no longer is"), "{done}");
    assert_eq!(sandbox.read("big/w"), "d");
}

#[test]
fn lost_link() {
    let sandbox = train();
    sandbox.ok(&["run"]);
    std::fs::rename(sandbox.path("model"), sandbox.path("big")).unwrap();
    symlink("big", sandbox.path("model")).unwrap();
    sandbox.ok(&["status", "--check"]);
    sandbox.write("data", "other");
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("`model` was a link to `big`, and no longer is"), "{done}");
    // A link that the stage makes again, or one into the cache, is not worth a word.
    sandbox.edit("pipeline.toml", "mkdir -p model", "ln -sfn big model");
    sandbox.ok(&["run"]);
    sandbox.write("data", "more");
    let done = sandbox.ok(&["run"]);
    assert!(sandbox.path("model").is_symlink() && !done.stderr.contains("was a link"), "{done}");
}

#[test]
fn wdir_of_outs_is_created() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'echo hi > out'\nwdir = 'build/deep'\nouts = ['build/deep/out']\n\
         [stages.t]\ncmd = 'echo hi > out'\nwdir = 'all'\nouts = ['all']\n",
    );
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("build/deep/out"), "hi\n");
    sandbox.ok(&["run", "-f"]);
    assert_eq!(sandbox.read("all/out"), "hi\n");
    sandbox.write("pipeline.toml", "[stages.s]\ncmd = 'true'\nwdir = 'nowhere'\n");
    let done = sandbox.repro(&["run"]);
    assert!(done.stderr.contains("`nowhere` is not a directory"), "{done}");
}
