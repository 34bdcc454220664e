//! `run --watch`: what wakes it, what does not, what it survives. Waits for lines of its output, never for time.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::run::chain;
use crate::sandbox::Sandbox;

struct Watch {
    child: Child,
    lines: Receiver<String>,
}

const WAITING: &str = "watching for changes, until Ctrl-C";

impl Watch {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Watch {
        let mut command = sandbox.command(&[&["run", "--watch"], args].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Watch { child, lines }
    }

    /// The lines up to the one that `end` stands in, with it.
    fn until(&self, end: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => lines.push(line),
                Err(_) => panic!("`{end}` did not come after {lines:#?}"),
            }
            if lines[lines.len() - 1].contains(end) {
                return lines;
            }
        }
    }

    /// The lines of one turn; the first says what was touched.
    fn turn(&self) -> Vec<String> {
        self.until(WAITING)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> Option<i32> {
        self.signal("-INT");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next turn was because of this.
fn woken(watch: &Watch, by: &str) -> Vec<String> {
    let lines = watch.turn();
    let told = if by.ends_with("touched") { by.to_owned() } else { format!("{by} was touched") };
    assert_eq!(lines[0], told, "{lines:#?}");
    lines
}

/// How many runs of these followed a change.
fn touches(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.ends_with("touched")).count()
}

#[test]
fn a_change_runs_what_reads_it_and_what_stages_write_wakes_nobody() {
    let sandbox = chain();
    let watch = Watch::start(&sandbox, &[]);
    assert_eq!(touches(&watch.turn()), 0);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    sandbox.write("in.txt", "z");
    assert_eq!(touches(&woken(&watch, "in.txt")), 1);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    // As editors save: a new file takes the old one's name.
    sandbox.write("in.new", "a b");
    fs::rename(sandbox.path("in.new"), sandbox.path("in.txt")).unwrap();
    assert_eq!(touches(&woken(&watch, "in.txt")), 1);
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    // Neither outs nor files that no stage reads: the next turn is because of the pipeline.
    sandbox.write("report.txt", "edited");
    sandbox.write("notes.txt", "x");
    sandbox.ok(&["params", "set", "title=u"]);
    assert_eq!(touches(&woken(&watch, "pipeline.toml")), 1);
    assert_eq!(sandbox.ran(), ["report"]);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_broken_pipeline_is_told_and_waited_for() {
    let sandbox = chain();
    let good = sandbox.read("pipeline.toml");
    sandbox.write("pipeline.toml", "[stages");
    let watch = Watch::start(&sandbox, &[]);
    let lines = watch.turn();
    assert!(lines[0].starts_with("error: pipeline.toml:1: "), "{lines:#?}");
    sandbox.write("pipeline.toml", &good);
    woken(&watch, "pipeline.toml");
    sandbox.edit("pipeline.toml", "outs = [\"counts\"]", "otus = [\"counts\"]");
    let lines = woken(&watch, "pipeline.toml");
    assert!(lines.iter().any(|line| line.contains("did you mean `outs`?")), "{lines:#?}");
    // What mattered before matters still.
    sandbox.write("in.txt", "z");
    woken(&watch, "in.txt");
    sandbox.ran();
    sandbox.write("pipeline.toml", good);
    woken(&watch, "pipeline.toml");
    assert_eq!(sandbox.ran(), ["words", "count", "report"]);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn folders_come_and_go() {
    let sandbox = Sandbox::with(
        "[stages.all]\ncmd = 'cat src/*/*.txt > all; echo all >> ran'\ndeps = ['src/**/*.txt']\nouts = ['all']\n",
    );
    sandbox.write("src/a/1.txt", "1");
    let watch = Watch::start(&sandbox, &[]);
    watch.turn();
    fs::rename(sandbox.path("src"), sandbox.path("away")).unwrap();
    let lines = woken(&watch, "src");
    assert!(lines.iter().any(|line| line.contains("does not exist")), "{lines:#?}");
    // In a folder that is new, in one that is new.
    sandbox.write("away/b/2.txt", "2");
    fs::rename(sandbox.path("away"), sandbox.path("src")).unwrap();
    woken(&watch, "src");
    assert_eq!(sandbox.read("all"), "12");
    sandbox.write("src/b/2.txt", "3");
    woken(&watch, "src/b/2.txt");
    assert_eq!(sandbox.read("all"), "13");
    sandbox.remove("src/b");
    watch.turn();
    assert_eq!(sandbox.read("all"), "1");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn included_files_and_linked_files_wake_and_only_the_wanted_stages_count() {
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
    let watch = Watch::start(&sandbox, &["a", "-f"]);
    watch.turn();
    assert_eq!(sandbox.ran(), ["a 1"]);
    sandbox.write("other", "2");
    sandbox.write("conf/base.toml", "n = 2\n");
    woken(&watch, "conf/base.toml");
    sandbox.write("elsewhere/in", "2");
    assert_eq!(watch.turn()[0], "files were touched");
    assert_eq!(sandbox.ran(), ["a 2", "a 2"]);
    // Forced once, not each time.
    fs::File::open(sandbox.path("other")).unwrap();
    fs::set_permissions(
        sandbox.path("conf/base.toml"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    woken(&watch, "conf/base.toml");
    assert!(sandbox.ran().is_empty());
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_stage_that_fails_is_run_again_when_its_script_is_mended() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'sh a.sh'\ndeps = ['a.sh']\nouts = ['a']\n");
    sandbox.write("a.sh", "exit 3");
    let watch = Watch::start(&sandbox, &[]);
    let lines = watch.turn();
    assert!(lines.iter().any(|line| line.contains("exited with code 3")), "{lines:#?}");
    sandbox.write("a.sh", "echo 1 > a");
    woken(&watch, "a.sh");
    assert_eq!(sandbox.read("a"), "1\n");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_stage_that_changes_what_it_reads_does_not_keep_it_busy() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'echo x >> in; cp in a; echo a >> ran'\ndeps = ['in']\nouts = ['a']\n",
    );
    sandbox.write("in", "");
    let watch = Watch::start(&sandbox, &[]);
    watch.turn();
    assert_eq!(sandbox.ran(), ["a"; 3]);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn ctrl_c_in_a_run_stops_its_stages_and_ends_the_watch() {
    let sandbox = Sandbox::with(
        "[stages.a]\ncmd = 'cat in; echo begun; exec sleep 1000'\ndeps = ['in']\nouts = ['a']\n",
    );
    sandbox.write("in", "");
    let mut watch = Watch::start(&sandbox, &[]);
    watch.until("begun");
    watch.signal("-INT");
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_run_after_the_first_is_stopped_as_well() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'exec sh in'\ndeps = ['in']\nouts = ['a']\n");
    sandbox.write("in", "echo 1 > a");
    let mut watch = Watch::start(&sandbox, &[]);
    watch.turn();
    // It asks to be ended in order, which a process that exits at once would not do.
    sandbox.write(
        "in",
        "trap 'echo ended >> ran; exit 1' TERM; echo begun; while :; do sleep 0.01; done",
    );
    watch.until("begun");
    watch.signal("-INT");
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.ran(), ["ended"]);
}

/// Of what is read by way of links, each thing on the way wakes.
#[test]
fn what_lies_behind_links_wakes_wherever_it_is() {
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
    let watch = Watch::start(&sandbox, &["-k"]);
    watch.turn();
    sandbox.write("store/one", "one");
    woken(&watch, "files were touched");
    fs::write(outside.path().join("far"), "farther").unwrap();
    woken(&watch, "files were touched");
    link("v2", "current");
    woken(&watch, "files were touched");
    sandbox.write("v2/a", "c");
    woken(&watch, "ln/a");
    sandbox.write("later/three", "3");
    woken(&watch, "files were touched");
    assert_eq!(watch.end(), Some(0));
    assert_eq!(sandbox.read("out"), "fartherone3c");
}

/// Were it woken, it would run until the stage fails.
#[test]
fn an_out_that_a_link_in_a_dep_leads_to_wakes_nobody() {
    let sandbox = Sandbox::with(
        r#"
[stages.fetch]
cmd = "echo x >> turns; test $(wc -l < turns) -lt 9 && cp turns v && ln -sf ../v data/latest; echo fetch >> ran"
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
    let watch = Watch::start(&sandbox, &[]);
    watch.turn();
    assert_eq!(sandbox.ran(), ["fetch", "use"]);
    sandbox.write("conf/other", "x");
    assert_eq!(touches(&woken(&watch, "conf/other")), 1);
    assert_eq!(sandbox.ran(), ["fetch", "use"]);
    assert_eq!(watch.end(), Some(0));
}

/// A folder that is in two places by a link is looked at in both.
#[test]
fn a_folder_that_a_link_leads_to_wakes_by_either_name() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'cat in/sub/* cur > out'\ndeps = ['in', 'cur']\nouts = ['out']\n",
    );
    sandbox.write("store/a", "a");
    sandbox.write("store/b", "b");
    fs::create_dir(sandbox.path("in")).unwrap();
    std::os::unix::fs::symlink("../store", sandbox.path("in/sub")).unwrap();
    std::os::unix::fs::symlink("store/a", sandbox.path("cur")).unwrap();
    let watch = Watch::start(&sandbox, &[]);
    watch.turn();
    sandbox.write("store/b", "c");
    woken(&watch, "in/sub/b");
    assert_eq!(watch.end(), Some(0));
    assert_eq!(sandbox.read("out"), "aca");
}
