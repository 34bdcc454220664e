//! FIFOs and links in place of files that users write.

use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;

const PIPELINE: &str = "\
[config]
include = ['more.toml']
[stages.s]
cmd = 'cat src/a > o'
deps = ['src']
outs = ['o']
";
const MORE: &str = "n = 1\n";
const FILES: [&str; 5] =
    ["src/.reproignore", ".reproignore", "more.toml", ".gitignore", "pipeline.toml"];
const COMMANDS: [&[&str]; 4] =
    [&["status"], &["run"], &["params", "show"], &["params", "set", "n=2"]];

fn project() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.write("more.toml", MORE);
    sandbox.write("src/a", "1");
    sandbox.git(&["init", "-q"]);
    sandbox
}

#[test]
fn nothing_waits_for_fifo() {
    for file in FILES {
        for has_run in [false, true] {
            for special in ["fifo", "zero"] {
                let sandbox = project();
                if has_run {
                    sandbox.ok(&["run"]);
                }
                if sandbox.exists(file) {
                    sandbox.remove(file);
                }
                match special {
                    "fifo" => sandbox.fifo(file),
                    _ => symlink("/dev/zero", sandbox.path(file)).unwrap(),
                }
                for args in COMMANDS {
                    let done = sandbox.repro(args);
                    assert!([0, 2, 3].contains(&done.code), "{file} {special} {args:?}\n{done}");
                }
            }
        }
    }
}

#[test]
fn links_to_files_are_read() {
    let sandbox = project();
    for file in ["src/.reproignore", "more.toml", ".gitignore"] {
        let text = if file == "more.toml" { MORE } else { "ignored\n" };
        sandbox.write(&format!("real/{}", file.replace('/', "-")), text);
        if sandbox.exists(file) {
            sandbox.remove(file);
        }
        let target = sandbox.path(&format!("real/{}", file.replace('/', "-")));
        symlink(target, sandbox.path(file)).unwrap();
    }
    sandbox.ok(&["run"]);
    let shown = sandbox.ok(&["params", "show"]);
    assert!(shown.stdout.contains("n"), "{shown}");
    sandbox.write("src/ignored", "1");
    assert_eq!(sandbox.repro(&["status"]).code, 0);
    assert!(sandbox.read("real/.gitignore").contains("ignored\n"));
    assert!(sandbox.read(".gitignore").contains("/o"));
}

#[test]
fn init_beside_fifo() {
    let sandbox = Sandbox::empty();
    sandbox.write("example/x", "");
    sandbox.fifo("example/text.txt");
    assert_ne!(sandbox.repro(&["init"]).code, -1);
}
