//! The view of git after a run: state folders ignore themselves, and outs are added to
//! `.gitignore`.

use std::process::Command;

use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"
[stages.make]
cmd = "mkdir -p data/made; cp in data/made/x; cp in 'model[1].bin'; cp in scratch; cp in kept"
deps = ["in"]
outs = ["data/made", "model[1].bin", { path = "scratch", cache = false }, "kept"]
"#;

fn project() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("in", "1");
    sandbox.git(&["init", "-q"]);
    sandbox
}

/// Returns the untracked and changed paths.
fn status(sandbox: &Sandbox) -> Vec<String> {
    let mut git = Command::new("git");
    git.args(["status", "--porcelain", "-uall"]).current_dir(sandbox.root());
    let output = deadline::output(git.env("GIT_CONFIG_GLOBAL", "/dev/null"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line[3..].to_owned()).collect()
}

fn block(lines: &str) -> String {
    format!("# >>> kept in the cache, added by `repro` >>>\n{lines}# <<< repro <<<\n")
}

#[test]
fn git_status_after_run() {
    let sandbox = project();
    let done = sandbox.ok(&["run"]);
    assert!(done.stderr.contains("added 3 outs to .gitignore"), "{done}");
    assert_eq!(status(&sandbox), [".gitignore", "in", "pipeline.lock", "pipeline.toml", "scratch"]);
    assert_eq!(sandbox.read(".gitignore"), block("/data/made\n/kept\n/model\\[1].bin\n"));
    // A line that the user removes is not added again.
    sandbox.write(".gitignore", block("/data/made\n/kept\n"));
    sandbox.write("in", "2");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read(".gitignore"), block("/data/made\n/kept\n"));
}

#[test]
fn known_outs_are_not_added() {
    let sandbox = project();
    sandbox.write("kept", "old");
    sandbox.git(&["add", "kept"]);
    sandbox.git(&["rm", "-q", "--cached", "kept"]);
    sandbox.write(".gitignore", "*.bin\n/mine");
    sandbox.remove("kept");
    sandbox.write("data/made/x", "1");
    sandbox.git(&["add", "data/made/x"]);
    sandbox.remove("data/made");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read(".gitignore"), format!("*.bin\n/mine\n\n{}", block("/kept\n")));
}

#[test]
fn removed_outs_leave() {
    let sandbox = project();
    sandbox.ok(&["run"]);
    sandbox.edit("pipeline.toml", "cp in kept", "cp in other");
    sandbox.edit("pipeline.toml", "\"kept\"", "\"other\"");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read(".gitignore"), block("/data/made\n/model\\[1].bin\n/other\n"));
    assert!(status(&sandbox).contains(&"kept".to_owned()));
}

#[test]
fn outs_left_to_the_user() {
    let sandbox = project();
    sandbox.write("pipeline.toml", format!("[git]\nignore_outs = false\n{PIPELINE}"));
    sandbox.ok(&["run"]);
    assert!(!sandbox.exists(".gitignore"));
    assert!(!status(&sandbox).iter().any(|path| path.starts_with("cache/")));
    sandbox.edit("pipeline.toml", "ignore_outs = false", "ignore_outs = 1");
    assert_eq!(sandbox.repro(&["status"]).code, 2);
}

#[test]
fn state_folders_ignore_themselves() {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("in", "1");
    sandbox.write("cache/README.md", "mine");
    sandbox.ok(&["run"]);
    assert!(!sandbox.exists("cache/.gitignore") && !sandbox.exists(".gitignore"));
    assert_eq!(sandbox.read("runs/.gitignore"), "*\n");
    for command in ["status", "run"] {
        sandbox.remove("cache");
        sandbox.ok(&[command]);
        assert_eq!(sandbox.read("cache/.gitignore"), "*\n", "{command}");
    }
    sandbox.ok(&["gc", "--yes"]);
    assert!(sandbox.exists("cache/.gitignore"));
}

#[test]
fn init_and_add_use_block() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "-q"]);
    sandbox.ok(&["init"]);
    let before = sandbox.read(".gitignore");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read(".gitignore"), before);
    sandbox.ok(&["add", "example/text.txt"]);
    let line = "/example/text.txt\n";
    assert_eq!(sandbox.read(".gitignore").replace(line, ""), before);
    assert!(sandbox.read(".gitignore").contains(line));
    assert_eq!(status(&sandbox), [".gitignore", "pipeline.lock", "pipeline.toml"]);
}

#[test]
fn accepted_outs_are_added() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'cp in o'\ndeps = ['in']\nouts = ['o']\n");
    sandbox.write("in", "1");
    sandbox.write("o", "made elsewhere");
    sandbox.git(&["init", "-q"]);
    let done = sandbox.ok(&["accept", "s", "--reason", "x"]);
    assert!(done.stderr.contains("added 1 out to .gitignore"), "{done}");
    assert_eq!(sandbox.read(".gitignore"), block("/o\n"));
    assert_eq!(status(&sandbox), [".gitignore", "in", "pipeline.lock", "pipeline.toml"]);
}
