//! `run --watch`: which changes wake it, which do not, and what it survives. The tests wait for
//! lines of output, never for time to pass.

use std::fs;
use std::process::{Child, Stdio};

use deadline::Lines;
use rustix::process::{Pid, Signal, kill_process};

use crate::run::chain;
use crate::sandbox::Sandbox;

struct Watch {
    /// `None` once it was waited for.
    child: Option<Child>,
    lines: Lines,
}

const WAITING: &str = "watching for changes; press Ctrl-C to stop";

impl Watch {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Watch {
        let mut command = sandbox.command(&[&["run", "--watch"], args].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = deadline::lines(child.stderr.take().unwrap());
        Watch { child: Some(child), lines }
    }

    /// Returns the lines up to and including the one that contains `end`.
    fn until(&mut self, end: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in &mut self.lines {
            lines.push(line);
            if lines[lines.len() - 1].contains(end) {
                return lines;
            }
        }
        panic!("`{end}` is missing in {lines:#?}");
    }

    /// Returns the lines of one turn; the first one names the changed file.
    fn turn(&mut self) -> Vec<String> {
        self.until(WAITING)
    }

    /// Sends SIGINT and returns the exit code.
    fn end(mut self) -> Option<i32> {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        deadline::wait(child).status.code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the lines of the next turn, and asserts that a change of `by` caused it.
fn woken(watch: &mut Watch, by: &str) -> Vec<String> {
    let lines = watch.turn();
    let notice = if by == "files" { "files changed".into() } else { format!("`{by}` changed") };
    assert_eq!(lines[0], notice, "{lines:#?}");
    lines
}

/// Counts the turns among the lines that followed a change.
fn turns_after_change(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.ends_with(" changed")).count()
}

#[test]
fn only_deps_wake() {
    let sandbox = chain();
    let mut watch = Watch::start(&sandbox, &[]);
    assert_eq!(turns_after_change(&watch.turn()), 0);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    sandbox.write("in.txt", "z");
    assert_eq!(turns_after_change(&woken(&mut watch, "in.txt")), 1);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    // As editors save: a new file is renamed over the old one.
    sandbox.write("in.new", "a b");
    fs::rename(sandbox.path("in.new"), sandbox.path("in.txt")).unwrap();
    assert_eq!(turns_after_change(&woken(&mut watch, "in.txt")), 1);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    // Edits of outs and of files that no stage reads do not wake it: the next turn is caused by the
    // pipeline.
    sandbox.write("report.txt", "edited");
    sandbox.write("notes.txt", "x");
    sandbox.ok(&["params", "set", "title=u"]);
    assert_eq!(turns_after_change(&woken(&mut watch, "pipeline.toml")), 1);
    assert_eq!(sandbox.ran(), ["report"]);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn broken_pipeline_is_waited_for() {
    let sandbox = chain();
    let good = sandbox.read("pipeline.toml");
    sandbox.write("pipeline.toml", "[stages");
    let mut watch = Watch::start(&sandbox, &[]);
    let lines = watch.turn();
    assert!(lines[0].starts_with("error: pipeline.toml:1: "), "{lines:#?}");
    sandbox.write("pipeline.toml", &good);
    woken(&mut watch, "pipeline.toml");
    sandbox.edit("pipeline.toml", "outs = [\"counts\"]", "otus = [\"counts\"]");
    let lines = woken(&mut watch, "pipeline.toml");
    assert!(lines.iter().any(|line| line.contains("did you mean `outs`?")), "{lines:#?}");
    // The deps of the last valid pipeline still wake it.
    sandbox.write("in.txt", "z");
    woken(&mut watch, "in.txt");
    sandbox.ran();
    sandbox.write("pipeline.toml", good);
    woken(&mut watch, "pipeline.toml");
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn renamed_folders_wake() {
    let sandbox = Sandbox::with(
        "[stages.all]\ncmd = 'cat src/*/*.txt > all; echo all >> ran'\ndeps = ['src/**/*.txt']\n\
         outs = ['all']\n",
    );
    sandbox.write("src/a/1.txt", "1");
    let mut watch = Watch::start(&sandbox, &[]);
    watch.turn();
    fs::rename(sandbox.path("src"), sandbox.path("away")).unwrap();
    let lines = woken(&mut watch, "src");
    assert!(lines.iter().any(|line| line.contains("does not exist")), "{lines:#?}");
    // The file is in a new folder, which is itself in a new folder.
    sandbox.write("away/b/2.txt", "2");
    fs::rename(sandbox.path("away"), sandbox.path("src")).unwrap();
    woken(&mut watch, "src");
    assert_eq!(sandbox.read("all"), "12");
    sandbox.write("src/b/2.txt", "3");
    woken(&mut watch, "src/b/2.txt");
    assert_eq!(sandbox.read("all"), "13");
    sandbox.remove("src/b");
    watch.turn();
    assert_eq!(sandbox.read("all"), "1");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn included_and_linked_files_wake() {
    let sandbox = Sandbox::with(
        r#"
[config]
include = ["conf/base.toml"]

[stages.a]
cmd = "cat in > a; echo a {{ params.n }} >> ran"
deps = ["in"]
outs = ["a"]

[stages.b]
cmd = "cat other > b; echo b >> ran"
deps = ["other"]
outs = ["b"]
"#,
    );
    sandbox.write("conf/base.toml", "n = 1\n");
    sandbox.write("elsewhere/in", "1");
    sandbox.write("other", "1");
    std::os::unix::fs::symlink("elsewhere/in", sandbox.path("in")).unwrap();
    let mut watch = Watch::start(&sandbox, &["a", "-f"]);
    watch.turn();
    assert_eq!(sandbox.ran(), ["a 1"]);
    sandbox.write("other", "2");
    sandbox.write("conf/base.toml", "n = 2\n");
    woken(&mut watch, "conf/base.toml");
    sandbox.write("elsewhere/in", "2");
    assert_eq!(watch.turn()[0], "files changed");
    assert_eq!(sandbox.ran(), ["a 2", "a 2"]);
    // `-f` forces the first turn only.
    fs::File::open(sandbox.path("other")).unwrap();
    fs::set_permissions(
        sandbox.path("conf/base.toml"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    woken(&mut watch, "conf/base.toml");
    assert!(sandbox.ran().is_empty());
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn failed_stage_reruns_after_edit() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'sh a.sh'\ndeps = ['a.sh']\nouts = ['a']\n");
    sandbox.write("a.sh", "exit 3");
    let mut watch = Watch::start(&sandbox, &[]);
    let lines = watch.turn();
    assert!(lines.iter().any(|line| line.contains("exited with code 3")), "{lines:#?}");
    sandbox.write("a.sh", "echo 1 > a");
    woken(&mut watch, "a.sh");
    assert_eq!(sandbox.read("a"), "1\n");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn self_modifying_stage_ends() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'echo x >> in; cp in a; echo a >> ran'\ndeps = ['in']\nouts = ['a']\n",
    );
    sandbox.write("in", "");
    let mut watch = Watch::start(&sandbox, &[]);
    watch.turn();
    assert_eq!(sandbox.ran(), ["a"; 3]);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn ctrl_c_ends_watch() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'cat in; echo begun; exec sleep 1000'\ndeps = ['in']\nouts = ['a']\n",
    );
    sandbox.write("in", "");
    let mut watch = Watch::start(&sandbox, &[]);
    watch.until("begun");
    assert_eq!(watch.end(), Some(130));
}

#[test]
fn ctrl_c_in_later_run() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'exec sh in'\ndeps = ['in']\nouts = ['a']\n");
    sandbox.write("in", "echo 1 > a");
    let mut watch = Watch::start(&sandbox, &[]);
    watch.turn();
    // The trap shows that the stage received SIGTERM.
    sandbox.write(
        "in",
        "trap 'echo ended >> ran; exit 1' TERM; echo begun; while :; do sleep 0.01; done",
    );
    watch.until("begun");
    assert_eq!(watch.end(), Some(130));
    assert_eq!(sandbox.ran(), ["ended"]);
}

/// For a dep behind links, a change of any link on the way or of the target wakes.
#[test]
fn files_behind_links_wake() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'cat in/* ln/a > out'\ndeps = ['in', 'ln/a']\nouts = ['out']\n",
    );
    let link = |to: &str, from: &str| {
        let from = sandbox.path(from);
        let _ = fs::remove_file(&from);
        std::os::unix::fs::symlink(to, from).unwrap();
    };
    for (path, text) in [("store/one", "1"), ("store/two", "2"), ("v1/a", "a"), ("v2/a", "b")] {
        sandbox.write(path, text);
    }
    fs::write(outside.path().join("far"), "far").unwrap();
    fs::create_dir(sandbox.path("in")).unwrap();
    link("../store/one", "in/one");
    link("../later/three", "in/three");
    link(outside.path().join("far").to_str().unwrap(), "in/far");
    link("current", "ln");
    link("v1", "current");
    let mut watch = Watch::start(&sandbox, &["-k"]);
    watch.turn();
    sandbox.write("store/one", "one");
    woken(&mut watch, "files");
    fs::write(outside.path().join("far"), "farther").unwrap();
    woken(&mut watch, "files");
    link("v2", "current");
    woken(&mut watch, "files");
    sandbox.write("v2/a", "c");
    woken(&mut watch, "ln/a");
    sandbox.write("later/three", "3");
    woken(&mut watch, "files");
    assert_eq!(watch.end(), Some(0));
    assert_eq!(sandbox.read("out"), "fartherone3c");
}

/// If the out woke it, it would run again and again until the stage fails.
#[test]
fn no_wake_behind_linked_out() {
    let sandbox = Sandbox::with(
        r#"
[stages.fetch]
cmd = """echo x >> turns; \
  test $(wc -l < turns) -lt 9 && cp turns v && ln -sf ../v data/latest; echo fetch >> ran"""
always = true
outs = ["data/latest"]

[stages.use]
cmd = "cat conf/model > used; echo use >> ran"
deps = ["conf", "data/latest"]
outs = ["used"]
"#,
    );
    sandbox.write("conf/other", "");
    std::os::unix::fs::symlink("../data/latest", sandbox.path("conf/model")).unwrap();
    let mut watch = Watch::start(&sandbox, &[]);
    watch.turn();
    assert_eq!(sandbox.ran(), ["fetch", "use"]);
    sandbox.write("conf/other", "x");
    assert_eq!(turns_after_change(&woken(&mut watch, "conf/other")), 1);
    assert_eq!(sandbox.ran(), ["fetch", "use"]);
    assert_eq!(watch.end(), Some(0));
}

/// A folder that is reachable under two names is watched under both.
#[test]
fn change_behind_link_wakes() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'cat in/sub/* cur > out'\ndeps = ['in', 'cur']\nouts = ['out']\n",
    );
    sandbox.write("store/a", "a");
    sandbox.write("store/b", "b");
    fs::create_dir(sandbox.path("in")).unwrap();
    std::os::unix::fs::symlink("../store", sandbox.path("in/sub")).unwrap();
    std::os::unix::fs::symlink("store/a", sandbox.path("cur")).unwrap();
    let mut watch = Watch::start(&sandbox, &[]);
    watch.turn();
    sandbox.write("store/b", "c");
    woken(&mut watch, "in/sub/b");
    assert_eq!(watch.end(), Some(0));
    assert_eq!(sandbox.read("out"), "aca");
}
